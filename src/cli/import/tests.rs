//! From the server's crons to the file.

use expect_test::{Expect, expect};

use super::*;
use crate::config::Environment;

/// Returns the file for these crons. It always passes `check` once its variables are set.
fn written(crons: &[Value]) -> String {
    let mut context = ImportContext { names: ["taken".to_owned()].into(), ..ImportContext::default() };
    let imported: Vec<ImportedCron> = crons.iter().map(|cron| mapping::map(cron, &mut context)).collect();
    let variables = context.variables;
    let text = text::file("https://agents.example.com", &imported, &variables);
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("agentcron.toml");
    fs::write(
        &main,
        "include = [\"imported.toml\"]\n[backend]\nurl = \"http://127.0.0.1:2024\"\n\
                [webhooks.url]\ndisable_loopback = false\n",
    )
    .unwrap();
    fs::write(folder.path().join("imported.toml"), &text).unwrap();
    let set: Vec<String> = variables.names().iter().map(|name| format!("env.{name}")).collect();
    let environment = Environment::of_map(set.iter().map(|name| (name.as_str(), "value")));
    let config = config::load(&main, &environment).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(config.crons.len(), imported.iter().filter(|cron| cron.fields.is_some()).count());
    text
}

fn cron(more: Value) -> Value {
    let mut cron = json!({
        "cron_id": "01a2081f-e47a-74e8-9cee-65d738191e97", "assistant_id": "fe096781-5601-53d2-b2f6-0d3403f7e9ca",
        "thread_id": null, "user_id": "", "end_time": null, "schedule": "0 9 * * 1-5", "timezone": null,
        "payload": {}, "metadata": {}, "on_run_completed": "delete", "enabled": true,
    });
    cron.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    cron
}

fn check(more: Value, expected: Expect) {
    let text = written(&[cron(more)]);
    expected
        .assert_eq(text.split_once("\n# on the server: 01a2081f-e47a-74e8-9cee-65d738191e97\n").unwrap().1);
}

