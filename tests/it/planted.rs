//! Secrets are planted wherever one can be configured, and the backend and the receiver quote back everything that they are
//! sent: no output for people or programs contains any of the secrets.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use agentcron::backend::embedded::EmbeddedServer;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::growing_list::PATIENCE;
use super::support::history::RunRecord;
use super::support::loopback_server::{LoopbackServer, serve_router};
use super::support::span::{Span, now};

/// The secrets by the names of their environment variables.
const VARIABLES: [(&str, &str); 5] = [
    ("URL_TOKEN", "plant3d-url-t0ken/+&"),
    ("URL_PATH", "plant3d-url-p4th"),
    ("LG_WEBHOOK_KEY", "plant3d-he4der"),
    ("SIGNING_OLD", "whsec_cGxhbnQzZC1zMWduaW5nLWtleS0wMDAx"),
    ("INPUT", "plant3d-variable-of-inpu7"),
];
/// A variable in metadata is no secret: it is what the operator wants the server and the receivers to know.
const LABEL: (&str, &str) = ("STAGE", "stage-\"label\"");
const CREDENTIALS: [(&str, &str); 6] = [
    ("backend_key", "plant3d-api-k3y"),
    ("backend_token", "plant3d-backend-t0ken"),
    ("signing_new", "whsec_cGxhbnQzZC1zMWduaW5nLWtleS0wMDAy"),
    ("input", "plant3d-credential-of-inpu7"),
    ("metadata", "plant3d-credential-of-met4data"),
    ("header", "plant3d-credential-of-he4der"),
];
/// Secrets written literally into the configuration, where that cannot be forbidden.
const LITERAL_TOKEN: &str = "plant3d-lit3ral-token";
const LITERAL_HEADER: &str = "plant3d-lit3ral-header";

/// Checks that an output has no secret; `place` says where it was found.
pub(super) fn assert_clean(place: &str, shown: &str) {
    let encoded = |secret: &str| url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    let in_json = |secret: &str| secret.replace('"', "\\\"");
    let planted = VARIABLES.iter().chain(&CREDENTIALS).map(|(_, secret)| *secret);
    for secret in planted.chain([LITERAL_TOKEN, LITERAL_HEADER]) {
        let bare = secret.trim_start_matches("whsec_");
        for form in [bare.to_owned(), encoded(bare), in_json(bare)] {
            if let Some(at) = shown.find(&form) {
                let around = &shown.as_bytes()[at.saturating_sub(400)..(at + 200).min(shown.len())];
                panic!("{form} in {place}: …{}…", String::from_utf8_lossy(around));
            }
        }
    }
}

