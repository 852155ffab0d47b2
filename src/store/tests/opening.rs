//! Opening a store: what is refused and left as it is, who may read it, and the lock that keeps a second daemon out.

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check_refused(folder: &TempDir, expected: Expect) {
    let before = std::fs::read(file(folder)).unwrap();
    let Err(error) = try_open(&file(folder), Execution::WriterThread) else { panic!("it opened") };
    let message = error.to_string().replace(folder.path().to_str().unwrap(), "DIR");
    expected.assert_eq(&message);
    assert_eq!(std::fs::read(file(folder)).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(file(&folder), "these are not the bytes you are looking for".repeat(100)).unwrap();
    check_refused(
        &folder,
        expect![
            "DIR/agentcron.db: is damaged, or no SQLite database (file is not a database); nothing was changed. Move it away together with its -wal file and restore a backup, or start afresh with an empty path"
        ],
    );
}

#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    rusqlite::Connection::open(file(&folder))
        .unwrap()
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    check_refused(
        &folder,
        expect!["DIR/agentcron.db: is a database of another program; choose another store.path"],
    );
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    rusqlite::Connection::open(file(&folder)).unwrap().pragma_update(None, "user_version", 999).unwrap();
    check_refused(
        &folder,
        expect![
            "DIR/agentcron.db: was written by a newer agentcron (schema 999, this one knows 1); install that version, or restore a backup from before the upgrade"
        ],
    );
}

#[test]
fn a_damaged_page_is_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let mut bytes = std::fs::read(file(&folder)).unwrap();
    for byte in &mut bytes[4096 * 2..4096 * 3] {
        *byte ^= 0x5a;
    }
    std::fs::write(file(&folder), bytes).unwrap();
    let error = try_open(&file(&folder), Execution::WriterThread).err().unwrap().to_string();
    assert!(error.contains("is damaged"), "{error}");
}

#[test]
fn a_second_daemon_learns_the_process_id_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(&folder);
    let Err(StoreError::Taken { pid, .. }) = try_open(&file(&folder), Execution::WriterThread) else {
        panic!("two daemons on one database")
    };
    assert_eq!(pid, std::process::id().to_string());
}

/// What stands at the path of the lock file, and how the refusal ends.
#[test]
fn a_lock_file_that_is_not_ours_is_refused_and_not_changed() {
    use std::os::unix::fs::symlink;
    type Put = fn(&Path, &Path) -> std::io::Result<()>;
    let cases: [(&str, Put, &str); 7] = [
        ("precious", |lock, victim| symlink(victim, lock), "it is a symbolic link, expected a regular file"),
        ("4711\n", |lock, victim| symlink(victim, lock), "it is a symbolic link, expected a regular file"),
        ("", |lock, _| symlink("/nowhere", lock), "it is a symbolic link, expected a regular file"),
        (
            "precious",
            |lock, victim| std::fs::hard_link(victim, lock),
            "it was not written by agentcron; move it away",
        ),
        (
            "4711\n",
            |lock, victim| std::fs::hard_link(victim, lock),
            "it was not written by agentcron; move it away",
        ),
        ("", |lock, _| std::fs::write(lock, "precious"), "it was not written by agentcron; move it away"),
        ("", |lock, _| std::fs::create_dir(lock), "it is a directory, expected a regular file"),
    ];
    for (text, put, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (lock, victim) = (folder.path().join("agentcron.db.lock"), folder.path().join("victim"));
        std::fs::write(&victim, text).unwrap();
        put(&lock, &victim).unwrap();
        let before = std::fs::read(&lock).ok();
        let Err(error) = try_open(&file(&folder), Execution::WriterThread) else { panic!("{expected}") };
        assert!(error.to_string().ends_with(expected), "{error}, expected {expected}");
        assert_eq!(
            (std::fs::read_to_string(&victim).unwrap(), std::fs::read(&lock).ok()),
            (text.to_owned(), before)
        );
        assert!(!file(&folder).exists());
        // What only asks whether a daemon is running must not wait or follow either.
        assert!(!matches!(lock_state(&file(&folder)), DaemonState::Running { .. }));
    }
}

#[test]
fn a_database_is_opened_through_a_link_but_never_created_through_one() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    symlink(folder.path().join("elsewhere"), file(&folder)).unwrap();
    let Err(error) = try_open(&file(&folder), Execution::WriterThread) else { panic!("it opened") };
    assert!(error.to_string().contains("it is a symbolic link"), "{error}");
    assert!(!folder.path().join("elsewhere").exists());
    let store = try_open(&folder.path().join("elsewhere"), Execution::WriterThread).unwrap();
    let by_link = try_open(&file(&folder), Execution::WriterThread);
    assert!(matches!(by_link, Err(StoreError::Taken { .. })), "one daemon, whatever the name");
    drop(store);
    drop(try_open(&file(&folder), Execution::WriterThread).unwrap());
    // Nor is anything written through a link in the place of SQLite's own files.
    for ending in ["-wal", "-shm", "-journal"] {
        let (planted, victim) =
            (folder.path().join(format!("elsewhere{ending}")), folder.path().join("victim"));
        std::fs::write(&victim, "precious").unwrap();
        symlink(&victim, &planted).unwrap();
        assert!(try_open(&file(&folder), Execution::WriterThread).is_err(), "{ending}");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        std::fs::remove_file(&planted).unwrap();
    }
}

#[test]
fn what_is_no_file_is_neither_opened_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(file(&folder)).status().unwrap().success());
    for path in [file(&folder), folder.path().to_owned(), "/dev/null".into()] {
        let Err(error) = Reader::open(&path) else { panic!("{} was read", path.display()) };
        assert!(error.to_string().contains("expected a regular file"), "{error}");
    }
    let Err(error) = try_open(&file(&folder), Execution::WriterThread) else { panic!("it opened") };
    assert!(error.to_string().contains("it is a pipe"), "{error}");
    std::fs::remove_file(file(&folder)).unwrap();
    drop(open(&folder));
    for ending in ["-wal", "-shm", "-journal"] {
        let pipe = folder.path().join(format!("agentcron.db{ending}"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let problem = format!("agentcron.db{ending}: it is a pipe");
        let read = Reader::open(&file(&folder)).err().map(|error| error.to_string()).unwrap_or_default();
        let written = try_open(&file(&folder), Execution::WriterThread).err();
        let written = written.map(|error| error.to_string()).unwrap_or_default();
        assert!(read.contains(&problem) && written.contains(&problem), "{read} {written}");
        std::fs::remove_file(pipe).unwrap();
    }
}

#[test]
fn a_database_that_others_may_open_is_reported_with_the_command_that_ends_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let set = |ending: &str, mode| {
        let path = format!("{}{ending}", file(&folder).display());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (ending, mode, is_reported) in [
        ("", 0o600, false),
        ("", 0o640, true),
        ("", 0o606, true),
        ("-wal", 0o644, true),
        ("-shm", 0o660, true),
    ] {
        set(ending, mode);
        let warning = exposure(&file(&folder));
        assert_eq!(warning.is_some(), is_reported, "{ending} {mode:o}");
        if let Some(warning) = warning {
            let (_, command) = warning.split_once(": ").unwrap();
            assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
        }
        assert_eq!(exposure(&file(&folder)), None);
    }
    drop(store);
    assert_eq!(exposure(Path::new("/nowhere")), None);
}

#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/deep/agentcron.db");
    let _store = try_open(&path, Execution::WriterThread).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_extension("db.lock")), 0o600);
    assert_eq!(mode(&folder.path().join("state/deep")), 0o750);
}
