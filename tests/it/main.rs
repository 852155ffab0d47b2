//! The integration tests: one binary, so that they link once and share the real agent server.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and speaks on stderr"
)]

mod acting;
mod api_crons;
mod backups;
mod bad_receivers;
mod beside;
mod browsers;
mod bypasses;
mod calendar_croniter;
mod calendar_oracle;
mod cli;
mod clock_steps;
mod documents;
mod editing;
mod edits;
mod endings;
mod explain;
mod failover;
mod fairness;
mod faults;
mod file_layouts;
mod floods;
mod full_disk;
mod gateway;
mod gateway_proxy;
mod generations;
mod hostile_text;
mod installations;
mod killing;
mod log;
mod mistakes;
mod night;
mod notifications;
mod openapi;
mod outage;
mod page;
mod page_browsers;
mod pings;
mod planted;
mod policies;
mod policy_urls;
mod real_server;
#[cfg(debug_assertions)]
mod reasons;
mod receivers;
mod reload;
mod restart;
mod retention;
mod retries;
mod rights;
mod sdk;
#[cfg(debug_assertions)]
mod shared_store;
mod signing;
mod signing_attempts;
#[cfg(debug_assertions)]
mod simulation;
mod socket_only;
mod status;
#[expect(dead_code, reason = "support offers more than the tests of today use")]
mod support;
mod tidy;
mod traces;
mod users;
mod verifying;
mod watchdog;
mod weaker_servers;
mod web_pages;
mod webhook_control;
mod webhook_tools;
mod webhooks;
mod zones;
