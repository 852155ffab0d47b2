//! Packages of PyPI and npm, installed once into a folder of `target/` by the test that needs them first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::versions::{AXE, Requirements, Versions, WEB_PAGE};

const PYPI: &str = "this test needs python3 (3.11 or newer) with its venv module (on Debian: apt install \
                    python3-venv) and access to PyPI, once";
const NPM: &str = "this test needs access to npm's registry, once";

/// Returns a virtual environment with the agent server.
pub(crate) fn agent_server() -> PathBuf {
    let versions = Versions::asked_for();
    virtual_environment(&versions.folder("langgraph"), &versions.server())
}

/// Returns a virtual environment with the Python SDK.
pub(crate) fn python_sdk() -> PathBuf {
    let versions = Versions::asked_for();
    virtual_environment(&versions.folder("langgraph-sdk"), &versions.python_sdk())
}

/// Returns a folder with the JS SDK, or `None` on a machine without node.
pub(crate) fn js_sdk() -> Option<PathBuf> {
    let versions = Versions::asked_for();
    has_node().then(|| packages_of_npm(&versions.folder("langgraph-sdk-js"), &[&versions.js_sdk(published)]))
}

/// Returns this page with everything that it imports, as one script, or `None` on a machine without node.
pub(crate) fn web_page(source: &Path) -> Option<String> {
    let versions = Versions::asked_for();
    let sdk = versions.js_sdk(published);
    let packages: Vec<&str> = [sdk.as_str()].into_iter().chain(WEB_PAGE).collect();
    let folder = from_npm(&versions.folder("web-page"), &packages)?;
    // Packages are resolved from the folder of the page.
    let page = folder.join(source.file_name().unwrap());
    std::fs::copy(source, &page).unwrap();
    let mut esbuild = Command::new(folder.join("node_modules/.bin/esbuild"));
    let bundled = run(esbuild.args(["--bundle", "--jsx=automatic", "--log-level=error"]).arg(page), NPM);
    Some(String::from_utf8(bundled.stdout).unwrap())
}

/// Returns the script that finds what shuts people out of a page, or `None` on a machine without node.
pub(crate) fn axe() -> Option<String> {
    let folder = from_npm("axe", &[AXE])?;
    Some(std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap())
}

/// Returns the folder of this name below `target/`, for what a test leaves to be looked at.
pub(crate) fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns a virtual environment with this package of PyPI.
pub(crate) fn from_pypi(folder: &str, package: &str) -> PathBuf {
    let requirements = Requirements { packages: vec![package.to_owned()], constraints: String::new() };
    virtual_environment(folder, &requirements)
}

/// Returns a folder with these packages of npm, or `None` on a machine without node.
pub(crate) fn from_npm(folder: &str, packages: &[&str]) -> Option<PathBuf> {
    has_node().then(|| packages_of_npm(folder, packages))
}

fn virtual_environment(folder: &str, requirements: &Requirements) -> PathBuf {
    let wanted = format!("{}\n{}", requirements.packages.join("\n"), requirements.constraints);
    once(folder, &wanted, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder), PYPI);
        let constraints = folder.join("constraints.txt");
        std::fs::write(&constraints, &requirements.constraints).unwrap();
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--constraint"]).arg(constraints).args(&requirements.packages);
        run(&mut pip, PYPI);
    })
}

fn has_node() -> bool {
    ["node", "npm"].iter().all(|program| Command::new(program).arg("--version").output().is_ok())
}

fn packages_of_npm(folder: &str, packages: &[&str]) -> PathBuf {
    once(folder, &packages.join("\n"), |folder| {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("package.json"), "{\"private\": true}").unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund"]).args(packages).current_dir(folder);
        run(&mut npm, NPM);
    })
}

/// Returns the published versions of a package of npm, ascending.
fn published(package: &str) -> Vec<String> {
    let output = run(Command::new("npm").args(["view", package, "versions", "--json"]), NPM);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fills a folder unless it holds what is wanted already; other tests wait meanwhile.
fn once(name: &str, wanted: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let (folder, lock) = (target.join(name), File::create(target.join(format!("{name}.lock"))).unwrap());
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if std::fs::read_to_string(&complete).ok().as_deref() != Some(wanted) {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        fill(&folder);
        std::fs::write(complete, wanted).unwrap();
    }
    folder
}

fn run(command: &mut Command, needs: &str) -> Output {
    match command.output() {
        Err(error) => panic!("{needs}; {command:?}: {error}"),
        Ok(output) if !output.status.success() => {
            let (stdout, stderr) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            panic!("{needs}; {command:?}: {}\n{stdout}{stderr}", output.status)
        }
        Ok(output) => output,
    }
}