#[test]
fn a_captured_cron_becomes_a_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/langgraph/cron_create_stateless.json");
    let sample: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    expect![[r##"
        # Crons of https://agents.example.com, written by `agentcron import`.
        # The server still fires them: delete them there, otherwise each of them fires twice.
        #
        # Possible secrets in webhook URLs were replaced. Set these variables for the daemon:
        #   WEBHOOK_TOKEN

        # on the server: 01a2081f-e47a-74e8-9cee-65d738191e97
        # its webhook's URL contained a secret: see the variables above
        [cron.imported-65d738191e97]
        schedule = "0 9 * * 1-5"
        timezone = "Europe/Berlin"
        assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
        input = { messages = [{ content = "hi", role = "user" }] }
        metadata = { team = "ops" }
        webhook = "http://127.0.0.1:9900/hook?token=${{ env.WEBHOOK_TOKEN }}"
        end_time = "2027-01-01T00:00:00Z"
        on_run_completed = "delete"
        durability = "exit"
        overlap = "allow"
    "##]]
    .assert_eq(&written(&[sample["body"].clone()]));
}

#[test]
fn what_cannot_be_mapped_is_noted() {
    check(
        json!({"payload": {"webhook": "https://hooks.example.com/services/T0A1B2C3D4E5F6G7H8/x?token=SECRET&a=&SECRET"}}),
        expect![[r##"
            # its webhook's URL contained a secret: see the variables above
            [cron.imported-65d738191e97]
            schedule = "0 9 * * 1-5"
            timezone = "UTC"
            assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
            webhook = "https://hooks.example.com/services/${{ env.WEBHOOK_PATH }}/x?token=${{ env.WEBHOOK_TOKEN }}&a=&${{ env.WEBHOOK_QUERY }}"
            on_run_completed = "delete"
            overlap = "allow"
        "##]],
    );
    check(
        json!({"payload": {"webhook": "/internal", "bogus\n[x]": 1}}),
        expect![[r##"
        # `bogus [x]` is not known here and was left out
        # its webhook was left out: it is a path of the server's own app, which only the server can call
        [cron.imported-65d738191e97]
        schedule = "0 9 * * 1-5"
        timezone = "UTC"
        assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
        on_run_completed = "delete"
        overlap = "allow"
    "##]],
    );
    check(
        json!({"payload": {"webhook": "https://user:SECRET@h/"}}),
        expect![[r##"
        # its webhook was left out: it contains a user or password; put the token into the query or a header
        [cron.imported-65d738191e97]
        schedule = "0 9 * * 1-5"
        timezone = "UTC"
        assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
        on_run_completed = "delete"
        overlap = "allow"
    "##]],
    );
    check(
        json!({"payload": {"input": {"a": "${{ env.HOME }}"}}}),
        expect![[r##"
        # `input` was left out and the cron disabled: it contains `${{`, which means something else here
        [cron.imported-65d738191e97]
        schedule = "0 9 * * 1-5"
        timezone = "UTC"
        assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
        enabled = false
        on_run_completed = "delete"
        overlap = "allow"
    "##]],
    );
    check(
        json!({"payload": {"input": {"a": [1, null]}}, "metadata": {"cron_name": "x", "name": "Taken"}}),
        expect![[r##"
            # metadata `cron_name` was left out: agentcron sets it itself
            # `input` was left out and the cron disabled: TOML cannot express its null or very large number
            [cron.Taken-2]
            schedule = "0 9 * * 1-5"
            timezone = "UTC"
            assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
            metadata = { name = "Taken" }
            enabled = false
            on_run_completed = "delete"
            overlap = "allow"
        "##]],
    );
    check(
        json!({"schedule": "never\n[cron.x]", "metadata": {"name": "a.b"}}),
        expect![[r#"
        # not imported: schedule: got 2 fields, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year)
        # [cron.a.b]
    "#]],
    );
    check(
        json!({
            "thread_id": "22222222-2222-4222-8222-222222222222", "end_time": "2027-01-01T00:00:00", "enabled": false,
            "metadata": {"name": "a.b"},
            "payload": {
                "multitask_strategy": "enqueue", "config": {"configurable": {"cron_id": "x"}},
                "input": {"messages": [{"role": "user", "content": "a \"quoted\"\nline"}], "n": 1.5},
            },
        }),
        expect![[r##"
            # end_time had no offset: read as UTC
            [cron."a.b"]
            schedule = "0 9 * * 1-5"
            timezone = "UTC"
            assistant_id = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
            thread_id = "22222222-2222-4222-8222-222222222222"
            input = { messages = [{ content = """
            a "quoted"
            line""", role = "user" }], n = 1.5 }
            metadata = { name = "a.b" }
            end_time = "2027-01-01T00:00:00Z"
            enabled = false
            multitask_strategy = "enqueue"
            overlap = "allow"
        "##]],
    );
}

#[test]
fn names_and_variables_are_shared_where_they_are_the_same_and_numbered_where_not() {
    let webhook = |url: &str| json!({ "metadata": { "name": "a" }, "payload": { "webhook": url } });
    let text = written(&[
        cron(webhook("https://h/?token=SECRET1")),
        cron(webhook("https://h/?token=SECRET2")),
        cron(webhook("https://h/?token=SECRET1")),
    ]);
    let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
    assert_eq!(lines("[cron"), ["[cron.a]", "[cron.a-2]", "[cron.a-3]"]);
    assert_eq!(
        lines("webhook"),
        [
            r#"webhook = "https://h/?token=${{ env.WEBHOOK_TOKEN }}""#,
            r#"webhook = "https://h/?token=${{ env.WEBHOOK_TOKEN_2 }}""#,
            r#"webhook = "https://h/?token=${{ env.WEBHOOK_TOKEN }}""#,
        ]
    );
    assert!(!text.contains("SECRET"));
}
