//! How events look in each format, and which are not written.

use super::*;

const FORGED: &str = "{\"timestamp\":\"2026-11-26T07:00:00.5Z\",\"level\":\"WARN\",\"message\":\"run failed\",\"cron\":\"daily\",\
    \"error\":\"a\\nFORGED\\r\u{9b}\u{202e}\",\"took\":7,\"target\":\"agentcron::engine::runner::follow\",\
    \"span\":{\"by\":\"anna\",\"name\":\"request\"}}\n";

fn log() -> Log {
    Log {
        format: LogFormat::Text,
        coloring: Coloring::Off,
        journal: None,
        runs: Arc::default(),
        repeats: Arc::default(),
    }
}

fn event(json: &str) -> Event {
    Event::parse(json.as_bytes()).unwrap()
}

#[test]
fn an_event_is_one_line_and_has_nothing_unprintable() {
    let error = r#"error="a\nFORGED\r\u{9b}\u{202e}""#;
    let text = format!("run failed cron=daily {error} took=7 by=anna");
    assert_eq!(
        event(FORGED).line(Coloring::Off),
        format!("2026-11-26T07:00:00.5Z  WARN agentcron::runner: {text}\n")
    );
    assert_eq!(event(FORGED).message(), text);
    let json = event(FORGED).json();
    assert!(
        json.contains("a\\nFORGED\\r\\u009b\\u202e") && json.contains("\"target\":\"agentcron::runner\""),
        "{json}"
    );
}

#[test]
fn further_lines_of_a_message_have_a_margin() {
    let event = event(
        "{\"level\":\"ERROR\",\"message\":\"not reloaded:\\na.toml:1:1: \\u001b[2J\",\"target\":\"agentcron\"}",
    );
    assert_eq!(event.line(Coloring::Off), " ERROR agentcron: not reloaded:\n  | a.toml:1:1: \\u{1b}[2J\n");
}

#[test]
fn strangers_are_not_shown_what_graphs_people_and_files_say() {
    let shown = |target: &str| {
        let json = format!(
            "{{\"level\":\"WARN\",\"message\":\"broken:\\na.toml: got `s3cret`\",\"error\":\"e\",\"note\":\"s3cret\",\
             \"target\":\"{target}\"}}"
        );
        event(&json).for_strangers().message()
    };
    assert_eq!(shown("agentcron::daemon::mistakes"), "broken: error=e");
    assert_eq!(shown("agentcron::runs"), "broken:\na.toml: got `s3cret`");
    assert_eq!(shown("agentcron::engine::runner"), "broken:\na.toml: got `s3cret` error=e");
}

#[test]
fn the_journal_gets_a_priority_and_a_field_for_each_value() {
    let event = event(FORGED);
    let names: Vec<String> =
        event.journal_fields().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        names,
        [
            "AGENTCRON_CRON=daily",
            "AGENTCRON_ERROR=a\nFORGED\\r\\u{9b}\\u{202e}",
            "AGENTCRON_TOOK=7",
            "AGENTCRON_BY=anna",
            "AGENTCRON_TARGET=agentcron::runner"
        ]
    );
    assert_eq!(event.priority(), Priority::Warning);
}

#[test]
fn ends_of_runs_are_logged_as_configured_and_repeated_failures_once_an_hour() {
    let runs = |level| event(&format!("{{\"level\":\"{level}\",\"target\":\"agentcron::runs\"}}"));
    for (logged, warnings, others) in
        [(LoggedRuns::Failed, true, false), (LoggedRuns::All, true, true), (LoggedRuns::None, false, false)]
    {
        let log = log();
        log.set_runs(logged);
        assert_eq!((log.admits(&runs("WARN")), log.admits(&runs("INFO"))), (warnings, others), "{logged}");
    }
    let log = log();
    let failure = |minute: u32, url: &str| {
        event(&format!(
            "{{\"timestamp\":\"2026-11-26T07:{minute:02}:00Z\",\"level\":\"WARN\",\"message\":\"webhook delivery failed\",\
             \"hourly\":\"{url}\"}}"
        ))
    };
    let admitted =
        [(0, "a"), (1, "a"), (1, "b"), (59, "a")].map(|(minute, url)| log.admits(&failure(minute, url)));
    assert_eq!(admitted, [true, false, true, false]);
    assert!(!failure(0, "a").json().contains("hourly"));
    let unstarted = || event("{\"level\":\"WARN\",\"target\":\"agentcron::runs\",\"hourly\":\"daily\"}");
    log.set_runs(LoggedRuns::All);
    assert!(log.admits(&unstarted()) && log.admits(&unstarted()), "all are all");
}

#[test]
fn a_part_is_named_in_directives_as_the_log_shows_it() {
    assert_eq!(long_targets("info,agentcron::runner=debug"), "info,agentcron::engine::runner=debug");
    assert_eq!(short_target("agentcron::engine::runner"), "agentcron::runner");
    assert_eq!(short_target("agentcron::store::writer"), "agentcron::store");
    assert_eq!(
        (short_target("agentcron"), short_target("hyper::proto")),
        ("agentcron".into(), "hyper::proto".into())
    );
}
