//! Who comes in: tables of requests with the verdict on each.

mod page;

use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, VARY};
use axum::http::{HeaderMap, HeaderValue, Request, Version};
use axum::response::IntoResponse;

use super::*;
use crate::config::{self, ApiKey, HttpConfig, Secret};
use crate::domain::access::ClientCrons;
use crate::domain::origin::OriginPattern;

const ACT: &str = "act-key-of-16-characters";
const READ: &str = "read-key-of-16-characters";
const CLIENT: &str = "client-key-of-16-characters";
const PAGE: &str = "https://app.example.com";

fn http(keys: &[(&str, Access)], origins: &[&str]) -> HttpConfig {
    let key = |(text, access): &(&str, Access)| ApiKey {
        name: format!("the-{access}-key"),
        secret: Secret::new(text),
        access: *access,
    };
    HttpConfig {
        listen: None,
        keys: keys.iter().map(key).collect(),
        allow_origins: origins.iter().map(|origin| OriginPattern::parse(origin).unwrap()).collect(),
        client_crons: ClientCrons::Open,
        page: PageAccess::On,
        open_probes: true,
        socket: None,
        socket_group: None,
        disable_webhooks: false,
        disabled_by_files: false,
    }
}

fn all_keys() -> Vec<(&'static str, Access)> {
    vec![(ACT, Access::Act), (READ, Access::Read), (CLIENT, Access::Client)]
}

fn tcp(http: &HttpConfig) -> Admission {
    Admission::tcp(config::live(AccessRules::of_config(http)).1)
}

fn socket(http: &HttpConfig) -> Admission {
    Admission::unix_socket(config::live(AccessRules::of_config(http)).1)
}

/// Headers as they are sent.
type Headers<'h> = &'h [(&'h str, &'h str)];

/// A request as it was judged.
struct Judged {
    /// `200 NAME` of the caller, `204` for a preflight, `303` to the login, or the status of the error.
    verdict: String,
    /// The headers that the handlers would see.
    headers: HeaderMap,
    /// The headers of the response, which was made by an agent server that allows every page.
    response: HeaderMap,
}

/// Judges `METHOD path`; the request has a `Host` of this machine unless the headers have one.
fn judge(admission: &Admission, request: &str, headers: Headers<'_>) -> Judged {
    judge_known(admission, request, headers, Known::default())
}

/// Judges a request of whose sender this is known.
fn judge_known(admission: &Admission, request: &str, headers: Headers<'_>, known: Known) -> Judged {
    let (method, path) = request.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        builder = builder.header("host", "localhost:2025");
    }
    for (name, value) in headers.iter().filter(|(_, value)| *value != "-") {
        builder = builder.header(*name, *value);
    }
    let mut parts = builder.body(()).unwrap().into_parts().0;
    let (verdict, cors) = admission.judge(&mut parts, known);
    let theirs = [("access-control-allow-origin", "*"), ("access-control-expose-headers", "x-their-own")];
    let (verdict, response) = match verdict {
        Ok(Verdict::Admitted(caller)) => (format!("200 {}", caller.name()), theirs.into_response()),
        Ok(Verdict::Answered(response)) => {
            let (verdict, headers) = (response.status().as_u16().to_string(), response.headers().clone());
            return Judged { verdict, headers: parts.headers, response: headers };
        }
        Ok(Verdict::MustLogIn) => {
            let headers = HeaderMap::new();
            return Judged { verdict: "303".to_owned(), headers: parts.headers, response: headers };
        }
        Err(error) => (error.status.as_u16().to_string(), error.into_response()),
    };
    let response = cors.response(response).headers().clone();
    Judged { verdict, headers: parts.headers, response }
}

#[track_caller]
fn check(admission: &Admission, request: &str, headers: Headers<'_>, expected: &str) {
    assert_eq!(judge(admission, request, headers).verdict, expected, "{request} {headers:?}");
}

