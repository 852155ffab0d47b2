//! What the doctor has found, for programs and for people.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Diagnosis;
use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::session::Session;
use crate::cli::times;
use crate::cli::webhook::show::spent;
use crate::cli::webhook::target::Target;
use crate::domain::bounds::{CLOCK_SKEW_WARNED, SIGNATURE_AGE_MAX};
use crate::transport::{Certificate, JudgedAddress};
use crate::webhook::redacted;

/// A certificate that ends sooner is worth a word.
const DAYS_LEFT_FEW: i64 = 14;

fn verdict(is_allowed: bool) -> &'static str {
    if is_allowed { "allow" } else { "deny" }
}

impl Diagnosis {
    pub(super) fn to_json(&self, target: &Target, url: &str) -> Value {
        let examination = &self.examination;
        let address = |judged: &JudgedAddress| {
            let refusal = judged.violation.as_ref();
            json!({
                "address": judged.address.to_string(),
                "verdict": verdict(refusal.is_none()),
                "rule": refusal.map(|refusal| refusal.rule.as_str()),
            })
        };
        json!({
            "url": redacted(url),
            "verdict": verdict(examination.verdict.is_allowed()),
            "rule": examination.verdict.rule(),
            "addresses": examination.addresses.iter().map(address).collect::<Vec<_>>(),
            "reason": examination.verdict.reason(),
            "configuration": target.configuration.as_ref().map(|path| path.display().to_string()),
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
        let finding = &self.examination.verdict;
        let style = if finding.is_allowed() { Style::Good } else { Style::Bad };
        let word = session.output.paint(style, verdict(finding.is_allowed()));
        session.output.line(&format!("{word}  {}", printable(&redacted(url))))?;
        if let Some(reason) = finding.reason() {
            session.output.line(&format!("  {}", printable(&reason)))?;
        }
        self.print_addresses(session)?;
        self.print_connection(session)?;
        self.print_certificates(session)?;
        if let Some(ping) = &self.ping {
            heading("test", session)?;
            ping.print(session)?;
        }
        self.print_clock(session)
    }

    fn print_addresses(&self, session: &mut Session) -> Result<(), Failure> {
        if self.examination.addresses.is_empty() {
            return Ok(());
        }
        heading("addresses", session)?;
        for judged in &self.examination.addresses {
            let (style, why) = match &judged.violation {
                None => (Style::Good, String::new()),
                Some(refusal) => (Style::Bad, format!("  {refusal}")),
            };
            let word = format!("{:<6}", verdict(judged.violation.is_none()));
            let word = session.output.paint(style, &word);
            session.output.line(&format!("  {word}{}{why}", judged.address))?;
        }
        Ok(())
    }

    fn print_connection(&self, session: &mut Session) -> Result<(), Failure> {
        let Some(connection) = &self.examination.connection else { return Ok(()) };
        heading("connection", session)?;
        Ok(session.output.line(&match connection {
            Ok(far_end) => {
                let time = session.output.paint(Style::Dim, &spent(&far_end.opening));
                format!("  to {}  {time}", far_end.address)
            }
            Err(_) => {
                let problem = self.examination.problem().unwrap_or_default();
                format!("  {}", session.output.paint(Style::Bad, &printable(&problem)))
            }
        })?)
    }

    fn print_certificates(&self, session: &mut Session) -> Result<(), Failure> {
        if self.examination.certificates.is_empty() {
            return Ok(());
        }
        heading("certificates", session)?;
        session.output.line(&match self.examination.tls_problem() {
            None => format!("  {}", session.output.paint(Style::Good, "trusted")),
            Some(words) => {
                format!(
                    "  {}",
                    session.output.paint(Style::Bad, &printable(&format!("not trusted: {words}")))
                )
            }
        })?;
        for certificate in &self.examination.certificates {
            let Certificate { subject, issuer, not_after, names } = certificate;
            let days = self.days_left(certificate);
            let style = if days < DAYS_LEFT_FEW { Style::Odd } else { Style::Plain };
            let until = format!("until {} ({days} days left)", times::local(*not_after, &session.zone));
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
        heading("clock", session)?;
        let (style, words) = match skew.unsigned_abs() {
            off if off <= CLOCK_SKEW_WARNED => (Style::Good, "the receiver's clock is right".to_owned()),
            off if off <= SIGNATURE_AGE_MAX => {
                (Style::Odd, format!("warning: the receiver's clock is {}", away(skew)))
            }
            _ => (
                Style::Bad,
                format!("error: the receiver's clock is {}; it will take signatures for stale", away(skew)),
            ),
        };
        Ok(session.output.line(&format!("  {}", session.output.paint(style, &words)))?)
    }
}

fn away(skew: SignedDuration) -> String {
    let direction = if skew.is_negative() { "behind" } else { "ahead" };
    format!("{} {direction}", times::took(skew.abs()))
}

fn heading(text: &str, session: &mut Session) -> Result<(), Failure> {
    let text = session.output.paint(Style::Bold, text);
    Ok(session.output.line(&text)?)
}
