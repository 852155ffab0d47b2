//! The findings of the doctor, as JSON and as text.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Diagnosis;
use crate::cli::terminal::{Failure, Session, TextStyle, printable};
use crate::cli::webhook::receiver_arguments::ChosenReceiver;
use crate::domain::bounds::{CLOCK_SKEW_WARNED, SIGNATURE_AGE_MAX};
use crate::present::{Tone, counted, times, webhooks};
use crate::transport::{Certificate, JudgedAddress};
use crate::webhook::redacted;

/// A certificate that has fewer days left than this is highlighted.
const DAYS_LEFT_FEW: i64 = 14;

/// Returns the word for whether the policy allows webhooks to a URL or to an address, and its tone.
fn verdict(is_allowed: bool) -> (&'static str, Tone) {
    if is_allowed { ("allow", Tone::Good) } else { ("deny", Tone::Bad) }
}

impl Diagnosis {
    pub(super) fn to_json(&self, receiver: &ChosenReceiver, url: &str) -> Value {
        let examination = &self.examination;
        let address = |judged: &JudgedAddress| {
            let violation = judged.violation.as_ref();
            json!({
                "address": judged.address.to_string(),
                "verdict": verdict(violation.is_none()).0,
                "rule": violation.map(|violation| violation.rule.as_str()),
            })
        };
        json!({
            "url": redacted(url),
            "verdict": verdict(examination.verdict.is_allowed()).0,
            "rule": examination.verdict.rule(),
            "addresses": examination.addresses.iter().map(address).collect::<Vec<_>>(),
            "reason": examination.verdict.reason(),
            "configuration": receiver.configuration.as_ref().map(|path| path.display().to_string()),
            "connection": examination.connection.as_ref().map(|connection| json!({
                "address": connection.as_ref().ok().map(|far_end| far_end.address.to_string()),
                "problem": examination.problem(),
            })),
            "tls": self.tls_json(),
            "ping": self.ping.as_ref().map(|ping| ping.to_json()),
            "skew_seconds": self.skew().map(|skew| skew.as_secs()),
        })
    }

    fn tls_json(&self) -> Value {
        if self.examination.certificates.is_empty() {
            return Value::Null;
        }
        let certificate = |certificate: &Certificate| {
            json!({
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "names": certificate.names,
                "not_after": certificate.not_after.to_string(),
                "days_left": self.days_left(certificate),
            })
        };
        let problem = self.examination.tls_problem();
        json!({
            "trusted": problem.is_none(),
            "problem": problem,
            "chain": self.examination.certificates.iter().map(certificate).collect::<Vec<_>>(),
        })
    }

    fn days_left(&self, certificate: &Certificate) -> i64 {
        certificate.not_after.duration_since(self.at).as_hours().div_euclid(24)
    }

    pub(super) fn print(&self, url: &str, session: &mut Session) -> Result<(), Failure> {
        let destination = &self.examination.verdict;
        let (word, tone) = verdict(destination.is_allowed());
        let word = session.output.paint(tone, word);
        session.output.line(&format!("{word}  {}", printable(&redacted(url))))?;
        if let Some(reason) = destination.reason() {
            session.output.line(&format!("  {}", printable(&reason)))?;
        }
        self.print_addresses(session)?;
        self.print_connection(session)?;
        self.print_certificates(session)?;
        if let Some(ping) = &self.ping {
            session.output.heading("sample")?;
            ping.print(session)?;
        }
        self.print_clock(session)
    }

    fn print_addresses(&self, session: &mut Session) -> Result<(), Failure> {
        if self.examination.addresses.is_empty() {
            return Ok(());
        }
        session.output.heading("addresses")?;
        for judged in &self.examination.addresses {
            let why = judged.violation.as_ref().map(|violation| format!("  {violation}")).unwrap_or_default();
            let (word, tone) = verdict(judged.violation.is_none());
            let word = session.output.paint(tone, &format!("{word:<6}"));
            session.output.line(&format!("  {word}{}{why}", judged.address))?;
        }
        Ok(())
    }

    fn print_connection(&self, session: &mut Session) -> Result<(), Failure> {
        let Some(connection) = &self.examination.connection else { return Ok(()) };
        session.output.heading("connection")?;
        Ok(session.output.line(&match connection {
            Ok(far_end) => {
                let time = session.output.paint(TextStyle::Dim, &webhooks::phases_text(&far_end.opening));
                format!("  to {}  {time}", far_end.address)
            }
            Err(_) => {
                let problem = self.examination.problem().unwrap_or_default();
                format!("  {}", session.output.paint(Tone::Bad, &printable(&problem)))
            }
        })?)
    }

    fn print_certificates(&self, session: &mut Session) -> Result<(), Failure> {
        if self.examination.certificates.is_empty() {
            return Ok(());
        }
        session.output.heading("certificates")?;
        session.output.line(&match self.examination.tls_problem() {
            None => format!("  {}", session.output.paint(Tone::Good, "trusted")),
            Some(problem) => {
                let problem = printable(&format!("not trusted: {problem}"));
                format!("  {}", session.output.paint(Tone::Bad, &problem))
            }
        })?;
        for certificate in &self.examination.certificates {
            let Certificate { subject, issuer, not_after, names } = certificate;
            let days = self.days_left(certificate);
            let style = if days < DAYS_LEFT_FEW { Tone::Attention.into() } else { TextStyle::Plain };
            let left = match days {
                ..0 => "expired".to_owned(),
                days => format!("{} left", counted(days.unsigned_abs(), "day")),
            };
            let until = format!("until {} ({left})", times::local(*not_after, &session.zone));
            let until = session.output.paint(style, &until);
            session.output.line(&format!("  {} by {}  {until}", printable(subject), printable(issuer)))?;
            if !names.is_empty() {
                session.output.line(&format!("    for {}", printable(&names.join(", "))))?;
            }
        }
        Ok(())
    }

    fn print_clock(&self, session: &mut Session) -> Result<(), Failure> {
        let Some(skew) = self.skew() else { return Ok(()) };
        session.output.heading("clock")?;
        let (tone, text) = match skew.unsigned_abs() {
            off if off <= CLOCK_SKEW_WARNED => (Tone::Good, "the receiver's clock is right".to_owned()),
            off if off <= SIGNATURE_AGE_MAX => {
                (Tone::Attention, format!("warning: the receiver's clock is {}", skew_text(skew)))
            }
            _ => (
                Tone::Bad,
                format!(
                    "error: the receiver's clock is {}; it will reject signatures as stale",
                    skew_text(skew)
                ),
            ),
        };
        Ok(session.output.line(&format!("  {}", session.output.paint(tone, &text)))?)
    }
}

/// Returns `3 min 20 s ahead`.
fn skew_text(skew: SignedDuration) -> String {
    let direction = if skew.is_negative() { "behind" } else { "ahead" };
    format!("{} {direction}", times::took(skew.abs()))
}
