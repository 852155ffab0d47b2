//! Loads whole files and compares the exact messages.

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;

mod any_input;
// rustfmt would wrap the long lines of `expect!`, and expect-test cannot update wrapped ones.
#[rustfmt::skip]
mod crons;
#[rustfmt::skip]
mod losses;
#[rustfmt::skip]
mod odd_files;
#[rustfmt::skip]
mod sections;
#[rustfmt::skip]
mod syntax;
mod unchanged_files;
#[rustfmt::skip]
mod webhooks;

fn environment() -> Environment {
    Environment::of_map([
        ("env.HOOK_TOKEN", "hunter2"),
        ("env.HOOK_URL", "https://ops.example.com/hunter2"),
        ("env.BAD_ZONE", "hunter2/hunter2"),
        ("env.LG_WEBHOOK_X", "hunter2"),
        ("env.ASSISTANT", "agent-eu"),
        ("env.EMPTY", ""),
        ("credential.langgraph_api_key", "hunter2"),
        ("credential.webhook_secret", "whsec_hunter2hunter2hunter2hunter2hunt"),
    ])
}

/// Writes the files, loads the first one, and returns what a user would see, without the directory's name.
fn load_files(files: &[(&str, &[u8])]) -> (String, Option<Config>) {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let loaded = load(&directory.path().join(files[0].0), &environment());
    let (shown, config) = match loaded {
        Ok(config) => {
            let warnings: Vec<String> =
                config.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            let names: Vec<&str> = config.crons.iter().map(|definition| definition.name.as_str()).collect();
            (format!("{}ok: {}", warnings.join(""), names.join(" ")), Some(config))
        }
        Err(errors) => (errors.to_string(), None),
    };
    let shown = shown.replace(&format!("{}/", directory.path().display()), "");
    assert!(!shown.contains("hunter2"), "a secret in {shown}");
    assert!(!format!("{config:?}").contains("hunter2"), "a secret in {config:?}");
    (shown, config)
}

fn check(main: &str, expected: Expect) {
    expected.assert_eq(&load_files(&[("a.toml", main.as_bytes())]).0);
}

fn check_files(files: &[(&str, &[u8])], expected: Expect) {
    expected.assert_eq(&load_files(files).0);
}

fn check_cron(lines: &str, expected: Expect) {
    check(&format!("[cron.x]\nschedule = \"0 9 * * *\"\nassistant_id = \"agent\"\n{lines}"), expected);
}

fn loaded(main: &str) -> Config {
    let (shown, config) = load_files(&[("a.toml", main.as_bytes())]);
    config.unwrap_or_else(|| panic!("{shown}"))
}
