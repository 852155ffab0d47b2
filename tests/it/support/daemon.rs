//! The real binary with a configuration and a database in a folder of its own.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::configuration::{Configuration, Cron};
use super::growing_list::PATIENCE;
use super::postgres_copy::copy;

/// How often to check whether a process has ended or a file has grown: neither notifies us.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(25);

pub(crate) struct Daemon {
    folder: TempDir,
    child: Option<Child>,
    /// What the last start added to the environment; commands get it as well.
    environment: Vec<(String, String)>,
    /// The address of the PostgreSQL server that has the store, if one has.
    server: Option<String>,
}

impl Daemon {
    /// Writes the configuration but starts nothing. In `config`, `{folder}` is replaced by the daemon's own folder.
    pub(crate) fn prepare(config: &(impl Display + ?Sized)) -> Self {
        let mut folder = tempfile::Builder::new().prefix("agentcron-").tempdir().unwrap();
        if keeps_folders() {
            eprintln!("kept: {}", folder.path().display());
            folder.disable_cleanup(true);
        }
        let config = config.to_string();
        let server = config
            .lines()
            .find_map(|line| line.strip_prefix("url = \"postgres"))
            .map(|rest| format!("postgres{}", rest.trim_end_matches('"')));
        let daemon = Self { folder, child: None, environment: Vec::new(), server };
        daemon.write_config(&config);
        daemon
    }

    /// Prepares and starts.
    pub(crate) fn start(config: &(impl Display + ?Sized)) -> Self {
        let mut daemon = Self::prepare(config);
        daemon.start_again();
        daemon
    }

    /// Prepares one with a cron `main` in `agentcron.toml`, and a cron `first` in a file of `crons.d` whose path it returns as well.
    pub(crate) fn with_folder(backend_url: &str) -> (Self, PathBuf) {
        let configuration = Configuration::new(backend_url).top("include = [\"crons.d/*.toml\"]");
        let daemon = Self::prepare(&configuration.cron(Cron::yearly("main")));
        let file = daemon.folder().join("crons.d/some.toml");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, Cron::yearly("first").to_string()).unwrap();
        (daemon, file)
    }

    /// Replaces the configuration; a running daemon is not signalled.
    pub(crate) fn write_config(&self, config: &(impl Display + ?Sized)) {
        let folder = self.folder.path().to_str().unwrap();
        std::fs::write(self.config_path(), config.to_string().replace("{folder}", folder)).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("agentcron.toml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("agentcron.db")
    }

    /// Returns the database as it is now: of a store on a server, a copy.
    pub(crate) fn database_now(&self) -> PathBuf {
        let path = self.database();
        if let Some(server) = &self.server {
            let _ = copy(server, &path);
        }
        path
    }

    /// Starts the daemon on its folder as it is, also after a crash; its stderr is appended to the same file.
    pub(crate) fn start_again(&mut self) {
        self.start_with(&[]);
    }

    /// Starts with variables added to the environment, such as `CRASH_AT`.
    pub(crate) fn start_with(&mut self, environment: &[(&str, &str)]) {
        self.start_with_arguments(&["run"], environment);
    }

    /// Starts under another command, to which the daemon's own command line is added.
    pub(crate) fn start_under(&mut self, wrapper: &[&str]) {
        if wrapper.is_empty() {
            return self.start_again();
        }
        let mut command = self.command_under(wrapper, &["run"]);
        let stderr = File::options().create(true).append(true).open(self.stderr_path()).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
    }

    /// Starts with these arguments, the command included, and with variables added to the environment.
    pub(crate) fn start_with_arguments(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "the daemon runs already");
        let stderr = File::options().create(true).append(true).open(self.stderr_path()).unwrap();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment = environment.iter().map(own).collect();
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends SIGKILL: no destructor runs, and nothing is flushed.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends SIGTERM, as a service manager does. The daemon is still running when this returns; see `wait_for_exit`.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        let process_id = self.process_id().expect("the daemon runs");
        let command = format!("kill -{name} {process_id}");
        // Every shell has a `kill`; not every machine has a program of that name.
        let status = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success(), "{command}: {status}");
    }

    /// Waits until the process ends, by itself or after `terminate`.
    pub(crate) async fn wait_for_exit(&mut self) -> ExitStatus {
        match self.exit_within(PATIENCE).await {
            Some(status) => status,
            None => panic!("the daemon did not end within {PATIENCE:?}"),
        }
    }

    /// Waits at most `patience` for the process to end; returns `None` if it is still running then.
    pub(crate) async fn exit_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("the daemon runs");
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Panics if the process has ended.
    pub(crate) fn assert_alive(&mut self) {
        let ended = self.child.as_mut().expect("the daemon was started").try_wait().unwrap();
        assert!(ended.is_none(), "the daemon ended by itself: {ended:?}");
    }

    /// Returns everything that the daemon has logged since its first start.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.stderr_path()).unwrap_or_default()
    }

    pub(crate) async fn wait_for_stderr(&self, text: &str) {
        self.wait_until(&format!("{text:?} on stderr"), || self.stderr().contains(text)).await;
    }

    /// Waits for a condition that nothing notifies us of, such as a row that another process writes.
    pub(crate) async fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        self.wait_within(PATIENCE, what, || holds().then_some(())).await;
    }

    /// Waits at most `patience` until `find` returns something, and returns that.
    pub(crate) async fn wait_within<Found>(
        &self,
        patience: Duration,
        what: &str,
        find: impl Fn() -> Option<Found>,
    ) -> Found {
        let until = Instant::now() + patience;
        loop {
            if let Some(found) = find() {
                return found;
            }
            assert!(Instant::now() < until, "gave up after {patience:?} of waiting for {what}");
            sleep(POLL_EVERY).await;
        }
    }

    /// Runs a command of the binary on this daemon's configuration.
    pub(crate) fn run_command(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command with `--json`, which must succeed or say by its exit code that not all is well, and returns the objects that it printed, one a line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).arg("--json").stdin(Stdio::null()).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let is_answered = matches!(output.status.code(), Some(0 | 5 | 6));
        assert!(is_answered, "agentcron {arguments:?}: {}\n{stderr}", output.status);
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("agentcron {arguments:?}: {error} in {line:?}"))
        };
        stdout.lines().filter(|line| !line.is_empty()).map(parse).collect()
    }

    /// Runs a command under another one, such as `setpriv`.
    pub(crate) fn run_under(&self, wrapper: &[&str], arguments: &[&str]) -> Output {
        self.command_under(wrapper, arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn command_under(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let own = self.command(arguments);
        let mut command = Command::new(wrapper[0]);
        command
            .args(&wrapper[1..])
            .arg(own.get_program())
            .args(own.get_args())
            .current_dir(self.folder.path());
        let set = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
        // Neither the developer's own configuration nor the machine's colours and time zone may influence a test.
        command
            .env_remove("AGENTCRON_CONFIG")
            .env_remove("AGENTCRON_LOG")
            .env("NO_COLOR", "1")
            .env("TZ", "UTC");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments).arg("--config").arg(self.config_path()).current_dir(self.folder.path());
        command
    }

    fn stderr_path(&self) -> PathBuf {
        self.folder.path().join("stderr.log")
    }
}

fn keeps_folders() -> bool {
    std::env::var_os("AGENTCRON_KEEP").is_some()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's stderr:\n{}", self.stderr());
        }
        self.kill9();
    }
}
