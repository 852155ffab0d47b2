//! The API as a client sees it, without a socket: paths, errors, and effects on the store.

mod listing;

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use expect_test::{Expect, expect};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Api;
use crate::api::{AccessRules, Socket};
use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::{self, Credentials, CronDefinition, Environment};
use crate::domain::access::Caller;
use crate::engine::{Health, Wakes};
use crate::store::{Execution, Store};
use crate::transport::Transport;
use crate::webhook::WebhookSettings;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A disabled cron with secrets in its definition.
const HOOKED: &str = r#"{"schedule":"0 9 * * *","assistant_id":"agent","metadata":{"key":"${{ env.KEY }}"},
"webhook":"https://hooks.example/?token=s3cret","enabled":false}"#;

/// An API at 09:30:00.250 with the hourly crons `digest` and `triage`, which exist since 03:00, and `hooked`.
async fn api(folder: &Path) -> Api {
    let store = Store::open(
        &folder.join("agentcron.db"),
        Execution::Inline,
        crate::domain::ids::InstallationId::default(),
        crate::clock::Clock::system(),
    )
    .unwrap();
    let hourly = r#"{"schedule":"0 * * * *","assistant_id":"agent","catchup":"none"}"#;
    let definitions = [("digest", hourly), ("hooked", HOOKED), ("triage", hourly)].map(|(name, body)| {
        let body = body.to_owned();
        CronDefinition::of_body(name, &body)
    });
    store.sync_file_crons(at("2026-03-02T03:00:00Z"), definitions.to_vec()).await.unwrap();
    let clock = Clock::simulated(at("2026-03-02T09:30:00.250Z"));
    api_over(folder, store, clock)
}

/// An API over this store, without loops and without an agent server.
pub(in crate::api) fn api_over(folder: &Path, store: Store, clock: Clock) -> Api {
    let no_server = Transport::router(axum::Router::new());
    let backend = AgentClient::new(
        no_server,
        "http://backend".parse().unwrap(),
        Credentials::default(),
        Duration::from_secs(5),
    );
    let (wakes, health) = (Wakes::default(), Health::default());
    let file = folder.join("agentcron.toml");
    std::fs::write(&file, "").unwrap();
    let config = config::load(&file, &Environment::of_map([])).unwrap();
    let (_, webhooks) = config::live(WebhookSettings::of_config(&config));
    let (_, access) = config::live(AccessRules::of_config(&config.http));
    let sessions = crate::api::Sessions::new(store.clone(), clock.clone(), access.clone(), None);
    Api {
        store,
        clock,
        wakes,
        health,
        backend,
        webhooks,
        access,
        to_finish: Default::default(),
        feeds: crate::api::Feeds::until(Default::default()),
        sessions,
        kept: Default::default(),
        held_bodies: Default::default(),
    }
}

async fn post(api: &Api, path: &str, body: &str) -> (StatusCode, Value) {
    send(api, Request::post(path).body(Body::from(body.to_owned())).unwrap()).await
}

