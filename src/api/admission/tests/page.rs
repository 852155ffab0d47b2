//! Who comes to the web page, and who acts there: tables of senders and requests with the verdict on each.

use super::*;

const OWN: &str = "http://localhost:2025";

/// One path of each kind, with what it is asked for.
const REQUESTS: [&str; 10] = [
    "GET /agentcron/login",
    "POST /agentcron/login",
    "POST /agentcron/logout",
    "POST /agentcron/view",
    "GET /agentcron/static/agentcron-00000000.css",
    "GET /agentcron",
    "GET /agentcron/crons/a",
    "GET /agentcron/events",
    "POST /agentcron/act",
    "DELETE /agentcron/anything/new",
];

fn with_page(page: PageAccess, keys: &[(&str, Access)]) -> HttpConfig {
    HttpConfig { page, ..http(keys, &[PAGE]) }
}

fn session_of(holder: Caller) -> Known {
    Known { uid: None, session: Some(holder) }
}

fn socket_session(uid: u32) -> Known {
    session_of(Caller::Socket { uid: Some(uid) })
}

fn key_session(access: Access) -> Known {
    session_of(Caller::Key { name: format!("the-{access}-key"), access })
}

/// Returns the statuses of all requests.
fn statuses(admission: &Admission, headers: Headers<'_>, known: &Known) -> Vec<String> {
    let judged = REQUESTS.map(|request| judge_known(admission, request, headers, known.clone()).verdict);
    judged.iter().map(|verdict| verdict[..3].to_owned()).collect()
}

/// Statuses of `REQUESTS`: at the entrance, on pages, of acts.
fn expected(entrance: &str, page: &str, act: &str) -> Vec<String> {
    [[entrance; 5].as_slice(), &[page; 3], &[act; 2]].concat().into_iter().map(str::to_owned).collect()
}

/// Who it is, the keys, the headers, what is known of the sender, and the statuses of a page and of an act.
type Row<'h> = (&'h str, &'h [(&'h str, Access)], Headers<'h>, Known, [&'h str; 2]);

#[test]
fn who_sees_the_page_and_who_acts_there() {
    let nobody = Known::default();
    let keyed = all_keys();
    let table: [Row<'_>; 13] = [
        ("a stranger where keys are set", &keyed, &[], nobody.clone(), ["303", "303"]),
        ("a wrong key", &keyed, &[("x-api-key", "nobody's")], nobody.clone(), ["303", "303"]),
        ("the key that acts", &keyed, &[("x-api-key", ACT)], nobody.clone(), ["200", "200"]),
        ("the key that reads", &keyed, &[("x-api-key", READ)], nobody.clone(), ["200", "403"]),
        ("a client's key", &keyed, &[("x-api-key", CLIENT)], nobody.clone(), ["403", "403"]),
        ("the session of the socket", &keyed, &[], socket_session(1000), ["200", "200"]),
        ("that of another user", &keyed, &[], socket_session(2000), ["200", "200"]),
        ("that of the key that acts", &keyed, &[], key_session(Access::Act), ["200", "200"]),
        ("that of the key that reads", &keyed, &[], key_session(Access::Read), ["200", "403"]),
        ("that of a client's key", &keyed, &[], key_session(Access::Client), ["403", "403"]),
        // A key in the request says more than a session.
        ("both", &keyed, &[("x-api-key", READ)], socket_session(1000), ["200", "403"]),
        ("somebody without keys", &[], &[], nobody, ["200", "403"]),
        ("a session of the socket without keys", &[], &[], socket_session(1000), ["200", "200"]),
    ];
    for (who, keys, headers, known, [page, act]) in table {
        let on = tcp(&with_page(PageAccess::On, keys));
        assert_eq!(statuses(&on, headers, &known), expected("200", page, act), "{who}");
        let read_only = tcp(&with_page(PageAccess::ReadOnly, keys));
        assert_eq!(statuses(&read_only, headers, &known), expected("200", page, "403"), "{who}, read-only");
        let off = tcp(&with_page(PageAccess::Off, keys));
        assert_eq!(statuses(&off, headers, &known), expected("404", "404", "404"), "{who}, off");
    }
    for (page, act) in [(PageAccess::On, "200"), (PageAccess::ReadOnly, "403")] {
        let unix = socket(&with_page(page, &all_keys()));
        let known = Known { uid: Some(1000), session: None };
        assert_eq!(statuses(&unix, &[("host", "agentcron")], &known), expected("200", "200", act), "{page}");
    }
}

