//! `agentcron health`: the exit code of `status` without its text, for the probes of containers and for monitoring.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::status::Question;
use super::terminal::{Failure, Session, code_of};
use crate::api::wire::Verdict;
use crate::present::attention::Concern;

/// Docker and Kubernetes call a probe that takes longer a failed one.
const HEALTH_WITHIN: Duration = Duration::from_secs(2);

/// Exit with 0 if all is well: for probes and for monitoring
#[derive(Args, Debug)]
#[command(after_help = "\
Prints nothing, and takes two seconds at most. Exits with 0 if all is well, 5 if
something needs a person, and 6 if the daemon is not running; `agentcron status`
says what it is. If it cannot find out, it prints why and exits with 1, 2 or 3.
A restart rarely cures what 5 stands for, and never a full disk, so a probe that
restarts the daemon should use --alive.

Examples:
  agentcron health || agentcron status
  agentcron health --json
  HEALTHCHECK CMD [\"agentcron\", \"health\", \"--alive\"]")]
pub(super) struct Health {
    /// Only whether the daemon runs and responds
    #[arg(long)]
    alive: bool,
}

pub(super) fn health(health: &Health, session: &mut Session) -> Result<(), Failure> {
    let (verdict, attention) = match (Question::of(session), health.alive) {
        (Err(failure), _) => return Err(failure),
        (Ok(question), false) => question
            .within(HEALTH_WITHIN, Question::report)
            .map(|report| (report.verdict(), report.attention))?,
        (Ok(question), true) => match question.within(HEALTH_WITHIN, Question::unless_alive)? {
            None => (Verdict::Well, Vec::new()),
            Some(mut report) => {
                report.attention.retain(|one| one.what.0 == Concern::Daemon);
                (report.verdict(), report.attention)
            }
        },
    };
    if session.output.is_json() {
        session.output.json(&json!({ "code": code_of(verdict), "attention": attention }))?;
    }
    match verdict {
        Verdict::Well => Ok(()),
        Verdict::NeedsPerson | Verdict::DaemonDown => Err(Failure::Unwell(verdict)),
    }
}
