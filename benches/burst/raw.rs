//! The limit of the machine: a client that makes the requests of each life, 64 lives at a time, and keeps nothing. It
//! starts the run, joins it, asks for its end, and sends the webhook.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::contestant::{Burst, name_of, run_body};
use super::machine::now;

const AT_ONCE: usize = 64;

/// Makes all lives when they are due, and then waits to be killed. It prints a line once it is ready.
pub(super) fn run(burst: Burst) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Installing a provider again fails, which is harmless: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready")?;
    stdout.flush()?;
    runtime.block_on(async {
        let wait = burst.at.duration_since(now());
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        let (burst, next) = (Arc::new(burst), Arc::new(AtomicUsize::new(0)));
        let mut lanes = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (client, burst, next) = (client.clone(), Arc::clone(&burst), Arc::clone(&next));
            lanes.spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= burst.count {
                        return;
                    }
                    // A life that fails is seen as lost: it has nothing to record it in.
                    let _ = live(&client, &burst.url, index).await;
                }
            });
        }
        while lanes.join_next().await.is_some() {}
        std::future::pending().await
    })
}

async fn live(client: &Client, url: &str, index: usize) -> Result<()> {
    let thread_id = Uuid::new_v4();
    let runs = format!("{url}/threads/{thread_id}/runs");
    let run = answer(with_json(client.post(&runs), run_body(index))).await?;
    let run_id = run["run_id"].as_str().context("the run has no id")?;
    let values = answer(client.get(format!("{runs}/{run_id}/join"))).await?;
    let ended = answer(client.get(format!("{runs}/{run_id}"))).await?;
    let cron = name_of(index);
    let body = json!({
        "run_id": run_id,
        "thread_id": thread_id.to_string(),
        "status": ended["status"],
        "created_at": ended["created_at"],
        "updated_at": ended["updated_at"],
        "metadata": { "cron_name": cron },
        "values": values,
    });
    let webhook = client.post(format!("{url}/hooks/{cron}"));
    with_json(webhook, body.to_string()).send().await?.error_for_status()?.bytes().await?;
    Ok(())
}

fn with_json(request: RequestBuilder, body: String) -> RequestBuilder {
    request.header("content-type", "application/json").body(body)
}

async fn answer(request: RequestBuilder) -> Result<Value> {
    Ok(serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?)
}
