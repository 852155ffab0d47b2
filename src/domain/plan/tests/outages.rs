//! What becomes of occurrences that fell due while something was away, and of those that are found late.

use super::*;

#[test]
fn after_an_outage_the_latest_is_caught_up_and_the_others_are_one_record() {
    check(
        &cron("0 * * * *"),
        "2026-03-02T03:00:00Z",
        Active::default(),
        "2026-03-02T09:30:00Z",
        expect![[r#"
        miss 5: 2026-03-02T04:00:00Z..2026-03-02T08:00:00Z LaterOne
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T10:30:00Z (catchup)
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T10:00:00Z"#]],
    );
}

#[test]
fn catchup_all_fires_what_lies_within_the_window_and_none_fires_nothing() {
    let mut cron = cron("0 * * * *");
    cron.policy.catchup = Catchup::All;
    cron.policy.catchup_window = Duration::from_secs(2 * 3600);
    let (cursor, now) = ("2026-03-02T05:00:00Z", "2026-03-02T09:30:00Z");
    check(
        &cron,
        cursor,
        Active::default(),
        now,
        expect![[r#"
        miss 2: 2026-03-02T06:00:00Z..2026-03-02T07:00:00Z OutsideWindow
        fire 2026-03-02T08:00:00Z +0s before 2026-03-02T10:30:00Z (catchup)
        fire 2026-03-02T09:00:00Z +0s before 2026-03-02T10:30:00Z (catchup)
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T10:00:00Z"#]],
    );
    cron.policy.catchup = Catchup::None;
    check(
        &cron,
        cursor,
        Active::default(),
        now,
        expect![[r#"
        miss 4: 2026-03-02T06:00:00Z..2026-03-02T09:00:00Z NoCatchup
        cursor 2026-03-02T09:00:00Z
        wake 2026-03-02T10:00:00Z"#]],
    );
}

#[test]
fn what_did_not_run_because_of_an_outage_says_so() {
    let outage = |what, since: &str, until: Option<&str>| Outage {
        what,
        subject: String::new(),
        since: at(since),
        until: until.map(at),
        why: "it was stopped".to_owned(),
        seen_by: None,
    };
    let outages = [
        outage(Away::Backend, "2026-03-02T09:08:10Z", None),
        outage(Away::Disk, "2026-03-02T09:03:30Z", Some("2026-03-02T09:05:00Z")),
        outage(Away::Daemon, "2026-03-02T09:00:30Z", Some("2026-03-02T09:02:40Z")),
    ];
    let mut cron = cron("* * * * *");
    let state = CronState::default();
    let mut table = String::new();
    for overlap in [Overlap::Skip, Overlap::Queue] {
        cron.policy.overlap = overlap;
        let active = Active { waiting: 1, ..running() };
        let facts = facts(&state, at("2026-03-02T09:00:00Z"), active, at("2026-03-02T09:08:30Z"));
        for decision in plan(&cron, None, &PlanFacts { outages: &outages, ..facts }).decisions {
            let reason = match &decision {
                Decision::Skip { reason, .. } => reason.reason(&cron),
                Decision::Miss { reason, outage, .. } => reason.reason(&cron, outage.as_ref()),
                Decision::Fire { .. } | Decision::Pause { .. } | Decision::Drop { .. } => {
                    panic!("{decision:?}")
                }
            };
            let line = line(&decision);
            let what = line.split([' ', '(']).take(3).collect::<Vec<_>>().join(" ");
            table.push_str(&format!("{what}: {}: {}\n", reason.code, reason.text()));
        }
    }
    expect![[r#"
        miss 2: 2026-03-02T09:01:00Z..2026-03-02T09:02:00Z: daemon_down: agentcron was not running (it was stopped); only the latest occurrence is caught up (catchup = "latest")
        miss 1: 2026-03-02T09:03:00Z..2026-03-02T09:03:00Z: catchup_latest: it was found too late; only the latest occurrence is caught up (catchup = "latest")
        miss 2: 2026-03-02T09:04:00Z..2026-03-02T09:05:00Z: disk_full: the store could not commit (it was stopped); only the latest occurrence is caught up (catchup = "latest")
        miss 2: 2026-03-02T09:06:00Z..2026-03-02T09:07:00Z: catchup_latest: it was found too late; only the latest occurrence is caught up (catchup = "latest")
        skip 2026-03-02T09:08:00Z BackendAway: backend_away: the agent server was away (it was stopped); run 00000000-0000-0000-0000-000000000000 of digest could not be followed (overlap = "skip")
        miss 2: 2026-03-02T09:01:00Z..2026-03-02T09:02:00Z: daemon_down: agentcron was not running (it was stopped); only the latest occurrence is caught up (catchup = "latest")
        miss 1: 2026-03-02T09:03:00Z..2026-03-02T09:03:00Z: catchup_latest: it was found too late; only the latest occurrence is caught up (catchup = "latest")
        miss 2: 2026-03-02T09:04:00Z..2026-03-02T09:05:00Z: disk_full: the store could not commit (it was stopped); only the latest occurrence is caught up (catchup = "latest")
        miss 2: 2026-03-02T09:06:00Z..2026-03-02T09:07:00Z: catchup_latest: it was found too late; only the latest occurrence is caught up (catchup = "latest")
        skip 2026-03-02T09:08:00Z BackendAway: backend_away: the agent server was away (it was stopped); run 00000000-0000-0000-0000-000000000000 of digest could not be followed (overlap = "queue")
    "#]].assert_eq(&table);
}

#[test]
fn what_is_caught_up_overlaps_only_with_what_was_in_progress_at_its_own_time() {
    let mut cron = cron("* * * * *");
    cron.policy.catchup = Catchup::All;
    let state = CronState::default();
    let mut table = String::new();
    for (overlap, is_denied) in [(Overlap::Skip, false), (Overlap::Queue, false), (Overlap::Skip, true)] {
        cron.policy.overlap = overlap;
        let since = Some(at("2026-03-02T09:02:30Z"));
        let going = Going { run_id: RunId(uuid::Uuid::nil()), since, is_confirmed: true, is_denied };
        let active = Active { running: Some(going), waiting: 1, ..Active::default() };
        let facts = facts(&state, at("2026-03-02T09:00:00Z"), active, at("2026-03-02T09:04:01Z"));
        table.push_str(&format!("{overlap}, denied {is_denied}\n"));
        for decision in plan(&cron, None, &facts).decisions {
            let line = line(&decision);
            let what = line.split([' ', '(']).take(3).collect::<Vec<_>>().join(" ");
            table.push_str(&format!("  {what}\n"));
        }
    }
    expect![[r#"
        skip, denied false
          fire 2026-03-02T09:01:00Z +0s
          fire 2026-03-02T09:02:00Z +0s
          skip 2026-03-02T09:03:00Z Overlap
          skip 2026-03-02T09:04:00Z Overlap
        queue, denied false
          fire 2026-03-02T09:01:00Z +0s
          fire 2026-03-02T09:02:00Z +0s
          skip 2026-03-02T09:03:00Z QueueFull
          skip 2026-03-02T09:04:00Z QueueFull
        skip, denied true
          fire 2026-03-02T09:01:00Z +0s
          fire 2026-03-02T09:02:00Z +0s
          skip 2026-03-02T09:03:00Z BackendDenied
          skip 2026-03-02T09:04:00Z BackendDenied
    "#]]
    .assert_eq(&table);
}
