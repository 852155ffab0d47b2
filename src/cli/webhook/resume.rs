//! `agentcron webhook resume`: a suspended URL is told again.

use clap::Args;
use serde_json::json;

use crate::cli::ask::ask;
use crate::cli::failure::Failure;
use crate::cli::output::printable;
use crate::cli::session::Session;

/// Tell a suspended URL again.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook resume https://ops.example.com/hooks/agent
  agentcron webhook resume ops.example.com                        every suspended URL with this in it

A URL is suspended when its receiver answers 410 or `webhook-delivery: disable`; from then on
its webhooks end as `gone` without being sent. `agentcron webhook replay --status gone` sends
those, and arms the URL as well.")]
pub(super) struct Resume {
    /// The URL as `status` shows it, or a part of it before its query
    url: String,
}

pub(super) fn resume(resume: &Resume, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["webhooks", "resume"], &json!({ "url": resume.url }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let armed = answer["resumed"].as_array().into_iter().flatten().filter_map(|url| url.as_str());
    for url in armed {
        session.output.line(&format!("{} is told again", printable(url)))?;
    }
    let how = "`agentcron webhook replay --status gone` sends what has ended meanwhile";
    Ok(session.output.line(how)?)
}
