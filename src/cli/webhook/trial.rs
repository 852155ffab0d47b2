//! One webhook sent out of turn, over the code of the courier, and what came of it in words.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::show::spent;
use super::target::Target;
use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::run::to_receivers;
use crate::cli::session::Session;
use crate::cli::times;
use crate::domain::delivery::{AttemptReport, Verdict, judge};
use crate::domain::ids::DeliveryId;
use crate::transport::Dialer;
use crate::webhook::Sender;

/// What came of it.
pub(super) struct Trial {
    pub(super) webhook_id: String,
    pub(super) started_at: Timestamp,
    pub(super) took: SignedDuration,
    pub(super) report: AttemptReport,
    /// What the courier would conclude, were it the first attempt of a delivery.
    verdict: Verdict,
}

/// Sends one; the caller says over which wire.
pub(super) async fn send(target: &Target, dialer: Dialer, session: &Session) -> Result<Trial, Failure> {
    let transport = to_receivers(&target.webhooks, dialer)?;
    let (environment, clock) = (session.environment.clone(), session.clock.clone());
    let sender = Sender::new(transport, environment, clock, target.webhooks.clone());
    let attempt = target.attempt(session);
    let (webhook_id, started_at) = (attempt.webhook_id.clone(), session.now());
    let report = sender.send(attempt).await;
    let ended_at = session.now();
    let verdict = judge(DeliveryId(Uuid::nil()), 1, &report.result, ended_at);
    Ok(Trial { webhook_id, started_at, took: ended_at.duration_since(started_at), report, verdict })
}

impl Trial {
    pub(super) fn is_delivered(&self) -> bool {
        self.verdict == Verdict::Delivered
    }

    /// `delivered`, or what the courier would do next.
    pub(super) fn decision(&self) -> String {
        match &self.verdict {
            Verdict::Delivered => "delivered".to_owned(),
            Verdict::Again(at) => {
                let wait = at.duration_since(self.started_at.saturating_add(self.took).unwrap_or(*at));
                format!("not delivered; agentcron would try again after {}", times::took(wait))
            }
            Verdict::Ended(ending, _) => {
                format!("not delivered; agentcron would not try again, and record it as {}", ending.status())
            }
        }
    }

    /// The same names as in `webhook show`.
    pub(super) fn to_json(&self) -> Value {
        let milliseconds = |took: Option<Duration>| took.map(|took| took.as_millis());
        let phases = &self.report.phases;
        json!({
            "webhook_id": self.webhook_id,
            "started_at": self.started_at.to_string(),
            "delivered": self.is_delivered(),
            "code": self.report.result.code(),
            "detail": self.report.result.detail(),
            "address": self.report.address,
            "dns_ms": milliseconds(phases.lookup),
            "connect_ms": milliseconds(phases.connect),
            "tls_ms": milliseconds(phases.tls),
            "first_byte_ms": milliseconds(phases.head),
            "total_ms": self.took.as_millis(),
            "answer": self.report.answer,
            "decision": self.decision(),
        })
    }

    /// A few lines, each a little indented.
    pub(super) fn print(&self, session: &mut Session) -> Result<(), Failure> {
        let took = times::took(self.took);
        let from = self.report.address.as_ref().map(|address| format!(" by {address}")).unwrap_or_default();
        session.output.line(&match self.report.result.code() {
            Some(code) => format!("  answered {code}{from} in {took}"),
            None => format!("  no answer in {took}"),
        })?;
        let spent = spent(&self.report.phases);
        if !spent.is_empty() {
            session.output.line(&format!("  {}", session.output.paint(Style::Dim, &spent)))?;
        }
        if let Some(detail) = self.report.result.detail() {
            session.output.line(&format!("  {}", printable(detail)))?;
        }
        for line in self.report.answer.iter().flat_map(|answer| answer.lines()) {
            session.output.line(&format!("  | {}", printable(line)))?;
        }
        let style = if self.is_delivered() { Style::Good } else { Style::Bad };
        Ok(session.output.line(&format!("  -> {}", session.output.paint(style, &self.decision())))?)
    }
}
