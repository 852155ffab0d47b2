//! Conclusions as tables: what is listed on the thread -> what happened to the start.

use expect_test::expect;
use uuid::Uuid;

use super::*;
use crate::backend::RunMark;

const OUR_RUN: RunId = RunId(Uuid::from_u128(7));
const OURS: InstallationId = InstallationId(Uuid::from_u128(8));
const ANOTHERS: InstallationId = InstallationId(Uuid::from_u128(9));
const SOUGHT: SoughtRun = SoughtRun { run_id: OUR_RUN, installation_id: OURS };

/// The id that the backend gave a run; the table shows only the number.
fn id(number: u128) -> BackendRunId {
    BackendRunId(Uuid::from_u128(number))
}

fn number(id: BackendRunId) -> u128 {
    id.0.as_u128()
}

fn listed(number: u128) -> ListedRun {
    let status = "pending".to_owned();
    ListedRun {
        backend_run_id: id(number),
        status,
        is_fence: false,
        mark: RunMark::default(),
        has_metadata: true,
        created_at: None,
    }
}

fn ours(number: u128) -> ListedRun {
    marked(number, Some(OURS))
}

fn marked(number: u128, installation_id: Option<InstallationId>) -> ListedRun {
    let mark = RunMark { run_id: Some(OUR_RUN), installation_id, daemon_id: None };
    ListedRun { mark, ..listed(number) }
}

fn fence(number: u128) -> ListedRun {
    ListedRun { is_fence: true, ..listed(number) }
}

fn without_metadata(number: u128) -> ListedRun {
    ListedRun { has_metadata: false, ..listed(number) }
}

