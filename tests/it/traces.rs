//! The start of a run and its webhook belong to one trace, which is found by the run's id.

use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::receiver::{Received, Receiver, Reply};
use super::support::span::Span;

const CONFIGURED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Returns an agent server that refuses every run, which is an end with a webhook.
fn refusing_backend() -> Receiver {
    let backend = Receiver::start();
    backend.reply_always(Reply::status(422));
    backend
}

fn started(backend: &Receiver) -> Vec<Received> {
    let is_start = |request: &Received| request.method == "POST" && request.path.ends_with("/runs");
    backend.received().into_iter().filter(is_start).collect()
}

#[tokio::test]
async fn a_start_and_its_webhook_are_spans_of_one_trace() {
    let (backend, receiver) = (refusing_backend(), Receiver::start());
    let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
    let address = free_address();
    let http = format!("listen = \"{address}\"");
    let daemon = Daemon::start(&Configuration::new(&backend.url("")).http(&http).cron(cron));
    let run_id = daemon.wait_until_finished(1).await[0].run_id.replace('-', "");
    daemon.wait_until("the webhook", || receiver.received().len() == 1).await;
    let (starts, hooks) = (started(&backend), receiver.received());
    let [start, hook] = [&starts[0], &hooks[0]].map(|request| request.header("traceparent"));
    for traceparent in [start, hook] {
        assert!(traceparent.starts_with(&format!("00-{run_id}-")), "{traceparent} of {run_id}");
        assert!(traceparent.ends_with("-01") && traceparent.len() == 55, "{traceparent}");
    }
    assert_ne!(start, hook, "each is a span of its own");
    // A client is in a trace of its own.
    let thread = "/threads/0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0/runs";
    let body = format!("{{\"assistant_id\":\"agent\",\"webhook\":\"{}\"}}", receiver.url("/hook"));
    Client::new(address).ready().await.with("traceparent", CONFIGURED).send("POST", thread, body).await;
    assert_eq!(started(&backend).last().unwrap().header("traceparent"), CONFIGURED);
}

#[tokio::test]
async fn a_configured_header_of_that_name_wins() {
    let (backend, receiver) = (refusing_backend(), Receiver::start());
    let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
    let configuration = Configuration::new(&backend.url(""))
        .top(&format!("webhooks.headers.traceparent = \"{CONFIGURED}\""))
        .backend(&format!("headers = {{ traceparent = \"{CONFIGURED}\" }}"))
        .cron(cron);
    let daemon = Daemon::start(&configuration);
    daemon.wait_until("the webhook", || receiver.received().len() == 1).await;
    let (starts, hooks) = (started(&backend), receiver.received());
    assert_eq!([&starts[0], &hooks[0]].map(|request| request.header("traceparent")), [CONFIGURED; 2]);
}
