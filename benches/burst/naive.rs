//! The program that one would write without agentcron: one entry per cron in tokio-cron-scheduler, which POSTs the
//! run with reqwest when it is due. Nothing is kept, nothing is asked again, nothing is followed.

use std::io::Write;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;
use tokio_cron_scheduler::{Job, JobScheduler};
use uuid::Uuid;

use super::contestant::{ASSISTANT, name_of, prompt};

/// What is to be fired, where and when.
#[derive(clap::Args)]
pub(super) struct Burst {
    /// The agent server.
    url: String,
    /// How many crons.
    count: usize,
    /// When all of them are due, once.
    at: Timestamp,
}

/// Fires, then waits to be killed. A line on stdout says that all entries are made.
pub(super) fn run(burst: &Burst) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // A second installation is refused, and harmless: the first one stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    runtime.block_on(async {
        let calendar = JobScheduler::new().await?;
        for index in 0..burst.count {
            calendar.add(entry(burst, index, &client)?).await?;
        }
        calendar.start().await?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "ready")?;
        stdout.flush()?;
        std::future::pending().await
    })
}

fn entry(burst: &Burst, index: usize, client: &reqwest::Client) -> Result<Job> {
    let schedule = burst.at.strftime("%-S %-M %-H %-d %-m *").to_string();
    let (url, client) = (burst.url.clone(), client.clone());
    Ok(Job::new_async(schedule, move |_, _| {
        let url = format!("{url}/threads/{}/runs", Uuid::new_v4());
        let body = json!({
            "assistant_id": ASSISTANT,
            "input": { "messages": [{ "role": "user", "content": prompt() }] },
            "if_not_exists": "create",
            "metadata": { "cron_name": name_of(index) },
        });
        let request = client.post(url).header("content-type", "application/json").body(body.to_string());
        Box::pin(async move {
            // Nobody is told: there is nobody to tell.
            let _ = request.send().await;
        })
    })?)
}
