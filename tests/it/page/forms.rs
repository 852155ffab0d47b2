//! Everything can be done without scripts: by links, forms and the questions before acts.

use agentcron::domain::act::PageAct;
use rusqlite::Connection;

use super::site::Site;
use crate::support::html::Element;
use crate::support::visitor::{Shown, Visitor};

/// Opens what a page asks about an act and answers with its button; returns what is shown then.
async fn answer(visitor: &mut Visitor, question: &Shown, filled: &[(&str, &str)]) -> Shown {
    let html = question.html();
    let form = html.all("form").find(|form| form.inside().any(|field| field.has("name", "act")));
    let form = form.unwrap_or_else(|| panic!("{}: no question in {}", question.url, question.shown_text()));
    let buttons =
        form.inside().filter(|inside| inside.name() == "button" && inside.attribute("formaction").is_none());
    let button = buttons
        .map(Element::text)
        .last()
        .unwrap_or_else(|| panic!("{}: {}", question.url, question.shown_text()));
    let shown = visitor.submit(question, &button, filled).await;
    assert_eq!(shown.status, 200, "{button}: {}", shown.text);
    shown
}

/// Follows the link to an act on a page, answers, and checks that the page shows afterwards what it came to.
async fn act_on(
    visitor: &mut Visitor,
    page: &str,
    act: PageAct,
    filled: &[(&str, &str)],
    said: &str,
) -> Shown {
    let page = visitor.open_path(page).await;
    let html = page.html();
    let wanted = format!("act={act}");
    let leads_there = |link: &Element<'_>| {
        link.attribute("href").is_some_and(|href| href.split(['?', '&']).any(|part| part == wanted))
    };
    let link = html.all("a").find(leads_there);
    let link = link.unwrap_or_else(|| panic!("{} does not lead to {act}: {}", page.url, page.shown_text()));
    let url = page.url.join(link.attribute("href").unwrap()).unwrap();
    let question = visitor.open(&url).await;
    assert_eq!(question.status, 200, "{url}: {}", question.text);
    assert!(question.text.contains("agentcron "), "{url}: the command that does the same");
    let shown = answer(visitor, &question, filled).await;
    assert_said(&shown, said);
    shown
}

#[track_caller]
fn assert_said(shown: &Shown, said: &str) {
    let html = shown.html();
    let status: String =
        html.elements().filter(|element| element.has("role", "status")).map(Element::text).collect();
    assert!(status.contains(said), "{}: {status:?}, not {said:?}", shown.url);
}

#[tokio::test]
async fn every_act_of_a_cron_and_of_a_run_is_done_by_links_and_forms() {
    let mut site = Site::start("").await;
    // Something lies in the past that has not run.
    site.daemon.terminate();
    assert!(site.daemon.wait_for_exit().await.success());
    let database = Connection::open(site.daemon.database()).unwrap();
    database.execute("UPDATE crons SET created_at = created_at - 3 * 86400000", []).unwrap();
    drop(database);
    site.daemon.start_again();
    let mut visitor = site.operator().await;
    let steady = "crons/steady";
    let shown =
        act_on(&mut visitor, steady, PageAct::Pause, &[("note", "mail & <more>")], "steady is paused").await;
    assert!(shown.url.path().ends_with("/agentcron/crons/steady"), "it leads back: {}", shown.url);
    let note = site.daemon.json(&["acts"]).remove(0)["note"].clone();
    assert_eq!(note, "mail & <more>");
    act_on(&mut visitor, steady, PageAct::Resume, &[], "steady is resumed").await;
    act_on(&mut visitor, steady, PageAct::SkipNext, &[], "steady").await;
    act_on(&mut visitor, steady, PageAct::Trigger, &[("input", "{\"messages\": []}")], "of steady started")
        .await;
    // Other times than those that were looked at are looked at first.
    let question = visitor.open_path("act?act=backfill&cron=steady").await;
    let before = site.daemon.json(&["acts"]).len();
    let again = answer(&mut visitor, &question, &[("limit", "200")]).await;
    assert!(again.shown_text().contains("Nothing was done yet"), "{}", again.shown_text());
    assert_eq!(site.daemon.json(&["acts"]).len(), before);
    act_on(&mut visitor, steady, PageAct::Backfill, &[], "will run").await;
    let run = format!("runs/{}", site.run_of("goes").run_id);
    act_on(&mut visitor, &run, PageAct::Cancel, &[], "cancel").await;
    let run = format!("runs/{}", site.run_of("fails").run_id);
    act_on(&mut visitor, &run, PageAct::Retry, &[], "runs again").await;
    let acts = site.daemon.json(&["acts"]);
    assert_eq!(acts.len(), 7, "{acts:#?}");
}

fn encoded(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The questions before acts on everything can be asked by their address, as links of other pages do.
#[tokio::test]
async fn acts_on_everything_are_asked_about_and_done() {
    let site = Site::start("").await;
    let mut visitor = site.operator().await;
    let gone = encoded(&site.url_of_gone());
    for (question, filled, said) in [
        ("act=pause-all".to_owned(), &[("note", "all")][..], "all crons are paused"),
        ("act=resume-all".to_owned(), &[], "resumed"),
        ("act=hold".to_owned(), &[("note", "a receiver moves")], "webhooks are held"),
        ("act=release".to_owned(), &[("per_second", "5")], "webhooks are released"),
        ("act=replay&cron=ends&status=delivered".to_owned(), &[], "1 webhook will be sent again"),
        (format!("act=resume-url&url={gone}"), &[], "gets webhooks again"),
        ("act=pause&cron=steady&cron=ends".to_owned(), &[("note", "both")], "2 crons are paused"),
        ("act=resume&cron=steady&cron=ends".to_owned(), &[], "2 crons are resumed"),
    ] {
        let page = visitor.open_path(&format!("act?{question}&next=status")).await;
        assert_eq!(page.status, 200, "{question}: {}", page.text);
        let shown = answer(&mut visitor, &page, filled).await;
        assert_said(&shown, said);
        assert!(shown.url.path().ends_with("/agentcron/status"), "{question} leads back: {}", shown.url);
    }
    assert_eq!(site.daemon.json(&["acts"]).len(), 10);
    // What is found by a part of its name or id, and how times are shown, is a form as well.
    let overview = visitor.open_path("").await;
    let html = overview.html();
    assert!(html.all("form").any(|form| form.has("role", "search")));
    let run = site.run_of("ends").run_id;
    for (wanted, there) in [("stead", "/crons"), (&run[..8], &format!("/runs/{run}"))] {
        let found = visitor.open_path(&format!("find?q={wanted}")).await;
        assert!(found.status == 200 && found.url.path().ends_with(there), "{wanted}: {}", found.url);
    }
    let shown = visitor.submit(&overview, "the cron’s own", &[]).await;
    assert_eq!((shown.url.path(), visitor.cookie("agentcron_zone")), ("/agentcron/", Some("cron")));
    let shown = visitor.submit(&shown, "Dark, light, or as the system (d)", &[]).await;
    assert!(shown.text.contains("data-theme=\"dark\""), "{}", shown.text);
}
