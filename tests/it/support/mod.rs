//! The world around agentcron, for tests on loopback: agent servers, receivers, a faulty proxy, the daemon itself.
//!
//! All of them run on runtimes and in processes of their own, so a test may block without stopping them. Every wait is for
//! a condition, with a limit after which the test fails and says what it waited for.

pub(crate) mod agent_server;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod configuration;
pub(crate) mod daemon;
pub(crate) mod driver;
pub(crate) mod final_checks;
pub(crate) mod free_port;
pub(crate) mod growing_list;
pub(crate) mod history;
pub(crate) mod html;
pub(crate) mod installed;
pub(crate) mod listener;
pub(crate) mod loopback_server;
pub(crate) mod mail_server;
pub(crate) mod memory;
pub(crate) mod pooler;
pub(crate) mod postgres;
pub(crate) mod postgres_copy;
pub(crate) mod postgres_psql;
pub(crate) mod postgres_restart;
pub(crate) mod postgres_standby;
pub(crate) mod proxy;
pub(crate) mod real_server;
pub(crate) mod receiver;
pub(crate) mod seeded_random;
pub(crate) mod skipped;
pub(crate) mod soak;
pub(crate) mod span;
pub(crate) mod tls;
pub(crate) mod versions;
pub(crate) mod visitor;
