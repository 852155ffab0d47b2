//! No webhook gets past us to the agent server, however the request is spelled: what is forwarded has none.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::support::client::Client;
use super::support::configuration::Configuration;
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::real_server::RealServer;
use super::support::receiver::{Receiver, Reply};

/// A word in the webhook of every request here.
const MARK: &str = "hook-of-the-client";

/// Starts a daemon in front of a backend that records what it gets, and refuses it.
async fn in_front_of_a_recorder() -> (Daemon, Receiver, Client) {
    let backend = Receiver::start();
    backend.reply_always(Reply::status(422));
    let address = free_address();
    let http = format!("listen = \"{address}\"\ndisable_webhooks = true");
    let daemon = Daemon::start(&Configuration::new(&backend.url("")).http(&http));
    let client = Client::new(address).ready().await;
    (daemon, backend, client)
}

fn run() -> Value {
    json!({ "assistant_id": "agent", "input": {}, "webhook": format!("https://ops.example.com/{MARK}") })
}

/// Returns the paths at which the backend got a webhook.
fn leaks(backend: &Receiver) -> Vec<String> {
    let names_it = |body: &[u8]| String::from_utf8_lossy(body).contains(MARK);
    let received = backend.received().into_iter().filter(|request| names_it(&request.body));
    received.map(|request| format!("{} {}", request.method, request.path)).collect()
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_a_webhook_past_us() {
    let (_daemon, backend, client) = in_front_of_a_recorder().await;
    // The number of spellings depends on its letters.
    let thread = "5eb63bbb-e01e-4ed0-93cb-22bb8f5acdc3";
    let routes = [
        "/runs".to_owned(),
        "/runs/wait".to_owned(),
        "/runs/stream".to_owned(),
        "/runs/batch".to_owned(),
        "/runs/crons".to_owned(),
        format!("/threads/{thread}/runs"),
        format!("/threads/{thread}/runs/wait"),
        format!("/threads/{thread}/runs/stream"),
        format!("/threads/{thread}/runs/crons"),
        format!("/thread/{thread}/runs"),
    ];
    let mut requests = 0;
    for route in &routes {
        let body = if route == "/runs/batch" { json!([run()]) } else { run() };
        for path in spellings(route) {
            for method in ["POST", "PUT"] {
                // An agent server knows these paths by POST only; by another method nothing starts.
                if method == "PUT" && requests % 5 != 0 {
                    continue;
                }
                if http::Uri::try_from(&path).is_err() {
                    continue;
                }
                client.send(method, &path, body.to_string()).await;
                requests += 1;
            }
        }
    }
    let leaks: Vec<String> = leaks(&backend).into_iter().filter(|leak| leak.starts_with("POST")).collect();
    assert_eq!(leaks, Vec::<String>::new(), "of {requests} requests");
    assert!(requests >= 500, "{requests}");
}

#[tokio::test]
async fn no_prefix_leads_a_webhook_past_us_and_an_app_may_have_such_paths() {
    let (_daemon, backend, client) = in_front_of_a_recorder().await;
    for path in ["/api/runs", "/api/threads/t/runs/wait", "/api/runs/crons"] {
        let refused = client.post(path, &run()).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert!(refused.detail().contains("backend.url"), "{}", refused.text());
    }
    assert_eq!(backend.received().len(), 0);
    client.post("/api/runs", &json!({ "assistant_id": "agent" })).await;
    client.send("PUT", "/lab/runs", "sample=1&note=a".to_owned()).await;
    let forwarded: Vec<String> = backend.received().into_iter().map(|request| request.path).collect();
    assert_eq!(forwarded, ["/api/runs", "/lab/runs"]);
}

/// Returns spellings of a path that some server may read as this path.
fn spellings(route: &str) -> Vec<String> {
    let mut paths = vec![
        route.to_owned(),
        format!("{route}?x=1"),
        format!("{route}%0a"),
        format!("{route}%0A"),
        format!("{route}%00"),
        format!("/x/..{route}"),
        format!("/x/%2E%2e{route}"),
        format!("/.{route}"),
        route.replacen('/', "//", 1),
        route.replace('/', "%2F").replacen("%2F", "/", 1),
        route.replace('/', "%252F").replacen("%252F", "/", 1),
    ];
    for (place, letter) in route.char_indices().filter(|(_, letter)| letter.is_ascii_alphabetic()).step_by(2)
    {
        let code = u32::from(letter);
        let with = |text: String| format!("{}{text}{}", &route[..place], &route[place + 1..]);
        paths.push(with(format!("%{code:02x}")));
        paths.push(with(format!("%25{code:02x}")));
        let digits = format!("{code:02x}");
        let (high, low) = (u32::from(digits.as_bytes()[0]), u32::from(digits.as_bytes()[1]));
        paths.push(with(format!("%%{high:02x}%{low:02x}")));
        paths.push(with(format!("%%{high:02x}{low:02x}")));
    }
    paths
}

#[tokio::test]
async fn no_spelling_of_a_thread_id_leads_a_webhook_past_us() {
    let (_daemon, backend, client) = in_front_of_a_recorder().await;
    let simple = Uuid::new_v4().simple().to_string();
    let hyphens = |at: usize| format!("{}-{}", &simple[..at], &simple[at..]);
    let mut ids: Vec<String> = (1..31).map(hyphens).collect();
    ids.extend([
        simple.clone(),
        simple.to_uppercase(),
        format!("urn:uuid:{simple}"),
        format!("uuid:{simple}"),
        format!("urn:{simple}"),
        format!("{{{simple}}}"),
        format!("%7B{simple}%7D"),
        format!("%7B%7B{simple}%7D"),
        format!("0x{}", &simple[2..]),
        format!("%20{}", &simple[1..]),
        format!("+{}", &simple[1..]),
        format!("{}_{}", &simple[..8], &simple[9..]),
        format!("-{simple}-"),
    ]);
    for id in &ids {
        for end in ["runs", "runs/wait", "runs/stream", "runs/crons"] {
            let path = format!("/threads/{id}/{end}");
            if http::Uri::try_from(&path).is_ok() {
                client.send("POST", &path, run().to_string()).await;
            }
        }
    }
    assert_eq!(leaks(&backend), Vec::<String>::new());
}

#[tokio::test]
async fn no_spelling_of_a_body_leads_a_webhook_past_us_and_plain_inputs_pass() {
    let (_daemon, backend, client) = in_front_of_a_recorder().await;
    let url = format!("https://ops.example.com/{MARK}");
    let keys =
        ["webhook", "\\u0077ebhook", "web\\u0068ook", "\\u0077\\u0065\\u0062\\u0068\\u006f\\u006f\\u006b"];
    let rest = [
        "",
        r#","on_completion":null"#,
        r#","on_completion":"x""#,
        r#","on_completion":5"#,
        r#","metadata":null"#,
        r#","metadata":[]"#,
        r#","metadata":"x""#,
        r#","webhook":null"#,
        r#","input":NaN"#,
        r#","input":1e999"#,
        r#","x":"\ud800""#,
        r#","assistant_id":7"#,
        r#","multitask_strategy":9"#,
        r#","after_seconds":"soon""#,
        r#","config":{"configurable":[]}"#,
        r#","stream_mode":["nothing"]"#,
        r#",}"#,
        "} trailing",
    ];
    let encodings = [None, Some("identity"), Some("x"), Some(""), Some("gzip"), Some("IDENTITY")];
    let mut requests = 0;
    for key in keys {
        for rest in rest {
            let one = format!(r#"{{"assistant_id":"agent","{key}":"{url}"{rest}}}"#);
            for (path, body) in [
                ("/runs".to_owned(), one.clone()),
                (format!("/threads/{}/runs", Uuid::new_v4()), one.clone()),
                ("/runs/batch".to_owned(), format!(r#"[{{"assistant_id":"agent"}},{one}]"#)),
            ] {
                let client = match encodings[requests % encodings.len()] {
                    Some(encoding) => client.clone().with("content-encoding", encoding),
                    None => client.clone(),
                };
                client.send("POST", &path, body.into_bytes()).await;
                requests += 1;
            }
        }
    }
    for body in [
        format!(r#"{{"method":"run.start","id":1,"params":{{"assistant_id":"agent","webhook":"{url}"}}}}"#),
        format!(r#"[{{"method":"run.start","id":1,"params":{{"webhook":"{url}"}}}}]"#),
    ] {
        client.send("POST", &format!("/threads/{}/commands", Uuid::new_v4()), body.into_bytes()).await;
    }
    let push = format!(
        r#"{{"jsonrpc":"2.0","method":"message/send","params":{{"configuration":{{"pushNotificationConfig":{{"url":"{url}"}}}}}}}}"#
    );
    client.send("POST", "/a2a/agent", push.into_bytes()).await;
    let utf16: Vec<u8> = run().to_string().encode_utf16().flat_map(u16::to_le_bytes).collect();
    client.send("POST", "/runs", utf16).await;
    assert_eq!(leaks(&backend), Vec::<String>::new(), "of {requests} bodies");
    let forwarded_utf16 = backend.received().iter().any(|request| request.body.contains(&0));
    assert!(!forwarded_utf16 && requests >= 200, "{requests}");

    // An input that happens to have such a key is nobody's webhook.
    let before = backend.received().len();
    let plain = json!({ "assistant_id": "agent", "input": { "webhook": url } });
    client.send("POST", "/runs", plain.to_string()).await;
    let command = json!({ "method": "run.start", "id": 1, "params": { "input": { "webhook": url } } });
    client.send("POST", &format!("/threads/{}/commands", Uuid::new_v4()), command.to_string()).await;
    assert_eq!(backend.received().len(), before + 2);
}

/// The paths of the operations whose body has a `webhook`, as the agent server's own document lists them.
fn operations_with_webhook(document: &Value) -> BTreeSet<(String, String)> {
    fn has_webhook(document: &Value, schema: &Value, seen: &mut BTreeSet<String>) -> bool {
        match schema {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.trim_start_matches('#');
                    return seen.insert(pointer.to_owned())
                        && document
                            .pointer(pointer)
                            .is_some_and(|schema| has_webhook(document, schema, seen));
                }
                fields.get("properties").is_some_and(|properties| properties.get("webhook").is_some())
                    || fields.values().any(|value| has_webhook(document, value, seen))
            }
            Value::Array(items) => items.iter().any(|item| has_webhook(document, item, seen)),
            _ => false,
        }
    }
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation))
    });
    operations
        .filter(|(_, _, operation)| has_webhook(document, &operation["requestBody"], &mut BTreeSet::new()))
        .map(|(path, method, _)| (method, path))
        .collect()
}

