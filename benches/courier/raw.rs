//! The limit of the machine: reqwest with as many requests in flight as the courier may have in all, without a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use agentcron::domain::bounds::ATTEMPTS_IN_FLIGHT;
use anyhow::Result;
use tokio::task::JoinSet;

use super::Rate;
use super::outbox::body;
use super::process::CpuTime;

/// Sends a request to each URL.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) fn send(urls: &[String]) -> Result<Rate> {
    // Installing a provider again fails, which is harmless: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (urls, next) = (Arc::new(urls.to_vec()), Arc::new(AtomicUsize::new(0)));
    let count = urls.len();
    let (cpu, start) = (CpuTime::of(std::process::id())?, Instant::now());
    runtime.block_on(async {
        let mut senders = JoinSet::new();
        for _ in 0..ATTEMPTS_IN_FLIGHT {
            let (client, urls, next) = (client.clone(), Arc::clone(&urls), Arc::clone(&next));
            senders.spawn(async move {
                while let Some(url) = urls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let request = client.post(url).header("content-type", "application/json").body(body());
                    request.send().await?.error_for_status()?.bytes().await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = senders.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    })?;
    let took = start.elapsed();
    Ok(Rate::of(count, took, CpuTime::of(std::process::id())?.since(&cpu)))
}
