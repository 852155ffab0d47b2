//! Every kind of trouble, alone and all at once.

use expect_test::{Expect, expect};
use jiff::SignedDuration;
use uuid::Uuid;

use super::*;
use crate::domain::bounds::ERROR_CHARS_IN_STATUS;
use crate::domain::cron_state::{CronState, CronStatus, Pause, pause_message};
use crate::domain::delivery_mode::{Hold, Release, Suspension};
use crate::domain::ids::DaemonNumber;
use crate::domain::ids::DeliveryId;
use crate::store::{FailingWebhooks, LostWebhooks, Notice, NoticeKind, QueuedWebhooks, Unstarted};

const RUNNING: DaemonState = DaemonState::Running { pid: Some(7) };

fn now() -> Timestamp {
    "2026-11-27T07:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn snapshot() -> StatusSnapshot {
    let last_daemon =
        FormerDaemon { started_at: ago(900), seen_at: ago(1), stopped_at: None, disk_since: None };
    let probes = [("https://ops.example".to_owned(), now() + SignedDuration::from_mins(4))].into();
    StatusSnapshot { daemon: RUNNING, last_daemon: Some(last_daemon), probes, ..StatusSnapshot::empty() }
}

fn row(name: &str, status: CronStatus, state: CronState) -> CronHead {
    CronHead { status: Ok(status), state, ..CronHead::named(name) }
}

fn failing(failures: u32, paused: Option<Pause>) -> CronState {
    let failing_since = (failures > 0).then(|| ago(240));
    CronState { paused, skip_next: false, failures, failing_since, recovered_at: None }
}

fn pause(cause: PauseCause, note: Option<&str>) -> Pause {
    Pause { note: note.map(str::to_owned), ..Pause::since(ago(30), cause) }
}

fn outage(what: Away, subject: &str, why: &str) -> Outage {
    Outage { subject: subject.to_owned(), ..Outage::new(what, ago(2), None, why) }
}

fn queued(url: &str, count: u64, next_at: Timestamp) -> QueuedWebhooks {
    QueuedWebhooks { url: url.to_owned(), count, next_at, failing: None }
}

fn failing_webhooks(url: &str, since: Timestamp, next_at: Timestamp, why: &str) -> QueuedWebhooks {
    let failing = FailingWebhooks { count: 2, since, next_at, why: why.to_owned() };
    QueuedWebhooks { failing: Some(failing), ..queued(url, 5, now()) }
}

fn notice(kind: NoticeKind, detail: &str, count: u64) -> Notice {
    Notice { kind, at: ago(5), detail: detail.to_owned(), count, of: None }
}