#[test]
fn a_session_counts_on_the_page_and_nowhere_else() {
    let (keyed, open) = (tcp(&http(&all_keys(), &[])), tcp(&http(&[], &[])));
    for request in ["POST /v1/crons/a/pause", "GET /v1/runs", "POST /runs", "GET /metrics", "GET /agentcrons"]
    {
        let of = |admission: &Admission| judge_known(admission, request, &[], socket_session(1000)).verdict;
        assert_eq!(of(&keyed), "401", "{request}");
        assert_ne!(of(&open), "200 socket", "{request}");
    }
    let caller = |known| judge_known(&keyed, "GET /agentcron/", &[], known).verdict;
    assert_eq!(caller(socket_session(1000)), "200 socket");
    assert_eq!(caller(key_session(Access::Read)), "200 the-read-key");
}

#[test]
fn only_the_page_itself_acts_for_its_user() {
    let table: [(Headers<'_>, &str); 16] = [
        (&[], "200"),
        (&[("origin", OWN)], "200"),
        (&[("sec-fetch-site", "same-origin"), ("origin", OWN)], "200"),
        (&[("sec-fetch-site", "none")], "200"),
        (&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")], "403"),
        (&[("sec-fetch-site", "same-site"), ("origin", OWN)], "403"),
        (&[("sec-fetch-site", "cross-site")], "403"),
        (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], "403"),
        (&[("sec-fetch-site", "")], "403"),
        (&[("origin", "http://localhost:3000")], "403"),
        (&[("origin", "http://127.0.0.1:2025")], "403"),
        (&[("origin", "https://localhost:2025")], "200"),
        (&[("origin", "https://evil.example")], "403"),
        (&[("origin", "null")], "403"),
        // A page that may call the API is not the user.
        (&[("origin", PAGE)], "403"),
        (&[("sec-fetch-site", "cross-site"), ("origin", PAGE)], "403"),
    ];
    let (keyed, open) = (http(&all_keys(), &[PAGE]), http(&[], &[PAGE]));
    for (headers, expected) in table {
        for request in
            ["POST /agentcron/act", "POST /agentcron/login", "POST /agentcron/logout", "POST /agentcron/view"]
        {
            for admission in [tcp(&keyed), tcp(&open)] {
                let judged = judge_known(&admission, request, headers, socket_session(1000));
                assert_eq!(&judged.verdict[..3], expected, "{request} {headers:?}");
            }
            let on_socket = judge(&socket(&keyed), request, headers).verdict;
            assert_eq!(&on_socket[..3], expected, "{request} {headers:?} on the socket");
        }
    }
}

#[test]
fn a_page_of_another_name_is_refused_before_its_session_counts() {
    let open = tcp(&http(&[], &[]));
    let unix = socket(&http(&[], &[]));
    for request in REQUESTS {
        for host in ["evil.test", "evil.test:2025", "10.0.0.7", "localhost.evil.example"] {
            for admission in [&open, &unix] {
                let judged = judge_known(admission, request, &[("host", host)], socket_session(1000));
                assert_eq!(judged.verdict, "403", "{request} {host}");
            }
        }
    }
    // A link from elsewhere may be followed; a frame or a script of another site gets nothing without a session.
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    let frame = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    check(&open, "GET /agentcron/runs", &link, "200 local");
    check(&open, "GET /agentcron/runs", &frame, "403");
    // No page of another origin reads with the session of its user: credentials are never allowed.
    for admission in [tcp(&http(&all_keys(), &[PAGE])), open] {
        for origin in [PAGE, "http://localhost:3000"] {
            let judged =
                judge_known(&admission, "GET /agentcron/", &[("origin", origin)], socket_session(1000));
            assert!(!judged.response.contains_key("access-control-allow-credentials"), "{origin}");
        }
    }
}
