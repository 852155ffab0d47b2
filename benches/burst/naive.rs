//! The program that one would write without agentcron: one entry per cron in tokio-cron-scheduler, which POSTs the run
//! with reqwest when it is due. It stores nothing, retries nothing and follows no run.

use std::io::Write;

use anyhow::Result;
use tokio_cron_scheduler::{Job, JobScheduler};
use uuid::Uuid;

use super::contestant::{Burst, run_body};

/// Starts the runs when they are due, until it is killed. It prints a line once all entries have been added.
pub(super) fn run(burst: &Burst) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Installing a provider again fails, which is harmless: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    runtime.block_on(async {
        let scheduler = JobScheduler::new().await?;
        for index in 0..burst.count {
            scheduler.add(entry(burst, index, &client)?).await?;
        }
        scheduler.start().await?;
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
        let request = client.post(url).header("content-type", "application/json").body(run_body(index));
        Box::pin(async move {
            // The naive program ignores errors: it has nothing to record them in.
            let _ = request.send().await;
        })
    })?)
}
