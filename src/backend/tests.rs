//! What the client concludes from an answer to a start, and what it reads of the end of a run, as tables.

use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use http::{HeaderValue, Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::config::Credentials;
use crate::domain::cron::Mode;
use crate::domain::ids::{RunId, ThreadId};
use crate::domain::trace::TraceParent;
use crate::transport::{BodyStream, Transport, TransportError};

const RUN: &str = "01a2081f-740d-7775-bcd5-db522831835e";

/// A server that sends one answer, in pieces, and may break off after it.
#[derive(Clone)]
struct FixedServer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Bytes>,
    then: Option<TransportError>,
}

impl FixedServer {
    fn text(status: u16, text: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), pieces: vec![text.into()], then: None }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn then(mut self, error: TransportError) -> Self {
        self.then = Some(error);
        self
    }

    fn client(self) -> AgentClient {
        client(Transport::function(move |_| {
            let server = self.clone();
            Box::pin(async move {
                let mut response = Response::builder().status(server.status);
                for (name, value) in server.headers {
                    response = response.header(name, value);
                }
                let pieces = server.pieces.into_iter().map(Ok).chain(server.then.map(Err));
                Ok(response.body(Box::pin(futures_util::stream::iter(pieces)) as BodyStream).unwrap())
            })
        }))
    }
}

fn client(transport: Transport) -> AgentClient {
    AgentClient::new(
        transport,
        "http://backend.example/base/".parse().unwrap(),
        Credentials::default(),
        Duration::from_secs(5),
    )
}

fn thread() -> ThreadId {
    ThreadId(uuid::Uuid::nil())
}

fn request(mode: Mode) -> StartRequest {
    let trace = TraceParent::of_start(RunId::default(), thread());
    StartRequest { thread_id: thread(), mode, body: Map::new(), trace }
}

fn described(answer: &StartAnswer) -> String {
    match answer {
        StartAnswer::Accepted(started) => {
            format!(
                "accepted {}{}",
                started.backend_run_id,
                if started.response_stream.is_some() { ", with a stream" } else { "" }
            )
        }
        StartAnswer::NotSent { detail } => format!("not sent: {detail}"),
        StartAnswer::PutOff { detail, wait } => format!("put off ({wait:?}): {detail}"),
        StartAnswer::Denied(denial) => format!("denied: {denial}"),
        StartAnswer::Rejected { detail } => format!("rejected: {detail}"),
        StartAnswer::Busy { detail } => format!("busy: {detail}"),
        StartAnswer::Unclear { detail } => format!("unclear: {detail}"),
    }
}

fn broke() -> TransportError {
    TransportError::Broken("connection reset".to_owned())
}

