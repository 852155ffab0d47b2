//! The code for verifying webhooks in the documentation and the examples, run against real webhooks.

#[path = "../../examples/receiver.rs"]
#[expect(dead_code, reason = "its main is not called here")]
mod example;

use std::path::Path;
use std::process::Command;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::sync::{OnceCell, mpsc};

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::installed;
use super::support::loopback_server::{LoopbackServer, serve_router};
use super::support::receiver::{Received, Receiver};
use super::support::skipped::skipped;
use super::support::span::{Span, now};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Returns webhooks of a real daemon that is rotating its secret: of a run that succeeds and of one that fails.
async fn webhooks() -> &'static [Received] {
    static WEBHOOKS: OnceCell<Vec<Received>> = OnceCell::const_new();
    WEBHOOKS
        .get_or_init(async || {
            let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
            let span = Span::once();
            let secrets = format!("webhooks.signing_secrets = [\"{OTHER}\", \"{SECRET}\"]");
            let crons = [("well", "größer als 日本"), ("ill", "boom")]
                .map(|(name, text)| Cron::new(name, &span).says(text).webhook(&receiver.url("/")));
            let _daemon = Daemon::start(&Configuration::new(&server.url()).top(&secrets).crons(crons));
            receiver.wait_for(2).await
        })
        .await
}

/// Returns a case for a test in another language: the request and the expected status.
fn case(body: &[u8], headers: &HeaderMap, status: u16) -> Value {
    let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type"];
    let headers: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!(text(name)))).collect();
    json!({ "body": STANDARD.encode(body), "headers": headers, "status": status })
}

/// Returns real webhooks, changed ones and stale ones.
async fn cases() -> Vec<Value> {
    let mut cases = Vec::new();
    for webhook in webhooks().await {
        cases.push(case(&webhook.body, &webhook.headers, 200));
        let changed = String::from_utf8(webhook.body.to_vec()).unwrap().replacen("agent", "agenT", 1);
        cases.push(case(changed.as_bytes(), &webhook.headers, 401));
        let other_id = with(&webhook.headers, &[("webhook-id", "msg_other")]);
        cases.push(case(&webhook.body, &other_id, 401));
        cases.push(case(&webhook.body, &stale(webhook), 401));
    }
    cases
}

/// Returns the headers of the same webhook, signed ten minutes ago.
fn stale(webhook: &Received) -> HeaderMap {
    let second = now().as_second() - 600;
    let signature =
        Webhook::new(SECRET).unwrap().sign(webhook.header("webhook-id"), second, &webhook.body).unwrap();
    with(&webhook.headers, &[("webhook-timestamp", &second.to_string()), ("webhook-signature", &signature)])
}

fn with(headers: &HeaderMap, changes: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = headers.clone();
    for (name, value) in changes {
        headers.insert(*name, value.parse().unwrap());
    }
    headers
}

/// Returns the code block in this language from the section "Verify it".
fn snippet(language: &str) -> &'static str {
    let page = include_str!("../../docs/webhooks.md");
    let section = page.split("\n## Verify it").nth(1).expect("the section");
    let block = section.split(&format!("```{language}\n")).nth(1).expect("a block of this language");
    block.split("```").next().unwrap()
}

fn demand(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).env("WEBHOOK_SECRET", SECRET).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}{stderr}");
}

#[tokio::test]
async fn the_python_of_the_documents_verifies_real_webhooks() {
    const CHECK: &str = "
import base64, json
for case in json.load(open('cases.json')):
    answer = receive(base64.b64decode(case['body']), case['headers'])
    assert answer == case['status'], (answer, case)
";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cases.json"), json!(cases().await).to_string()).unwrap();
    std::fs::write(folder.path().join("check.py"), format!("{}{CHECK}", snippet("python"))).unwrap();
    let python = installed::from_pypi("standardwebhooks-python", "standardwebhooks").join("bin/python");
    demand(Command::new(python).arg("check.py"), folder.path());
}