#[tokio::test]
async fn every_operation_of_the_server_that_knows_webhooks_is_handled_here() {
    let server = RealServer::shared();
    let address = free_address();
    let configuration =
        Configuration::new(&server.url()).http(&format!("listen = \"{address}\"")).to_string();
    let allowed = "[webhooks.url]\nallowed_domains = [\"allowed.example\"]\n";
    let daemon = Daemon::start(&configuration.replace("[webhooks.url]\n", allowed));
    let client = Client::new(address).ready().await;
    let document = Client::new(server.address()).get("/openapi.json").await.json();
    let operations = operations_with_webhook(&document);
    assert!(operations.len() >= 10, "{operations:?}");
    let thread_id =
        client.post("/threads", &json!({})).await.json()["thread_id"].as_str().unwrap().to_owned();
    let cron = json!({ "assistant_id": "agent", "schedule": "0 0 1 1 *", "input": {} });
    let cron_id = client.post("/runs/crons", &cron).await.json()["cron_id"].as_str().unwrap().to_owned();
    for (method, path) in &operations {
        let mut body = run();
        if path.contains("crons") {
            body["schedule"] = json!("0 0 1 1 *");
        }
        let body = match path.as_str() {
            "/runs/batch" => json!([{ "assistant_id": "agent", "input": {} }, body]),
            path if path.contains("{cron_id}") => json!({ "webhook": body["webhook"] }),
            _ => body,
        };
        let path = path.replace("{thread_id}", &thread_id).replace("{cron_id}", &cron_id);
        let response = client.send(method, &path, body.to_string()).await;
        assert_eq!(response.status, 422, "{method} {path}: {}", response.text());
        assert!(
            response.detail().contains("allowed.example") || response.detail().contains("Webhook"),
            "{}",
            response.text()
        );
    }
    assert_eq!(daemon.history().len(), 0, "a refused request leaves no run");
}

