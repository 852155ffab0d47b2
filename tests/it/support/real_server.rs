//! The real LangGraph server, installed once into `target/langgraph` and started with the fixture application.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::free_port::free_address;
use super::installed;

/// A start takes about 8 s on an idle machine with two cores, and several tests share the cores.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Runs a program in the background, and kills the whole process group, itself included, as soon as the program ends or
/// standard input closes. The test holds the other end of that pipe, so the program cannot outlive the test, even if the
/// test is killed.
pub(super) const WATCH: &str = r#"( "$@" </dev/null; kill -KILL 0 ) & read -r line; kill -KILL 0"#;

pub(crate) struct RealServer {
    folder: TempDir,
    address: SocketAddr,
    watched: Option<Child>,
}

impl RealServer {
    /// Returns the server that all tests share that do not stop it. They must not share threads: take a fresh id.
    pub(crate) fn shared() -> &'static RealServer {
        static SHARED: OnceLock<RealServer> = OnceLock::new();
        SHARED.get_or_init(RealServer::start)
    }

    /// Starts a server for one test alone, with the assistants of the fixture.
    pub(crate) fn start() -> Self {
        Self::start_without(&[])
    }

    /// Starts a server that has some routes disabled, such as `assistants` or `threads`.
    pub(crate) fn start_without(routes: &[&str]) -> Self {
        Self::start_with(&["app/agent.py", "app/langgraph.json"], routes)
    }

    /// Starts a server with users, of whom each sees what is theirs, and `service` everything. The user `NAME` sends
    /// `Authorization: Bearer token-of-NAME`.
    pub(crate) fn start_with_users() -> Self {
        Self::start_with(&["app/agent.py", "auth/auth.py", "auth/langgraph.json"], &[])
    }

    /// Starts such a server that also admits strangers, as the user `guest`.
    pub(crate) fn start_with_users_and_guests() -> Self {
        let server = Self::prepare(&["app/agent.py", "auth/auth.py", "auth/langgraph.json"], &[]);
        let auth = server.folder.path().join("auth.py");
        let refuses = "raise Auth.exceptions.HTTPException(status_code=401, detail=\"who are you?\")";
        let text = std::fs::read_to_string(&auth).unwrap();
        assert!(text.contains(refuses), "{text}");
        std::fs::write(&auth, text.replace(refuses, "user = \"guest\"")).unwrap();
        server.started()
    }

    fn start_with(files: &[&str], disabled: &[&str]) -> Self {
        Self::prepare(files, disabled).started()
    }

    fn prepare(files: &[&str], disabled: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("langgraph-").tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/langgraph");
        for file in files.iter().map(|file| fixtures.join(file)) {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
        if !disabled.is_empty() {
            let path = folder.path().join("langgraph.json");
            let mut settings: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            for route in disabled {
                settings["http"][format!("disable_{route}")] = true.into();
            }
            std::fs::write(path, settings.to_string()).unwrap();
        }
        Self { folder, address: free_address(), watched: None }
    }

    fn started(mut self) -> Self {
        self.start_again();
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns the path of the application's `langgraph.json`, which holds the server's policy for webhook URLs.
    pub(crate) fn langgraph_json(&self) -> PathBuf {
        self.folder.path().join("langgraph.json")
    }

    /// Returns the path of a file in the application's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Kills the server and every process that it started.
    pub(crate) fn stop(&mut self) {
        if let Some(mut watched) = self.watched.take() {
            drop(watched.stdin.take());
            watched.wait().unwrap();
        }
    }

    /// Starts the server on the same port and in the same folder. It remembers only what it had written there in time.
    pub(crate) fn start_again(&mut self) {
        assert!(self.watched.is_none(), "the server is running already");
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let watched = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(installed::agent_server().join("bin/langgraph"))
            .args([
                "dev",
                "--no-browser",
                "--no-reload",
                "--host",
                "127.0.0.1",
                "--port",
                &self.address.port().to_string(),
            ])
            .args(["--n-jobs-per-worker", "10"])
            .env("LANGSMITH_TRACING", "false")
            .env("LANGGRAPH_CLI_NO_ANALYTICS", "1")
            .current_dir(self.folder.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.watched = Some(watched);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let until = Instant::now() + READY_WITHIN;
        while !matches!(http(self.address(), "GET", "/ok", ""), Ok((200, _))) {
            let ended = self.watched.as_mut().is_some_and(|watched| watched.try_wait().unwrap().is_some());
            if ended || Instant::now() > until {
                let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
                panic!("the LangGraph server did not become ready (ended: {ended}); its log:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes one blocking HTTP exchange and returns the status and the body. It is the simplest client there is, so that
/// the client under test is not tested with itself.
pub(crate) fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(super::growing_list::PATIENCE))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let response = String::from_utf8_lossy(&response);
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, response.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(std::io::Error::other(format!("not an HTTP response: {response:?}"))),
    }
}

#[test]
fn the_real_server_starts_stops_and_comes_back_on_its_port() {
    let mut server = RealServer::start();
    let address = server.address();
    assert_eq!(http(address, "GET", "/ok", "").unwrap().0, 200);
    server.stop();
    assert!(http(address, "GET", "/ok", "").is_err());
    server.start_again();
    assert_eq!(http(address, "GET", "/ok", "").unwrap().0, 200);
}
