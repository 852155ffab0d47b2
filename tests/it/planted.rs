//! Secrets are planted wherever one may stand, and the backend and the receiver quote back all that they are sent:
//! nothing that a person or another program is shown has any of them.

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
use super::support::history::Recorded;
use super::support::serving::{Serving, serve_router};
use super::support::span::{Span, now};

/// By the name of its variable or credential.
const VARIABLES: [(&str, &str); 5] = [
    ("URL_TOKEN", "plant3d-url-t0ken/+&"),
    ("URL_PATH", "plant3d-url-p4th"),
    ("LG_WEBHOOK_KEY", "plant3d-he4der"),
    ("SIGNING_OLD", "whsec_cGxhbnQzZC1zMWduaW5nLWtleS0wMDAx"),
    ("INPUT", "plant3d-variable-of-inpu7"),
];
/// A variable in metadata is no secret: it says to the server and to receivers what the operator wants them to know.
const LABEL: (&str, &str) = ("STAGE", "told-\"label\"");
const CREDENTIALS: [(&str, &str); 5] = [
    ("backend_key", "plant3d-api-k3y"),
    ("signing_new", "whsec_cGxhbnQzZC1zMWduaW5nLWtleS0wMDAy"),
    ("input", "plant3d-credential-of-inpu7"),
    ("metadata", "plant3d-credential-of-met4data"),
    ("header", "plant3d-credential-of-he4der"),
];
/// Written into the configuration as they are, where that cannot be forbidden.
const LITERAL_TOKEN: &str = "plant3d-lit3ral-token";
const LITERAL_HEADER: &str = "plant3d-lit3ral-header";

