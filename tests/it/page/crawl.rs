//! Follows every link of every page: each leads somewhere, wherever the pages are mounted, and each response is as safe and as
//! small as is promised.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::site::{KEYS, READ, Site};
use crate::support::client::Client;
use crate::support::html::Element;
use crate::support::loopback_server::{LoopbackServer, serve_router};
use crate::support::visitor::{Shown, Visitor};

const BYTES_MAX: usize = 120 << 10;
const ELEMENTS_MAX: usize = 3_000;
/// Addresses that are followed at most.
const FOLLOWED_MAX: usize = 400;
/// Addresses with the same path and the same parameters that are followed.
const ALIKE_MAX: usize = 4;

/// What every page must be told.
const HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "same-origin"),
    ("cache-control", "no-store"),
];
const POLICY: [&str; 10] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types agentcron",
];

/// Follows all links from the first page, checks every response, and returns the pages.
pub(crate) async fn crawl(visitor: &mut Visitor) -> Vec<Shown> {
    crawl_past(visitor, |_| false).await
}

/// Does so past the links for which `may_fail` holds.
pub(crate) async fn crawl_past(visitor: &mut Visitor, may_fail: impl Fn(&Url) -> bool) -> Vec<Shown> {
    let first = visitor.at("");
    let (mut wanted, mut known) = (VecDeque::from([(first.clone(), first.clone())]), BTreeSet::from([first]));
    let (mut alike, mut pages): (BTreeMap<String, usize>, Vec<Shown>) = (BTreeMap::new(), Vec::new());
    while let Some((url, from)) = wanted.pop_front() {
        let shown = visitor.open(&url).await;
        if may_fail(&url) && shown.status != 200 {
            assert!(shown.status < 500, "{url}: {}", shown.text);
            assert_safe(&shown);
            continue;
        }
        assert_eq!(shown.status, 200, "{url}, to which {from} leads: {}", shown.text);
        if !shown.header("content-type").starts_with("text/html") {
            continue;
        }
        check(&shown);
        for link in links(&shown) {
            let of_kind = alike.entry(kind(&link)).or_default();
            if known.len() < FOLLOWED_MAX && *of_kind < ALIKE_MAX && known.insert(link.clone()) {
                *of_kind += 1;
                wanted.push_back((link, url.clone()));
            }
        }
        pages.push(shown);
    }
    pages
}

/// Returns the path with the names of the parameters. Rows lead to pages of the same kind.
fn kind(url: &Url) -> String {
    let names: BTreeSet<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let mut folders: Vec<_> = url.path().split('/').collect();
    folders.pop();
    let act = url.query_pairs().find(|(name, _)| name == "act").map(|(_, act)| act.into_owned());
    let last = if names.is_empty() { "" } else { url.path() };
    format!("{folders:?} {last} {names:?} {act:?}")
}

/// Returns where a page leads to, all of which must be relative.
fn links(shown: &Shown) -> Vec<Url> {
    let html = shown.html();
    let mut found = Vec::new();
    for element in html.elements() {
        let is_posted = element.has("method", "post");
        for name in ["href", "src", "action", "formaction", "xlink:href"] {
            let Some(link) = element.attribute(name) else { continue };
            let is_relative = !link.starts_with(['/', '\\']) && Url::parse(link).is_err();
            assert!(is_relative, "{}: <{} {name}={link:?}>", shown.url, element.name());
            let mut url = shown.url.join(link).unwrap();
            assert_eq!(url.origin(), shown.url.origin(), "{}: {link}", shown.url);
            url.set_fragment(None);
            if !is_posted && name != "formaction" {
                found.push(url);
            }
        }
    }
    found
}

