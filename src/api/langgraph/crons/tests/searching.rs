//! Searches, compared with a model that has no store: a list of crons, filtered, sorted and cut.

use axum::http::HeaderName;

use super::*;
use crate::domain::containment::contains;

const ORDERS: [&str; 7] =
    ["cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"];

/// Creates crons of all kinds and returns them in the order of their creation.
async fn populate(world: &World) -> Vec<Value> {
    let mut crons = Vec::new();
    for index in 0..23 {
        let mut body = json!({
            "assistant_id": if index % 4 == 3 { AGENT } else { "agent" },
            "schedule": format!("{} {} * * *", index * 7 % 60, index * 5 % 24),
            "enabled": index % 3 != 0,
            "metadata": { "team": (["ops", "dev"][index % 2]), "n": { "i": index % 5, "all": true } },
        });
        if index % 5 == 0 {
            body["end_time"] = json!(format!("2027-01-{:02}T00:00:00+0{}:00", 20 - index % 7, index % 3));
        }
        let path =
            if index % 3 == 1 { format!("/threads/{THREAD}/runs/crons") } else { "/runs/crons".to_owned() };
        let response = world.send("POST", &path, &body).await;
        assert_eq!(response.status, 200, "{response:?}");
        crons.push(response.body);
        // Some are created in the same millisecond.
        if index % 4 != 0 {
            world.api.clock.step(jiff::SignedDuration::from_secs(1));
        }
    }
    for index in [3, 11, 4] {
        let id = crons[index]["cron_id"].as_str().unwrap().to_owned();
        world.api.clock.step(jiff::SignedDuration::from_secs(1));
        crons[index] = world.send("PATCH", &format!("/runs/crons/{id}"), &json!({"input": {}})).await.body;
    }
    let gone = crons.remove(7)["cron_id"].as_str().unwrap().to_owned();
    assert_eq!(world.send("DELETE", &format!("/runs/crons/{gone}"), &json!(null)).await.status, 204);
    crons
}

/// Returns the ids that the model finds, in order.
fn model(crons: &[Value], body: &Value) -> Vec<String> {
    let matches = |cron: &&Value| {
        ["assistant_id", "thread_id", "enabled"]
            .iter()
            .all(|key| body.get(*key).is_none_or(|expected| *expected == cron[*key]))
            && body.get("metadata").is_none_or(|part| contains(&cron["metadata"], part))
    };
    let order = body["sort_by"].as_str().unwrap_or("created_at");
    let key = |cron: &Value| match &cron[order] {
        Value::Null => (true, None, String::new()),
        Value::String(text) => (false, text.parse::<Timestamp>().ok(), text.clone()),
        other => panic!("{other}"),
    };
    let mut found: Vec<&Value> = crons.iter().filter(matches).collect();
    // Times are compared as times, ids as texts; equal ones keep their order.
    found.sort_by_key(|cron| match key(cron) {
        (absent, Some(at), _) => (absent, Some(at), String::new()),
        other => other,
    });
    if body["sort_order"] != "asc" {
        found.reverse();
    }
    found.iter().map(|cron| cron["cron_id"].as_str().unwrap().to_owned()).collect()
}