/// Something that may be shown, and where it is.
fn assert_clean(place: &str, shown: &str) {
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

/// Quotes the whole request.
fn echo(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> String {
    format!("{method} {uri}\n{headers:#?}\n{}", String::from_utf8_lossy(body))
}

/// A receiver that accepts nothing.
async fn refuse(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let quoted = echo(&method, &uri, &headers, &body);
    let location = uri.to_string();
    (StatusCode::BAD_REQUEST, [("location", location.clone()), ("x-echo", location)], quoted).into_response()
}

/// An agent server that refuses to start `rejected`, breaks at `garbled`, and does all else.
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
        .backend("request_timeout = \"1s\"")
        .crons([
            cron("told").tells(&url("told")),
            cron("waits").with("mode = \"wait\"").tells(&url("waits")),
            cron("literal").tells(&format!("{receiver}/literal?token={LITERAL_TOKEN}")),
            cron("rejected").tells(&url("rejected")),
            cron("garbled").tells(&url("garbled")).with("start_deadline = \"20s\""),
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

/// What the daemon answers on its socket, head and body.
fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> String {
    let mut line = UnixStream::connect(daemon.folder().join("agentcron.sock")).unwrap();
    write!(
        line,
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    answer
}

/// Every command that only reads, for people and for programs.
fn assert_commands_are_clean(daemon: &Daemon) {
    let runs = daemon.history();
    let webhooks = daemon.json(&["webhook", "list"]);
    let ids = webhooks.iter().map(|webhook| webhook["delivery_id"].as_str().unwrap());
    let now = now().to_string();
    let mut asked = vec![
        vec!["check"],
        vec!["next"],
        vec!["next", "told"],
        vec!["list"],
        vec!["status"],
        vec!["history"],
        vec!["webhook", "list"],
        vec!["explain", "told", "--at", &now],
    ];
    asked.extend(runs.iter().map(|run| vec!["show", run.run_id.as_str()]));
    asked.extend(ids.map(|id| vec!["webhook", "show", id]));
    for arguments in asked {
        for more in [&[][..], &["--json"]] {
            let arguments = [&arguments[..], more].concat();
            let output = daemon.run_command(&arguments);
            let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success(), "{arguments:?}: {shown}");
            assert_clean(&format!("{arguments:?}"), &shown);
        }
    }
}

#[tokio::test]
async fn no_planted_secret_is_shown_to_anybody() {
    #[expect(clippy::disallowed_methods, reason = "a server on a real port lives in real time")]
    let agents = EmbeddedServer::new(jiff::Timestamp::now);
    let backend = Router::new().fallback(move |request| serve_agents(agents.clone(), request));
    let backend = Serving::start(0, |listener| serve_router(listener, backend));
    let receiver = Serving::start(0, |listener| serve_router(listener, Router::new().fallback(refuse)));
    let urls = [&backend, &receiver].map(|serving| format!("http://{}", serving.address()));
    let mut daemon = Daemon::prepare(&configuration(&urls[0], &urls[1]));
    let credentials = credentials(daemon.folder());
    let mut environment = VARIABLES.to_vec();
    environment.push(LABEL);
    environment.extend([("CREDENTIALS_DIRECTORY", credentials.as_str()), ("AGENTCRON_LOG", "trace")]);
    // A panic in the middle of an attempt, with all of it at hand.
    let panics =
        [&environment[..], &[("PANIC_AT", "attempt_answered:1"), ("RUST_BACKTRACE", "full")]].concat();
    daemon.start_as(&["run"], &panics);
    daemon.wait_for_stderr("attempt task panicked").await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    daemon.start_as(&["run", "--log-format", "json"], &environment);
    let attempted = |run: &Recorded| {
        run.phase == "ended" && run.webhook.as_ref().is_some_and(|webhook| webhook.attempts > 0)
    };
    let all = |runs: &[Recorded]| runs.len() == 5 && runs.iter().all(attempted);
    daemon.wait_for_history_within(super::support::record::PATIENCE * 3, "all to be told", all).await;
    let ends = |name: &str| daemon.history().into_iter().find(|run| run.cron_name == name).unwrap().status;
    let ended = ["told", "waits", "literal", "rejected", "garbled"].map(ends);
    assert_eq!(ended, ["success", "success", "success", "error", "error"]);
    let process_id = daemon.process_id().unwrap();
    assert_clean(
        "the process list",
        &std::fs::read_to_string(format!("/proc/{process_id}/cmdline")).unwrap(),
    );
    assert_commands_are_clean(&daemon);
    let first = daemon.history().remove(0).run_id;
    for (method, path, body) in [
        ("GET", "/v1/status", ""),
        ("POST", &format!("/v1/runs/{first}/cancel"), "{}"),
        ("POST", "/v1/crons/rejected/pause", r#"{"note": "why"}"#),
        ("POST", "/v1/crons/told/trigger", "{"),
        ("POST", "/runs/crons/search", "{}"),
        ("POST", "/runs/crons", r#"{"assistant_id": 1}"#),
    ] {
        let answer = ask(&daemon, method, path, body);
        assert!(answer.starts_with("HTTP/1.1 "), "{method} {path}: {answer}");
        assert_clean(&format!("{method} {path}"), &answer);
    }
    // Mistakes beside every secret, and in some.
    let broken = configuration("ftp://x", "htp://user:plant3d-lit3ral-token@host")
        .backend(&format!("api_kee = \"{LITERAL_TOKEN}\""))
        .top(&format!("webhooks.signing_secrets_ = [\"{LITERAL_TOKEN}\"]"))
        .top(&format!("webhooks.headers.Webhook-Id = \"{LITERAL_HEADER}\""));
    daemon.write_config(&broken);
    let output = daemon.run_command(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert_clean("check of a broken configuration", &String::from_utf8_lossy(&output.stderr));
    daemon.wait_until("the reload to fail", || daemon.stderr().contains("configuration")).await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    let log = daemon.stderr();
    assert!(log.contains("TRACE") && log.contains("panicked at") && log.contains("\"level\":\"TRACE\""));
    assert_clean("the log", &log);
    assert_stored_as_written(&daemon);
}

/// In the database everything stands as it was written; what is told to receivers as well, but for labels.
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
    // A literal in a URL is where its writer has put it, and nowhere else.
    assert_clean("the database", &texts.replace(&format!("/literal?token={LITERAL_TOKEN}"), ""));
    let mut statement = database.prepare("SELECT CAST(body AS TEXT) FROM deliveries").unwrap();
    let mut labels = 0;
    for body in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let body = body.unwrap();
        assert_clean("the body of a webhook", &body);
        labels += usize::from(body.contains(r#""stage":"told-\"label\"""#));
    }
    assert!(labels > 0);
}
