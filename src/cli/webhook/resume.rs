//! `agentcron webhook resume`: resumes deliveries to a suspended URL.

use clap::Args;
use serde_json::json;

use crate::cli::terminal::{Failure, Session, ask, printable};

/// Resume deliveries to a suspended URL
#[derive(Args, Debug)]
#[command(after_help = "\
A URL is suspended when its receiver responds with 410 or `webhook-delivery:
disable`. From then on its webhooks end as `gone` without being sent. `agentcron
webhook replay --status gone` sends those, and resumes the URL as well.

Examples:
  agentcron webhook resume https://ops.example.com/hooks/agent
  agentcron webhook resume ops.example.com    every suspended URL that contains this")]
pub(super) struct Resume {
    /// The URL as `status` shows it, or any part of it; the query is not searched
    url: String,
}

pub(super) fn resume(resume: &Resume, session: &mut Session) -> Result<(), Failure> {
    let answer = ask(session, &["webhooks", "resume"], &json!({ "url": resume.url }))?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let resumed = answer["resumed"].as_array().into_iter().flatten().filter_map(|url| url.as_str());
    for url in resumed {
        session.output.line(&format!("deliveries to {} are resumed", printable(url)))?;
    }
    let how = "`agentcron webhook replay --status gone` sends the webhooks that were not sent meanwhile";
    Ok(session.output.line(how)?)
}
