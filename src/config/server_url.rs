//! URLs of PostgreSQL servers.

use std::time::Duration;

pub use tokio_postgres::Config as ServerConfig;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::environment::Environment;
use super::errors::Complaint;
use super::password_file::password_for;
use super::secret::Secret;
use crate::domain::bounds::{STORE_CONNECTED_WITHIN, STORE_SILENT_MAX};

/// The schemes of a URL of PostgreSQL (libpq, "Connection URIs").
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const EXAMPLE: &str = "such as postgres://agentcron@db.internal/agentcron";

/// What a URL says about TLS.
const TLS: &str = "sslmode";

/// Parses a URL of PostgreSQL and adds the password. No message quotes it, because it may hold one.
///
/// TLS is used except to this machine, and the server's certificate is always checked then. `sslmode=disable` is for a network
/// that is trusted.
pub(super) fn session(
    url: &str,
    password: Option<&Secret>,
    environment: &Environment,
) -> Result<ServerConfig, Complaint> {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Complaint::with_hint("expected a URL with the scheme postgres", EXAMPLE));
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (tls, others): (Vec<&str>, Vec<&str>) = query
        .split('&')
        .filter(|option| !option.is_empty())
        .partition(|option| option.split('=').next() == Some(TLS));
    let mut config: ServerConfig = format!("{place}?{}", others.join("&"))
        .parse()
        .map_err(|_| Complaint::with_hint("not a URL of PostgreSQL that agentcron knows", KNOWN))?;
    if config.get_hosts().is_empty() {
        return Err(Complaint::with_hint("got a URL without a host", EXAMPLE));
    }
    if config.get_dbname().is_none() {
        return Err(Complaint::with_hint(
            "got a URL without a database",
            "end it with /NAME, the name of the database",
        ));
    }
    config.ssl_mode(ssl_mode(tls.last().copied(), config.get_hosts())?);
    // A standby answers too, and cannot be written.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(STORE_CONNECTED_WITHIN);
    }
    config
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(3))
        .keepalives_retries(3);
    config.tcp_user_timeout(STORE_SILENT_MAX);
    config.application_name("agentcron");
    match (config.get_password().is_some(), password) {
        (true, Some(_)) => {
            let hint = "write it in store.password only";
            return Err(Complaint::with_hint("got a password here and in store.password", hint));
        }
        (true, None) => {}
        (false, Some(password)) => drop(config.password(password.expose())),
        (false, None) => {
            if let Some(password) = password_for(&config, environment) {
                config.password(password.expose());
            }
        }
    }
    Ok(config)
}

/// What may be wrong with a URL that cannot be parsed.
const KNOWN: &str = "postgres://USER@HOST[:PORT][,HOST[:PORT]]/DATABASE, and behind a `?` the parameters sslmode, connect_timeout, \
     keepalives and channel_binding; a certificate authority is store.ca_file; % in a password is %25";

/// Returns whether TLS is used.
fn ssl_mode(written: Option<&str>, hosts: &[Host]) -> Result<SslMode, Complaint> {
    match written.map(|option| option.split_once('=').map_or("", |(_, word)| word)) {
        Some("disable") => Ok(SslMode::Disable),
        Some("require" | "verify-full") => Ok(SslMode::Require),
        Some(_) => {
            let hint = "`require` and `verify-full` check the server's certificate; `disable` is for a network that is trusted";
            Err(Complaint::with_hint("expected sslmode=require, verify-full or disable", hint))
        }
        None if hosts.iter().all(is_here) => Ok(SslMode::Disable),
        None => Ok(SslMode::Require),
    }
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::of_map([])
    }

    #[test]
    fn tls_is_used_except_to_this_machine_unless_it_is_said_otherwise() {
        for (url, expected) in [
            ("postgres://u@127.0.0.1/d", SslMode::Disable),
            ("postgres://u@[::1]:5433/d", SslMode::Disable),
            ("postgresql://u@localhost,127.0.0.1:5433/d", SslMode::Disable),
            ("postgres://u@%2Frun%2Fpostgresql/d", SslMode::Disable),
            ("postgres://u@localhost,db/d", SslMode::Require),
            ("postgres://u@db/d", SslMode::Require),
            ("postgres://u@db/d?sslmode=disable&connect_timeout=3", SslMode::Disable),
            ("postgres://u@127.0.0.1/d?sslmode=verify-full", SslMode::Require),
        ] {
            let config = session(url, None, &environment()).unwrap();
            assert_eq!(config.get_ssl_mode(), expected, "{url}");
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
    }

    #[test]
    fn a_mistake_says_what_to_write_and_quotes_nothing() {
        let password = Secret::new("s3cret");
        for (url, password, expected) in [
            ("mysql://u:s3cret@db/d", None, "scheme postgres"),
            ("postgres://u:s3cret@db", None, "without a database"),
            ("postgres:///d", None, "without a host"),
            ("postgres://u:s3cret@db:port/d", None, "not a URL"),
            ("postgres://u@db/d?s3cret=1", None, "not a URL"),
            ("postgres://u@db/d?sslmode=prefer", None, "verify-full"),
            ("postgres://u:s3cret@db/d", Some(&password), "store.password"),
        ] {
            let complaint = format!("{:?}", session(url, password, &environment()).unwrap_err());
            assert!(complaint.contains(expected) && !complaint.contains("s3"), "{url}: {complaint}");
        }
        let config = session("postgres://u@db/d", Some(&password), &environment()).unwrap();
        assert_eq!(config.get_password(), Some("s3cret".as_bytes()));
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
