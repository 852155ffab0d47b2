//! Every act of the page by everybody: the state changes exactly where it may, and the record says who did it.

use std::collections::BTreeSet;

use agentcron::domain::act::PageAct;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::site::{ACT, KEYS, READ, Site};
use crate::support::visitor::Visitor;

/// What each act is done to, in an order in which each is possible twice.
fn fields(site: &Site, act: PageAct) -> Vec<(&'static str, String)> {
    let cron = |name: &str| vec![("cron", name.to_owned())];
    let past = || {
        let mut fields = cron("steady");
        let more = [("from", "2026-01-10T00:00"), ("to", "2026-01-12T00:00"), ("before_beginning", "1")];
        fields.extend(more.map(|(name, value)| (name, value.to_owned())));
        fields
    };
    match act {
        PageAct::Trigger | PageAct::SkipNext => cron("ends"),
        PageAct::Pause | PageAct::Resume => cron("steady"),
        PageAct::Backfill => past(),
        PageAct::Cancel => vec![("run", site.run_of("goes").run_id)],
        PageAct::Retry => vec![("run", site.run_of("fails").run_id)],
        PageAct::Replay => vec![("cron", "ends".to_owned()), ("status", "delivered".to_owned())],
        PageAct::ResumeUrl => vec![("url", site.url_of_gone())],
        PageAct::PauseAll | PageAct::ResumeAll | PageAct::Hold | PageAct::Release => vec![],
    }
}

/// What an act changes: what was recorded of it, the crons, and the number of runs.
fn state(site: &Site) -> Value {
    let runs = site.daemon.query("SELECT run_id FROM runs", |row| row.get::<_, String>(0));
    let crons =
        site.daemon.query("SELECT name, paused_at IS NULL, skip_next FROM crons ORDER BY name", |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?))
        });
    json!({ "acts": recorded(site), "runs": runs.len(), "crons": crons })
}

/// Returns what was done and by whom, in order.
fn recorded(site: &Site) -> Vec<(String, String)> {
    let sql = "SELECT what, actor_kind || coalesce(' ' || actor_name, '') FROM acts ORDER BY seq";
    site.daemon.query(sql, |row| Ok((row.get(0)?, row.get(1)?)))
}

fn form(site: &Site, act: PageAct) -> String {
    let fields = fields(site, act);
    Serializer::new(String::new()).append_pair("act", act.as_str()).extend_pairs(fields).finish()
}

async fn post(visitor: &mut Visitor, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let url = visitor.at("act");
    let response = visitor.send("POST", &url, headers, body.to_owned()).await;
    (response.status, response.text())
}

/// Who tries it, with which headers, and the status of the answer.
type Try<'t> = (&'t str, &'t mut Visitor, &'t [(&'t str, &'t str)], u16);

#[tokio::test]
async fn an_act_is_done_for_those_who_may_and_for_nobody_else() {
    let site = Site::start(KEYS).await;
    let own = format!("http://{}", site.address);
    let other_port = format!("http://127.0.0.1:{}", site.address.port() ^ 1);
    let same_site = [("origin", other_port.as_str()), ("sec-fetch-site", "same-site")];
    let (mut operator, mut screen) = (site.operator().await, site.holder(READ).await);
    let mut forged = site.stranger().await;
    forged.set_cookie("agentcron_session", &"A".repeat(43));
    let mut over = site.operator().await;
    let token = over.cookie("agentcron_session").unwrap().to_owned();
    over.post("logout", &[]).await;
    over.set_cookie("agentcron_session", &token);
    for act in PageAct::ALL.iter().copied() {
        let (before, body) = (state(&site), form(&site, act));
        let refused: [Try<'_>; 13] = [
            ("a stranger", &mut site.stranger().await, &[("origin", &own)], 303),
            ("a forged session", &mut forged, &[("origin", &own)], 303),
            ("a session that is over", &mut over, &[("origin", &own)], 303),
            ("a session that sees", &mut screen, &[("origin", &own)], 403),
            ("a key that sees", &mut site.stranger().await.with("x-api-key", READ), &[], 403),
            (
                "a wrong key",
                &mut site.stranger().await.with("x-api-key", "a-wrong-key-of-somebody"),
                &[],
                303,
            ),
            ("a page elsewhere", &mut operator.clone(), &[("origin", "https://evil.example")], 403),
            ("a page without an origin", &mut operator.clone(), &[("origin", "null")], 403),
            ("a page on another port", &mut operator.clone(), &same_site, 403),
            (
                "the same, whatever it says",
                &mut operator.clone(),
                &[("origin", &own), ("sec-fetch-site", "same-site")],
                403,
            ),
            (
                "a link elsewhere",
                &mut operator.clone(),
                &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                403,
            ),
            ("another scheme of address", &mut operator.clone(), &[("origin", "http://localhost")], 403),
            ("two origins", &mut operator.clone(), &[("origin", &own), ("origin", &own)], 400),
        ];
        for (who, visitor, headers, status) in refused {
            let (answered, text) = post(visitor, headers, &body).await;
            assert_eq!(answered, status, "{act} by {who}: {text}");
        }
        assert_eq!(state(&site), before, "{act} by somebody who may not");
        // A GET never acts, with whatever it names.
        let asked = operator.open_path(&format!("act?{body}")).await;
        assert_eq!(asked.status, 200, "{act}: {}", asked.text);
        assert_eq!(state(&site), before, "the question about {act} did it");
        let (answered, text) =
            post(&mut operator, &[("origin", &own), ("sec-fetch-site", "same-origin")], &body).await;
        assert_eq!(answered, 303, "{act}: {text}");
        let done = recorded(&site);
        assert_eq!(done.len(), before["acts"].as_array().unwrap().len() + 1, "{act}: {done:?}");
        assert!(done.last().unwrap().1.starts_with("uid "), "{act}: {done:?}");
    }
    let done: BTreeSet<_> = recorded(&site).into_iter().map(|(what, _)| what).collect();
    assert_eq!(done.len(), PageAct::ALL.len(), "{done:?}");
}

