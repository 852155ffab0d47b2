//! Web pages on loopback, and a real Chromium that shows them.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::response::Redirect;
use axum::routing::{any, get, post};
use serde_json::Value;
use tempfile::TempDir;

use super::growing_list::GrowingList;
use super::loopback_server::{LoopbackServer, serve_router};
use super::real_server::WATCH;

/// A server of pages. Whatever its name is in a URL, `http://NAME.test:PORT`, Chromium finds it here.
pub(crate) struct Pages {
    serving: LoopbackServer,
    /// The query of the page, and what the page reported.
    reports: Arc<GrowingList<(String, Value)>>,
    /// How many of them were returned.
    taken: AtomicUsize,
}

impl Pages {
    /// Serves each of these scripts, `NAME` and text, as the page `/page/NAME`; `/to?URL` redirects to that URL.
    pub(crate) fn start(scripts: &[(&str, String)]) -> Self {
        let reports = Arc::new(GrowingList::new());
        let record = Arc::clone(&reports);
        let report = async move |RawQuery(query): RawQuery, body: String| {
            record.push((query.unwrap_or_default(), serde_json::from_str(&body).unwrap()));
        };
        let redirect = async |RawQuery(query): RawQuery| Redirect::temporary(&query.unwrap_or_default());
        let mut router = Router::new().route("/report", post(report)).route("/to", any(redirect));
        for (name, script) in scripts {
            let html =
                format!("<!doctype html><title>{name}</title><body><script>{}</script>", escaped(script));
            // Closed, so that a forward which sends pages here can send the next request elsewhere.
            let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONNECTION, "close")];
            router = router.route(&format!("/page/{name}"), get(async move || (headers, html)));
        }
        let serving = LoopbackServer::start(0, |listener| serve_router(listener, router));
        Self { serving, reports, taken: AtomicUsize::new(0) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Returns the origin of the pages under this name.
    pub(crate) fn origin(&self, name: &str) -> String {
        format!("http://{name}:{}", self.address().port())
    }

    /// Opens the page `NAME` of an origin with these parameters, and returns what it reports.
    pub(crate) async fn visit(&self, origin: &str, name: &str, parameters: &str) -> Value {
        let _browser = Chromium::open(&self.url(origin, name, parameters));
        self.report(&format!("{name} on {origin}")).await
    }

    /// Returns the URL of the page `NAME` of an origin with these parameters.
    pub(crate) fn url(&self, origin: &str, name: &str, parameters: &str) -> String {
        let report = format!("http://127.0.0.1:{}/report", self.address().port());
        format!("{origin}/page/{name}?report={report}&{parameters}")
    }

    /// Waits for the next report and returns it. `whose` says what is waited for.
    pub(crate) async fn report(&self, whose: &str) -> Value {
        let place = self.taken.fetch_add(1, Ordering::Relaxed);
        let reports = self.reports.wait_for(place + 1, &format!("a report of {whose}")).await;
        reports[place].1.clone()
    }
}

/// A script must not end its own element.
fn escaped(script: &str) -> String {
    script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
}

struct Chromium {
    watched: Child,
    _profile: TempDir,
}

impl Chromium {
    fn open(url: &str) -> Self {
        let profile = tempfile::Builder::new().prefix("chromium-").tempdir().unwrap();
        let log = File::create(profile.path().join("log")).unwrap();
        let found = Command::new("chromium").arg("--version").output();
        assert!(found.is_ok(), "this test needs Chromium (on Debian: apt install chromium)");
        let watched = Command::new("sh")
            .args(["-c", WATCH, "sh", "chromium", "--headless", "--no-first-run", "--disable-gpu"])
            // The tests may run as root and in a container, and show only pages of their own.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            .arg("--host-resolver-rules=MAP *.test 127.0.0.1")
            .arg(user_data(profile.path()))
            // Without a port for tools, a headless browser prints the page and ends.
            .args(["--remote-debugging-port=0", url])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { watched, _profile: profile }
    }
}

fn user_data(profile: &Path) -> String {
    format!("--user-data-dir={}", profile.join("data").display())
}

impl Drop for Chromium {
    fn drop(&mut self) {
        drop(self.watched.stdin.take());
        let _ = self.watched.wait();
    }
}