#[tokio::test]
async fn what_is_concluded_from_an_answer_to_a_start() {
    let location = format!("/threads/{}/runs/{RUN}", thread());
    let whole = json!({ "run_id": RUN, "status": "pending" }).to_string();
    let cases = [
        ("accepted", Mode::Background, FixedServer::text(200, whole.clone())),
        (
            "no run_id, but a location",
            Mode::Background,
            FixedServer::text(200, "").header("content-location", &location),
        ),
        ("no run_id", Mode::Background, FixedServer::text(200, "{}")),
        ("a login page", Mode::Background, FixedServer::text(200, "<html>\n  please log in</html>")),
        ("a run_id that is no UUID", Mode::Background, FixedServer::text(200, r#"{"run_id":"7"}"#)),
        ("cut in the middle", Mode::Background, FixedServer::text(200, "{\"run_").then(broke())),
        (
            "cut after the head",
            Mode::Background,
            FixedServer::text(200, "{").header("content-location", &location).then(broke()),
        ),
        ("wait", Mode::Wait, FixedServer::text(200, "{}").header("content-location", &location)),
        ("wait without a location", Mode::Wait, FixedServer::text(200, "{}")),
        ("400", Mode::Background, FixedServer::text(400, r#"{"detail":"bad input"}"#)),
        ("401", Mode::Background, FixedServer::text(401, r#"{"detail":"who are you"}"#)),
        ("403", Mode::Wait, FixedServer::text(403, "")),
        ("404", Mode::Background, FixedServer::text(404, r#"{"detail":"Thread or assistant not found."}"#)),
        ("408", Mode::Background, FixedServer::text(408, "")),
        ("409", Mode::Stream, FixedServer::text(409, r#"{"detail":"Thread is already running a task."}"#)),
        ("422", Mode::Background, FixedServer::text(422, r#"{"detail":[{"msg":"field required"}]}"#)),
        ("429", Mode::Background, FixedServer::text(429, "").header("retry-after", "7")),
        ("429 hostile", Mode::Background, FixedServer::text(429, "").header("retry-after", "1e300")),
        ("500", Mode::Background, FixedServer::text(500, "Internal Server Error")),
        ("503", Mode::Background, FixedServer::text(503, "")),
        (
            "307",
            Mode::Background,
            FixedServer::text(307, "").header("location", "https://elsewhere.example/"),
        ),
        ("endless", Mode::Background, FixedServer::text(200, vec![b' '; 17 * 1024 * 1024])),
    ];
    let mut table = String::new();
    for (name, mode, server) in cases {
        table.push_str(&format!("{name}: {}\n", described(&server.client().start(&request(mode)).await)));
    }
    expect![[r#"
        accepted: accepted 01a2081f-740d-7775-bcd5-db522831835e
        no run_id, but a location: accepted 01a2081f-740d-7775-bcd5-db522831835e
        no run_id: unclear: the agent server answered 200 without a run_id: {}
        a login page: unclear: the agent server answered 200 without a run_id: <html> please log in</html>
        a run_id that is no UUID: unclear: the agent server answered 200 without a run_id: {"run_id":"7"}
        cut in the middle: unclear: the agent server answered 200, and then failed: connection reset
        cut after the head: accepted 01a2081f-740d-7775-bcd5-db522831835e
        wait: accepted 01a2081f-740d-7775-bcd5-db522831835e, with a stream
        wait without a location: unclear: the agent server answered without the id of the run
        400: rejected: the agent server answered 400: bad input
        401: denied: the agent server refuses us (401): who are you
        403: denied: the agent server refuses us (403)
        404: rejected: the agent server answered 404: Thread or assistant not found.
        408: unclear: the agent server answered 408
        409: busy: the agent server answered 409: Thread is already running a task.
        422: rejected: the agent server answered 422: [{"msg":"field required"}]
        429: put off (Some(7s)): the agent server answered 429
        429 hostile: put off (None): the agent server answered 429
        500: unclear: the agent server answered 500: Internal Server Error
        503: unclear: the agent server answered 503
        307: rejected: the agent server answered 307, a redirect to https://elsewhere.example/; set backend.url to its real address
        endless: unclear: the agent server answered 200, and then failed: the answer is longer than 16777216 bytes
    "#]].assert_eq(&table);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_did_not_leave_and_one_that_fell_silent_are_not_the_same() {
    let refused = client(Transport::function(|_| {
        Box::pin(async { Err(TransportError::NotSent("connection refused".to_owned())) })
    }));
    let silent = client(Transport::function(|_| Box::pin(std::future::pending())));
    let answers = [
        described(&refused.start(&request(Mode::Background)).await),
        described(&silent.start(&request(Mode::Background)).await),
    ];
    expect![[r#"
        not sent: agent server unreachable: connection refused
        unclear: agent server unreachable: no answer within 5s"#]]
    .assert_eq(&answers.join("\n"));
}

async fn read_end(mode: Mode, server: FixedServer) -> String {
    let server = server.header("content-location", &format!("/threads/{}/runs/{RUN}", thread()));
    match server.client().start(&request(mode)).await {
        StartAnswer::Accepted(Started { response_stream: Some(response_stream), .. }) => {
            format!("{:?}", response_stream.read().await)
        }
        other => described(&other),
    }
}

#[tokio::test]
async fn what_is_read_of_the_end() {
    let interrupted = r#"{"messages":[],"__interrupt__":[{"value":1}]}"#;
    let error = r#"{"__error__":{"error":"ValueError","message":"boom"}}"#;
    let stream =
        "event: metadata\r\ndata: {\"run_id\":\"1\"}\r\n\r\nevent: values\r\ndata: {\"n\":1}\r\n\r\n";
    let failed =
        format!("{stream}event: error\r\ndata: {{\"error\":\"ValueError\",\"message\":\"boom\"}}\r\n\r\n");
    let mut in_pieces = FixedServer::text(200, "");
    in_pieces.pieces = failed.as_bytes().chunks(3).map(Bytes::copy_from_slice).collect();
    let long = format!("event: values\ndata: {{\"n\":\"{}\"}}\n\n", "x".repeat(2 * 1024 * 1024));
    let cases = [
        ("values, kept alive", Mode::Wait, FixedServer::text(200, "\n\n {\"n\":1}")),
        ("interrupted", Mode::Wait, FixedServer::text(200, interrupted)),
        ("error", Mode::Wait, FixedServer::text(200, error)),
        ("cut", Mode::Wait, FixedServer::text(200, "{\"n\"").then(broke())),
        ("no JSON", Mode::Wait, FixedServer::text(200, "<html>")),
        ("stream", Mode::Stream, FixedServer::text(200, stream)),
        ("stream of an error, in pieces", Mode::Stream, in_pieces),
        ("stream, cut", Mode::Stream, FixedServer::text(200, stream).then(broke())),
        ("stream of nothing", Mode::Stream, FixedServer::text(200, ": heartbeat\n\n")),
        ("stream of too much", Mode::Stream, FixedServer::text(200, long)),
    ];
    let mut table = String::new();
    for (name, mode, server) in cases {
        table.push_str(&format!("{name}: {}\n", read_end(mode, server).await));
    }
    expect![[r#"
        values, kept alive: Ended(Values { values: Object {"n": Number(1)}, interrupts: None })
        interrupted: Ended(Values { values: Object {"messages": Array []}, interrupts: Some(Array [Object {"value": Number(1)}]) })
        error: Ended(Error(RunError { error: "ValueError", message: "boom" }))
        cut: Cut("connection reset")
        no JSON: Cut("its answer is not JSON (expected value at line 1 column 1)")
        stream: Ended(Values { values: Object {"n": Number(1)}, interrupts: None })
        stream of an error, in pieces: Ended(Error(RunError { error: "ValueError", message: "boom" }))
        stream, cut: Cut("connection reset")
        stream of nothing: Cut("the stream ended without values")
        stream of too much: Ended(TooLarge)
    "#]]
    .assert_eq(&table);
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_tolerate_what_is_absent() {
    let listed = json!([
        { "run_id": RUN, "status": "success", "metadata": { "agentcron_run_id": RUN } },
        { "run_id": RUN, "status": "pending", "metadata": { "agentcron_run_id": RUN, "agentcron_fence": true } },
        { "run_id": RUN },
        { "no": "run" },
        7,
    ]);
    let runs = FixedServer::text(200, listed.to_string()).client().runs_on(thread()).await.unwrap();
    let listed: Vec<_> =
        runs.iter().map(|run| (run.is_fence, run.mark.run_id.is_some(), run.has_metadata)).collect();
    assert_eq!(listed, [(false, true, true), (true, true, true), (false, false, false)]);
    let no_thread = FixedServer::text(404, r#"{"detail":"Thread with ID 7 not found"}"#);
    assert_eq!(no_thread.client().runs_on(thread()).await, Ok(Vec::new()));
    assert!(FixedServer::text(500, "").client().runs_on(thread()).await.is_err());
}

#[tokio::test]
async fn a_404_counts_as_an_answer_only_if_it_names_what_is_missing() {
    let answers = [
        // The real server, about a thread, a run to cancel, a run to delete, a start; and the JavaScript server.
        r#"{"detail":"Thread with ID 33333333-3333-4333-8333-333333333333 not found"}"#,
        r#"{"detail":"No runs found to cancel."}"#,
        r#"{"detail":"Run not found"}"#,
        r#"{"detail":"Thread or assistant not found."}"#,
        "Thread not found",
        // The real server, about a run, an assistant, and any path that it does not have.
        r#"{"detail":"Not Found"}"#,
        "",
        "404 page not found",
        "default backend - 404",
        "<html><h1>404 Not Found</h1> thread run</html>",
        r#"{"error":"Not Found","path":"/threads/7/runs/8"}"#,
        "Cannot GET /threads/7",
    ];
    let mut table = String::new();
    for answer in answers {
        let result = FixedServer::text(404, answer).client().runs_on(thread()).await;
        table.push_str(&format!("{answer}: {result:?}\n"));
    }
    expect![[r#"
        {"detail":"Thread with ID 33333333-3333-4333-8333-333333333333 not found"}: Ok([])
        {"detail":"No runs found to cancel."}: Ok([])
        {"detail":"Run not found"}: Ok([])
        {"detail":"Thread or assistant not found."}: Ok([])
        Thread not found: Ok([])
        {"detail":"Not Found"}: Err(PlainNotFound(": Not Found"))
        : Err(PlainNotFound(""))
        404 page not found: Err(PlainNotFound(": 404 page not found"))
        default backend - 404: Err(PlainNotFound(": default backend - 404"))
        <html><h1>404 Not Found</h1> thread run</html>: Err(PlainNotFound(": <html><h1>404 Not Found</h1> thread run</html>"))
        {"error":"Not Found","path":"/threads/7/runs/8"}: Err(PlainNotFound(": {\"error\":\"Not Found\",\"path\":\"/threads/7/runs/8\"}"))
        Cannot GET /threads/7: Err(PlainNotFound(": Cannot GET /threads/7"))
    "#]].assert_eq(&table);
}

#[tokio::test]
async fn an_assistant_is_unknown_only_to_a_server_that_has_assistants() {
    let plain = r#"{"detail":"Not Found"}"#;
    let servers = [
        (
            "no such assistant",
            (404, plain),
            (404, r#"{"detail":"Graph 'nope' not found. Expected one of: []"}"#),
        ),
        ("an empty search", (404, plain), (200, "[]")),
        ("no routes for assistants", (404, plain), (404, plain)),
        ("no search", (404, r#"{"detail":"Assistant not found"}"#), (404, plain)),
    ];
    let mut table = String::new();
    for (name, show, search) in servers {
        for asked in ["agent", RUN] {
            let client = client(Transport::function(move |request| {
                let is_search = request.uri().path().ends_with("/search");
                let (status, text) = if is_search { search } else { show };
                let body = futures_util::stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
                let response = Response::builder().status(status).body(Box::pin(body) as BodyStream).unwrap();
                Box::pin(async move { Ok(response) })
            }));
            let found = client.assistant(asked).await.unwrap().map(|id| id.to_string());
            table.push_str(&format!("{name}, {asked}: {found:?}\n"));
        }
    }
    expect![[r#"
        no such assistant, agent: None
        no such assistant, 01a2081f-740d-7775-bcd5-db522831835e: None
        an empty search, agent: None
        an empty search, 01a2081f-740d-7775-bcd5-db522831835e: None
        no routes for assistants, agent: Some("fe096781-5601-53d2-b2f6-0d3403f7e9ca")
        no routes for assistants, 01a2081f-740d-7775-bcd5-db522831835e: Some("01a2081f-740d-7775-bcd5-db522831835e")
        no search, agent: None
        no search, 01a2081f-740d-7775-bcd5-db522831835e: None
    "#]].assert_eq(&table);
}

#[tokio::test]
async fn the_key_goes_out_and_is_never_shown() {
    let transport = Transport::function(|request| {
        Box::pin(async move {
            let status = match request.headers().get("x-api-key") {
                Some(key) if key == "planted-key" && key.is_sensitive() => StatusCode::OK,
                _ => StatusCode::UNAUTHORIZED,
            };
            assert_eq!(request.uri(), "http://backend.example/threads/00000000-0000-0000-0000-000000000000");
            let body = futures_util::stream::iter([Ok(Bytes::from_static(b"{\"status\":\"idle\"}"))]);
            Ok(Response::builder().status(status).body(Box::pin(body) as BodyStream).unwrap())
        })
    });
    let base = "http://backend.example".parse().unwrap();
    let client = AgentClient::new(
        transport,
        base,
        Credentials::of_api_key(HeaderValue::from_static("planted-key")),
        Duration::from_secs(5),
    );
    assert!(client.thread(thread()).await.is_ok());
    assert!(!format!("{client:?}").contains("planted-key"));
}

#[test]
fn a_run_took_as_long_as_the_server_says_if_it_does() {
    let took = |created_at: &str, updated_at: &str| {
        let run = json!({ "created_at": created_at, "updated_at": updated_at });
        RunReport { status: "success".to_owned(), run }.took()
    };
    let (at, later) = ("2026-03-02T09:00:00.500000+00:00", "2026-03-02T09:00:03.000000+00:00");
    assert_eq!(took(at, later), Some(Duration::from_millis(2500)));
    for (created_at, updated_at) in [(at, at), (later, at), (at, "soon"), ("", later)] {
        assert_eq!(took(created_at, updated_at), None, "{created_at} {updated_at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any stream, in pieces of any size, is read without a panic.
    #[test]
    fn no_stream_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..600), size in 1_usize..40) {
        let mut server = FixedServer::text(200, "");
        let noise: Vec<u8> = bytes.iter().map(|byte| match byte % 7 {
            0 => b'\n', 1 => b':', 2 => b'd', 3 => b'\r', _ => *byte,
        }).collect();
        server.pieces = [b"event: values\ndata: ".as_slice(), &noise].concat()
            .chunks(size).map(Bytes::copy_from_slice).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            read_end(Mode::Stream, server.clone()).await;
            read_end(Mode::Wait, server).await;
        });
    }

    /// Any header is parsed without a panic.
    #[test]
    fn no_header_breaks_the_parser(text in "[ -~]{0,200}") {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::CONTENT_LOCATION, text.parse().unwrap());
        headers.insert(http::header::RETRY_AFTER, text.parse().unwrap());
        let _ = super::answer::located_run(&headers);
        let _ = super::answer::retry_after(&headers);
    }
}
