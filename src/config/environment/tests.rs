//! Lookups in a map and in a credentials directory, and that no secret is shown.

use std::os::unix::fs::PermissionsExt;

use expect_test::{Expect, expect};

use super::*;

fn check(environment: &Environment, name: &str, expected: Expect) {
    let shown = match environment.lookup(name) {
        Ok(secret) => format!("{secret} {secret:?} {}", secret.expose()),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_name_has_one_value_or_one_reason() {
    let environment = Environment::of_map([("env.A", "hunter2"), ("credential.key", "k"), ("env.EMPTY", "")]);
    check(&environment, "env.A", expect!["*** *** hunter2"]);
    check(&environment, "credential.key", expect!["*** *** k"]);
    check(&environment, "env.B", expect!["env.B is not set"]);
    check(&environment, "env.EMPTY", expect!["env.EMPTY is set, but empty"]);
    for name in ["A", "env.", "env.1A", "env.A=B", "credential.../x", "credential..x", "run.id"] {
        assert_eq!(environment.lookup(name), Err(LookupError::InvalidName(name.to_owned())));
    }
    assert_eq!(environment.fill("x${{ env.A }}").unwrap().expose(), "xhunter2");
}

#[test]
fn a_credential_is_read_without_its_last_newline_and_must_be_private() {
    let directory = tempfile::tempdir().unwrap();
    let check = |content: &[u8], mode: u32, expected: Expect| {
        let path = directory.path().join("key");
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        expected
            .assert_eq(&read_credential("credential.key", &path).unwrap_or_else(|error| error.to_string()));
    };
    check(b"hunter2\n", 0o400, expect!["hunter2"]);
    check(b"hunter2\r\n", 0o400, expect!["hunter2"]);
    check(b"two\nlines\n\n", 0o400, expect!["two\nlines\n"]);
    check(b"\xff", 0o400, expect!["credential.key is not UTF-8 text"]);
    check(b"hunter2", 0o604, expect!["credential.key is readable by everybody on this machine (chmod o-r)"]);
    check(&[b'x'; (1 << 20) + 1], 0o600, expect!["credential.key is longer than 1048576 bytes"]);
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = read_credential("credential.key", &pipe).unwrap_err().to_string();
    assert_eq!(error, "credential.key cannot be read: it is a pipe, expected a regular file");
    assert_eq!(
        read_credential("credential.other", &directory.path().join("other")),
        Err(LookupError::Unset("credential.other".to_owned()))
    );
}
