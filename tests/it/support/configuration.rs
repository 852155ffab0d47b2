//! Configurations as text, of which a test spells out only what it is about.

use std::fmt::{self, Display, Formatter};

use super::span::Span;

/// A configuration whose database is in the daemon's folder.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    backend: Vec<String>,
    top: Vec<String>,
    http: Vec<String>,
    store: String,
    crons: Vec<Cron>,
}

impl Configuration {
    pub(crate) fn new(backend_url: &str) -> Self {
        let backend = vec![format!("url = \"{backend_url}\"")];
        let store = "path = \"{folder}/agentcron.db\"".to_owned();
        Self { backend, top: Vec::new(), http: Vec::new(), store, crons: Vec::new() }
    }

    /// Adds a line to `[backend]`.
    pub(crate) fn backend(mut self, line: &str) -> Self {
        self.backend.push(line.to_owned());
        self
    }

    /// Adds a line before all tables.
    pub(crate) fn top(mut self, line: &str) -> Self {
        self.top.push(line.to_owned());
        self
    }

    /// Adds a line to `[http]`.
    pub(crate) fn http(mut self, line: &str) -> Self {
        self.http.push(line.to_owned());
        self
    }

    /// Has the store on a PostgreSQL server.
    pub(crate) fn on_server(mut self, url: &str) -> Self {
        self.store = format!("url = \"{url}\"");
        self
    }

    pub(crate) fn cron(mut self, cron: Cron) -> Self {
        self.crons.push(cron);
        self
    }

    pub(crate) fn crons(mut self, crons: impl IntoIterator<Item = Cron>) -> Self {
        self.crons.extend(crons);
        self
    }
}

impl Display for Configuration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (top, backend, mut http) = (self.top.join("\n"), self.backend.join("\n"), self.http.join("\n"));
        // Tests that run at the same time must not use the same port.
        if !http.contains("listen") {
            http += "\nlisten = \"off\"";
        }
        writeln!(f, "{top}\n[backend]\n{backend}\n[http]\n{http}")?;
        // All receivers of the tests are on loopback.
        writeln!(f, "[store]\n{}\n[webhooks.url]\ndisable_loopback = false", self.store)?;
        self.crons.iter().try_for_each(|cron| writeln!(f, "{cron}"))
    }
}

/// A cron of the `agent` that says "hi".
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    name: String,
    assistant: &'static str,
    says: String,
    lines: Vec<String>,
}

impl Cron {
    pub(crate) fn new(name: &str, span: &Span) -> Self {
        Self::bare(name).with(&span.keys())
    }

    /// Returns a cron that does not fire while a test runs.
    pub(crate) fn yearly(name: &str) -> Self {
        Self::bare(name).with("schedule = \"0 0 1 1 *\"")
    }

    /// Returns a cron without a schedule.
    pub(crate) fn bare(name: &str) -> Self {
        Self { name: name.to_owned(), assistant: "agent", says: "hi".to_owned(), lines: Vec::new() }
    }

    pub(crate) fn says(mut self, text: &str) -> Self {
        self.says = text.to_owned();
        self
    }

    pub(crate) fn assistant(mut self, assistant: &'static str) -> Self {
        self.assistant = assistant;
        self
    }

    /// Adds a line to its table.
    pub(crate) fn with(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    pub(crate) fn on_thread(self, thread_id: uuid::Uuid) -> Self {
        self.with(&format!("thread_id = \"{thread_id}\""))
    }

    pub(crate) fn webhook(self, url: &str) -> Self {
        self.with(&format!("webhook = \"{url}\""))
    }

    /// Makes every occurrence become a run, even after an outage.
    pub(crate) fn runs_every_occurrence(self) -> Self {
        self.with("overlap = \"allow\"\ncatchup = \"all\"\nstart_deadline = \"10m\"")
    }
}

impl Display for Cron {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, lines) = (&self.name, self.lines.join("\n"));
        writeln!(f, "[cron.{name}]\nassistant_id = \"{}\"\n{lines}", self.assistant)?;
        writeln!(f, "input = {{ messages = [{{ role = \"user\", content = \"{}\" }}] }}", self.says)
    }
}
