//! Text of graphs, clients and receivers that tries to become a part of the page: it is shown as text, and what is invisible in
//! it is seen.

use super::crawl::{self, crawl_past};
use super::site::Site;
use crate::hostile_text::{HOSTILE, is_unprintable, poison};
use crate::support::html::Element;
use crate::support::visitor::Visitor;

/// Every way to become markup, a script or an address.
const MARKUP: &str = "<script>alert(1)</script>\"><img src=x onerror=alert(1)>' onmouseover='alert(1) \" style=\"x\" \
    --></title></textarea></main><base href=//evil.example> &lt;b&gt; &amp; javascript:alert(1) {{7*7}} ${7*7} ";
/// Of what is shown as it is: to be sent back, to be compared. No reader sees it.
const UNSEEN: [&str; 2] = ["value", "data-cron"];

/// Checks all pages of somebody, and returns how often the text is seen on them.
async fn seen(visitor: &mut Visitor) -> usize {
    let (mut seen, mut faults) = (0, Vec::new());
    // No cron can have such a name; there is no page of one.
    for page in crawl_past(visitor, |url| url.as_str().contains("FORGED")).await {
        let (url, html) = (&page.url, page.html());
        let text = html.text();
        if let Some(place) = text.find(is_unprintable) {
            let around: String =
                text[..place].chars().rev().take(60).collect::<String>().chars().rev().collect();
            faults.push(format!("{}: {around:?}", url.path()));
        }
        for element in html.elements() {
            let name = element.name();
            let hides = |(name, value): &&(String, String)| {
                !UNSEEN.contains(&name.as_str()) && value.contains(is_unprintable)
            };
            faults.extend(
                element
                    .attributes()
                    .iter()
                    .filter(hides)
                    .map(|(of, _)| format!("{}: <{name} {of}=…>", url.path())),
            );
        }
        seen += text.matches("<script>alert(1)</script>").count();
        if page.url.path().ends_with("/login") {
            continue;
        }
        // The changing part is the same, alone.
        let mut alone = visitor.clone().with("x-agentcron-part", "main");
        let part = alone.open(&page.url).await;
        let part_html = part.html();
        assert_eq!(part_html.elements().next().map(Element::name), Some("main"), "{}", page.url);
        crawl::assert_safe(&part);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    seen
}

#[tokio::test]
async fn text_from_outside_is_text_on_every_page() {
    let site = Site::start("").await;
    let hostile = format!("{MARKUP}{HOSTILE}");
    poison(&site.daemon, &hostile);
    let (mut operator, mut stranger) = (site.operator().await, site.stranger().await);
    for visitor in [&mut operator, &mut stranger] {
        let count = seen(visitor).await;
        assert!(count > 20, "the text is shown {count} times");
    }
    // What a reader brings in the address comes back as text as well.
    let encoded: String =
        url::form_urlencoded::byte_serialize(hostile.replace('\0', "").as_bytes()).collect();
    let mut faults = Vec::new();
    for path in [
        "crons?name=",
        "crons?source=",
        "runs?grep=",
        "runs?cron=",
        "runs?status=",
        "runs?since=",
        "webhooks?status=",
        "webhooks?cron=",
        "try?schedule=",
        "try?schedule=@daily&timezone=",
        "?period=",
        "login?next=",
        "find?q=",
        "act?act=",
        "act?act=pause&cron=",
        "act?act=hold&next=",
        "act?act=resume-url&url=",
        "status?zone=",
        "crons/",
        "runs/",
        "webhooks/",
    ] {
        for visitor in [&mut operator, &mut stranger] {
            let page = visitor.open_path(&format!("{path}{encoded}")).await;
            assert!(page.status < 500, "{path}: {}", page.text);
            crawl::assert_safe(&page);
            if page.html().text().contains(is_unprintable) {
                faults.push(path);
            }
        }
    }
    assert!(faults.is_empty(), "invisible text is not shown: {faults:?}");
    // What an act says is in a cookie, which another server on this machine may set.
    for said in [encoded.as_str(), "%3Cscript%3Ealert(1)%3C/script%3E", "%00%ff%fe", ""] {
        operator.set_cookie("agentcron_said", said);
        let page = operator.open_path("").await;
        assert_eq!(page.status, 200);
        crawl::assert_safe(&page);
        assert!(!page.html().text().contains(is_unprintable), "{said}");
    }
}

#[tokio::test]
async fn cookies_that_others_set_break_nothing() {
    let site = Site::start("").await;
    let mut visitor = site.stranger().await;
    for name in [
        "agentcron_zone",
        "agentcron_mine",
        "agentcron_theme",
        "agentcron_seen",
        "agentcron_session",
        "agentcron_said",
    ] {
        for value in [
            "",
            "x",
            "../../etc/passwd",
            "9223372036854775807",
            "-9223372036854775808",
            "%22%3E%3Cscript%3E",
            &"A".repeat(43),
        ] {
            visitor.set_cookie(name, value);
            for path in ["", "crons", "runs", "status", "login"] {
                let page = visitor.open_path(path).await;
                assert_eq!(page.status, 200, "{name}={value} {path}: {}", page.text);
                crawl::assert_safe(&page);
            }
        }
        visitor.set_cookie(name, "");
    }
}
