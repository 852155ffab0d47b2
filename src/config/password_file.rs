//! Passwords in the file of libpq (`PGPASSFILE`, or `~/.pgpass`): lines of `host:port:database:user:password`, where `*` matches
//! anything, and `\` makes a `:` or `\` part of a field (PostgreSQL, "The Password File").

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_postgres::config::Host;

use super::environment::Environment;
use super::limits::FILE_BYTES_MAX;
use super::regular_file::{Links, open_regular};
use super::secret::Secret;
use super::server_url::ServerConfig;

const DEFAULT: &str = ".pgpass";
/// As which host a socket is looked for.
const SOCKET: &str = "localhost";
const PORT: u16 = 5432;

/// Returns the password for the first of the hosts that has one in the file.
pub(super) fn password_for(config: &ServerConfig, environment: &Environment) -> Option<Secret> {
    let text = read(&path(environment)?)?;
    let (hosts, ports) = (config.get_hosts(), config.get_ports());
    let wanted = hosts.iter().enumerate().map(|(index, host)| {
        let host = match host {
            Host::Tcp(name) => name.as_str(),
            #[cfg(unix)]
            Host::Unix(_) => SOCKET,
        };
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        [host.to_owned(), port.to_string(), text_of(config.get_dbname()), text_of(config.get_user())]
    });
    wanted.into_iter().find_map(|wanted| find(&text, &wanted))
}

fn text_of(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn path(environment: &Environment) -> Option<PathBuf> {
    let named = environment.lookup("env.PGPASSFILE").ok().map(|path| PathBuf::from(path.expose()));
    named.or_else(|| Some(Path::new(environment.lookup("env.HOME").ok()?.expose()).join(DEFAULT)))
}

/// Reads the file, unless others than its owner may read it as well.
fn read(path: &Path) -> Option<String> {
    let file = open_regular(path, OpenOptions::new().read(true), Links::Followed).ok()?;
    if file.metadata().ok()?.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn find(text: &str, wanted: &[String; 4]) -> Option<Secret> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut matching = lines.filter_map(|line| {
        let fields = fields(line);
        let [host, port, database, user, password] = fields.as_slice() else { return None };
        let is_match = [host, port, database, user]
            .iter()
            .zip(wanted)
            .all(|(written, wanted)| *written == "*" || *written == wanted);
        (is_match && !password.is_empty()).then(|| Secret::new(password))
    });
    matching.next()
}

/// Splits a line into its fields, of which the fifth is the rest.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut characters) = (vec![String::new()], line.chars());
    while let Some(character) = characters.next() {
        let is_last = fields.len() == 5;
        let Some(field) = fields.last_mut() else { break };
        match character {
            ':' if !is_last => fields.push(String::new()),
            '\\' => field.extend(characters.next()),
            character => field.push(character),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    const FILE: &str = "# a comment\n\
        db:5432:agentcron:agentcron:first\n\
        db:*:other:*:second\n\
        localhost:5432:d:u:of\\:socket:and more\n\
        *:*:*:nobody:\n\
        *:5433:*:nobody:any\n";

    fn password(url: &str, file: &Path) -> Option<String> {
        let file = file.to_str().unwrap();
        let environment = Environment::of_map([("env.PGPASSFILE", file)]);
        password_for(&url.parse().unwrap(), &environment).map(|password| password.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_matches_has_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        std::fs::write(&file, FILE).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (url, expected) in [
            ("postgres://agentcron@db/agentcron", Some("first")),
            ("postgres://agentcron@db:5433/agentcron", None),
            ("postgres://agentcron@db:5433/other", Some("second")),
            ("postgres://u@%2Frun%2Fpg/d", Some("of:socket:and more")),
            ("postgres://agentcron@elsewhere,db/agentcron", Some("first")),
            ("postgres://nobody@db:5433/agentcron", Some("any")),
        ] {
            assert_eq!(password(url, &file).as_deref(), expected, "{url}");
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(password("postgres://agentcron@db/agentcron", &file), None, "others may read it");
        let missing = folder.path().join("missing");
        assert_eq!(password("postgres://agentcron@db/agentcron", &missing), None);
        let pipe = folder.path().join("created");
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&pipe).unwrap();
        assert_eq!(password("postgres://agentcron@db/agentcron", &pipe), None);
    }
}