fn described(snapshot: &StatusSnapshot) -> String {
    let lines = attention(snapshot, now()).into_iter().map(|one| {
        let mark = if one.needs_person { '!' } else { '-' };
        let since = one.since.map_or("-".to_owned(), |since| times::relative(since, now()));
        let subject = one.subject.map(|subject| format!(" {subject}")).unwrap_or_default();
        let (called, todo) = (one.what.called(), one.todo.unwrap_or_default());
        format!("{mark} {called}{subject} ({since}): {} > {todo}\n", one.text)
    });
    lines.collect()
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check(change: impl FnOnce(&mut StatusSnapshot), expected: Expect) {
    let mut snapshot = snapshot();
    change(&mut snapshot);
    expected.assert_eq(&described(&snapshot));
}

#[test]
fn where_all_is_well_nothing_is_said() {
    check(
        |snapshot| {
            let over = Outage { until: Some(ago(1)), ..outage(Away::Backend, "", "refused") };
            snapshot.outages = vec![over];
            snapshot.crons = vec![
                row("works", CronStatus::Active, failing(0, None)),
                row("off", CronStatus::Disabled, failing(3, None)),
            ];
            let old =
                Notice { at: ago(24 * 60 + 1), ..notice(NoticeKind::ClockStep, "the clock was set", 1) };
            snapshot.notices = vec![old];
            snapshot.queued = vec![queued("https://a/", 2, now())];
        },
        expect![""],
    );
}

#[test]
fn an_agent_server_that_refuses_us_or_is_silent_is_not_called_away() {
    let silent = || Some("no answer within 1s".to_owned());
    check(
        |snapshot| {
            snapshot.outages = vec![outage(Away::Access, "", "401: who are you?; sent with x-api-key")];
            snapshot.backend.silent = silent();
        },
        expect![[r#"
            ! agent server (2 min ago): refuses us: 401: who are you?; sent with x-api-key > correct backend.api_key or backend.headers and restart; runs wait until their start deadline
            - agent server (-): does not answer so far: no answer within 1s > it is asked again at once
        "#]],
    );
    check(
        |snapshot| {
            snapshot.outages = vec![outage(Away::Backend, "", "connection refused")];
            snapshot.backend.silent = silent();
        },
        expect![[r#"
            ! agent server (2 min ago): away: connection refused > start it, or correct [backend]; runs wait until their start deadline
        "#]],
    );
}

#[test]
fn the_worst_comes_first_and_what_is_wanted_last() {
    check(
        |snapshot| {
            snapshot.outages = vec![
                outage(Away::Receiver, "https://ops.example", "the receiver responded with 500"),
                outage(Away::Backend, "", "Connection refused"),
                outage(Away::Disk, "", "database or disk is full"),
            ];
            snapshot.queued =
                [("https://ops.example/a?token=x", 3), ("https://ops.example/b", 1), ("https://c/", 9)]
                    .map(|(url, count)| queued(url, count, ago(1)))
                    .to_vec();
            snapshot.notices = vec![
                notice(NoticeKind::ClockStep, "the clock was set forward by 2 h", 1),
                notice(NoticeKind::Configuration, "a.toml:1:1: no\n  = no run is sent\na.toml:2:1: no", 2),
                notice(NoticeKind::Listen, "clients cannot reach the daemon at 127.0.0.1:1", 1),
                notice(NoticeKind::StoreCopy, "another daemon runs with it", 1),
            ];
            let unreadable = CronHead { status: Err("odd".to_owned()), ..CronHead::named("odd") };
            let by_person = pause(PauseCause::Request, Some("until Monday"));
            let by_failures = pause(PauseCause::Failures, Some(&pause_message(3)));
            snapshot.crons = vec![
                row("asked", CronStatus::Paused, failing(0, Some(pause(PauseCause::Request, None)))),
                row("once", CronStatus::Active, failing(1, None)),
                row("often", CronStatus::Active, failing(9, None)),
                unreadable,
                row("rests", CronStatus::Paused, failing(2, Some(by_person))),
                row("stopped", CronStatus::Paused, failing(3, Some(by_failures))),
            ];
            snapshot.overview.denied = Denied { runs: 2, threads: 1 };
            snapshot.queue = WebhookQueue {
                disabled_since: Some(ago(9)),
                mode: DeliveryMode::Released(Release { since: ago(8), per_second: 5 }),
                backlog: 40,
                suspended: vec![Suspension {
                    url: "https://gone.example/hook?token=x".to_owned(),
                    since: ago(90),
                    detail: "the receiver responded with 410".to_owned(),
                    delivery_id: DeliveryId(Uuid::nil()),
                }],
                suspended_count: 3,
                ..WebhookQueue::default()
            };
        },
        expect![[r#"
            ! disk (2 min ago): the store cannot commit: database or disk is full > make room on the disk, or end the program that locks the file; nothing is started until then
            ! agent server (2 min ago): away: Connection refused > start it, or correct [backend]; runs wait until their start deadline
            ! copy of this store (5 min ago): another daemon runs with it > stop one of the two, or give one an empty database
            ! configuration (5 min ago): 2 mistakes; what is understood is in force > mend the files; they are read again by themselves
            ! cron odd (-): cannot be read: odd > define it again, for this version of agentcron
            ! cron often (4 h ago): failed 9 times in a row > `agentcron history often --failed`
            ! cron once (4 h ago): failed > `agentcron history once --failed`
            ! cron stopped (30 min ago): paused after failures: 3 runs in a row failed (pause_after_failures = 3) > repair it, then `agentcron resume stopped`
            ! no access (-): 2 runs cannot be followed, 1 thread cannot be deleted: the agent server answers, and refuses it > `agentcron history --reason backend_denied` says why; if it is 401 or 403, set backend.api_key or backend.headers to credentials that see everything
            ! receiver https://ops.example (2 min ago): the receiver responded with 500; 4 webhooks queued, next attempt in 4 min > repair it; `agentcron webhook list --status pending` shows what waits
            ! URL (2 h ago): 2 more are suspended > 
            ! URL https://gone.example/hook?… (2 h ago): suspended: the receiver responded with 410 > correct the cron's webhook, or `agentcron webhook resume URL`
            ! not listening (5 min ago): clients cannot reach the daemon at 127.0.0.1:1 > correct [http], and restart the daemon
            - cron asked (30 min ago): paused: on request > `agentcron resume asked` ends the pause
            - cron rests (30 min ago): paused: until Monday > `agentcron resume rests` ends the pause
            - webhooks (9 min ago): disabled (http.disable_webhooks): recorded, not sent > remove the setting to send those of later runs
            - webhooks (8 min ago): released at 5 per second; 40 of the backlog left > 
            - clock step (5 min ago): the clock was set forward by 2 h > 
        "#]],
    );
}

#[test]
fn webhooks_that_do_not_get_through_are_trouble_unless_their_receiver_is_away() {
    let ahead = |minutes| now() + SignedDuration::from_mins(minutes);
    check(
        |snapshot| {
            snapshot.outages = vec![
                outage(Away::Receiver, "https://a/away?…", "no answer"),
                outage(Away::Receiver, "https://b", "-"),
            ];
            snapshot.queued = vec![
                failing_webhooks("https://a/away?x", ago(9), ahead(1), "no answer"),
                failing_webhooks("https://b/any", ago(9), ahead(1), "no answer"),
                failing_webhooks("https://a/hiccup", ago(0), now(), "the receiver answered 500"),
                failing_webhooks("https://a/fresh?t=x", ago(0), ahead(5), "the receiver answered 404"),
                failing_webhooks("https://a/old", ago(200), ahead(0), "URL: HOOK is not set"),
            ];
        },
        expect![[r#"
            ! receiver https://a/away?… (2 min ago): no answer; 5 webhooks queued, next attempt now > repair it; `agentcron webhook list --status pending` shows what waits
            ! receiver https://b (2 min ago): -; 5 webhooks queued, next attempt now > repair it; `agentcron webhook list --status pending` shows what waits
            ! URL https://a/old (3 h ago): URL: HOOK is not set; 2 webhooks not delivered, next attempt now > correct the URL, [webhooks] or the receiver; `agentcron webhook list --status pending`
            ! URL https://a/fresh?… (now): the receiver answered 404; 2 webhooks not delivered, next attempt in 5 min > correct the URL, [webhooks] or the receiver; `agentcron webhook list --status pending`
        "#]],
    );
    check(
        |snapshot| {
            let many =
                (0..22).map(|number| failing_webhooks(&format!("https://a/{number}"), ago(9), now(), "no"));
            snapshot.queued = many.collect();
            let described = described(snapshot);
            assert_eq!(described.lines().count(), 21);
            assert!(described.contains("webhooks to 2 more do not get through"), "{described}");
            snapshot.queued.clear();
        },
        expect![""],
    );
}

#[test]
fn a_hold_is_wanted_unless_a_mistake_holds() {
    let held = |cause| {
        move |snapshot: &mut StatusSnapshot| {
            let note = Some("the receiver moves".to_owned());
            snapshot.queue.mode = DeliveryMode::Held(Hold { cause, since: ago(3), note });
            snapshot.queue.backlog = 6;
        }
    };
    check(
        held(HoldCause::Request),
        expect![[r#"
            - webhooks (3 min ago): held: the receiver moves; 6 waiting > `agentcron webhook release` sends them
        "#]],
    );
    check(
        held(HoldCause::Mistakes),
        expect![[r#"
        ! webhooks (3 min ago): held: the receiver moves; 6 waiting > mend the configuration, and they are sent
    "#]],
    );
}

#[test]
fn what_a_daemon_noticed_that_has_ended_is_said_no_longer() {
    let stopped = |stopped_at| {
        move |snapshot: &mut StatusSnapshot| {
            snapshot.daemon = DaemonState::Stopped;
            let last = FormerDaemon { started_at: ago(900), seen_at: ago(11), stopped_at, disk_since: None };
            snapshot.last_daemon = Some(last);
            snapshot.outages = vec![outage(Away::Backend, "", "refused")];
            snapshot.outages.extend(last.outages(None));
            snapshot.notices = vec![notice(NoticeKind::Listen, "taken", 1)];
        }
    };
    check(
        stopped(Some(ago(11))),
        expect![[r#"
        ! daemon (11 min ago): not running: it was stopped > nothing fires until it is started (`systemctl start agentcron`, or `agentcron run`)
    "#]],
    );
    check(
        stopped(None),
        expect![[r#"
            ! daemon (11 min ago): not running: it was killed or crashed, or the machine lost power > nothing fires until it is started (`systemctl start agentcron`, or `agentcron run`)
        "#]],
    );
    check(
        |snapshot| *snapshot = StatusSnapshot::empty(),
        expect![[r#"
            ! daemon (-): not running: it has never run with this database > nothing fires until it is started (`systemctl start agentcron`, or `agentcron run`)
        "#]],
    );
}

#[test]
fn a_daemon_whose_lock_cannot_be_read_is_judged_by_its_last_sign_of_life() {
    let seen = |minutes| {
        move |snapshot: &mut StatusSnapshot| {
            snapshot.daemon = DaemonState::Unknown("permission denied".to_owned());
            snapshot.last_daemon =
                Some(FormerDaemon { seen_at: ago(minutes), ..snapshot.last_daemon.unwrap() });
        }
    };
    check(seen(0), expect![""]);
    check(
        seen(2),
        expect![[r#"
        ! daemon (2 min ago): no sign of life, and its lock cannot be read: permission denied > look at it as root, or as its own user
    "#]],
    );
}

#[test]
fn files_that_no_daemon_has_seen() {
    let text =
        |one: Attention| format!("{} {} > {}", one.needs_person, one.text, one.todo.unwrap_or_default());
    expect!["false the files differ from what is in force: 1 added, 0 changed, 2 removed > the daemon reads them within half a minute, or says why not"].assert_eq(&text(files_differ(1, 0, 2, Some(true))));
    expect!["false the files differ from what is in force: 1 added, 0 changed, 2 removed > they are read when the daemon starts"].assert_eq(&text(files_differ(1, 0, 2, Some(false))));
    expect!["true 1 mistake in the files > `agentcron check` shows them"].assert_eq(&text(files_mistaken(1)));
    expect!["true it runs, and does not respond at its socket: it took longer than 1 s > see its log, and restart it if it stays so"].assert_eq(&text(daemon_silent("it took longer than 1 s")));
}

#[test]
fn a_long_error_is_cut_and_an_outage_names_its_day_only_if_that_is_another() {
    let long = first_words(&format!("ValueError:\n  {}", "x".repeat(200)));
    assert_eq!(long.chars().count(), ERROR_CHARS_IN_STATUS + 1);
    assert!(long.starts_with("ValueError: xxx") && long.ends_with("x…"), "{long}");
    let past = |since: i64, until: i64| {
        let outage = Outage { since: ago(since), ..outage(Away::Backend, "", "Connection\nrefused") };
        crate::present::outages::past(&outage, ago(until), now(), &jiff::tz::TimeZone::UTC)
    };
    expect!["06:48-06:50 (2 min 0 s): agent server away: Connection refused"].assert_eq(&past(12, 10));
    expect!["Thu 2026-11-26 23:00-23:10 (10 min 0 s): agent server away: Connection refused"]
        .assert_eq(&past(8 * 60, 7 * 60 + 50));
    expect!["Thu 2026-11-26 23:00-Fri 2026-11-27 06:00 (7 h 0 min): agent server away: Connection refused"]
        .assert_eq(&past(8 * 60, 60));
}

#[test]
fn runs_that_the_server_does_not_take_are_told_unless_an_outage_says_it() {
    let unstarted = || Some(Unstarted { count: 3, since: ago(4), why: "HTTP 500".to_owned() });
    check(
        |snapshot| snapshot.unstarted = unstarted(),
        expect![[r#"
        ! starts (4 min ago): 3 runs not taken by the agent server: HTTP 500 > look into its log; what is not started waits until its start deadline
    "#]],
    );
    check(
        |snapshot| {
            snapshot.unstarted = unstarted();
            snapshot.outages = vec![outage(Away::Backend, "", "refused")];
        },
        expect![[r#"
            ! agent server (2 min ago): away: refused > start it, or correct [backend]; runs wait until their start deadline
        "#]],
    );
}

#[test]
fn webhooks_that_failed_for_good_are_told() {
    check(
        |snapshot| snapshot.lost = Some(LostWebhooks { count: 2, since: ago(4) }),
        expect![[r#"
        ! webhooks (4 min ago): 2 failed for good > `agentcron webhook list --status failed,blocked` says why, `agentcron webhook replay --status failed,blocked` sends them
    "#]],
    );
}

#[test]
fn a_difference_between_daemons_names_their_machines_and_passes_by_itself() {
    let on = |host: &str, kind, detail: &str, count| Notice {
        of: Some(DaemonName { number: DaemonNumber(3), host: host.to_owned() }),
        ..notice(kind, detail, count)
    };
    check(
        |snapshot| {
            snapshot.notices = vec![
                on("a", NoticeKind::Configuration, "a.toml:1:1: no\na.toml:2:1: no", 2),
                on("b", NoticeKind::Files, "the files here are those of generation 6", 1),
                on("b", NoticeKind::Settings, "not the same as on a: webhooks", 1),
            ];
        },
        expect![[r#"
            ! configuration (5 min ago): 2 mistakes (daemon 3 on a) > mend the files; they are read again by themselves
            - configuration (5 min ago): the files here are those of generation 6 (daemon 3 on b) > give that daemon the files in force; to go back to its own, send it SIGHUP
            - configuration (5 min ago): not the same as on a: webhooks (daemon 3 on b) > give all daemons the same settings, and restart those that differ
        "#]],
    );
}

#[test]
fn a_pause_of_all_crons_stands_first_and_needs_nobody() {
    check(
        |snapshot| {
            let until = Some(now() + SignedDuration::from_hours(3));
            snapshot.pause_of_all = Some(Pause { until, ..pause(PauseCause::All, Some("upgrade")) });
            snapshot.outages = vec![outage(Away::Backend, "", "connection refused")];
            let own = failing(0, Some(Pause { until, ..pause(PauseCause::Request, None) }));
            snapshot.crons = vec![row("report", CronStatus::Paused, own)];
        },
        expect![[r#"
            - all crons (30 min ago): paused: upgrade; nothing of any schedule fires, ends in 3 h > `agentcron resume --all` ends the pause
            ! agent server (2 min ago): away: connection refused > start it, or correct [backend]; runs wait until their start deadline
            - cron report (30 min ago): paused: on request, ends in 3 h > `agentcron resume report` ends the pause
        "#]],
    );
}