/// Returns the whole request as text.
fn echo(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> String {
    format!("{method} {uri}\n{headers:#?}\n{}", String::from_utf8_lossy(body))
}

/// Responds as a receiver that accepts nothing and quotes every request.
async fn refuse(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let quoted = echo(&method, &uri, &headers, &body);
    let location = uri.to_string();
    (StatusCode::BAD_REQUEST, [("location", location.clone()), ("x-echo", location)], quoted).into_response()
}

/// Responds as an agent server that rejects the runs of `rejected`, fails those of `garbled` with a 500, and runs all others.
async fn serve_agents(agents: EmbeddedServer, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let quoted = echo(&head.method, &head.uri, &head.headers, &body);
    let text = String::from_utf8_lossy(&body);
    if text.contains(r#""cron_name":"rejected""#) {
        let detail = serde_json::json!({ "detail": quoted });
        return (StatusCode::UNPROCESSABLE_ENTITY, detail.to_string()).into_response();
    }
    if text.contains(r#""cron_name":"garbled""#) {
        return (StatusCode::INTERNAL_SERVER_ERROR, quoted).into_response();
    }
    agents.router().oneshot(Request::from_parts(head, Body::from(body))).await.unwrap()
}

/// A daemon with all of them, between a backend and a receiver that quote everything.
pub(super) struct Planted {
    pub(super) daemon: Daemon,
    credentials: String,
    _servers: [LoopbackServer; 2],
}

impl Planted {
    /// Prepares the daemon with these lines in `[http]`, and starts nothing.
    pub(super) fn prepare(http: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a server on a real port lives in real time")]
        let agents = EmbeddedServer::new(jiff::Timestamp::now);
        let backend = Router::new().fallback(move |request| serve_agents(agents.clone(), request));
        let backend = LoopbackServer::start(0, |listener| serve_router(listener, backend));
        let receiver =
            LoopbackServer::start(0, |listener| serve_router(listener, Router::new().fallback(refuse)));
        let urls = [&backend, &receiver].map(|serving| format!("http://{}", serving.address()));
        let daemon = Daemon::prepare(&configuration(&urls[0], &urls[1]).http(http));
        let credentials = credentials(daemon.folder());
        Self { daemon, credentials, _servers: [backend, receiver] }
    }

    /// Starts with the secrets and with these further variables.
    pub(super) fn start(&mut self, arguments: &[&str], more: &[(&str, &str)]) {
        let own = [LABEL, ("CREDENTIALS_DIRECTORY", self.credentials.as_str()), ("AGENTCRON_LOG", "trace")];
        let environment = [&VARIABLES[..], &own, more].concat();
        self.daemon.start_with_arguments(arguments, &environment);
    }

    /// Waits until every run has ended and every webhook was tried.
    pub(super) async fn wait(&self) {
        let attempted = |run: &RunRecord| {
            run.phase == "ended" && run.webhook.as_ref().is_some_and(|webhook| webhook.attempts > 0)
        };
        let all = |runs: &[RunRecord]| runs.len() == 5 && runs.iter().all(attempted);
        self.daemon.wait_for_history_within(PATIENCE * 3, "an attempt of every webhook", all).await;
    }
}

fn configuration(backend: &str, receiver: &str) -> Configuration {
    let url =
        |path: &str| format!("{receiver}/${{{{ env.URL_PATH }}}}/{path}?token=${{{{ env.URL_TOKEN }}}}");
    let span = Span::once();
    let filled = [
        "metadata.stage = \"${{ env.STAGE }}\"",
        "metadata.credential = \"${{ credential.metadata }}\"",
        "context.credential = \"${{ credential.input }}\"",
        "context.variable = \"${{ env.INPUT }}\"",
    ]
    .join("\n");
    let cron = |name: &str| Cron::new(name, &span).says("I know ${{ credential.input }}").with(&filled);
    Configuration::new(backend)
        .top("webhooks.signing_secrets = [\"${{ credential.signing_new }}\", \"${{ env.SIGNING_OLD }}\"]")
        .top("webhooks.headers.authorization = \"Bearer ${{ env.LG_WEBHOOK_KEY }}\"")
        .top("webhooks.headers.x-credential = \"${{ credential.header }}\"")
        .top(&format!("webhooks.headers.x-literal = \"{LITERAL_HEADER}\""))
        .backend("api_key = \"${{ credential.backend_key }}\"")
        .backend("headers.authorization = \"Bearer ${{ credential.backend_token }}\"")
        .backend(&format!("headers.x-literal = \"{LITERAL_HEADER}\""))
        .backend("request_timeout = \"1s\"")
        .crons([
            cron("delivered").webhook(&url("delivered")),
            cron("waits").with("mode = \"wait\"").webhook(&url("waits")),
            cron("literal").webhook(&format!("{receiver}/literal?token={LITERAL_TOKEN}")),
            cron("rejected").webhook(&url("rejected")),
            cron("garbled").webhook(&url("garbled")).with("start_deadline = \"20s\""),
        ])
}

fn credentials(folder: &Path) -> String {
    let folder = folder.join("credentials");
    std::fs::create_dir(&folder).unwrap();
    for (name, secret) in CREDENTIALS {
        let path = folder.join(name);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

/// Sends a request to the daemon's socket and returns the head and the body of the response.
fn send(daemon: &Daemon, method: &str, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(daemon.folder().join("agentcron.sock")).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Checks the file for a bug report, which has less in it than what commands show: strangers read it.
fn assert_support_file_is_clean(daemon: &Daemon, name: &str) {
    let output = daemon.run_command(&["support", name]);
    assert!(output.status.success(), "{output:?}");
    let path = daemon.folder().join(name);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    assert_clean(name, &text);
    for private in ["I know", "/delivered", "/literal", "stage-", "pr1vate"] {
        assert!(!text.contains(private), "{private} in {text}");
    }
    for known in [
        "agentcron 0.",
        "[cron.literal]",
        "${{ credential.backend_key }}",
        "runs: ",
        "\"attention\"",
        "store.keep: not set",
        "backend.request_timeout = \"1s\"",
    ] {
        assert!(text.contains(known), "no {known} in {text}");
    }
    let again = daemon.run_command(&["support", name]);
    assert_eq!(again.status.code(), Some(1), "it would overwrite: {again:?}");
}

/// Checks every command that only reads, with and without `--json`.
fn assert_commands_are_clean(daemon: &Daemon) {
    let runs = daemon.history();
    let webhooks = daemon.json(&["webhook", "list"]);
    let ids = webhooks.iter().map(|webhook| webhook["delivery_id"].as_str().unwrap());
    let now = now().to_string();
    let mut commands = vec![
        vec!["check"],
        vec!["next"],
        vec!["next", "delivered"],
        vec!["list"],
        vec!["status"],
        vec!["history"],
        vec!["webhook", "list"],
        vec!["explain", "delivered", "--at", &now],
    ];
    commands.extend(runs.iter().map(|run| vec!["show", run.run_id.as_str()]));
    commands.extend(ids.map(|id| vec!["webhook", "show", id]));
    for arguments in commands {
        for more in [&[][..], &["--json"]] {
            let arguments = [&arguments[..], more].concat();
            let output = daemon.run_command(&arguments);
            let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            // Runs that failed are not well.
            assert!(matches!(output.status.code(), Some(0 | 5)), "{arguments:?}: {shown}");
            assert_clean(&format!("{arguments:?}"), &shown);
        }
    }
}

#[tokio::test]
async fn no_planted_secret_is_shown() {
    let mut planted = Planted::prepare("");
    // A panic in the middle of an attempt, when the secrets are in memory.
    planted.start(&["run"], &[("PANIC_AT", "attempt_answered:1"), ("RUST_BACKTRACE", "full")]);
    planted.daemon.wait_for_stderr("attempt task panicked").await;
    planted.daemon.terminate();
    assert!(planted.daemon.wait_for_exit().await.success());
    planted.start(&["run", "--log-format", "json"], &[]);
    planted.wait().await;
    let daemon = &mut planted.daemon;
    let ends = |name: &str| daemon.history().into_iter().find(|run| run.cron_name == name).unwrap().status;
    let ended = ["delivered", "waits", "literal", "rejected", "garbled"].map(ends);
    assert_eq!(ended, ["success", "success", "success", "error", "error"]);
    let process_id = daemon.process_id().unwrap();
    assert_clean(
        "the process list",
        &std::fs::read_to_string(format!("/proc/{process_id}/cmdline")).unwrap(),
    );
    assert_commands_are_clean(daemon);
    // What people write is theirs.
    daemon.json(&["pause", "waits", "--note", "a pr1vate note"]);
    daemon.json(&["pause", "--all", "--note", "a pr1vate note"]);
    daemon.json(&["webhook", "hold", "--note", "a pr1vate note"]);
    assert_support_file_is_clean(daemon, "running.txt");
    daemon.json(&["webhook", "release"]);
    daemon.json(&["resume", "--all"]);
    let text = std::fs::read_to_string(daemon.folder().join("running.txt")).unwrap();
    assert!(text.contains("agentcron::daemon: daemon ready"), "{text}");
    let first = daemon.history().remove(0).run_id;
    for (method, path, body) in [
        ("GET", "/v1/status", ""),
        ("POST", &format!("/v1/runs/{first}/cancel"), "{}"),
        ("POST", "/v1/crons/rejected/pause", r#"{"note": "why"}"#),
        ("POST", "/v1/crons/delivered/trigger", "{"),
        ("POST", "/runs/crons/search", "{}"),
        ("POST", "/runs/crons", r#"{"assistant_id": 1}"#),
    ] {
        let response = send(daemon, method, path, body);
        assert!(response.starts_with("HTTP/1.1 "), "{method} {path}: {response}");
        assert_clean(&format!("{method} {path}"), &response);
    }
    // A configuration with mistakes next to every secret, and in some.
    let broken = configuration("ftp://x", "htp://user:plant3d-lit3ral-token@host")
        .backend(&format!("api_kee = \"{LITERAL_TOKEN}\""))
        .top(&format!("webhooks.signing_secrets_ = [\"{LITERAL_TOKEN}\"]"))
        .top(&format!("webhooks.headers.Webhook-Id = \"{LITERAL_HEADER}\""));
    let broken = broken.cron(Cron::bare("mistaken").with("schedule = \"pr1vate\"\noverlap = \"pr1vate\""));
    daemon.write_config(&broken);
    let output = daemon.run_command(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert_clean("check of a broken configuration", &String::from_utf8_lossy(&output.stderr));
    daemon.wait_until("the reload to fail", || daemon.stderr().contains("configuration")).await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    let log = daemon.stderr();
    assert!(
        log.contains("TRACE")
            && log.contains("panicked; this is a bug")
            && log.contains("\"level\":\"TRACE\"")
    );
    assert_clean("the log", &log);
    assert_support_file_is_clean(daemon, "stopped.txt");
    assert_stored_as_written(daemon);
}

/// Checks that the database has everything as it was written, with placeholders, except for labels in webhook bodies.
fn assert_stored_as_written(daemon: &Daemon) {
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    let mut texts = String::new();
    for (table, columns) in [
        ("definitions", "body"),
        ("crons", "location || coalesce(pause_note, '')"),
        ("runs", "coalesce(reason, '') || coalesce(error, '') || coalesce(outcome_values, '')"),
        ("run_events", "coalesce(detail, '')"),
        ("deliveries", "url || coalesce(reason, '')"),
        ("attempts", "coalesce(detail, '') || coalesce(answer, '') || coalesce(address, '')"),
        ("notices", "detail"),
    ] {
        let mut statement = database.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.for_each(|row| texts.push_str(&row.unwrap()));
    }
    assert!(texts.contains("${{ env.URL_TOKEN }}") && texts.contains("${{ credential.input }}"));
    // A literal in a URL may be where the operator wrote it, and nowhere else.
    assert_clean("the database", &texts.replace(&format!("/literal?token={LITERAL_TOKEN}"), ""));
    let mut statement = database.prepare("SELECT CAST(body AS TEXT) FROM deliveries").unwrap();
    let mut labels = 0;
    for body in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let body = body.unwrap();
        assert_clean("the body of a webhook", &body);
        labels += usize::from(body.contains(r#""stage":"stage-\"label\"""#));
    }
    assert!(labels > 0);
}