#[test]
fn with_keys_set_one_of_them_is_required_and_is_removed() {
    let admission = tcp(&http(&all_keys(), &[]));
    let cases: [(Headers<'_>, &str, &[&str]); 9] = [
        (&[("x-api-key", ACT)], "200 the-act-key", &[]),
        (&[("authorization", "bearer read-key-of-16-characters")], "200 the-read-key", &[]),
        (
            &[("authorization", "Bearer of-the-server"), ("x-api-key", ACT)],
            "200 the-act-key",
            &["authorization"],
        ),
        (&[("x-api-key", "of-the-server"), ("x-api-key", ACT)], "200 the-act-key", &[]),
        (&[("x-api-key", "act-key-of-16-characterS")], "401", &["x-api-key"]),
        (&[("x-api-key", "")], "401", &["x-api-key"]),
        (&[("authorization", "Basic act-key-of-16-characters")], "401", &["authorization"]),
        (&[("cookie", ACT)], "401", &["cookie"]),
        (&[], "401", &[]),
    ];
    for (headers, verdict, remaining) in cases {
        let judged = judge(&admission, "GET /v1/status", headers);
        assert_eq!(judged.verdict, verdict, "{headers:?}");
        let names = judged.headers.keys().map(HeaderName::as_str).filter(|name| *name != "host");
        assert_eq!(names.collect::<Vec<_>>(), remaining, "{headers:?}");
    }
    let judged =
        judge(&socket(&http(&all_keys(), &[])), "POST /v1/x", &[("x-api-key", READ), ("host", "agentcron")]);
    assert_eq!((judged.verdict.as_str(), judged.headers.contains_key("x-api-key")), ("200 socket", false));
}

#[test]
fn a_key_may_do_what_its_access_says_on_every_kind_of_path() {
    let admission = tcp(&http(&all_keys(), &[]));
    let open = tcp(&http(&[], &[]));
    // By columns: act, read, client, no keys set.
    let table = [
        ("GET /healthz", ["200", "200", "200", "200"]),
        ("GET /metrics", ["200", "200", "403", "200"]),
        ("GET /openapi.json", ["200", "200", "403", "200"]),
        ("GET /v1", ["200", "200", "403", "200"]),
        ("GET /v1/runs", ["200", "200", "403", "200"]),
        ("HEAD /v1/runs", ["200", "200", "403", "200"]),
        ("POST /v1/crons/a/trigger", ["200", "403", "403", "403"]),
        ("DELETE /v1/anything/new", ["200", "403", "403", "403"]),
        ("QUERY /v1/runs", ["200", "403", "403", "403"]),
        ("POST /runs", ["200", "403", "200", "200"]),
        ("GET /threads/a", ["200", "403", "200", "200"]),
        ("POST /runs/crons", ["200", "403", "200", "200"]),
        ("GET /agent-server/metrics", ["200", "403", "200", "200"]),
    ];
    for (request, expected) in table {
        let statuses = [Some(ACT), Some(READ), Some(CLIENT), None].map(|key| match key {
            Some(key) => judge(&admission, request, &[("x-api-key", key)]).verdict,
            None => judge(&open, request, &[]).verdict,
        });
        assert_eq!(statuses.each_ref().map(|status| &status[..3]), expected, "{request}");
    }
}

#[test]
fn a_probe_needs_no_key_unless_the_configuration_says_so() {
    let open = http(&all_keys(), &[]);
    let closed = HttpConfig { open_probes: false, ..http(&all_keys(), &[]) };
    let (open, closed) = (tcp(&open), tcp(&closed));
    let table: [(&str, Headers<'_>, &str); 9] = [
        ("GET /healthz", &[], "200 stranger"),
        ("HEAD /readyz", &[], "200 stranger"),
        ("GET /readyz", &[("host", "10.0.0.7:2025")], "200 stranger"),
        ("GET /readyz", &[("x-api-key", "a-wrong-key-of-somebody")], "200 stranger"),
        ("GET /readyz", &[("x-api-key", CLIENT)], "200 the-client-key"),
        ("POST /healthz", &[], "403"),
        ("GET /healthz/", &[], "401"),
        ("GET /metrics", &[], "401"),
        ("GET /v1/status", &[], "401"),
    ];
    for (request, headers, verdict) in table {
        check(&open, request, headers, verdict);
        let with_key = verdict.ends_with("key");
        check(&closed, request, headers, if with_key { verdict } else { "401" });
    }
    // A page of another site cannot read the answer, as it cannot read others.
    let judged =
        judge(&tcp(&http(&all_keys(), &[PAGE])), "GET /healthz", &[("origin", "https://evil.example")]);
    assert_eq!(judged.response.get(ACCESS_CONTROL_ALLOW_ORIGIN), None);
}

#[test]
fn a_host_must_be_well_formed_and_of_this_machine_where_no_key_protects_it() {
    let (open, keyed, unix) = (tcp(&http(&[], &[])), tcp(&http(&all_keys(), &[])), socket(&http(&[], &[])));
    // By columns: TCP without keys, TCP with a key, the socket.
    let table = [
        ("localhost", ["200", "200", "200"]),
        ("LOCALHOST:2025", ["200", "200", "200"]),
        ("127.0.0.1:2025", ["200", "200", "200"]),
        ("127.8.9.1", ["200", "200", "200"]),
        ("[::1]:2025", ["200", "200", "200"]),
        ("a.localhost:1", ["200", "200", "200"]),
        ("agentcron", ["403", "200", "200"]),
        ("agentcron:80", ["403", "200", "403"]),
        ("evil.example", ["403", "200", "403"]),
        ("localhost.evil.example", ["403", "200", "403"]),
        ("127.0.0.1.evil.example", ["403", "200", "403"]),
        ("10.0.0.1", ["403", "200", "403"]),
        ("0.0.0.0:2025", ["403", "200", "403"]),
        ("127.0.0.1.", ["403", "200", "403"]),
        ("[::2]", ["403", "200", "403"]),
        ("localhost.", ["403", "200", "403"]),
        ("", ["400", "400", "400"]),
        ("[::1].evil.com", ["400", "400", "400"]),
        ("[::1]evil.com", ["400", "400", "400"]),
        ("[::1", ["400", "400", "400"]),
        ("[localhost]", ["400", "400", "400"]),
        ("127.0.0.1:80.evil.com", ["400", "400", "400"]),
        ("localhost:evil.com", ["400", "400", "400"]),
        ("localhost:80@evil.com", ["400", "400", "400"]),
        ("localhost:80:80", ["400", "400", "400"]),
        ("localhost:99999", ["400", "400", "400"]),
        ("localhost:+80", ["400", "400", "400"]),
        ("user@localhost", ["400", "400", "400"]),
        ("localhost/evil.com", ["400", "400", "400"]),
        ("localhost evil.com", ["400", "400", "400"]),
        ("localhost,evil.com", ["400", "400", "400"]),
        ("-", ["400", "400", "400"]),
    ];
    for (host, expected) in table {
        let with_key = [("host", host), ("x-api-key", ACT)];
        let verdicts = [
            judge(&open, "GET /info", &[("host", host)]).verdict,
            judge(&keyed, "GET /info", &with_key).verdict,
            judge(&unix, "GET /info", &[("host", host)]).verdict,
        ];
        assert_eq!(verdicts.each_ref().map(|verdict| &verdict[..3]), expected, "{host}");
    }
    check(&open, "GET /info", &[("host", "localhost"), ("host", "evil.example")], "400");
    check(&open, "GET http://evil.example/info", &[("host", "localhost")], "403");
    let mut parts = Request::get("/info").version(Version::HTTP_10).body(()).unwrap().into_parts().0;
    assert!(matches!(open.judge(&mut parts, Known::default()).0, Ok(Verdict::Admitted(Caller::Local))));
}

#[test]
fn without_keys_pages_of_other_sites_do_not_come_in() {
    let open = tcp(&http(&[], &[]));
    let listed = tcp(&http(&[], &[PAGE]));
    // By columns: without a list of origins, with one.
    let table: [(Headers<'_>, [&str; 2]); 13] = [
        (&[], ["200", "200"]),
        (&[("origin", "http://localhost:3000")], ["200", "403"]),
        (&[("origin", "http://a.localhost")], ["200", "403"]),
        (&[("origin", "http://[::1]:9")], ["200", "403"]),
        (&[("origin", "http://localhost:2025")], ["200", "200"]),
        (&[("origin", PAGE)], ["403", "200"]),
        (&[("origin", "https://evil.example")], ["403", "403"]),
        (&[("origin", "null")], ["403", "403"]),
        (&[("origin", "http://localhost:80@evil.com")], ["403", "403"]),
        (&[("origin", "://localhost")], ["403", "403"]),
        (&[("origin", "file://localhost")], ["403", "403"]),
        (&[("origin", PAGE), ("origin", "http://localhost")], ["400", "400"]),
        (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], ["403", "403"]),
    ];
    for (headers, expected) in table {
        for method in ["GET", "POST"] {
            let request = format!("{method} /threads/search");
            let verdicts = [&open, &listed].map(|admission| judge(admission, &request, headers).verdict);
            assert_eq!(verdicts.each_ref().map(|verdict| &verdict[..3]), expected, "{request} {headers:?}");
        }
    }
    // A link may be followed, and a form may not be sent.
    let navigates = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    check(&open, "GET /threads/a", &navigates, "200 local");
    check(&open, "POST /threads/search", &navigates, "403");
}

#[test]
fn a_page_acts_only_if_it_is_ours_or_its_origin_is_allowed() {
    let settings = http(&all_keys(), &[PAGE]);
    let (keyed, unix) = (tcp(&settings), socket(&settings));
    let own = "http://localhost:2025";
    let table: [(Headers<'_>, &str); 13] = [
        (&[], "200"),
        (&[("sec-fetch-site", "same-origin"), ("origin", own)], "200"),
        (&[("sec-fetch-site", "none")], "200"),
        (&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")], "403"),
        (&[("sec-fetch-site", "cross-site")], "403"),
        (&[("sec-fetch-site", "cross-site"), ("origin", own)], "403"),
        (&[("sec-fetch-site", "cross-site"), ("origin", PAGE)], "200"),
        (&[("sec-fetch-site", "")], "403"),
        (&[("origin", own)], "200"),
        (&[("origin", PAGE)], "200"),
        (&[("origin", "http://localhost:3000")], "403"),
        (&[("origin", "https://localhost:2025.evil.example")], "403"),
        (&[("origin", "null")], "403"),
    ];
    for (headers, expected) in table {
        let mut with_key = headers.to_vec();
        with_key.push(("x-api-key", ACT));
        for method in ["POST", "PUT", "DELETE"] {
            let request = format!("{method} /v1/crons/a/pause");
            let verdicts = [
                judge(&keyed, &request, &with_key).verdict,
                judge(&unix, &request, headers).verdict,
                judge(&unix, &format!("{method} /runs"), headers).verdict,
            ];
            assert_eq!(
                verdicts.each_ref().map(|verdict| &verdict[..3]),
                [expected; 3],
                "{request} {headers:?}"
            );
        }
        assert_eq!(&judge(&keyed, "GET /v1/runs", &with_key).verdict[..3], "200", "{headers:?}");
    }
    // Without keys an allowed page may use the agent server's API, and still not act on what is ours.
    let open = tcp(&http(&[], &[PAGE]));
    check(&open, "POST /runs", &[("origin", PAGE)], "200 local");
    check(&open, "POST /v1/crons/a/pause", &[("origin", PAGE)], "403");
    check(&open, "POST /v1/crons/a/pause", &[], "403");
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_before_a_key_is_asked_for() {
    let preflight = |admission: &Admission, path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-api-key,x-auth-scheme"),
            ("access-control-request-private-network", "true"),
        ];
        judge(admission, &format!("OPTIONS {path}"), &headers)
    };
    let admission = tcp(&http(&all_keys(), &[PAGE, "https://*.example.app"]));
    for path in ["/threads/search", "/runs/crons", "/runs/batch", "/v1/crons/a/pause", "/runs/crons/x"] {
        for origin in [PAGE, "https://one.example.app"] {
            let Judged { verdict, response, .. } = preflight(&admission, path, origin);
            assert_eq!(verdict, "204", "{path}");
            let allowed: Vec<_> = response.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect();
            assert_eq!(allowed, [origin]);
            assert_eq!(response["access-control-allow-headers"], "content-type,x-api-key,x-auth-scheme");
            assert!(response["access-control-allow-methods"].to_str().unwrap().contains("PATCH"));
            assert_eq!(response["access-control-allow-private-network"], "true");
            assert!(response[VARY].to_str().unwrap().starts_with("origin"));
        }
        for origin in ["https://evil.example", "http://localhost:3000", "null"] {
            let Judged { verdict, response, .. } = preflight(&admission, path, origin);
            assert_eq!(
                (verdict.as_str(), response.get(ACCESS_CONTROL_ALLOW_ORIGIN)),
                ("403", None),
                "{origin}"
            );
        }
    }
    assert_eq!(preflight(&tcp(&http(&[], &[])), "/runs/crons", "http://localhost:3000").verdict, "204");
    assert_eq!(preflight(&tcp(&http(&[], &[])), "/runs/crons", PAGE).verdict, "403");
    assert_eq!(preflight(&tcp(&http(&all_keys(), &[])), "/runs", PAGE).verdict, "403");
    check(&tcp(&http(&all_keys(), &[PAGE])), "OPTIONS /threads", &[("origin", PAGE)], "401");
}

#[test]
fn every_response_to_an_allowed_origin_names_it_once_and_others_get_nothing() {
    let listed = tcp(&http(&all_keys(), &[PAGE]));
    let key = ("x-api-key", ACT);
    let allow_origin = |response: &HeaderMap| {
        response.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().cloned().collect::<Vec<HeaderValue>>()
    };
    for headers in [vec![("origin", PAGE), key], vec![("origin", PAGE)]] {
        let response = judge(&listed, "POST /runs/wait", &headers).response;
        assert_eq!(allow_origin(&response), [PAGE], "{headers:?}");
        assert_eq!(response[VARY], "origin");
        let exposed = response["access-control-expose-headers"].to_str().unwrap();
        for name in ["content-location", "location", "x-pagination-total", "x-pagination-next"] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{exposed}");
        }
    }
    for headers in [vec![("origin", "https://evil.example"), key], vec![key]] {
        let response = judge(&listed, "POST /runs/wait", &headers).response;
        assert_eq!(allow_origin(&response), [] as [&str; 0]);
        assert_eq!(
            (response.get("access-control-expose-headers"), &response[VARY]),
            (None, &HeaderValue::from_static("origin"))
        );
    }
    // Without a list, the agent server decides about pages on this machine, and our own responses are readable too.
    let open = tcp(&http(&[], &[]));
    let local = judge(&open, "POST /v1/crons/a/pause", &[("origin", "http://localhost:3000")]);
    assert_eq!(
        (local.verdict.as_str(), allow_origin(&local.response)),
        ("403", vec![HeaderValue::from_static("http://localhost:3000")])
    );
    assert_eq!(allow_origin(&judge(&open, "GET /info", &[]).response), ["*"]);
    // On the socket it decides nothing, because there its responses are the operator's.
    for origin in ["https://evil.example", "http://localhost:3000"] {
        let on_socket = judge(&socket(&http(&[], &[])), "GET /info", &[("origin", origin)]);
        assert_eq!((&on_socket.verdict[..3], allow_origin(&on_socket.response)), ("200", vec![]), "{origin}");
    }
}