async fn send(api: &Api, mut request: Request<Body>) -> (StatusCode, Value) {
    request.extensions_mut().insert(Caller::Socket { uid: None });
    let response = crate::api::router(api.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn check(api: &Api, path: &str, body: &str, expected: Expect) {
    let (status, response) = post(api, path, body).await;
    expected.assert_eq(&format!("{} {response}", status.as_u16()));
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path()).await;
    let cases = [
        (
            "/v1/crons/digets/pause",
            "",
            expect![[r#"404 {"detail":"there is no cron `digets`; did you mean `digest`?"}"#]],
        ),
        ("/v1/nothing", "", expect![[r#"404 {"detail":"there is no such path"}"#]]),
        ("/v1", "", expect![[r#"404 {"detail":"there is no such path"}"#]]),
        ("/v1/", "", expect![[r#"404 {"detail":"there is no such path"}"#]]),
        (
            "/v1/crons/digest/pause",
            r#"{"reason": "x"}"#,
            expect![[
                r#"422 {"detail":"body: unknown field `reason`, expected `note` or `until` at line 1 column 9"}"#
            ]],
        ),
        ("/v1/crons/digest/pause", "[]", expect![[r#"422 {"detail":"body: expected a JSON object"}"#]]),
        ("/v1/runs/123/cancel", "", expect![[r#"422 {"detail":"got `123`, expected a run id (a UUID)"}"#]]),
        (
            "/v1/runs/3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11/cancel",
            "",
            expect![[r#"404 {"detail":"there is no run 3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11"}"#]],
        ),
        (
            "/v1/crons/digest/backfill",
            r#"{"from": "2026-03-02T09:00:00Z", "to": "2026-03-02T10:00:00Z"}"#,
            expect![[
                r#"422 {"detail":"to 2026-03-02T10:00:00Z is in the future; future occurrences are started by the schedule"}"#
            ]],
        ),
        (
            "/v1/crons/digest/backfill",
            r#"{"from": "2026-03-02T03:00:00Z", "to": "2026-03-02T09:00:00Z", "limit": 2}"#,
            expect![[
                r#"409 {"detail":"more than 2 runs would be started between 2026-03-02T03:00:00Z and 2026-03-02T09:00:00Z; nothing was done; take a shorter range or a higher --limit (at most 10000)"}"#
            ]],
        ),
    ];
    for (path, body, expected) in cases {
        check(&api, path, body, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_held_released_and_replayed_by_typed_requests() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path()).await;
    let cases = [
        (
            "hold",
            r#"{"note": " it moves "}"#,
            expect![[
                r#"200 {"before":{"state":"free"},"now":{"state":"held","since":"2026-03-02T09:30:00.25Z","note":"it moves"},"waiting":0,"in_flight":0,"discarded":0}"#
            ]],
        ),
        ("release", r#"{"per_second": 0}"#, expect![[r#"422 {"detail":"per_second: expected 1 to 1000"}"#]]),
        (
            "release",
            r#"{"per_second": 5, "discard_older_than_seconds": 18446744073709551615}"#,
            expect![[
                r#"200 {"before":{"state":"held","since":"2026-03-02T09:30:00.25Z","note":"it moves"},"now":{"state":"free"},"waiting":0,"in_flight":0,"discarded":0}"#
            ]],
        ),
        (
            "replay",
            "",
            expect![[
                r#"422 {"detail":"say which webhooks: by ids, or by status, since, until, cron, run_id, url"}"#
            ]],
        ),
        (
            "replay",
            r#"{"status": ["sending"]}"#,
            expect![[r#"422 {"detail":"status: a webhook that is being sent cannot be replayed"}"#]],
        ),
        (
            "replay",
            r#"{"ids": ["msg_x"]}"#,
            expect![[r#"422 {"detail":"ids: got `msg_x`, expected an id (a UUID, or msg_ and a UUID)"}"#]],
        ),
        (
            "replay",
            r#"{"status": ["failed"], "since": "yesterday"}"#,
            expect![[
                r#"422 {"detail":"since: got `yesterday`, expected a time such as 2026-03-02T09:00:00Z"}"#
            ]],
        ),
        (
            "replay",
            r#"{"status": ["failed"], "limit": 10001}"#,
            expect![[r#"422 {"detail":"limit: expected 1 to 10000"}"#]],
        ),
        (
            "replay",
            r#"{"ids": ["3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11"]}"#,
            expect![[
                r#"409 {"detail":"there is no webhook 3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11; `agentcron webhook list` shows those that are"}"#
            ]],
        ),
        (
            "replay",
            r#"{"cron": "digest"}"#,
            expect![[
                r#"200 {"dry_run":false,"replayed":0,"by_status":{},"more":false,"resumed":[],"webhooks":[]}"#
            ]],
        ),
        (
            "resume",
            r#"{"url": "https://a.example/?token=x"}"#,
            expect![[
                r#"404 {"detail":"no suspended URL contains this; `agentcron status` lists the suspended ones"}"#
            ]],
        ),
    ];
    for (path, body, expected) in cases {
        check(&api, &format!("/v1/webhooks/{path}"), body, expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_triggered_runs_have_instants_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(folder.path()).await;
    api.clock = Clock::simulated(at("2026-03-02T09:00:00Z"));
    let mut instants = Vec::new();
    for _ in 0..2 {
        let (status, run) = post(&api, "/v1/crons/digest/trigger", "").await;
        assert_eq!((status, &run["trigger"]), (StatusCode::OK, &json!("manual")));
        instants.push(run["scheduled_for"].as_str().unwrap().to_owned());
    }
    assert_eq!(instants, ["2026-03-02T09:00:00.001Z", "2026-03-02T09:00:00.002Z"]);
}

#[tokio::test]
async fn a_backfill_runs_missed_occurrences_and_skips_those_that_have_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(folder.path()).await;
    // 04:00 to 09:00 were missed: one record.
    api.store.plan_due(api.clock.now()).await.unwrap();
    let order = r#"{"from": "2026-03-02T04:00:00Z", "to": "2026-03-02T06:00:00Z"}"#;
    let fates = |response: &Value| {
        let instants = response["instants"].as_array().unwrap().clone();
        instants.iter().map(|line| line["fate"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (_, dry) =
        post(&api, "/v1/crons/digest/backfill", &order.replace('}', r#", "dry_run": true}"#)).await;
    let (status, first) = post(&api, "/v1/crons/digest/backfill", order).await;
    let (_, second) = post(&api, "/v1/crons/digest/backfill", order).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(fates(&dry), ["run", "run"]);
    assert_eq!(fates(&first), ["run", "run"]);
    assert_eq!(fates(&second), ["exists", "exists"]);
    let connection = rusqlite::Connection::open(folder.path().join("agentcron.db")).unwrap();
    let sql = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || trigger || ' ' \
               || coalesce(status, phase) || ' x' || occurrences FROM runs WHERE cron_name = 'digest' \
               ORDER BY scheduled_for";
    let mut statement = connection.prepare(sql).unwrap();
    let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, ["04:00 backfill pending x1", "05:00 backfill pending x1", "06:00 schedule missed x4"]);
}

#[tokio::test]
async fn the_socket_is_open_to_its_owner_only_and_replaces_a_stale_socket_but_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agentcron.sock");
    let first = Socket::bind(&path).unwrap();
    let second = Socket::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    first.file.remove();
    assert!(path.exists(), "it belongs to the second socket");
    second.file.remove();
    assert!(!path.exists());
    std::fs::write(&path, "my notes").unwrap();
    assert!(Socket::bind(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my notes");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn the_socket_is_open_to_the_members_of_a_group_of_its_owner() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agentcron.sock");
    let socket = Socket::bind(&path).unwrap();
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let error = socket.open_to("no-such-group-here").unwrap_err().to_string();
    assert!(error.contains("groupadd --system no-such-group-here"), "{error}");
    assert_eq!(mode(), 0o600);
    let own = std::fs::metadata(&path).unwrap().gid();
    socket.open_to(&own.to_string()).unwrap();
    assert_eq!((mode(), std::fs::metadata(&path).unwrap().gid()), (0o660, own));
    // A former daemon's group does not stay.
    let _anew = Socket::bind(&path).unwrap();
    assert_eq!(mode(), 0o600);
}