#[tokio::test]
async fn the_typescript_of_the_documents_compiles_and_verifies_real_webhooks() {
    const CHECK: &str = "
const { receive } = require('./out/receive.js');
(async () => {
    for (const { body, headers, status } of require('./cases.json')) {
        const request = new Request('http://127.0.0.1/', { method: 'POST', headers, body: Buffer.from(body, 'base64') });
        const answer = await receive(request);
        if (answer.status !== status) throw new Error(`${answer.status} ${status} ${JSON.stringify(headers)}`);
    }
})();
";
    let packages = ["standardwebhooks", "typescript", "@types/node"];
    let Some(installed) = installed::from_npm("standardwebhooks-node", &packages) else {
        skipped("the TypeScript of the documents, because this machine has no node with npm");
        return;
    };
    let folder = tempfile::tempdir_in(&installed).unwrap();
    std::fs::write(folder.path().join("cases.json"), json!(cases().await).to_string()).unwrap();
    std::fs::write(folder.path().join("receive.ts"), snippet("ts")).unwrap();
    std::fs::write(folder.path().join("check.js"), CHECK).unwrap();
    let compile =
        ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--outDir", "out"];
    demand(
        Command::new(installed.join("node_modules/.bin/tsc")).args(compile).arg("receive.ts"),
        folder.path(),
    );
    demand(Command::new("node").arg("check.js"), folder.path());
}

#[tokio::test]
async fn the_example_accepts_each_webhook_once_and_responds_at_once() {
    let webhooks = webhooks().await;
    let (queue, mut runs) = mpsc::channel(2);
    let router = example::receiver(Webhook::new(SECRET).unwrap(), queue);
    let serving = LoopbackServer::start(0, |listener| serve_router(listener, router));
    let url = format!("http://{}/", serving.address());
    // A second installation is refused, and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |headers: HeaderMap, webhook: &Received| {
        let request = client.post(&url).headers(headers).body(webhook.body.clone());
        request.send().await.unwrap().status().as_u16()
    };
    let [first, second] = webhooks else { panic!("two webhooks: {webhooks:?}") };
    let own = |webhook: &Received| {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        names.map(|name| (name, webhook.header(name).to_owned()))
    };
    let headers = |webhook: &Received| {
        let mut headers = HeaderMap::new();
        own(webhook).into_iter().for_each(|(name, value)| drop(headers.insert(name, value.parse().unwrap())));
        headers
    };
    assert_eq!(post(headers(first), first).await, 200);
    assert_eq!(post(headers(first), first).await, 200);
    assert_eq!(post(headers(second), first).await, 401);
    assert_eq!(post(with(&headers(first), &[("webhook-id", "msg_other")]), first).await, 401);
    let stale = stale(first);
    let stale = with(
        &headers(first),
        &[
            ("webhook-timestamp", stale["webhook-timestamp"].to_str().unwrap()),
            ("webhook-signature", stale["webhook-signature"].to_str().unwrap()),
        ],
    );
    assert_eq!(post(stale, first).await, 401);
    assert_eq!(post(headers(second), second).await, 200);
    let taken = [runs.recv().await.unwrap(), runs.recv().await.unwrap()];
    assert_eq!(taken, [first.json(), second.json()]);
    assert!(runs.try_recv().is_err(), "once each");
}

#[tokio::test]
async fn an_example_with_a_full_queue_refuses_and_accepts_later() {
    let first = &webhooks().await[0];
    let (queue, mut runs) = mpsc::channel(1);
    queue.try_send(json!("something else")).unwrap();
    let router = example::receiver(Webhook::new(SECRET).unwrap(), queue);
    let send = async || {
        let mut request =
            axum::http::Request::post("/").body(axum::body::Body::from(first.body.clone())).unwrap();
        *request.headers_mut() = first.headers.clone();
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap().status().as_u16()
    };
    assert_eq!(send().await, 503);
    runs.recv().await.unwrap();
    assert_eq!(send().await, 200);
    assert_eq!(runs.recv().await.unwrap(), first.json());
}
