//! Sends one sample webhook with the code of the courier, and reports the outcome.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::receiver_arguments::ChosenReceiver;
use crate::cli::terminal::{Failure, Session, TextStyle, printable, receiver_transport};
use crate::domain::delivery::{AttemptReport, Turn, Verdict, judge};
use crate::domain::ids::DeliveryId;
use crate::present::{Tone, times, webhooks};
use crate::transport::Dialer;
use crate::webhook::{OutboundWebhook, Sender};

/// A sample that was sent, and its outcome.
pub(in crate::cli) struct TestDelivery {
    pub(super) webhook_id: String,
    pub(super) started_at: Timestamp,
    took: SignedDuration,
    pub(super) report: AttemptReport,
    /// What the courier would conclude if this were the first attempt of a delivery.
    verdict: Verdict,
}

/// Sends one sample over connections that `dialer` opens.
pub(super) async fn send_sample(
    receiver: &ChosenReceiver,
    dialer: Dialer,
    session: &Session,
) -> Result<TestDelivery, Failure> {
    let transport = receiver_transport(&receiver.webhooks, dialer)?;
    let (environment, clock) = (session.environment.clone(), session.clock.clone());
    let sender = Sender::new(transport, environment, clock, receiver.webhooks.clone());
    Ok(send(receiver.sample(session), &sender, session).await)
}

/// Sends what is only a test.
pub(in crate::cli) async fn send(
    sample: OutboundWebhook,
    sender: &Sender,
    session: &Session,
) -> TestDelivery {
    let (webhook_id, started_at) = (sample.webhook_id.clone(), session.now());
    let report = sender.send(sample).await;
    let ended_at = session.now();
    let verdict = judge(DeliveryId(Uuid::nil()), Turn::Step(1), &report.result, ended_at);
    TestDelivery { webhook_id, started_at, took: ended_at.duration_since(started_at), report, verdict }
}

impl TestDelivery {
    pub(in crate::cli) fn is_delivered(&self) -> bool {
        self.verdict == Verdict::Delivered
    }

    /// Returns `delivered`, or what the courier would do next.
    pub(super) fn decision(&self) -> String {
        match &self.verdict {
            Verdict::Delivered => "delivered".to_owned(),
            Verdict::Again(at) => {
                let wait = at.duration_since(self.started_at.saturating_add(self.took).unwrap_or(*at));
                format!("not delivered; agentcron would retry after {}", times::took(wait))
            }
            Verdict::Ended(ending, _) => {
                format!(
                    "not delivered; agentcron would not retry, and would record it as {}",
                    ending.status()
                )
            }
        }
    }

    /// Returns the outcome as JSON, with the names of `webhook show --json`.
    pub(in crate::cli) fn to_json(&self) -> Value {
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

    /// Prints the response, the times and the decision on indented lines.
    pub(in crate::cli) fn print(&self, session: &mut Session) -> Result<(), Failure> {
        let address = self.report.address.as_ref().map(ToString::to_string);
        let code = self.report.result.code();
        let response = webhooks::response_with_address(code, address.as_deref(), self.took);
        session.output.line(&format!("  {response}"))?;
        let phases = webhooks::phases_text(&self.report.phases);
        if !phases.is_empty() {
            session.output.line(&format!("  {}", session.output.paint(TextStyle::Dim, &phases)))?;
        }
        if let Some(detail) = self.report.result.detail() {
            session.output.line(&format!("  {}", printable(detail)))?;
        }
        for line in self.report.answer.iter().flat_map(|answer| answer.lines()) {
            session.output.line(&format!("  | {}", printable(line)))?;
        }
        let tone = if self.is_delivered() { Tone::Good } else { Tone::Bad };
        Ok(session.output.line(&format!("  -> {}", session.output.paint(tone, &self.decision())))?)
    }
}
