//! Who may do what: keys with rights, an agent server with users, and what nobody may do without a key.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::agent_server::AgentServerOnPort;
use super::support::client::{Client, ClientResponse};
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::real_server::RealServer;
use super::support::receiver::Receiver;
use super::support::span::Span;

const PATIENCE: Duration = Duration::from_secs(120);
const FRONT_KEY: &str = "key-at-the-front-door";
const SERVICE: &str = "headers.authorization = \"Bearer token-of-service\"";

/// Alice, Bob, and somebody who shows no credentials of the agent server.
const PEOPLE: [&str; 3] = ["stranger", "bob", "alice"];

fn person(client: Client, name: &str) -> Client {
    match name {
        "stranger" => client,
        name => client.with("authorization", &format!("Bearer token-of-{name}")),
    }
}

fn new_cron() -> Value {
    json!({ "assistant_id": "agent", "schedule": "0 0 1 1 *", "input": { "messages": [] } })
}

async fn id_of(client: &Client, path: &str, body: &Value, key: &str) -> String {
    let response = client.post(path, body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()[key].as_str().unwrap().to_owned()
}

/// A thread and two crons of Alice, at the agent server or through us.
struct Belongings {
    thread: String,
    cron: String,
    on_thread: String,
}

impl Belongings {
    async fn of(alice: &Client) -> Self {
        let thread = id_of(alice, "/threads", &json!({}), "thread_id").await;
        let cron = id_of(alice, "/runs/crons", &new_cron(), "cron_id").await;
        let on_thread = id_of(alice, &format!("/threads/{thread}/runs/crons"), &new_cron(), "cron_id").await;
        Self { thread, cron, on_thread }
    }

    /// Everything that one can try with them; what destroys them comes last.
    fn attempts(&self) -> Vec<(&'static str, String, Value)> {
        let Self { thread, cron, on_thread } = self;
        let select = json!({ "select": ["cron_id", "schedule"], "sort_by": "created_at" });
        let of_alice = json!({ "metadata": { "owner": "alice" } });
        vec![
            ("GET", format!("/threads/{thread}"), Value::Null),
            ("POST", "/runs/crons/search".to_owned(), select),
            ("POST", "/runs/crons/search".to_owned(), of_alice.clone()),
            ("POST", "/runs/crons/count".to_owned(), json!({})),
            ("POST", "/runs/crons/count".to_owned(), of_alice),
            ("GET", format!("/runs/crons/{cron}"), Value::Null),
            ("GET", format!("/runs/crons/{on_thread}"), Value::Null),
            ("PATCH", format!("/runs/crons/{cron}"), json!({ "schedule": "1 0 1 1 *" })),
            ("PATCH", format!("/runs/crons/{cron}"), json!({ "enabled": true })),
            ("PATCH", format!("/runs/crons/{on_thread}"), json!({ "metadata": { "owner": "bob", "k": 1 } })),
            ("GET", format!("/runs/crons/{on_thread}"), Value::Null),
            ("POST", format!("/threads/{thread}/runs/crons"), new_cron()),
            // Others try before Alice does.
            ("DELETE", format!("/runs/crons/{on_thread}"), Value::Null),
        ]
    }

    /// Returns what must be equal in two responses: all but ids and times, and the user, since ours run as the service.
    fn essence(&self, response: &ClientResponse) -> String {
        let text = self.named(&response.text());
        let Ok(mut body) = serde_json::from_str::<Value>(&text) else {
            return format!("{} {text}", response.status);
        };
        strip(&mut body);
        format!("{} {body}", response.status)
    }

    /// Writes names in place of the ids.
    fn named(&self, text: &str) -> String {
        let names = [(&self.thread, "THREAD"), (&self.cron, "CRON"), (&self.on_thread, "ON_THREAD")];
        names.iter().fold(text.to_owned(), |text, (id, name)| text.replace(*id, name))
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(object) => {
            for key in ["created_at", "updated_at", "state_updated_at", "user_id", "cron_id", "config"] {
                object.remove(key);
            }
            object.values_mut().for_each(strip);
            object.sort_keys();
        }
        _ => {}
    }
}

/// Returns what each person gets for each attempt.
async fn outcomes(client: &Client, own: &Belongings) -> Vec<String> {
    let mut outcomes = Vec::new();
    for name in PEOPLE {
        for (method, path, body) in own.attempts() {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let response = person(client.clone(), name).send(method, &path, body).await;
            outcomes.push(format!("{name}: {method} {} -> {}", own.named(&path), own.essence(&response)));
        }
    }
    outcomes
}

/// A daemon in front of a server with users, whose clients send `FRONT_KEY`; and that client.
async fn in_front_of(server: &RealServer, http: &str, cron: Cron) -> (Daemon, Client) {
    let address = free_address();
    let key = format!("keys.app = {{ key = \"{FRONT_KEY}\", access = \"client\" }}");
    let configuration = Configuration::new(&server.url())
        .backend(SERVICE)
        .http(&format!("listen = \"{address}\"\n{key}\n{http}"))
        .cron(cron);
    let daemon = Daemon::start(&configuration);
    (daemon, Client::new(address).with("x-api-key", FRONT_KEY).ready().await)
}

#[tokio::test]
async fn on_a_server_with_users_each_may_do_through_us_what_they_may_do_there() {
    let server = RealServer::start_with_users();
    let never = Cron::bare("of-a-file").with("schedule = \"0 0 1 1 *\"");
    let (daemon, through) = in_front_of(&server, "client_crons = \"service\"", never).await;
    let direct = Client::new(server.address());
    let alice = person(through.clone(), "alice");

    let ours = Belongings::of(&alice).await;
    let through_us = outcomes(&through, &ours).await;
    // The socket is the operator's: it sees the crons of all, and those of files.
    assert_eq!(daemon.json(&["list"]).len(), 3);
    let left = alice.post("/runs/crons/search", &json!({})).await.json();
    for cron in left.as_array().unwrap() {
        let path = format!("/runs/crons/{}", cron["cron_id"].as_str().unwrap());
        assert_eq!(alice.send("DELETE", &path, "").await.status, 204);
        assert_eq!(alice.send("DELETE", &path, "").await.status, 404);
    }
    assert_eq!(daemon.json(&["list"]).len(), 1);
    let service = person(direct.clone(), "service");
    assert_eq!(service.post("/runs/crons/count", &json!({})).await.text(), "0", "a twin is left behind");

    let theirs = Belongings::of(&person(direct.clone(), "alice")).await;
    let at_the_server = outcomes(&direct, &theirs).await;
    for (ours, theirs) in through_us.iter().zip(&at_the_server) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(through_us.len(), PEOPLE.len() * 13);
}

#[tokio::test]
async fn a_cron_of_a_user_runs_as_the_service_and_its_thread_is_the_users() {
    let server = RealServer::start_with_users();
    let receiver = Receiver::start();
    let never = Cron::bare("of-a-file").with("schedule = \"0 0 1 1 *\"");
    let (daemon, through) = in_front_of(&server, "client_crons = \"service\"", never).await;
    let alice = person(through.clone(), "alice");
    let mut cron = new_cron();
    cron["schedule"] = json!("* * * * * *");
    cron["on_run_completed"] = json!("keep");
    cron["webhook"] = json!(receiver.url("/hook"));
    let cron_id = id_of(&alice, "/runs/crons", &cron, "cron_id").await;
    receiver.wait_for(1).await;
    assert_eq!(alice.send("DELETE", &format!("/runs/crons/{cron_id}"), "").await.status, 204);
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    let run = runs.iter().find(|run| run.status == "success").unwrap();
    assert_eq!(run.cron_name, cron_id);
    let body = receiver.wait_for(1).await[0].json();
    assert_eq!(body["metadata"]["owner"], "alice", "{body}");
    let thread = format!("/threads/{}", run.thread_id);
    assert_eq!(alice.get(&thread).await.status, 200);
    assert_eq!(person(through, "bob").get(&thread).await.status, 404);
    // The twin has not fired: all webhooks are ours.
    assert!(receiver.received().iter().all(|webhook| !webhook.header("webhook-id").is_empty()));
}

#[tokio::test]
async fn unless_the_operator_says_so_nobody_has_crons_on_a_server_with_users() {
    let server = RealServer::start_with_users();
    let never = Cron::bare("of-a-file").with("schedule = \"0 0 1 1 *\"");
    let (daemon, through) = in_front_of(&server, "", never).await;
    let id = uuid::Uuid::new_v4();
    for name in PEOPLE {
        let client = person(through.clone(), name);
        for (method, path, body) in [
            ("POST", "/runs/crons".to_owned(), new_cron().to_string()),
            ("POST", format!("/threads/{id}/runs/crons"), new_cron().to_string()),
            ("POST", "/runs/crons/search".to_owned(), "{}".to_owned()),
            ("POST", "/runs/crons/count".to_owned(), "{}".to_owned()),
            ("GET", format!("/runs/crons/{id}"), String::new()),
            ("PATCH", format!("/runs/crons/{id}"), json!({ "enabled": false }).to_string()),
            ("DELETE", format!("/runs/crons/{id}"), String::new()),
        ] {
            let refused = client.send(method, &path, body).await;
            assert_eq!(refused.status, 403, "{name} {method} {path}: {}", refused.text());
            assert!(refused.detail().contains("http.client_crons = \"service\""), "{}", refused.text());
        }
    }
    assert_eq!(daemon.json(&["list"]).len(), 1);
}

#[tokio::test]
async fn a_server_that_admits_guests_knows_users_all_the_same() {
    let server = RealServer::start_with_users_and_guests();
    let alice = person(Client::new(server.address()), "alice");
    let thread = id_of(&alice, "/threads", &json!({}), "thread_id").await;
    for (http, on_her_thread, search) in [("", 403, 403), ("client_crons = \"service\"", 404, 200)] {
        let never = Cron::bare("of-a-file").with("schedule = \"0 0 1 1 *\"");
        let (daemon, through) = in_front_of(&server, http, never).await;
        for name in ["bob", "stranger"] {
            let client = person(through.clone(), name);
            let cron = client.post(&format!("/threads/{thread}/runs/crons"), &new_cron()).await;
            assert_eq!(cron.status, on_her_thread, "{name} {http}: {}", cron.text());
            let seen = client.post("/runs/crons/search", &json!({})).await;
            assert_eq!(seen.status, search, "{name} {http}: {}", seen.text());
            assert!(!seen.text().contains("of-a-file"), "{}", seen.text());
        }
        assert_eq!(daemon.json(&["list"]).len(), 1);
    }
}

#[tokio::test]
async fn without_keys_nothing_over_tcp_is_done_under_our_credentials_and_no_values_are_shown() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let address = free_address();
    let cron = Cron::new("digest", &Span::once()).says("my PIN is 4711").webhook(&receiver.url("/hook"));
    let configuration = Configuration::new(&server.url())
        .backend("api_key = \"key-of-the-service\"")
        .http(&format!("listen = \"{address}\""))
        .cron(cron);
    let daemon = Daemon::start(&configuration);
    let client = Client::new(address).ready().await;
    let run = daemon.wait_until_finished_within(PATIENCE, 1).await.remove(0);
    let delivery = receiver.wait_for(1).await[0].header("webhook-id").to_owned();
    assert!(!delivery.is_empty());
    let refused = [
        ("POST", "/runs/crons", new_cron().to_string(), "http.api_keys"),
        ("POST", "/v1/crons/digest/trigger", String::new(), "http.api_keys"),
        ("POST", "/v1/crons/digest/pause", String::new(), "http.api_keys"),
        ("POST", "/v1/webhooks/replay", String::new(), "http.api_keys"),
    ];
    for (method, path, body, advice) in refused {
        let response = client.send(method, path, body).await;
        assert_eq!(response.status, 403, "{path}: {}", response.text());
        assert!(response.detail().contains(advice), "{}", response.text());
    }
    let deliveries = client.get("/v1/deliveries").await.json();
    let delivery_id = deliveries["items"][0]["delivery_id"].as_str().unwrap();
    let paths = [
        format!("/v1/runs/{}", run.run_id),
        "/v1/runs".to_owned(),
        "/v1/crons/digest".to_owned(),
        "/v1/crons".to_owned(),
        format!("/v1/deliveries/{delivery_id}"),
        "/v1/status".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in paths {
        let shown = client.get(&path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.text());
        assert!(!shown.text().contains("4711"), "{path}: {}", shown.text());
    }
    let run = client.get(&format!("/v1/runs/{}", run.run_id)).await.json();
    assert_eq!((&run["status"], &run["values"]), (&json!("success"), &Value::Null));
    // The operator sees them.
    assert!(daemon.json(&["show", run["run_id"].as_str().unwrap()])[0].to_string().contains("4711"));
}

#[tokio::test]
async fn keys_change_with_a_reload_and_the_log_knows_who_acted() {
    let server = AgentServerOnPort::start();
    let address = free_address();
    let with_keys = |keys: &str| {
        let http = format!("listen = \"{address}\"\n{keys}");
        Configuration::new(&server.url())
            .http(&http)
            .cron(Cron::bare("digest").with("schedule = \"0 0 1 1 *\""))
    };
    let anna = "keys.anna = { key = \"the-key-of-anna-at-work\", access = \"act\" }";
    let screen = "keys.screen = { key = \"the-key-of-the-screen\", access = \"read\" }";
    let daemon = Daemon::start(&with_keys(anna));
    let of = |key: &str| Client::new(address).with("authorization", &format!("Bearer {key}"));
    let (anna_client, screen_client) = (of("the-key-of-anna-at-work"), of("the-key-of-the-screen"));
    anna_client.clone().ready().await;
    assert_eq!(anna_client.send("POST", "/v1/crons/digest/pause", "").await.status, 200);
    daemon.wait_for_stderr("by=anna").await;
    assert_eq!(screen_client.get("/v1/status").await.status, 401);

    daemon.write_config(&with_keys(&format!("{anna}\n{screen}")));
    daemon.wait_for_stderr("keys and origins reloaded").await;
    assert_eq!(anna_client.get("/v1/status").await.status, 200);
    assert_eq!(screen_client.get("/v1/status").await.status, 200);
    assert_eq!(screen_client.send("POST", "/v1/crons/digest/resume", "").await.status, 403);
    assert_eq!(screen_client.get("/info").await.status, 403);

    daemon.write_config(&with_keys(screen));
    daemon
        .wait_until("the removal of a key", || {
            daemon.stderr().matches("keys and origins reloaded").count() == 2
        })
        .await;
    assert_eq!(anna_client.get("/v1/status").await.status, 401);
    // The last key stays, so that the port is never open by a slip.
    daemon.write_config(&with_keys(""));
    daemon.wait_for_stderr("the last key of [http] stays in force").await;
    assert_eq!(Client::new(address).get("/v1/status").await.status, 401);
    assert_eq!(screen_client.get("/v1/status").await.status, 200);
    assert!(!daemon.stderr().contains("the-key-of"), "{}", daemon.stderr());
}
