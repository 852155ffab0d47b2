//! Every response that was captured from the real server: ours is the same, including the order of its keys.

use super::*;

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/langgraph/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Sends the sample's request, with `cron_id` in place of the one that it names, and compares the response. Ids and times
/// are our own, but have the server's format. Returns the id of the cron in the response.
async fn check(world: &World, name: &str, cron_id: Option<&str>) -> Option<String> {
    let sample = sample(name);
    let request = &sample["request"];
    let mut path = request["path"].as_str().unwrap().to_owned();
    if let (Some(cron_id), Some((front, _))) = (cron_id, path.split_once("/01a2")) {
        path = format!("{front}/{cron_id}");
    }
    let response = world.send(request["method"].as_str().unwrap(), &path, &request["body"]).await;
    assert_eq!(response.status, sample["status"], "{name}: {response:?}");
    for (header, value) in sample["headers"].as_object().into_iter().flatten() {
        assert_eq!(response.headers.get(header).unwrap(), value.as_str().unwrap(), "{name}");
    }
    let expected = &sample["body"];
    if response.status >= 400 {
        let (detail, expected) =
            (response.body["detail"].as_str().unwrap(), expected["detail"].as_str().unwrap());
        assert!(detail.starts_with(expected), "{name}: {detail}");
        return None;
    }
    assert_eq!(
        without_ids_and_times(&response.body).to_string(),
        without_ids_and_times(expected).to_string(),
        "{name}"
    );
    response.body["cron_id"].as_str().map(str::to_owned)
}

/// Returns the body without what differs between two runs: ids of crons, and when they were created and changed.
fn without_ids_and_times(body: &Value) -> Value {
    let mut body = body.clone();
    let crons: Vec<&mut Value> = match &mut body {
        Value::Array(crons) => crons.iter_mut().collect(),
        cron => vec![cron],
    };
    for cron in crons.into_iter().filter(|cron| cron.is_object()) {
        let id = cron["cron_id"].as_str().unwrap().to_owned();
        let version_and_variant = (&id[14..15], "89ab".contains(&id[19..20]));
        assert_eq!(version_and_variant, ("7", true), "a UUIDv7: {id}");
        assert_eq!(cron["payload"]["config"]["configurable"]["cron_id"], id);
        for key in ["created_at", "updated_at"] {
            let time = cron[key].take();
            let time = time.as_str().unwrap();
            assert_eq!((time.len(), &time[26..]), (32, "+00:00"), "{key}: {time}");
            cron[key] = json!("a time");
        }
        cron["cron_id"] = json!("an id");
        cron["payload"]["config"]["configurable"]["cron_id"] = json!("an id");
        // This is the only other value that depends on the clock.
        let next = cron["next_run_date"].as_str().unwrap();
        assert_eq!((next.len(), &next[19..]), (25, "+00:00"), "{next}");
    }
    body
}

#[tokio::test(start_paused = true)]
async fn every_captured_response_is_ours_too() {
    let mut world = World::new();
    // This is when the samples were captured.
    world.api.clock = Clock::simulated(at("2026-11-23T11:16:58.617Z"));
    let cron_id = check(&world, "cron_create_thread", None).await;
    let cron_id = cron_id.as_deref();
    check(&world, "cron_get", cron_id).await;
    check(&world, "cron_patch", cron_id).await;
    check(&world, "cron_patch_empty", cron_id).await;
    check(&world, "cron_search", cron_id).await;
    check(&world, "cron_count", cron_id).await;
    check(&world, "cron_delete", cron_id).await;
    check(&world, "cron_delete_again", cron_id).await;
    world.api.clock = Clock::simulated(at("2026-11-23T11:17:17.562Z"));
    check(&world, "cron_create_stateless", None).await;
    for refused in ["bad_schedule", "bad_timezone", "unknown_assistant", "unknown_thread"] {
        check(&world, &format!("cron_create_{refused}"), None).await;
    }
    assert_eq!(world.rows("SELECT count(*) || '' FROM runs"), ["0"], "creating a cron starts no run");
}
