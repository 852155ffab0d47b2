//! What other languages' registries have, installed once into a folder of `target/` by whichever test comes first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A virtual environment with this package of PyPI.
pub(crate) fn from_pypi(folder: &str, package: &str) -> PathBuf {
    const NEEDS: &str = "this test needs python3 (3.11 or newer) with its venv module (on Debian: apt install \
                         python3-venv) and access to PyPI, once";
    once(folder, |folder| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), NEEDS);
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", package]), NEEDS);
    })
}

/// A folder with these packages of npm; none on a machine without node.
pub(crate) fn from_npm(folder: &str, packages: &[&str]) -> Option<PathBuf> {
    const NEEDS: &str = "this test needs access to npm's registry, once";
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !is_there("node") || !is_there("npm") {
        return None;
    }
    Some(once(folder, |folder| {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("package.json"), "{\"private\": true}").unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund"]).args(packages).current_dir(folder);
        run(&mut npm, NEEDS);
    }))
}

/// Fills a folder unless it has been filled; others wait meanwhile.
fn once(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let (folder, lock) = (target.join(name), File::create(target.join(format!("{name}.lock"))).unwrap());
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if !complete.exists() {
        fill(&folder);
        File::create(complete).unwrap();
    }
    folder
}

fn run(command: &mut Command, needs: &str) {
    match command.output() {
        Err(error) => panic!("{needs}; {command:?}: {error}"),
        Ok(output) if !output.status.success() => {
            let (stdout, stderr) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            panic!("{needs}; {command:?}: {}\n{stdout}{stderr}", output.status)
        }
        Ok(_) => {}
    }
}
