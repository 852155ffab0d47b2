//! Odd requests. Unless a test says otherwise, the messages are those of the real server (0.16.7).

use std::path::Path;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::*;
use crate::config::{CronDefinition, Position, SourceLocation};
use crate::domain::access::Access;
use crate::domain::ids::InstallationId;

async fn check(world: &World, method: &str, path: &str, body: Value, expected: Expect) {
    expected.assert_eq(&world.send(method, path, &body).await.status_and_body());
}

/// A valid body, extended by `more`.
fn body(more: Value) -> Value {
    let mut body = json!({ "assistant_id": "agent", "schedule": "0 0 1 1 *" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test(start_paused = true)]
async fn an_invalid_cron_is_refused_with_the_servers_message() {
    let world = World::new();
    let cases = [
        (
            json!({"input": "text"}),
            expect![[
                r#"422 {"detail":"\"text\" is not valid under any of the schemas listed in the 'anyOf' keyword\n\nFailed validating \"anyOf\" in schema[\"properties\"][\"input\"]\n\nOn instance[\"input\"]:\n    \"text\""}"#
            ]],
        ),
        (
            json!({"config": []}),
            expect![[
                r#"422 {"detail":"[] is not of type \"object\"\n\nFailed validating \"type\" in schema[\"properties\"][\"config\"]\n\nOn instance[\"config\"]:\n    []"}"#
            ]],
        ),
        (
            json!({"config": {"tags": [1]}}),
            expect![[
                r#"422 {"detail":"1 is not of type \"string\"\n\nFailed validating \"type\" in schema[\"properties\"][\"config\"][\"properties\"][\"tags\"][\"items\"]\n\nOn instance[\"config\"][\"tags\"][0]:\n    1"}"#
            ]],
        ),
        (
            json!({"config": {"recursion_limit": 1.5}}),
            expect![[
                r#"422 {"detail":"1.5 is not of type \"integer\"\n\nFailed validating \"type\" in schema[\"properties\"][\"config\"][\"properties\"][\"recursion_limit\"]\n\nOn instance[\"config\"][\"recursion_limit\"]:\n    1.5"}"#
            ]],
        ),
        (
            json!({"end_time": null}),
            expect![[
                r#"422 {"detail":"null is not of type \"string\"\n\nFailed validating \"type\" in schema[\"properties\"][\"end_time\"]\n\nOn instance[\"end_time\"]:\n    null"}"#
            ]],
        ),
        (
            json!({"enabled": "yes"}),
            expect![[
                r#"422 {"detail":"\"yes\" is not of type \"boolean\"\n\nFailed validating \"type\" in schema[\"properties\"][\"enabled\"]\n\nOn instance[\"enabled\"]:\n    \"yes\""}"#
            ]],
        ),
        (
            json!({"on_run_completed": "bogus"}),
            expect![[
                r#"422 {"detail":"\"bogus\" is not one of \"delete\" or \"keep\"\n\nFailed validating \"enum\" in schema[\"properties\"][\"on_run_completed\"]\n\nOn instance[\"on_run_completed\"]:\n    \"bogus\""}"#
            ]],
        ),
        (
            json!({"durability": "bogus"}),
            expect![[
                r#"422 {"detail":"\"bogus\" is not one of \"sync\", \"async\" or \"exit\"\n\nFailed validating \"enum\" in schema[\"properties\"][\"durability\"]\n\nOn instance[\"durability\"]:\n    \"bogus\""}"#
            ]],
        ),
        (
            json!({"stream_mode": ["bogus"]}),
            expect![[
                r#"422 {"detail":"[\"bogus\"] is not valid under any of the schemas listed in the 'anyOf' keyword\n\nFailed validating \"anyOf\" in schema[\"properties\"][\"stream_mode\"]\n\nOn instance[\"stream_mode\"]:\n    [\"bogus\"]"}"#
            ]],
        ),
        (
            json!({"interrupt_before": "x"}),
            expect![[
                r#"422 {"detail":"\"x\" is not valid under any of the schemas listed in the 'anyOf' keyword\n\nFailed validating \"anyOf\" in schema[\"properties\"][\"interrupt_before\"]\n\nOn instance[\"interrupt_before\"]:\n    \"x\""}"#
            ]],
        ),
        (
            json!({"webhook": ""}),
            expect![[
                r#"422 {"detail":"\"\" is shorter than 1 character\n\nFailed validating \"minLength\" in schema[\"properties\"][\"webhook\"]\n\nOn instance[\"webhook\"]:\n    \"\""}"#
            ]],
        ),
        (
            json!({"assistant_id": ""}),
            expect![[r#"422 {"detail":"assistant_id: got ``, expected 1 to 256 characters on one line"}"#]],
        ),
        (
            json!({"assistant_id": 5}),
            expect![[
                r#"422 {"detail":"5 is not valid under any of the schemas listed in the 'anyOf' keyword\n\nFailed validating \"anyOf\" in schema[\"properties\"][\"assistant_id\"]\n\nOn instance[\"assistant_id\"]:\n    5"}"#
            ]],
        ),
        (
            json!({"schedule": "0 0 31 2 *"}),
            expect![[
                r#"400 {"detail":"failed to find next date ('0 0 31 2 *': schedule never matches: no date from 1970 to 2099 satisfies it)"}"#
            ]],
        ),
    ];
    for (more, expected) in cases {
        check(&world, "POST", "/runs/crons", body(more), expected).await;
    }
    let response = world.send_raw("POST", "/runs/crons", "{").await;
    expect![[r#"422 {"detail":"Invalid JSON in request body"}"#]].assert_eq(&response.status_and_body());
    check(&world, "POST", "/runs/crons", json!([]), expect![[r#"422 {"detail":"[] is not of type \"object\"\n\nFailed validating \"type\" in schema\n\nOn instance:\n    []"}"#]]).await;
    check(
        &world,
        "POST",
        "/threads/x/runs/crons",
        body(json!({})),
        expect![[r#"422 {"detail":"Invalid thread ID: must be a UUID"}"#]],
    )
    .await;
    let strategy = body(json!({"multitask_strategy": "bogus"}));
    check(&world, "POST", &format!("/threads/{THREAD}/runs/crons"), strategy, expect![[r#"422 {"detail":"\"bogus\" is not one of \"reject\", \"rollback\" or 2 other candidates\n\nFailed validating \"enum\" in schema[\"properties\"][\"multitask_strategy\"]\n\nOn instance[\"multitask_strategy\"]:\n    \"bogus\""}"#]]).await;
    for (method, path) in [("GET", "/runs/crons/x"), ("DELETE", "/runs/crons/x"), ("PATCH", "/runs/crons/x")]
    {
        let response = world.send(method, path, &json!({"enabled": true})).await;
        assert_eq!(response.status_and_body(), r#"422 {"detail":"Invalid cron ID: must be a UUID"}"#);
    }
    check(
        &world,
        "GET",
        &format!("/runs/crons/{THREAD}"),
        json!(null),
        expect![[r#"404 {"detail":"Not Found"}"#]],
    )
    .await;
    check(
        &world,
        "PATCH",
        &format!("/runs/crons/{THREAD}"),
        json!({"enabled": true}),
        expect![[r#"404 {"detail":"Cron '22222222-2222-4222-8222-222222222222' not found"}"#]],
    )
    .await;
    check(&world, "GET", "/runs/crons", json!(null), expect![[r#"405 {"detail":"Method Not Allowed"}"#]])
        .await;
    assert_eq!(world.rows("SELECT name FROM crons"), Vec::<String>::new());
}

/// The server accepts these and fails later, or does not know the field.
#[tokio::test(start_paused = true)]
async fn what_only_we_refuse_is_refused_with_a_reason() {
    let mut world = World::new();
    let config = configuration(world.folder.path(), "");
    world.api.webhooks = config::live(WebhookSettings::of_config(&config)).1;
    let cases = [
        (
            json!({"end_time": "tomorrow"}),
            expect![[
                r#"422 {"detail":"Invalid end_time: 'tomorrow', expected a time such as 2027-01-01T00:00:00Z"}"#
            ]],
        ),
        (
            json!({"overlap": "never"}),
            expect![[r#"422 {"detail":"overlap: got `never`, expected one of skip, allow, queue, cancel"}"#]],
        ),
        (
            json!({"pause_after_failures": "3"}),
            expect![[r#"422 {"detail":"pause_after_failures: invalid type: string \"3\", expected u32"}"#]],
        ),
        (
            json!({"webhook": "/rel"}),
            expect![[
                r#"422 {"detail":"Loopback webhooks (relative URLs and localhost) are disabled by default."}"#
            ]],
        ),
        (
            json!({"webhook": "ftp://x"}),
            expect![[r#"422 {"detail":"Webhook host blocked: scheme 'ftp' not allowed"}"#]],
        ),
        (
            json!({"webhook": "http://127.0.0.1:9000/x?token=SECRET"}),
            expect![[r#"422 {"detail":"Webhook host blocked: loopback IP range (disable_loopback)"}"#]],
        ),
        (
            json!({"webhook": "http://169.254.169.254/x"}),
            expect![[r#"422 {"detail":"Webhook host blocked: blocked IP range (metadata)"}"#]],
        ),
        (
            json!({"webhook": "https://h/${{ run.id }}"}),
            expect![[
                r#"422 {"detail":"Webhook URL not allowed: it contains whitespace, a control character or a backslash (text)"}"#
            ]],
        ),
        (
            json!({"webhook": "https://h/${{ env.HOME }}"}),
            expect![[
                r#"422 {"detail":"Webhook URL not allowed: it contains whitespace, a control character or a backslash (text)"}"#
            ]],
        ),
        (
            json!({"input": {"a": ["${{ credential.api_key }}"]}}),
            expect![[
                r#"422 {"detail":"input: a cron made through the API cannot use a placeholder of the environment (only cron.*, run.* and previous.* are filled here; define the cron in a file)"}"#
            ]],
        ),
        (
            json!({"metadata": {"a": "${{env.PATH}}"}}),
            expect![[
                r#"422 {"detail":"metadata: a cron made through the API cannot use a placeholder of the environment (only cron.*, run.* and previous.* are filled here; define the cron in a file)"}"#
            ]],
        ),
        (
            json!({"metadata": {"scheduled_for": 1}}),
            expect![[
                r#"422 {"detail":"metadata: key `scheduled_for` is reserved (agentcron sets cron_id, cron_name, scheduled_for and agentcron_… itself)"}"#
            ]],
        ),
        (
            json!({"schedule": null}),
            expect![[
                r#"422 {"detail":"null is not of type \"string\"\n\nFailed validating \"type\" in schema[\"properties\"][\"schedule\"]\n\nOn instance[\"schedule\"]:\n    null"}"#
            ]],
        ),
    ];
    for (more, expected) in cases {
        check(&world, "POST", "/runs/crons", body(more), expected).await;
    }
    check(
        &world,
        "POST",
        "/runs/crons",
        json!({"schedule": "* * * * *"}),
        expect![[r#"422 {"detail":"\"assistant_id\" is a required property"}"#]],
    )
    .await;
    assert_eq!(world.rows("SELECT name FROM crons"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn without_a_response_of_the_agent_server_no_cron_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let unavailable = Router::new().fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "down for a while"));
    let api = api(folder.path(), Transport::router(unavailable));
    let world = World { api, folder };
    let response = world.send("POST", "/runs/crons", &body(json!({}))).await;
    expect![[r#"502 {"detail":"the agent server did not say whether it knows users, so nothing was done: the agent server answered 503: down for a while"}"#]].assert_eq(&response.status_and_body());
    assert_eq!(world.rows("SELECT name FROM crons"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_is_refused_before_it_is_parsed() {
    let world = World::new();
    let long = vec![b' '; crate::domain::bounds::CRON_BODY_BYTES_MAX + 1];
    let response = world.send_raw("POST", "/runs/crons", long).await;
    expect![[r#"413 {"detail":"the body is longer than 2 MiB"}"#]].assert_eq(&response.status_and_body());
    let many = format!(r#"{{"input":{{"x":[{}1]}}}}"#, "1,".repeat(100_000));
    let response = world.send_raw("POST", "/runs/crons", many).await;
    expect![[r#"413 {"detail":"the body has more than 100000 values"}"#]]
        .assert_eq(&response.status_and_body());
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_returned_and_our_own_fields_take_effect() {
    let world = World::new();
    let request = json!({
        "bogus": 1, "thread_id": "x", "multitask_strategy": "enqueue", "timeout": "5m", "overlap": "queue",
        "metadata": {"cron_id": "x", "run_id": "y", "kept": true},
        "config": {"configurable": {"cron_id": "x", "a": 1}},
        "end_time": "2027-01-01T00:00:00",
    });
    let created = world.create(request.clone()).await;
    for key in ["bogus", "thread_id", "multitask_strategy", "timeout", "overlap", "end_time"] {
        assert_eq!(created["payload"][key], request[key]);
    }
    assert_eq!(created["metadata"], json!({"kept": true}));
    assert_eq!(created["payload"]["metadata"], json!({"kept": true}));
    assert_eq!(created["payload"]["config"]["configurable"], json!({"cron_id": created["cron_id"], "a": 1}));
    assert_eq!((&created["thread_id"], &created["end_time"]), (&json!(null), &request["end_time"]));
    let stored = world.rows("SELECT body FROM definitions");
    let stored: Value = serde_json::from_str(&stored[0]).unwrap();
    assert_eq!(stored["end_time"], "2027-01-01T00:00:00Z");
    assert_eq!((&stored["overlap"], &stored["timeout"]), (&json!("queue"), &json!("5m")));
    assert_eq!(stored["config"], created["payload"]["config"], "each run gets the id, as on the server");
}

#[tokio::test(start_paused = true)]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let world = World::new();
    let created = world.create(json!({"metadata": {"team": "ops", "n": {"a": 1}}, "input": {"a": 1}})).await;
    let path = format!("/runs/crons/{}", created["cron_id"].as_str().unwrap());
    let patch = async |patch: Value| {
        let response = world.send("PATCH", &path, &patch).await;
        assert_eq!(response.status, 200, "{patch}: {response:?}");
        assert_eq!(world.send("GET", &path, &json!(null)).await.body, response.body);
        response.body
    };
    let later = patch(json!({"schedule": "0 5 * * *"})).await;
    assert_eq!(later["next_run_date"], "2026-11-24T05:00:00+00:00");
    let elsewhere = patch(json!({"timezone": "Europe/Berlin"})).await;
    assert_eq!(elsewhere["next_run_date"], "2026-11-24T04:00:00+00:00");
    let ends = patch(json!({"end_time": "2030-01-01T00:00:00Z"})).await;
    assert_eq!(ends["end_time"], "2030-01-01T00:00:00Z");
    let ends = patch(json!({"end_time": null})).await;
    assert_eq!((&ends["end_time"], ends["payload"].get("end_time")), (&json!(null), Some(&json!(null))));
    let marked = patch(json!({"metadata": {"n": {"c": 3}, "new": null}})).await;
    assert_eq!(marked["metadata"], json!({"team": "ops", "n": {"c": 3}, "new": null}));
    assert_eq!(marked["payload"]["metadata"], json!({"n": {"c": 3}, "new": null}));
    let fed = patch(json!({"input": {"c": 3}, "config": {"tags": ["t"]}, "context": {"x": 1}})).await;
    assert_eq!(fed["payload"]["input"], json!({"c": 3}));
    assert_eq!(
        fed["payload"]["config"],
        json!({"tags": ["t"], "configurable": {"cron_id": created["cron_id"]}})
    );
    let kept = patch(json!({"on_run_completed": "keep", "enabled": false, "assistant_id": "other"})).await;
    assert_eq!((&kept["on_run_completed"], &kept["enabled"]), (&json!("keep"), &json!(false)));
    assert_eq!((&kept["assistant_id"], &kept["payload"]["assistant_id"]), (&json!(AGENT), &json!(AGENT)));
    let ours = patch(json!({"overlap": "skip", "webhook": "http://127.0.0.1:9000/y"})).await;
    assert_eq!(ours["payload"]["overlap"], "skip");
    assert_eq!(ours["created_at"], created["created_at"]);
    for refused in
        [json!({"schedule": "bad"}), json!({"webhook": "https://${{ env.X }}/"}), json!({"webhook": null})]
    {
        assert_eq!(world.send("PATCH", &path, &refused).await.status, 422);
        assert_eq!(
            world.send("GET", &path, &json!(null)).await.body,
            ours,
            "a refused patch changes nothing"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cron_has_the_name_in_its_metadata_if_that_is_free() {
    let world = World::new();
    let named = |name: &str| json!({ "metadata": { "name": name } });
    let mut ids = Vec::new();
    for name in ["digest", "Digest", "two words", AGENT] {
        ids.push(world.create(named(name)).await["cron_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        world.rows("SELECT name FROM crons ORDER BY seq"),
        ["digest", ids[1].as_str(), ids[2].as_str(), ids[3].as_str()]
    );
    for word in ["digest", ids[0].as_str(), ids[2].as_str()] {
        assert_eq!(world.send("POST", &format!("/v1/crons/{word}/pause"), &json!({})).await.status, 200);
    }
    assert_eq!(
        world.rows("SELECT cron_id FROM crons WHERE paused_at IS NOT NULL ORDER BY seq"),
        [ids[0].as_str(), ids[2].as_str()]
    );
}

/// Adds the cron `digest` from a file, and returns its path.
async fn with_file_cron(world: &World, body: &Value) -> String {
    let definition = CronDefinition::of_body("digest", &body.to_string());
    let (file, position) = (Path::new("/etc/hidden.toml").into(), Position { line: 3, column: 1 });
    let location = SourceLocation { file, position };
    let definition = Arc::new(CronDefinition { location, ..CronDefinition::clone(&definition) });
    let path = format!("/runs/crons/{}", definition.cron_id(InstallationId::default()));
    world.api.store.sync_file_crons(world.api.clock.now(), vec![definition]).await.unwrap();
    path
}

fn key(access: Access) -> Caller {
    Caller::Key { name: "k".to_owned(), access }
}

#[tokio::test(start_paused = true)]
async fn a_cron_from_a_file_is_returned_without_its_token_and_changed_only_there() {
    let world = World::new();
    let body = json!({
        "schedule": "0 9 * * *", "assistant_id": "agent", "thread": "inbox", "metadata": {"team": "ops"},
        "input": {"prompt": "p"}, "config": {"tags": ["t"]}, "context": {"c": 1}, "webhook": "https://h/x?token=SECRET",
    });
    let path = with_file_cron(&world, &body).await;
    let response = world.send_as(key(Access::Act), "GET", &path, "").await;
    expect![[r#"200 {"cron_id":"137612af-6eda-55fc-9696-b3183fdeb868","assistant_id":"fe096781-5601-53d2-b2f6-0d3403f7e9ca","thread_id":"a1d6b81a-f97b-51ea-88f0-65de2283b882","user_id":"","end_time":null,"schedule":"0 9 * * *","timezone":null,"payload":{"schedule":"0 9 * * *","assistant_id":"agent","thread":"inbox","metadata":{"team":"ops"},"input":{"prompt":"p"},"config":{"tags":["t"]},"context":{"c":1},"webhook":"https://h/x?…"},"next_run_date":"2026-11-24T09:00:00+00:00","metadata":{"team":"ops","source":"file","name":"digest","location":"/etc/hidden.toml:3:1"},"on_run_completed":null,"enabled":true,"created_at":"2026-11-23T11:17:17.562000+00:00","updated_at":"2026-11-23T11:17:17.562000+00:00"}"#]].assert_eq(&response.status_and_body());
    let there = "/etc/hidden.toml:3:1: change it there";
    for (method, body) in [("PATCH", r#"{"enabled":false}"#), ("DELETE", "")] {
        let response = world.send_as(key(Access::Act), method, &path, body).await;
        assert_eq!(response.status, 409);
        assert!(response.body["detail"].as_str().unwrap().contains(there), "{response:?}");
    }
    let search = r#"{"metadata":{"team":"ops","source":"file"}}"#;
    let found = world.send_as(key(Access::Act), "POST", "/runs/crons/search", search).await;
    assert_eq!(found.body, json!([response.body]));
}

/// Those who may not see the values of runs do not see the operator's values either, nor find them by guessing.
#[tokio::test(start_paused = true)]
async fn the_values_of_a_cron_from_a_file_are_shown_to_those_who_may_see_values() {
    let world = World::new();
    let body = json!({
        "schedule": "0 9 * * *", "assistant_id": "agent", "input": {"a": "HIDDEN"}, "config": {"tags": ["HIDDEN"]},
        "context": {"a": "HIDDEN"}, "metadata": {"team": "HIDDEN"},
    });
    let path = with_file_cron(&world, &body).await;
    for caller in [Caller::Local, key(Access::Client)] {
        let send = async |method, path: &str, body: &str| {
            world.send_as(caller.clone(), method, path, body.to_owned()).await
        };
        let response = send("GET", &path, "").await;
        expect![[r#"200 {"cron_id":"137612af-6eda-55fc-9696-b3183fdeb868","assistant_id":"fe096781-5601-53d2-b2f6-0d3403f7e9ca","thread_id":null,"user_id":"","end_time":null,"schedule":"0 9 * * *","timezone":null,"payload":{"schedule":"0 9 * * *","assistant_id":"agent"},"next_run_date":"2026-11-24T09:00:00+00:00","metadata":{"source":"file","name":"digest"},"on_run_completed":"delete","enabled":true,"created_at":"2026-11-23T11:17:17.562000+00:00","updated_at":"2026-11-23T11:17:17.562000+00:00"}"#]].assert_eq(&response.status_and_body());
        let found =
            send("POST", "/runs/crons/search", r#"{"metadata":{"source":"file","name":"digest"}}"#).await;
        assert_eq!(found.body, json!([response.body]));
        for guess in
            [r#"{"metadata":{"team":"HIDDEN"}}"#, r#"{"metadata":{"location":"/etc/hidden.toml:3:1"}}"#]
        {
            assert_eq!(send("POST", "/runs/crons/search", guess).await.body, json!([]));
            assert_eq!(send("POST", "/runs/crons/count", guess).await.body, json!(0));
        }
        for (method, body) in [("PATCH", r#"{"enabled":false}"#), ("DELETE", "")] {
            let refused = send(method, &path, body).await.status_and_body();
            assert!(refused.starts_with("409") && !refused.contains("hidden"), "{refused}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_body_waits_for_the_memory_that_all_bodies_share() {
    let world = World::new();
    let memory = &world.api.held_bodies.0;
    let all = memory.acquire_many(u32::try_from(memory.available_permits()).unwrap()).await.unwrap();
    for (method, path) in [
        ("POST", "/runs/crons"),
        ("POST", &format!("/threads/{THREAD}/runs/crons")),
        ("PATCH", &format!("/runs/crons/{THREAD}")),
        ("POST", "/runs/crons/search"),
        ("POST", "/runs/crons/count"),
    ] {
        let long = world.send_raw(method, path, " ".repeat(100_000)).await;
        assert_eq!(long.status, 503, "{method} {path}");
    }
    world.create(json!({})).await;
    drop(all);
    assert_eq!(world.send_raw("POST", "/runs/crons", " ".repeat(100_000)).await.status, 422);
}
