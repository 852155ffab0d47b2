//! `agentcron webhook doctor`: would webhooks to this URL be sent, and if not, by which rule?

mod told;

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::target::{self, Target, To};
use super::trial::{self, Trial};
use crate::cli::failure::Failure;
use crate::cli::run::roots_of_receivers;
use crate::cli::session::Session;
use crate::transport::{Dialer, Probe};
use crate::webhook::{DestinationVerdict, Examination, examine};

/// Examine a receiver: what the policy says of the URL and of every address behind it, the certificates it shows, and,
/// with --send, what it answers to a signed test and whether its clock is right.
///
/// Whether webhooks to a URL would be sent.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook doctor https://ops.example.com/hooks/agent
  agentcron webhook doctor --cron daily-digest --send
  agentcron webhook doctor https://ops.example.com/ --resolve ops.example.com:10.0.0.7

Exit code 0: webhooks may be sent there, 1: they are refused, 2: wrong usage or configuration.

It judges by the code that connects, by [webhooks.url] of the configuration, and opens a
connection only if that is allowed. Nothing is sent without --send. It needs no daemon.")]
pub(super) struct Doctor {
    #[command(flatten)]
    to: To,
    /// Let this name lead to this address, whatever the name service says; may be given several times
    #[arg(long, value_name = "HOST:IP", value_parser = resolved)]
    resolve: Vec<(String, IpAddr)>,
    /// Send a signed test, as `webhook test` does
    #[arg(long)]
    send: bool,
}

/// All that was found.
struct Diagnosis {
    examination: Examination,
    ping: Option<Trial>,
    at: Timestamp,
}

pub(super) fn doctor(doctor: &Doctor, session: &mut Session) -> Result<(), Failure> {
    let target = target::settle(&doctor.to, session)?;
    let url = session.environment.fill(&target.url);
    let url = url.map_err(|error| Failure::Usage(format!("the URL: {error}")))?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let diagnosis = runtime.block_on(diagnose(doctor, &target, url.expose(), session));
    // A look-up that hangs must not keep the process.
    runtime.shutdown_background();
    let diagnosis = diagnosis?;
    if session.output.is_json() {
        let object = diagnosis.to_json(&target, url.expose());
        session.output.json(&object)?;
    } else {
        diagnosis.print(url.expose(), session)?;
    }
    match diagnosis.examination.verdict {
        DestinationVerdict::Allowed => Ok(()),
        DestinationVerdict::Refused(_) => Err(Failure::Failed("webhooks to this URL are refused".to_owned())),
        DestinationVerdict::NoAddress(_) => Err(Failure::Failed("its name leads nowhere".to_owned())),
    }
}

async fn diagnose(
    doctor: &Doctor,
    target: &Target,
    url: &str,
    session: &Session,
) -> Result<Diagnosis, Failure> {
    let mut names = BTreeMap::<String, Vec<IpAddr>>::new();
    for (name, address) in &doctor.resolve {
        names.entry(name.clone()).or_default().push(*address);
    }
    let dialer = Dialer::of_system().with_names(names);
    let policy = &target.webhooks.url;
    let roots = roots_of_receivers(&target.webhooks)?;
    let probe = Probe::new(roots.as_deref(), dialer.clone(), policy.clone());
    let probe = probe.map_err(|error| Failure::Usage(format!("webhooks.ca_file: {error}")))?;
    let examination = examine(url, policy, &probe).await;
    let ping = match examination.verdict {
        DestinationVerdict::Allowed if doctor.send => Some(trial::send(target, dialer, session).await?),
        DestinationVerdict::Allowed | DestinationVerdict::Refused(_) | DestinationVerdict::NoAddress(_) => {
            None
        }
    };
    Ok(Diagnosis { examination, ping, at: session.now() })
}

impl Diagnosis {
    /// How far the receiver's clock is ahead of ours, to the second that `Date` tells.
    fn skew(&self) -> Option<SignedDuration> {
        let ping = self.ping.as_ref()?;
        let head = SignedDuration::try_from(ping.report.phases.head?).ok()?;
        let answered_at = ping.started_at.checked_add(head).ok()?;
        Some(ping.report.receiver_clock?.duration_since(answered_at))
    }
}

/// `ops.example.com:10.0.0.7`, `ops.example.com:[2001:db8::1]`: the name as a parsed URL has it.
fn resolved(text: &str) -> Result<(String, IpAddr), String> {
    let expected = || "expected HOST:IP, such as ops.example.com:10.0.0.7".to_owned();
    let (name, address) = text.split_once(':').ok_or_else(expected)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse().map_err(|_| expected())?;
    match url::Host::parse(name) {
        Ok(url::Host::Domain(name)) => Ok((name, address)),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_resolved_as_a_parsed_url_has_it() {
        for (text, name, address) in [
            ("Hooks.Example.com:10.0.0.7", "hooks.example.com", "10.0.0.7"),
            ("münchen.example:2001:db8::1", "xn--mnchen-3ya.example", "2001:db8::1"),
            ("a.example:[::1]", "a.example", "::1"),
        ] {
            assert_eq!(resolved(text).unwrap(), (name.to_owned(), address.parse().unwrap()), "{text}");
        }
        for text in ["", "a.example", "a.example:", "a.example:443:10.0.0.1", "10.0.0.1:10.0.0.2", ":::1"] {
            assert!(resolved(text).is_err(), "{text}");
        }
    }
}