/// Without a browser's headers it is a program, which shows a key; a session of a key acts in the key's name.
#[tokio::test]
async fn whoever_acts_with_a_key_is_recorded_by_its_name() {
    let site = Site::start(KEYS).await;
    let mut program = site.stranger().await.with("x-api-key", ACT);
    let mut holder = site.holder(ACT).await;
    for (act, number) in
        [(PageAct::Pause, 1), (PageAct::Resume, 2), (PageAct::Hold, 3), (PageAct::Release, 4)]
    {
        let visitor = if number % 2 == 0 { &mut holder } else { &mut program };
        let (status, text) = post(visitor, &[], &form(&site, act)).await;
        assert_eq!(status, 303, "{act}: {text}");
        let done = recorded(&site);
        assert_eq!((done.len(), done[number - 1].1.as_str()), (number, "key ops"), "{done:?}");
    }
}

#[tokio::test]
async fn a_page_that_only_shows_or_is_off_acts_for_nobody() {
    for (page, of_page) in [("read-only", 200), ("off", 404)] {
        let site = Site::start(&format!("page = \"{page}\"\n{KEYS}")).await;
        let own = format!("http://{}", site.address);
        let before = state(&site);
        let mut visitors = vec![site.stranger().await.with("x-api-key", ACT)];
        if page == "read-only" {
            visitors.extend([site.operator().await, site.holder(ACT).await]);
        }
        for visitor in &mut visitors {
            for path in ["", "crons/steady", "runs", "status"] {
                let shown = visitor.open_path(path).await;
                assert_eq!(shown.status, of_page, "{path} {page}");
                assert!(!shown.text.contains("act?act="), "{path} offers an act: {}", shown.text);
            }
            for act in PageAct::ALL.iter().copied() {
                let (status, text) = post(visitor, &[("origin", &own)], &form(&site, act)).await;
                assert_eq!(status, if page == "off" { 404 } else { 403 }, "{act} {page}: {text}");
                let question = visitor.open_path(&format!("act?{}", form(&site, act))).await;
                assert_eq!(question.status, if page == "off" { 404 } else { 403 }, "{act} {page}");
            }
        }
        assert_eq!(state(&site), before, "{page}");
    }
}

/// What somebody types by mistake does nothing, and says why.
#[tokio::test]
async fn a_form_with_a_mistake_does_nothing() {
    let site = Site::start("").await;
    let mut operator = site.operator().await;
    let before = state(&site);
    let (run, many) = (site.run_of("ends").run_id, "cron=steady&".repeat(1001));
    for (body, status) in [
        ("", 422),
        ("act=", 422),
        ("act=nonsense", 422),
        ("act=pause", 422),
        ("act=pause&cron=", 422),
        ("act=pause&cron=nobody", 404),
        ("act=pause&cron=steady&until=nonsense", 422),
        ("act=pause&cron=steady&until=2020-01-01T00:00", 422),
        ("act=trigger&cron=steady&input=%7B", 422),
        ("act=backfill&cron=steady&limit=x", 422),
        ("act=backfill&cron=steady&from=x", 422),
        ("act=cancel&run=00000000-0000-4000-8000-000000000000", 404),
        ("act=release&per_second=-1", 422),
        ("act=replay&status=nonsense", 422),
        ("act=resume-url&url=nonsense", 404),
        (&format!("act=pause&{many}"), 422),
        (&format!("act=cancel&run={run}"), 409),
        // As much as the names of a thousand crons.
        (&format!("act=pause&cron=nobody&x={}", "a".repeat(900 << 10)), 404),
    ] {
        let (answered, text) = post(&mut operator, &[], body).await;
        assert_eq!(answered, status, "{}: {text}", body.chars().take(100).collect::<String>());
    }
    assert_eq!(state(&site), before);
}