/// Returns all pages of a search together, as a client reads them.
async fn pages(world: &World, body: &Value, limit: usize) -> Vec<String> {
    let header = |response: &TestResponse, name: &'static str| {
        let value = response.headers.get(HeaderName::from_static(name));
        value.map(|value| value.to_str().unwrap().parse::<usize>().unwrap())
    };
    let mut body = body.clone();
    body["limit"] = json!(limit);
    body["select"] = json!(["cron_id"]);
    let mut ids = Vec::new();
    loop {
        body["offset"] = json!(ids.len());
        let response = world.send("POST", "/runs/crons/search", &body).await;
        let page = response.body.as_array().unwrap();
        assert!(page.len() <= limit && page.iter().all(|cron| cron.as_object().unwrap().len() == 1));
        ids.extend(page.iter().map(|cron| cron["cron_id"].as_str().unwrap().to_owned()));
        let next = header(&response, "x-pagination-next");
        assert_eq!(header(&response, "x-pagination-total"), Some(ids.len() + usize::from(next.is_some())));
        match next {
            Some(next) => assert_eq!(next, ids.len()),
            None => return ids,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_search_finds_what_the_model_finds_in_its_order() {
    let world = World::new();
    let mut crons = populate(&world).await;
    let filters = [
        json!({}),
        json!({"enabled": false}),
        json!({"thread_id": THREAD, "enabled": true}),
        json!({"thread_id": AGENT}),
        json!({"assistant_id": AGENT, "metadata": {"team": "ops", "n": {"all": true}}}),
        json!({"assistant_id": THREAD}),
        json!({"metadata": {"n": {"i": 2}}}),
    ];
    // The next run dates are those of now.
    for cron in &mut crons {
        let path = format!("/runs/crons/{}", cron["cron_id"].as_str().unwrap());
        *cron = world.send("GET", &path, &json!(null)).await.body;
    }
    for filter in &filters {
        for order in ORDERS {
            for direction in ["asc", "desc"] {
                let mut body = filter.clone();
                body["sort_by"] = json!(order);
                body["sort_order"] = json!(direction);
                let expected = model(&crons, &body);
                for limit in [1, 5, 1000] {
                    assert_eq!(pages(&world, &body, limit).await, expected, "{body}, {limit} a page");
                }
            }
        }
        let mut counted = filter.clone();
        counted.as_object_mut().unwrap().remove("enabled");
        let expected = model(&crons, &counted).len();
        assert_eq!(world.send("POST", "/runs/crons/count", filter).await.body, json!(expected));
    }
    assert_eq!(pages(&world, &json!({}), 10).await, model(&crons, &json!({})), "newest first");
}

#[tokio::test(start_paused = true)]
async fn odd_searches_are_refused_with_the_servers_message() {
    let world = World::new();
    let cases = [
        (json!({"limit": 0}), "0 is less than the minimum of 1\n"),
        (json!({"limit": 1001}), "1001 is greater than the maximum of 1000\n"),
        (json!({"limit": "5"}), "\"5\" is not of type \"integer\"\n"),
        (json!({"limit": 1.5}), "1.5 is not of type \"integer\"\n"),
        (json!({"offset": -1}), "-1 is less than the minimum of 0\n"),
        (
            json!({"sort_by": "bogus"}),
            "\"bogus\" is not one of \"cron_id\", \"assistant_id\" or 5 other candidates\n",
        ),
        (json!({"sort_order": "DESC"}), "\"DESC\" is not one of \"asc\" or \"desc\"\n"),
        (json!({"select": "cron_id"}), "\"cron_id\" is not of type \"array\"\n"),
        (
            json!({"select": ["bogus"]}),
            "\"bogus\" is not one of \"cron_id\", \"assistant_id\" or 12 other candidates\n",
        ),
        (json!({"metadata": null}), "null is not of type \"object\"\n"),
        (json!({"enabled": "x"}), "\"x\" is not of type \"boolean\"\n"),
        (json!({"assistant_id": "agent"}), "Invalid assistant ID: must be a UUID"),
        (json!({"thread_id": "x"}), "Invalid thread ID: must be a UUID"),
    ];
    for (body, message) in cases {
        let response = world.send("POST", "/runs/crons/search", &body).await;
        let detail = response.body["detail"].as_str().unwrap();
        assert!(response.status == 422 && detail.starts_with(message), "{body}: {response:?}");
    }
    for fine in [json!({"limit": 2.0}), json!({"bogus": 1}), json!({"offset": 1e300}), json!({"select": []})]
    {
        assert_eq!(world.send("POST", "/runs/crons/search", &fine).await.status, 200, "{fine}");
    }
}
