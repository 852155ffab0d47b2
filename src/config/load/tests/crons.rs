//! The keys of a cron: what is accepted, and what the messages say.

use super::*;
use crate::domain::cron::Cron;

#[test]
fn words_are_checked_against_their_set() {
    check_cron(
        r#"
mode = "backgroud"
overlap = "never"
catchup = "last"
on_run_completed = "keeep"
durability = "asinc"
stream_mode = ["values", "massages"]
multitask_strategy = "enqueue"
interrupt_before = "node"
interrupt_after = ["a", ""]
"#,
        expect![[r#"
            a.toml:5:8: mode: got `backgroud`, expected one of background, wait, stream (did you mean `background`?)
            a.toml:6:11: overlap: got `never`, expected one of skip, allow, queue, cancel
            a.toml:7:11: catchup: got `last`, expected one of none, latest, all
            a.toml:8:20: on_run_completed: got `keeep`, expected one of delete, keep (did you mean `keep`?)
            a.toml:9:14: durability: got `asinc`, expected one of sync, async, exit (did you mean `async`?)
            a.toml:10:26: stream_mode: got `massages`, expected one of values, messages, messages-tuple, updates, events, tasks, checkpoints, debug, custom (did you mean `messages`?)
            a.toml:11:22: multitask_strategy: got `enqueue`, expected `reject` for a stateless cron (each of its runs has a thread of its own, so none is ever busy; see `overlap`, or name a thread)
            a.toml:12:20: interrupt_before: got `node`, expected "*" or a list of node names
            a.toml:13:19: interrupt_after: got an empty name, expected node names"#]]);
}

#[test]
fn wrong_types_are_reported_without_the_value() {
    check_cron(
        r#"
timezone = ["hunter2"]
enabled = "hunter2"
webhook = 42
config = "hunter2"
metadata = ["hunter2"]
interrupt_before = true
feedback_keys = "hunter2"
exclude = ["2026-12-24", 5]
pause_after_failures = -1
input = { a = nan, b = [inf], c = 99999999999999999999 }
stream_subgraphs = 2026-01-01
"#,
        expect![[r#"
            a.toml:5:12: timezone: got a list, expected text
            a.toml:6:11: enabled: got text, expected true or false
            a.toml:7:11: webhook: got an integer, expected text
            a.toml:8:10: config: got text, expected a table
            a.toml:9:12: metadata: got a list, expected a table
            a.toml:10:20: interrupt_before: got a boolean, expected text or a list of texts
            a.toml:11:17: feedback_keys: got text, expected a list (write a list: […])
            a.toml:12:11: exclude: got an integer in the list, expected text (days are written ["2026-12-25", "2026-12-24..2027-01-02"])
            a.toml:13:24: pause_after_failures: got -1, expected 1 to 4294967295 (leave it out and the cron is never paused automatically)
            a.toml:14:15: input: got a number that is not finite, expected one that JSON can represent
            a.toml:14:25: input: got a number that is not finite, expected one that JSON can represent
            a.toml:14:35: input: integer does not fit into 64 bits
            a.toml:15:20: stream_subgraphs: got a date or time, expected true or false"#]]);
}

#[test]
fn numbers_and_durations_have_bounds() {
    check_cron(
        r#"
timeout = "0s"
start_deadline = "-5m"
catchup_window = "1e308s"
jitter = "367d"
pause_after_failures = 0
"#,
        expect![[r#"
            a.toml:5:11: timeout: got a duration of zero, expected a longer one (leave it out to let a run take as long as it wants)
            a.toml:6:18: start_deadline: got `-5m`, expected a duration such as 90s, 5m, 1h30m or 7d
            a.toml:7:18: catchup_window: got `1e308s`, expected a duration such as 90s, 5m, 1h30m or 7d
            a.toml:8:10: jitter: got `367d`, expected a duration from 1ms to 366d
            a.toml:9:24: pause_after_failures: got 0, expected 1 to 4294967295 (leave it out and the cron is never paused automatically)"#]]);
    check_cron("timeout = \"5\"\nstart_deadline = \"0ms\"\ncatchup_window = \"0s\"\njitter = \"1us\"", expect![[r#"
            a.toml:4:11: timeout: got `5`, expected a duration such as 90s, 5m, 1h30m or 7d
            a.toml:5:18: start_deadline: got a duration of zero, expected a longer one (leave it out for the default)
            a.toml:6:18: catchup_window: got a duration of zero, expected a longer one (write catchup = "none" to catch up on nothing)
            a.toml:7:10: jitter: got `1us`, expected a duration from 1ms to 366d"#]]);
    check_cron("pause_after_failures = 5000000000", expect!["a.toml:4:24: pause_after_failures: got 5000000000, expected 1 to 4294967295 (leave it out and the cron is never paused automatically)"]);
    check_cron("timeout = \"90s\"\ncatchup_window = \"7d\"\njitter = \"0s\"\nstart_deadline = \"1h30m\"", expect!["ok: x"]);
}

#[test]
fn a_thread_has_one_name_and_no_other_policy() {
    check_cron("thread_id = \"inbox\"", expect![[
            r#"a.toml:4:13: thread_id: got `inbox`, expected a UUID (for a name of your own, write thread = "…")"#
        ]],
    );
    check_cron("thread = \"inbox\"\nthread_id = \"3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11\"", expect!["a.toml:4:10: thread: given together with thread_id, expected one of them (`thread` is a name of your own, `thread_id` a UUID; keep one)"]);
    check_cron("thread = \"\"", expect!["a.toml:4:10: thread: got ``, expected 1 to 256 characters on one line"]);
    check_cron("multitask_strategy = \"rollback\"", expect!["a.toml:4:22: multitask_strategy: got `rollback`, expected `reject` for a stateless cron (each of its runs has a thread of its own, so none is ever busy; see `overlap`, or name a thread)"]);
    check_cron("thread = \"inbox\"\nmultitask_strategy = \"rollback\"", expect!["ok: x"]);
    check_cron("multitask_strategy = \"reject\"\non_run_completed = \"keep\"", expect!["ok: x"]);
}

#[test]
fn times_and_days_are_read_as_text_or_as_toml_dates() {
    check_cron("start_time = 2026-01-01T00:00:00Z\nend_time = 2027-01-01 00:00:00+01:00\nexclude = [2026-12-24]", expect!["ok: x"]);
    check_cron("start_time = 2027-01-01T00:00:00\nend_time = 2027-01-01", expect![[r#"
        a.toml:4:14: start_time: got `2027-01-01T00:00:00`, expected a time such as 2027-01-01T00:00:00Z or 2027-01-01T09:00:00+01:00 (the offset from UTC is missing: add `Z` or `+01:00`)
        a.toml:5:12: end_time: got `2027-01-01`, expected a time such as 2027-01-01T00:00:00Z or 2027-01-01T09:00:00+01:00 (the offset from UTC is missing: add `Z` or `+01:00`)"#]]);
    check_cron("start_time = \"2027-01-01T00:00:00Z\"\nend_time = \"2027-01-01T01:00:00+01:00\"", expect!["a.toml:5:12: end_time: not after start_time: this cron would never fire"]);
    check_cron("exclude = [\"2026-12-24..2026-12-23\", \"2026-02-30\", \"tomorrow\", \"2026-12-24T10:00:00\"]", expect![[r#"
            a.toml:4:12: exclude: got `2026-12-24..2026-12-23`, whose last day is before its first
            a.toml:4:38: exclude: got `2026-02-30`, expected a day such as 2026-12-25 or a range 2026-12-24..2027-01-02
            a.toml:4:52: exclude: got `tomorrow`, expected a day such as 2026-12-25 or a range 2026-12-24..2027-01-02
            a.toml:4:64: exclude: got `2026-12-24T10:00:00`, expected a day such as 2026-12-25 or a range 2026-12-24..2027-01-02"#]]);
}

#[test]
fn a_webhook_is_a_full_url_and_is_never_shown() {
    check_cron("webhook = \"https://x.org/?token=hunter2\"", expect!["ok: x"]);
    check_cron("webhook = \"https://bücher.example/hook\"", expect!["ok: x"]);
    check_cron("webhook = \"/hook?token=hunter2\"", expect!["a.toml:4:11: webhook: got a path, expected a full URL such as https://host/path (the agent server accepts paths of its own app, but agentcron sends webhooks from outside of it)"]);
    check_cron("webhook = \"x.org/hunter2\"", expect!["a.toml:4:11: webhook: not a URL: there is no scheme, expected https://host/path"]);
    check_cron("webhook = \"ftp://x.org/hunter2\"", expect!["a.toml:4:11: webhook: got a scheme that is not http or https"]);
    check_cron("webhook = \"https://hunter2@x.org/\"", expect!["a.toml:4:11: webhook: got a URL with a user or password in it (put the token into the query or a header)"]);
    check_cron("webhook = \"http://[fe80::1%25eth0]/hunter2\"", expect!["a.toml:4:11: webhook: not a URL: invalid IPv6 address"]);
    check_cron("webhook = \"http://x:0/hunter2\"", expect!["a.toml:4:11: webhook: got port 0, expected 1 to 65535"]);
    check_cron("webhook = \"http://x:99999/hunter2\"", expect!["a.toml:4:11: webhook: not a URL: invalid port number"]);
    check_cron("webhook = \"http://\"", expect!["a.toml:4:11: webhook: not a URL: empty host"]);
    check_cron("webhook = \"unix:/run/hunter2\"", expect!["a.toml:4:11: webhook: got a scheme that is not http or https"]);
    check_cron("webhook = \"\"", expect!["a.toml:4:11: webhook: not a URL: there is no scheme, expected https://host/path"]);
    check_cron(&format!("webhook = \"https://x.org/{}\"", "a".repeat(4096)), expect!["a.toml:4:11: webhook: longer than 4096 characters"]);
}

#[test]
fn placeholders_are_checked_at_their_place() {
    check_cron("webhook = \"${{ env.HOOK_URL }}?run=1\"", expect!["ok: x"]);
    check_cron("webhook = \"https://${{ env.HOOK_TOKEN }}.org:8443/\"", expect!["ok: x"]);
    check_cron("webhook = \"${{ env.BAD_ZONE }}\"", expect!["a.toml:4:11: webhook: once its placeholders are filled: not a URL: there is no scheme, expected https://host/path"]);
    check_cron("webhook = \"https://x/${{ run.id }}/${{ evn.A }}\"", expect![[r#"
        a.toml:4:11: webhook: `run.id` has no value here (it can be used in input, config, context and metadata)
        a.toml:4:11: webhook: unknown placeholder `evn.A` (known: env.NAME, credential.NAME, cron.name, run.scheduled_for, run.id, previous.status, previous.ended_at)"#]]);
    check_cron("webhook = \"https://x/${{ env.UNSET }}${{ env.EMPTY }}\"", expect![[r#"
            a.toml:4:11: webhook: env.EMPTY is set, but empty
            a.toml:4:11: webhook: env.UNSET is not set"#]]);
    check_cron("webhook = \"https://x/${{ env.UNSET\"", expect!["a.toml:4:11: webhook: `${{` without `}}` (write `${{ env.NAME }}`)"]);
    check_cron("input = { \"a/b\" = [\"fine\", \"${{ run.schedule_for }}\"] }\ncontext = { a = \"${{ nothing }}\" }", expect![[r#"
            a.toml:4:28: input: unknown placeholder `run.schedule_for` (did you mean `run.scheduled_for`?)
            a.toml:5:17: context: unknown placeholder `nothing` (known: env.NAME, credential.NAME, cron.name, run.scheduled_for, run.id, previous.status, previous.ended_at)"#]]);
    check_cron("config = { a = \"${{ credential.unset }}\" }\nmetadata = { a = \"${{ run.id }}\" }", expect!["a.toml:4:16: config: credential.unset is not set"]);
    check_cron("timezone = \"${{ env.BAD_ZONE }}\"", expect!["a.toml:4:12: timezone: not valid once its placeholders are filled (`agentcron next --schedule VALUE --timezone ZONE` says what is wrong with them)"]);
    check_cron("thread = \"${{ credential.webhook_secret }}\"", expect!["a.toml:4:10: thread: a credential would be shown and stored here (a credential can be used in webhook, input, config, context and metadata)"]);
    check_cron("thread = \"${{ env.ASSISTANT }}\"", expect!["ok: x"]);
}

#[test]
fn metadata_must_not_have_our_keys() {
    check_cron("metadata = { cron_id = \"x\", agentcron_run_id = 1, team = \"ops\" }", expect![[r#"
        a.toml:4:24: metadata: key `cron_id` is reserved (agentcron sets cron_id, cron_name, scheduled_for and agentcron_… itself)
        a.toml:4:48: metadata: key `agentcron_run_id` is reserved (agentcron sets cron_id, cron_name, scheduled_for and agentcron_… itself)"#]]);
}

#[test]
fn a_payload_has_bounds() {
    check_cron(&format!("input = \"{}\"", "a".repeat(1 << 20)), expect!["a.toml:4:9: input: the sum of input, config, context and metadata is larger than 1024 KiB (send a reference to the data instead of the data)"]);
    check_cron(&format!("input = {}1{}", "[".repeat(70), "]".repeat(70)), expect!["a.toml:4:73: input: nested deeper than 64 levels"]);
    check_cron(&format!("input = {}1{}", "[".repeat(10_000), "]".repeat(10_000)), expect![[r#"
        a.toml:4:89: not TOML: cannot recurse further; max recursion depth met
          | input = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
          |                                                                                         ^"#]]);
    let dotted = vec!["a"; 70].join(".");
    check_cron(&format!("input = {{ {dotted} = {{ {dotted} = {{ {dotted} = 1 }} }} }}"), expect!["a.toml:4:137: input: nested deeper than 64 levels"]);
    check_cron("input = \"any JSON\"\ncontext = {}", expect!["ok: x"]);
}

#[test]
fn keys_that_are_not_known_get_the_nearest_or_advice() {
    check_cron("shedule = 1\nTimeZone = 1\ntz = 1\non_completion = 1\nxyz = 1\nname = 1", expect![[r#"
        a.toml:4:1: unknown key `shedule` in [cron.x] (did you mean `schedule`?)
        a.toml:5:1: unknown key `TimeZone` in [cron.x] (did you mean `timezone`?)
        a.toml:6:1: unknown key `tz` in [cron.x] (did you mean `timezone`?)
        a.toml:7:1: unknown key `on_completion` in [cron.x] (did you mean `on_run_completed`?)
        a.toml:8:1: unknown key `xyz` in [cron.x] (known: schedule, timezone, assistant_id, thread_id, thread, input, config, context, metadata, webhook, ping, start_time, end_time, enabled, interrupt_before, interrupt_after, multitask_strategy, on_run_completed, durability, stream_mode, stream_subgraphs, stream_resumable, checkpoint_during, feedback_keys, mode, overlap, catchup, catchup_window, start_deadline, timeout, jitter, exclude, pause_after_failures, retry, keep, keep_failures, keep_values, keep_runs_max, redact, was)
        a.toml:9:1: unknown key `name` in [cron.x] (the name is the word after [cron.)"#]]);
}

#[test]
fn names_are_short_and_plain() {
    check("[cron.\"a b\"]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"", expect!["a.toml:1:7: name: got `a b`, expected 1 to 100 ASCII letters, digits, `-`, `_` or `.`, but not `.` or `..`"]);
    check("[cron.\"😀\"]\n[cron.\"\"]\n[cron.\"a\\nb\"]", expect![[r#"
        a.toml:1:7: [cron.😀] has no assistant_id (the id of an assistant, or the name of a graph)
        a.toml:1:7: [cron.😀] has no schedule (five fields, such as "0 9 * * mon-fri")
        a.toml:1:7: name: got `😀`, expected 1 to 100 ASCII letters, digits, `-`, `_` or `.`, but not `.` or `..`
        a.toml:2:7: [cron.] has no assistant_id (the id of an assistant, or the name of a graph)
        a.toml:2:7: [cron.] has no schedule (five fields, such as "0 9 * * mon-fri")
        a.toml:2:7: name: got ``, expected 1 to 100 ASCII letters, digits, `-`, `_` or `.`, but not `.` or `..`
        a.toml:3:7: [cron.a\nb] has no assistant_id (the id of an assistant, or the name of a graph)
        a.toml:3:7: [cron.a\nb] has no schedule (five fields, such as "0 9 * * mon-fri")
        a.toml:3:7: name: got `a\nb`, expected 1 to 100 ASCII letters, digits, `-`, `_` or `.`, but not `.` or `..`"#]]);
    check("[cron.\"..\"]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"", expect!["a.toml:1:7: name: got `..`, expected 1 to 100 ASCII letters, digits, `-`, `_` or `.`, but not `.` or `..`"]);
    check("[cron.team.daily]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"", expect![[r#"
        a.toml:1:7: [cron.team] has no assistant_id (the id of an assistant, or the name of a graph)
        a.toml:1:7: [cron.team] has no schedule (five fields, such as "0 9 * * mon-fri")
        a.toml:1:12: unknown key `daily` in [cron.team] (a name with a dot needs quotes: [cron."team.daily"])"#]]);
    check(&format!("[cron.{}]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"", "a".repeat(101)), expect!["a.toml:1:7: name: got `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…`, expected 1 to 100 ASCII letters, digits, `-`, `_` or `.`, but not `.` or `..`"]);
    check("[[cron]]\nname = \"a\"", expect!["a.toml:1:1: cron: got a list, expected a table (write [cron.NAME])"]);
    check("cron.a = 5", expect!["a.toml:1:10: a: got an integer, expected a table (write [cron.a])"]);
}

#[test]
fn a_mistake_in_defaults_is_reported_once_and_there() {
    let crons = "[cron.a]\nschedule = \"0 9 * * *\"\n[cron.b]\nschedule = \"1 9 * * *\"\nthread = \"t\"\n";
    check(
        &format!(
            "{crons}[defaults]\nassistant_id = \"agent\"\ntimezone = \"Mars/X\"\nwebhook = \"${{{{ env.UNSET }}}}\"\n"
        ),
        expect![[r#"
            a.toml:8:12: timezone: unknown time zone `Mars/X`, expected an IANA name such as Europe/Berlin
            a.toml:9:11: webhook: env.UNSET is not set"#]]);
    check(
        &format!(
            "{crons}[defaults]\nassistant_id = \"agent\"\non_run_completed = \"keep\"\nmultitask_strategy = \"enqueue\"\n"
        ),
        expect!["ok: a b"]);
    check(&format!("{crons}[defaults]\nassistant_id = \"agent\"\nmultitask_strategy = \"queue\"\n"), expect!["a.toml:8:22: multitask_strategy: got `queue`, expected one of enqueue, reject, interrupt, rollback"],
    );
    check("[defaults]\noverlap = \"skipp\"\ntimeout = 5\n", expect![[r#"
        a.toml:2:11: overlap: got `skipp`, expected one of skip, allow, queue, cancel (did you mean `skip`?)
        a.toml:3:11: timeout: got an integer, expected text (a duration is written "90s", "5m", "1h30m" or "7d")"#]]);
    let config = loaded(&format!("{crons}[defaults]\nassistant_id = \"agent\"\ntimezone = \"Asia/Tokyo\"\n"));
    let crons: Vec<Cron> =
        config.crons.iter().map(|definition| definition.cron().unwrap()).collect();
    assert!(crons.len() == 2 && crons.iter().all(|cron| cron.calendar.timezone() == "Asia/Tokyo"));
}

#[test]
fn a_definition_keeps_its_placeholders_and_its_place() {
    let config = loaded(
        "[cron.x]\nschedule = \"0 9 * * *\"\nassistant_id = \"${{ env.ASSISTANT }}\"\n\
         webhook = \"https://x/?t=${{ env.HOOK_TOKEN }}\"\ninput = { a = \"${{ env.HOOK_TOKEN }}\" }",
    );
    let definition = &config.crons[0];
    expect![[r#"{"schedule":"0 9 * * *","assistant_id":"agent-eu","input":{"a":"${{ env.HOOK_TOKEN }}"},"webhook":"https://x/?t=${{ env.HOOK_TOKEN }}"}"#]]
        .assert_eq(&definition.body);
    assert_eq!(definition.cron().unwrap().request.assistant_id, "agent-eu");
    assert_eq!(definition.location.position, crate::config::Position { line: 1, column: 7 });
    expect![[r#"
        CronDefinition {
            name: "x",
            fields: CronFields {
                schedule: "0 9 * * *",
                assistant_id: "agent-eu",
                input: …,
                webhook: …,
            },
            ..
        }
    "#]]
    .assert_debug_eq(definition);
}

#[test]
fn a_former_name_is_claimed_once_and_only_after_its_cron_is_gone() {
    let cron = |name: &str, was: &str| {
        format!("[cron.{name}]\nwas = \"{was}\"\nschedule = \"@daily\"\nassistant_id = \"a\"\n")
    };
    check(&(cron("b", "a") + &cron("c", "a")), expect!["a.toml:6:7: was: the name `a` is already taken in a.toml:1:7"]);
    check(&(cron("b", "a") + "[cron.A]\nschedule = \"@daily\"\nassistant_id = \"a\"\n"), expect!["a.toml:2:7: was: cron `a` differs only by case from `A` in a.toml:5:7"]);
    check(&cron("b", "b"), expect!["a.toml:2:7: was: the name `b` is already taken in a.toml:1:7"]);
    check(&cron("b", "a"), expect!["ok: b"]);
}

#[test]
fn each_mistake_in_retry_is_reported_at_its_place() {
    check_cron("retry = { max = 2, backoff = \"30s\", factor = 1.5, on = \"error\", timeout_each = \"1m\", webhook_each = true }", expect!["ok: x"]);
    check_cron("retry.max = 0", expect!["ok: x"]);
    check_cron("retry = { backoff = \"2h\" }", expect![[r#"a.toml:4:9: retry: missing field `max` (write { max = 2, backoff = "1m" })"#]]);
    check_cron("retry = { max = 1, backoff = \"2h\", on = [\"cancelled\", \"eror\"] }", expect![[r#"
        a.toml:4:30: retry: backoff: expected more than 0 and at most 1h
        a.toml:4:41: retry: on: got `cancelled`, expected one of error, timeout
        a.toml:4:41: retry: on: got `eror`, expected one of error, timeout (did you mean `error`?)"#]]);
    check_cron("retry = { max = 1, backoff = \"0s\", on = [], timeout_each = \"soon\" }", expect![[r#"
        a.toml:4:30: retry: backoff: expected more than 0 and at most 1h
        a.toml:4:41: retry: on: got an empty list, expected "error" or "timeout"
        a.toml:4:60: retry: timeout_each: got `soon`, expected a duration such as 90s, 5m, 1h30m or 7d"#]]);
    check_cron("[cron.x.retry]\nmax = 11", expect!["a.toml:5:7: retry: max: got 11, expected 0 to 10"]);
    check_cron("retry = { max = 2, factor = 0.5 }", expect!["a.toml:4:29: retry: factor: got 0.5, expected 1 to 10"]);
    check_cron("retry = { max = 2, back_off = \"1m\" }", expect![[r#"a.toml:4:9: retry: unknown field `back_off`, expected one of `max`, `backoff`, `factor`, `on`, `timeout_each`, `webhook_each` (write { max = 2, backoff = "1m" })"#]]);
    check_cron("timeout = \"1h\"\nretry = { max = 1, on = [\"error\", \"timeout\"] }", expect![[r#"
        warning: a.toml:5:25: retry: on has "timeout", but `timeout` limits the runs of an occurrence together, so none is left (set retry.timeout_each to limit each of them)
        ok: x"#]]);
    check_cron("timeout = \"1h\"\nretry = { max = 1, on = \"timeout\", timeout_each = \"10m\" }", expect!["ok: x"]);
    check("[defaults]\nretry = { max = 99 }\n", expect!["a.toml:2:17: retry: max: got 99, expected 0 to 10"]);
}