/// Checks what is promised of every page.
#[track_caller]
pub(crate) fn check(shown: &Shown) {
    let (url, html) = (&shown.url, shown.html());
    check_headers(shown);
    assert!(shown.text.len() <= BYTES_MAX, "{url}: {} bytes", shown.text.len());
    let count = html.elements().count();
    assert!(count <= ELEMENTS_MAX, "{url}: {count} elements");
    assert_safe(shown);
    let of = |name| html.all(name).count();
    // A drawing has titles of its own.
    let titles = html.all("head").flat_map(Element::inside).filter(|inside| inside.name() == "title").count();
    assert_eq!((titles, of("main"), of("h1")), (1, 1, 1), "{url}: {}", shown.text);
    assert!(html.all("html").all(|html| html.has("lang", "en")), "{url}");
    let mut ids = BTreeSet::new();
    for id in html.elements().filter_map(|element| element.attribute("id")) {
        assert!(ids.insert(id), "{url}: two elements have the id {id}");
    }
}

/// Checks that nothing is run or styled but by our own files, and that nothing is hidden in the text.
#[track_caller]
pub(crate) fn assert_safe(shown: &Shown) {
    let (url, html) = (&shown.url, shown.html());
    for element in html.elements() {
        let name = element.name();
        let is_foreign =
            matches!(name, "iframe" | "object" | "embed" | "base" | "style" | "template" | "math");
        assert!(!is_foreign, "{url}: <{name}>");
        for (attribute, value) in element.attributes() {
            let is_run = attribute.starts_with("on") || attribute == "style" || attribute == "srcdoc";
            assert!(!is_run, "{url}: <{name} {attribute}={value:?}>");
        }
        if name == "script" {
            let is_ours = element.text().is_empty() && element.has("type", "module");
            assert!(is_ours && element.attribute("src").is_some(), "{url}: a script of its own");
        }
        if name == "meta" {
            assert!(element.attribute("http-equiv").is_none(), "{url}");
        }
    }
}

#[track_caller]
fn check_headers(shown: &Shown) {
    for (name, value) in HEADERS {
        assert_eq!(shown.header(name), value, "{}: {name}", shown.url);
    }
    let policy: Vec<_> = shown.header("content-security-policy").split("; ").map(str::trim).collect();
    assert_eq!(policy, POLICY, "{}", shown.url);
}

/// Returns the acts to which a page leads.
pub(crate) fn acts(shown: &Shown) -> Vec<String> {
    let html = shown.html();
    let act = |link: Element<'_>| {
        let url = shown.url.join(link.attribute("href")?).ok()?;
        let is_act = url.path().ends_with("/agentcron/act");
        url.query_pairs().find(|(name, _)| is_act && name == "act").map(|(_, act)| act.into_owned())
    };
    html.all("a").filter_map(act).collect()
}