#[test]
fn what_is_read_on_a_fenced_thread() {
    let cases: [(&str, &[ListedRun], Option<u128>); 10] = [
        ("nothing", &[], None),
        ("only the fence", &[fence(1)], Some(1)),
        ("an earlier fence", &[fence(1)], None),
        ("our run", &[ours(2)], None),
        ("our run and the fence", &[fence(1), ours(2)], None),
        ("a run of nobody known", &[listed(2)], None),
        ("another installation's run", &[fence(1), marked(2, Some(ANOTHERS))], Some(1)),
        ("a run that names no installation", &[fence(1), marked(2, None)], Some(1)),
        ("without metadata, the fence is the one posted", &[without_metadata(1)], Some(1)),
        ("without metadata, any other run is ours", &[without_metadata(1), without_metadata(2)], Some(1)),
    ];
    let mut table = String::new();
    for (name, listed, posted) in cases {
        let read = match read_fenced_thread(listed, SOUGHT, posted.map(id)) {
            FencedThread::OurRun { backend_run_id, fence } => {
                format!("our run {}, fence {:?}", number(backend_run_id), fence.map(number))
            }
            FencedThread::OnlyTheFence(fence) => format!("only the fence {}", number(fence.backend_run_id)),
            FencedThread::Nothing => "nothing".to_owned(),
        };
        table.push_str(&format!("{name}: {read}\n"));
    }
    expect![[r#"
        nothing: nothing
        only the fence: only the fence 1
        an earlier fence: only the fence 1
        our run: our run 2, fence None
        our run and the fence: our run 2, fence Some(1)
        a run of nobody known: nothing
        another installation's run: only the fence 1
        a run that names no installation: only the fence 1
        without metadata, the fence is the one posted: only the fence 1
        without metadata, any other run is ours: our run 2, fence Some(1)
    "#]]
    .assert_eq(&table);
}

#[test]
fn what_a_list_without_a_fence_shows() {
    let window = |second: i64| ArrivalWindow {
        now: Timestamp::from_second(second).unwrap(),
        closes_at: Timestamp::from_second(20).unwrap(),
    };
    let lists: [(&str, &[ListedRun]); 8] = [
        ("nothing", &[]),
        ("our run", &[listed(1), ours(2)]),
        ("another run", &[listed(1)]),
        ("another installation's", &[marked(1, Some(ANOTHERS))]),
        ("of no installation", &[marked(1, None)]),
        ("no metadata", &[without_metadata(1)]),
        ("a lifted fence", &[fence(1)]),
        ("a fence without metadata", &[ListedRun { is_fence: true, ..without_metadata(1) }]),
    ];
    let mut table = String::new();
    for (name, listed) in lists {
        for thread_owner in [ThreadOwner::ThisRun, ThreadOwner::User] {
            for started_by in [StartedBy::Agentcron, StartedBy::Client] {
                let at = |second| {
                    let window = window(second);
                    let sought = Sought { run: SOUGHT, thread_owner, started_by, window };
                    match conclude_from_list(listed, sought) {
                        Conclusion::Started(id) => format!("started {}", number(id)),
                        Conclusion::NeverStarts => "never starts".to_owned(),
                        Conclusion::NotRecognised => "not recognised".to_owned(),
                        Conclusion::MayStartUntil(until) => format!("may start until {}", until.as_second()),
                        Conclusion::Unanswered(_) => "unanswered".to_owned(),
                        Conclusion::Denied(_) => "denied".to_owned(),
                        Conclusion::Undecidable(_) => "undecidable".to_owned(),
                    }
                };
                let (thread_owner, started_by) = (format!("{thread_owner:?}"), format!("{started_by:?}"));
                table.push_str(&format!(
                    "{name:24} {thread_owner:7} {started_by:9} -> {}, then {}\n",
                    at(19),
                    at(20)
                ));
            }
        }
    }
    expect![[r#"
        nothing                  ThisRun Agentcron -> may start until 20, then never starts
        nothing                  ThisRun Client    -> may start until 20, then never starts
        nothing                  User    Agentcron -> may start until 20, then never starts
        nothing                  User    Client    -> may start until 20, then never starts
        our run                  ThisRun Agentcron -> started 2, then started 2
        our run                  ThisRun Client    -> started 2, then started 2
        our run                  User    Agentcron -> started 2, then started 2
        our run                  User    Client    -> started 2, then started 2
        another run              ThisRun Agentcron -> may start until 20, then never starts
        another run              ThisRun Client    -> may start until 20, then never starts
        another run              User    Agentcron -> may start until 20, then never starts
        another run              User    Client    -> may start until 20, then never starts
        another installation's   ThisRun Agentcron -> may start until 20, then never starts
        another installation's   ThisRun Client    -> may start until 20, then never starts
        another installation's   User    Agentcron -> may start until 20, then never starts
        another installation's   User    Client    -> may start until 20, then never starts
        of no installation       ThisRun Agentcron -> may start until 20, then never starts
        of no installation       ThisRun Client    -> may start until 20, then never starts
        of no installation       User    Agentcron -> may start until 20, then never starts
        of no installation       User    Client    -> may start until 20, then never starts
        no metadata              ThisRun Agentcron -> started 1, then started 1
        no metadata              ThisRun Client    -> started 1, then started 1
        no metadata              User    Agentcron -> may start until 20, then not recognised
        no metadata              User    Client    -> undecidable, then undecidable
        a lifted fence           ThisRun Agentcron -> may start until 20, then never starts
        a lifted fence           ThisRun Client    -> may start until 20, then never starts
        a lifted fence           User    Agentcron -> may start until 20, then never starts
        a lifted fence           User    Client    -> may start until 20, then never starts
        a fence without metadata ThisRun Agentcron -> may start until 20, then never starts
        a fence without metadata ThisRun Client    -> may start until 20, then never starts
        a fence without metadata User    Agentcron -> may start until 20, then never starts
        a fence without metadata User    Client    -> may start until 20, then never starts
    "#]]
    .assert_eq(&table);
}

#[test]
fn which_run_shows_a_copy_of_the_store() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let daemon = |number: u128| Some(DaemonId(Uuid::from_u128(number)));
    let (known, unknown) = (daemon(1), daemon(2));
    let installations = [("ours", Some(OURS)), ("another's", Some(ANOTHERS)), ("none", None)];
    let daemons = [("known", known), ("unknown", unknown), ("none", None)];
    let ages = [("since our start", Some(at(11))), ("before it", Some(at(9))), ("unknown", None)];
    let mut copies = String::new();
    for (installation, installation_id) in installations {
        for (daemon, daemon_id) in daemons {
            for (age, created_at) in ages {
                for (run, run_id) in [("this run", Some(OUR_RUN)), ("another", Some(RunId::default()))] {
                    let mark = RunMark { run_id, installation_id, daemon_id };
                    let listed = ListedRun { mark, created_at, ..listed(1) };
                    if SOUGHT.was_sent_by_copy(&listed, at(10), |id| Some(id) == known) {
                        copies += &format!("{installation}, daemon {daemon}, created {age}, {run}\n");
                    }
                }
            }
        }
    }
    expect!["ours, daemon unknown, created since our start, this run\n"].assert_eq(&copies);
}
