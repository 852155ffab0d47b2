//! A real Chromium that a test drives through chromedriver (WebDriver, <https://www.w3.org/TR/webdriver2/>, and the DevTools
//! protocol): what it uses of both is a few requests, so no library is needed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::free_port::free_address;
use super::growing_list::PATIENCE;
use super::real_server::WATCH;

const POLL_EVERY: Duration = Duration::from_millis(30);

pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

pub(crate) struct Driver {
    watched: Child,
    address: SocketAddr,
    client: Client,
    /// The path of the session.
    session: String,
    _profile: TempDir,
}

impl Driver {
    /// Starts a browser with an empty profile, whose reader lives in this zone.
    pub(crate) async fn start(zone: &str) -> Self {
        let address = free_address();
        let profile = tempfile::Builder::new().prefix("chromedriver-").tempdir().unwrap();
        let log = File::create(profile.path().join("log")).unwrap();
        let found = Command::new("chromedriver").arg("--version").output();
        assert!(found.is_ok(), "this test needs chromedriver (on Debian: apt install chromium-driver)");
        let watched = Command::new("sh")
            .args(["-c", WATCH, "sh", "chromedriver", &format!("--port={}", address.port())])
            .env("TZ", zone)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let client = Client::new(address).ready().await;
        let arguments = [
            "--headless=new",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            // The tests may run as root and in a container, and show only pages of their own.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
            &format!("--user-data-dir={}", profile.path().join("data").display()),
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let mut driver = Self { watched, address, client, session: String::new(), _profile: profile };
        let opened = driver.call("POST", "/session", &body).await;
        driver.session = format!("/session/{}", opened["sessionId"].as_str().unwrap());
        driver
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let response = self.client.send(method, path, body).await;
        let mut answer = response.json();
        assert_eq!(response.status, 200, "{method} {path}: {:#}", answer["value"]);
        answer["value"].take()
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body).await
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn tools(&self, command: &str, parameters: Value) -> Value {
        self.ask("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.ask("/url", &json!({ "url": url })).await;
    }

    pub(crate) async fn reload(&self) {
        self.ask("/refresh", &json!({})).await;
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.ask("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Does so, and waits for what its promise becomes.
    pub(crate) async fn run_promise(&self, script: &str) -> Value {
        let script =
            format!("const done = arguments[0]; ({script}).then(done, (error) => done(String(error)))");
        self.ask("/execute/async", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression holds in the page, and returns its value.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) -> impl Future<Output = Value> {
        self.within(PATIENCE, expression)
    }

    /// Waits at most `patience`.
    pub(crate) async fn within(&self, patience: Duration, expression: &str) -> Value {
        let script = format!("return {expression}");
        let until = Instant::now() + patience;
        loop {
            let value = self.run(&script).await;
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            if Instant::now() > until {
                let seen = self.run("return document.body.innerText").await;
                panic!("gave up after {patience:?} of waiting for {expression}; the page shows\n{seen:#}");
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Presses and releases keys one after the other.
    pub(crate) async fn press(&self, keys: &str) {
        let stroke =
            |key: char| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }));
        let strokes: Vec<_> = keys.chars().flat_map(stroke).collect();
        self.ask(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }),
        )
        .await;
    }

    /// Clicks on the element of this selector.
    pub(crate) async fn click(&self, selector: &str) {
        let found = self.ask("/element", &json!({ "using": "css selector", "value": selector })).await;
        let id = found
            .as_object()
            .and_then(|found| found.values().next())
            .and_then(Value::as_str)
            .unwrap()
            .to_owned();
        self.ask(&format!("/element/{id}/click"), &json!({})).await;
    }

    /// Returns what the browser has complained about since this was asked last.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.ask("/se/log", &json!({ "type": "browser" })).await;
        log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Opens another tab and makes it the one in front; returns its handle.
    pub(crate) async fn open_tab(&self) -> String {
        let opened = self.ask("/window/new", &json!({ "type": "tab" })).await;
        let handle = opened["handle"].as_str().unwrap().to_owned();
        self.show_tab(&handle).await;
        handle
    }

    pub(crate) async fn show_tab(&self, handle: &str) {
        self.ask("/window", &json!({ "handle": handle })).await;
        self.tools("Page.bringToFront", json!({})).await;
    }

    pub(crate) async fn tab(&self) -> String {
        self.call("GET", &format!("{}/window", self.session), &Value::Null).await.as_str().unwrap().to_owned()
    }

    pub(crate) async fn set_cookie(&self, name: &str, value: &str) {
        self.ask("/cookie", &json!({ "cookie": { "name": name, "value": value } })).await;
    }

    pub(crate) async fn set_size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.tools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Sets what the system of the reader prefers: `light` or `dark`.
    pub(crate) async fn set_scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tools("Emulation.setEmulatedMedia", features).await;
    }

    /// Writes a picture of the whole page.
    pub(crate) async fn picture(&self, path: &Path) {
        let parameters = json!({ "captureBeyondViewport": true, "format": "png" });
        let picture = self.tools("Page.captureScreenshot", parameters).await;
        std::fs::write(path, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser is in a process group of its own, so chromedriver must end it.
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let head = format!(
                "DELETE {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.session, self.address
            );
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.read(&mut [0; 1024]);
        }
        drop(self.watched.stdin.take());
        let _ = self.watched.wait();
    }
}
