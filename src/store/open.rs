//! Opens the file: its settings, its checks, and its migrations, which only go forward.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::is_disk_full;
use super::rows::parsed;
use super::sql::Transaction;
use super::{StoreError, swap};
use crate::config::{Links, demand_regular, open_regular};
use crate::domain::ids::InstallationId;

/// SQLite's `application_id`, which distinguishes our files from those of other programs.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"agcr");

/// The migrations, in order; they are only ever added. A file's `user_version` is the number of migrations
/// that it has.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_initial.sql")];

/// The `application_id` of a store that was moved to a server: no daemon begins with it, and nothing else has changed.
const MOVED: i32 = i32::from_be_bytes(*b"agmv");

/// Larger files are not checked page by page at every start, because that would take too long.
const QUICK_CHECK_BYTES_MAX: u64 = 1 << 30;

/// Opens the daemon's connection, after creating the file (with mode 0600) if there is none.
pub(super) fn open_to_write(path: &Path, new_installation: InstallationId) -> Result<Connection, StoreError> {
    swap::go_on(path)?;
    let bytes = make_file(path)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| unusable(path, e))?;
    // Checked before anything is changed: a file that is not ours, or is newer, stays byte for byte as it is.
    let version = version_of(path, &connection)?;
    settings(&connection).map_err(|e| unusable(path, e))?;
    if bytes > 0 && bytes < QUICK_CHECK_BYTES_MAX {
        check(path, &connection)?;
    }
    migrate(path, &mut connection, version, new_installation)?;
    Ok(connection)
}

/// Opens a connection beside the daemon's own that moves the WAL into the file.
pub(super) fn open_to_checkpoint(path: &Path) -> Result<Connection, StoreError> {
    demand_files(path)
        .map_err(|error| StoreError::Unusable { path: path.into(), problem: error.to_string() })?;
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| unusable(path, error))
}

/// Opens a connection that only reads, whether a daemon is writing or none is running.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let not_there = |problem: &str| StoreError::Unusable { path: path.into(), problem: problem.into() };
    if swap::is_interrupted(path) {
        return Err(not_there(
            "`agentcron restore` was interrupted; the next start of the daemon goes on with it",
        ));
    }
    demand_files(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => not_there("there is no database yet; `agentcron run` makes it"),
        ErrorKind::PermissionDenied => StoreError::Denied { path: path.into() },
        _ => not_there(&error.to_string()),
    })?;
    let connection = match connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Ok(connection) => connection,
        // This user may read the file but not write its directory, and no daemon is running: SQLite cannot
        // create the shared-memory file, and must be told that nobody writes.
        Err(_) => connect_immutable(path).map_err(|error| match error.sqlite_error_code() {
            // It is there, as has just been seen. SQLite does not say why it cannot open it.
            Some(ErrorCode::CannotOpen) => StoreError::Denied { path: path.into() },
            _ => unusable(path, error),
        })?,
    };
    if version_of(path, &connection)? == 0 {
        return Err(not_there("the database is empty; `agentcron run` fills it"));
    }
    Ok(connection)
}

/// Fails if the database, or what is beside it where SQLite has its own files, is not a regular file: SQLite would wait
/// for a pipe.
fn demand_files(path: &Path) -> std::io::Result<()> {
    demand_regular(std::fs::metadata(path)?.file_type())?;
    let database = path.canonicalize()?;
    for ending in ["-wal", "-shm", "-journal"] {
        let mut beside = database.clone().into_os_string();
        beside.push(ending);
        if let Ok(found) = std::fs::symlink_metadata(&beside) {
            demand_regular(found.file_type()).map_err(|error| {
                std::io::Error::new(error.kind(), format!("{}: {error}", Path::new(&beside).display()))
            })?;
        }
    }
    Ok(())
}

