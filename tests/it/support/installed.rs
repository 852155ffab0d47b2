//! Foreign software that tests need, installed once into `target`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `target/NAME`, filled by whoever comes first; others wait for the lock.
pub(crate) fn installed(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let (folder, lock) = (target.join(name), File::create(target.join(format!("{name}.lock"))).unwrap());
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if !complete.exists() {
        install(&folder);
        File::create(complete).unwrap();
    }
    folder
}

/// A virtual environment of Python with the packages that `requirement` names, as pip reads it.
pub(crate) fn python_with(name: &str, requirement: &str) -> PathBuf {
    installed(name, |folder| {
        let needs = "tests against a real LangGraph server need python3 (3.11 or newer) with its venv module (on \
                     Debian: apt install python3-venv) and access to PyPI, once";
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), needs);
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", requirement]), needs);
    })
}

/// Runs a command to its end and demands that it succeeds; `needs` says what it takes.
pub(crate) fn run(command: &mut Command, needs: &str) {
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