#[tokio::test]
async fn a_batch_gets_one_durable_webhook_for_each_of_its_runs() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let daemon = Daemon::start(&Configuration::new(&server.url()).http(&format!("listen = \"{address}\"")));
    let (through, direct) = (Client::new(address).ready().await, Client::new(server.address()));
    let item = |says: &str| json!({ "assistant_id": "agent", "input": { "messages": [{ "role": "user", "content": says }] } });
    let mut batch = vec![item("one"), item("two"), item("three")];
    let expected = direct.post("/runs/batch", &json!(batch)).await;
    batch[0]["webhook"] = json!(receiver.url("/first"));
    batch[2]["webhook"] = json!(receiver.url("/third"));
    let response = through.post("/runs/batch", &json!(batch)).await;
    assert_eq!(response.status, expected.status, "{}", response.text());
    let (runs, direct_runs) = (response.json(), expected.json());
    assert_eq!(runs.as_array().unwrap().len(), direct_runs.as_array().unwrap().len());
    let recorded = daemon.wait_until_finished(2).await;
    assert!(recorded.iter().all(|run| run.status == "success"), "{recorded:#?}");
    receiver.wait_until("both webhooks", |received| received.len() == 2).await;
    let arrived: BTreeSet<(String, String)> = (receiver.received().iter())
        .map(|webhook| (webhook.path.clone(), webhook.json()["run_id"].as_str().unwrap().to_owned()))
        .collect();
    let id = |index: usize| runs[index]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(arrived, BTreeSet::from([("/first".to_owned(), id(0)), ("/third".to_owned(), id(2))]));
}