fn make_file(path: &Path) -> Result<u64, StoreError> {
    let problem = |what: &str, error: std::io::Error| StoreError::Unusable {
        path: path.to_path_buf(),
        problem: format!("{what}: {error}; check store.path and who owns it"),
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let file = match open_regular(path, &mut options, Links::Followed) {
        // Made only where nothing is: a link to nothing would decide where the file appears.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            open_regular(path, options.create_new(true), Links::Refused)
        }
        found => found,
    };
    file.and_then(|file| demand_files(path).and_then(|()| file.metadata()))
        .map(|metadata| metadata.len())
        .map_err(|error| problem("cannot be opened for writing", error))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(256);
    // Otherwise every statement with a parameter that a partial index might depend on is planned anew each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The first read opens the WAL. It is better to fail here than later.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

fn connect_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let uri = url::Url::from_file_path(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
        .map_err(|()| rusqlite::Error::InvalidPath(path.to_path_buf()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("{uri}?immutable=1"), flags)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// Applies the settings of the daemon's connection.
///
/// The cache of 16 MiB holds the indexes of some hundred thousand runs. With SQLite's default of 2 MiB, a
/// burst of ten thousand runs would read the same pages from the file again and again. The memory is only
/// used as it is needed.
///
/// `secure_delete` is `FAST`: what is deleted is overwritten in pages that are written anyway.
///
/// `synchronous` is `FULL`, because a committed intention that a power cut takes back is a run that is
/// started twice.
fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = FAST;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA wal_autocheckpoint = 4000;",
    )
}

/// Returns the version of the file's schema, 0 for an empty file.
fn version_of(path: &Path, connection: &Connection) -> Result<usize, StoreError> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
    let application_id = pragma("application_id").map_err(|e| unusable(path, e))?;
    let version = pragma("user_version").map_err(|e| unusable(path, e))?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| unusable(path, e))?;
    let problem = if application_id == APPLICATION_ID {
        match usize::try_from(version) {
            Ok(version) if version <= MIGRATIONS.len() => return Ok(version),
            _ => format!(
                "was written by a newer agentcron (schema {version}, this one knows {}); install that version, or restore a \
                 backup from before the upgrade",
                MIGRATIONS.len()
            ),
        }
    } else if application_id == MOVED {
        "was moved to a PostgreSQL server by `agentcron migrate`; name that in store.url".to_owned()
    } else if application_id == 0 && version == 0 && tables == 0 {
        return Ok(0);
    } else {
        "is a database of another program; choose another store.path".to_owned()
    };
    Err(StoreError::Unusable { path: path.to_path_buf(), problem })
}

fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| unusable(path, e))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Unusable { path: path.to_path_buf(), problem: corrupt(&found) })
}

/// Applies the migrations that the file lacks. Each one and its number are one transaction, so that a crash
/// leaves either the old schema or the new one.
fn migrate(
    path: &Path,
    connection: &mut Connection,
    from: usize,
    new_installation: InstallationId,
) -> Result<(), StoreError> {
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let step = |connection: &mut Connection| -> rusqlite::Result<()> {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
            tx.execute_batch(sql)?;
            if index == 0 {
                let id = new_installation.to_string();
                tx.execute("INSERT INTO installation (one, installation_id) VALUES (1, ?1)", [id])?;
            }
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
            tx.commit()
        };
        step(connection).map_err(|e| unusable(path, e))?;
    }
    Ok(())
}

/// Marks a store as moved to a server.
pub(super) fn mark_as_moved(path: &Path) -> Result<(), StoreError> {
    change_application(path, APPLICATION_ID, MOVED).map(drop)
}

/// Takes the mark of a store back that was to be moved, and returns whether it had one.
pub(super) fn unmark_as_moved(path: &Path) -> Result<bool, StoreError> {
    change_application(path, MOVED, APPLICATION_ID)
}

fn change_application(path: &Path, from: i32, to: i32) -> Result<bool, StoreError> {
    let change = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let is: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if is == from {
            connection.pragma_update(None, "application_id", to)?;
        }
        Ok(is == from)
    };
    change().map_err(|error| unusable(path, error))
}

/// Returns the id that the store got when it was created.
pub(super) fn installation_id(tx: &Transaction<'_>) -> Result<InstallationId, StoreError> {
    tx.query_one("SELECT installation_id FROM installation WHERE one = 1", (), |row| {
        parsed(row, "installation_id")
    })
}

/// Says which file an error of SQLite is about, and what to do.
pub(super) fn in_words(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Sqlite(error) => unusable(path, error),
        error => error,
    }
}

fn unusable(path: &Path, error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode as Code;
    if is_disk_full(&error) {
        return StoreError::NoRoom {
            path: path.to_path_buf(),
            problem: format!("no room on the disk ({error})"),
        };
    }
    if matches!(error.sqlite_error_code(), Some(Code::DatabaseBusy | Code::DatabaseLocked)) {
        let problem = format!("another process holds its write lock ({error})");
        return StoreError::NoRoom { path: path.to_path_buf(), problem };
    }
    let problem = match error.sqlite_error_code() {
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => corrupt(&error.to_string()),
        Some(Code::ReadOnly) => format!("cannot be written ({error}); check who owns it and its directory"),
        _ => error.to_string(),
    };
    StoreError::Unusable { path: path.to_path_buf(), problem }
}

fn corrupt(found: &str) -> String {
    format!(
        "is damaged, or no SQLite database ({found}); nothing was changed. Move it away together with its -wal \
         file and restore a backup, or start afresh with an empty path"
    )
}