/// Serves what is at an address below `/p`, as a proxy does that strips a prefix and keeps the `Host`.
fn behind_a_prefix(address: std::net::SocketAddr) -> LoopbackServer {
    let pass_on = async move |request: Request| -> Response {
        let (parts, body) = request.into_parts();
        let Some(path) = parts.uri.path_and_query().and_then(|path| path.as_str().strip_prefix("/p/")) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut client = Client::new(address);
        for (name, value) in &parts.headers {
            if !matches!(name.as_str(), "content-length" | "connection") {
                client = client.with(name.as_str(), value.to_str().unwrap());
            }
        }
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = client.send(parts.method.as_str(), &format!("/{path}"), body).await;
        let mut response =
            (StatusCode::from_u16(answer.status).unwrap(), Body::from(answer.body)).into_response();
        response.headers_mut().clear();
        for (name, value) in answer.headers.iter().filter(|(name, _)| name.as_str() != "transfer-encoding") {
            response.headers_mut().append(name, value.clone());
        }
        response
    };
    LoopbackServer::start(0, |listener| serve_router(listener, Router::new().fallback(pass_on)))
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere() {
    let site = Site::start("").await;
    let (mut stranger, mut operator) = (site.stranger().await, site.operator().await);
    let seen = crawl(&mut stranger).await;
    assert!(seen.len() > 15, "{}", seen.len());
    assert!(seen.iter().all(|page| acts(page).is_empty()), "an act is offered to somebody who may not act");
    let pages = crawl(&mut operator).await;
    let offered: BTreeSet<_> = pages.iter().flat_map(acts).collect();
    for act in ["trigger", "pause", "skip-next", "backfill", "cancel", "retry", "resume-url"] {
        assert!(offered.contains(act), "no page leads to {act}, but to {offered:?}");
    }
    // Without keys the two of them see the same pages, but for the questions before acts.
    let questions = pages.iter().filter(|page| page.url.path().ends_with("/act")).count();
    assert!(questions >= 7 && pages.len() >= seen.len(), "{} of {}", questions, pages.len());
    // At another depth of another server, all is the same.
    let proxy = behind_a_prefix(site.address);
    let mut there = Visitor::new(proxy.address()).below("/p");
    there.log_in(&site.daemon).await;
    assert_eq!(there.origin(), format!("http://{}", proxy.address()));
    let behind = crawl(&mut there).await;
    assert!(
        behind.iter().all(|page| page.url.path().starts_with("/p/agentcron")),
        "a link leaves the prefix"
    );
    assert!(behind.len() * 10 > pages.len() * 9, "{} and {}", behind.len(), pages.len());
}

#[tokio::test]
async fn with_keys_every_link_works_for_whoever_sees_it() {
    let site = Site::start(KEYS).await;
    for mut visitor in [site.operator().await, site.holder(READ).await] {
        let pages = crawl(&mut visitor).await;
        assert!(pages.len() > 15, "{}", pages.len());
    }
    let mut stranger = site.stranger().await;
    let shown = crawl(&mut stranger).await;
    assert!(shown.iter().all(|page| page.url.path() == "/agentcron/login"), "a stranger sees the login only");
}

/// What goes wrong is a page too, with the headers of one.
#[tokio::test]
async fn mistakes_are_pages_with_the_same_headers() {
    let site = Site::start("").await;
    let operator = site.operator().await;
    let stranger = site.stranger().await;
    let table: [(&str, &str, [u16; 2]); 9] = [
        ("GET", "nowhere", [404, 404]),
        ("GET", "crons/nobody", [404, 404]),
        ("GET", "crons/a/b/c", [404, 404]),
        ("GET", "runs/00000000", [404, 404]),
        ("GET", "webhooks/00000000-0000-4000-8000-000000000000", [404, 404]),
        ("GET", "act?act=pause&cron=steady", [200, 403]),
        ("GET", "act?act=nonsense", [422, 403]),
        ("POST", "act?act=pause&cron=steady", [422, 403]),
        ("POST", "status", [405, 403]),
    ];
    for (method, path, expected) in table {
        for (mut visitor, expected) in [operator.clone(), stranger.clone()].into_iter().zip(expected) {
            let (url, origin) = (visitor.at(path), visitor.origin());
            let response = visitor.send(method, &url, &[("origin", &origin)], String::new()).await;
            let text = response.text();
            let shown = Shown { url, status: response.status, headers: response.headers, text };
            assert_eq!(shown.status, expected, "{method} {path}: {}", shown.text);
            check_headers(&shown);
            if shown.header("content-type").starts_with("text/html") {
                assert_safe(&shown);
            }
        }
    }
    // A filter with a mistake is mended where it was typed.
    let mut visitor = operator.clone();
    for (path, field) in
        [("runs", "since"), ("runs", "status"), ("webhooks", "status"), ("crons", "limit"), ("runs", "limit")]
    {
        let shown = visitor.open_path(&format!("{path}?{field}=nonsense")).await;
        assert!(
            matches!(shown.status, 200 | 422) && shown.shown_text().contains(field),
            "{path}: {}",
            shown.text
        );
        check(&shown);
    }
}
