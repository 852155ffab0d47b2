//! `agentcron webhook doctor`: would webhooks to this URL be sent, and if not, which rule stops them?

mod report;

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::receiver_arguments::{ChosenReceiver, ReceiverArguments, ReceiverUse, choose_receiver};
use super::test_delivery::{self, TestDelivery};
use crate::cli::terminal::{Failure, Session, receiver_roots};
use crate::transport::{Dialer, Probe};
use crate::webhook::{DestinationVerdict, Examination, examine};

/// Check whether webhooks to a URL would be sent, and if not, why
#[derive(Args, Debug)]
#[command(after_help = "\
Shows what the policy says about the URL and about every address behind it, the
certificates that the receiver presents and, with --send, its response to a
signed sample and whether its clock is right.

The policy is [webhooks.url] of the configuration, applied by the same code that
sends webhooks. A connection is opened only if the policy allows it, and nothing
is sent without --send. No daemon is needed.

Examples:
  agentcron webhook doctor https://ops.example.com/hooks/agent
  agentcron webhook doctor --cron daily-digest --send
  agentcron webhook doctor https://ops.example.com/ \\
    --resolve ops.example.com:10.0.0.7

Exit codes:
  0  webhooks would be sent
  1  webhooks would not be sent: the policy refuses them, or the host name has no
     address
  2  wrong usage or configuration")]
pub(super) struct Doctor {
    #[command(flatten)]
    receiver: ReceiverArguments,
    /// Resolve this name to this address instead of asking DNS; may be repeated
    #[arg(long, value_name = "HOST:IP", value_parser = resolved)]
    resolve: Vec<(String, IpAddr)>,
    /// Also send a signed sample, as `webhook test` does
    #[arg(long)]
    send: bool,
}

/// Everything that the doctor found out.
struct Diagnosis {
    examination: Examination,
    /// The sample, if one was sent.
    ping: Option<TestDelivery>,
    at: Timestamp,
}

pub(super) fn doctor(doctor: &Doctor, session: &mut Session) -> Result<(), Failure> {
    let use_of_it = if doctor.send { ReceiverUse::Sent } else { ReceiverUse::LookedAt };
    let receiver = choose_receiver(&doctor.receiver, use_of_it, session)?;
    let url = session.environment.fill(&receiver.url);
    let url = url.map_err(|error| Failure::Usage(format!("the URL: {error}")))?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let diagnosis = runtime.block_on(diagnose(doctor, &receiver, url.expose(), session));
    // A name lookup that hangs must not keep the process alive.
    runtime.shutdown_background();
    let diagnosis = diagnosis?;
    if session.output.is_json() {
        let object = diagnosis.to_json(&receiver, url.expose());
        session.output.json(&object)?;
    } else {
        diagnosis.print(url.expose(), session)?;
    }
    match diagnosis.examination.verdict {
        DestinationVerdict::Allowed => Ok(()),
        DestinationVerdict::Refused(_) => Err(Failure::Failed("webhooks to this URL are refused".to_owned())),
        DestinationVerdict::NoAddress(_) => Err(Failure::Failed("its host name has no address".to_owned())),
    }
}

async fn diagnose(
    doctor: &Doctor,
    receiver: &ChosenReceiver,
    url: &str,
    session: &Session,
) -> Result<Diagnosis, Failure> {
    let mut names = BTreeMap::<String, Vec<IpAddr>>::new();
    for (name, address) in &doctor.resolve {
        names.entry(name.clone()).or_default().push(*address);
    }
    let dialer = Dialer::of_system().with_names(names);
    let policy = &receiver.webhooks.url;
    let roots = receiver_roots(&receiver.webhooks)?;
    let probe = Probe::new(roots.as_deref(), dialer.clone(), policy.clone());
    let probe = probe.map_err(|error| Failure::Usage(format!("webhooks.ca_file: {error}")))?;
    let examination = examine(url, policy, &probe).await;
    let ping = match examination.verdict {
        DestinationVerdict::Allowed if doctor.send => {
            Some(test_delivery::send_sample(receiver, dialer, session).await?)
        }
        DestinationVerdict::Allowed | DestinationVerdict::Refused(_) | DestinationVerdict::NoAddress(_) => {
            None
        }
    };
    Ok(Diagnosis { examination, ping, at: session.now() })
}

impl Diagnosis {
    /// Returns how far the receiver's clock is ahead of ours, to the second, from its `Date` header.
    fn skew(&self) -> Option<SignedDuration> {
        let ping = self.ping.as_ref()?;
        let head = SignedDuration::try_from(ping.report.phases.head?).ok()?;
        let responded_at = ping.started_at.checked_add(head).ok()?;
        Some(ping.report.receiver_clock?.duration_since(responded_at))
    }
}

/// Parses `ops.example.com:10.0.0.7` or `ops.example.com:[2001:db8::1]`. The name is normalised as in a parsed URL.
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
    fn a_name_is_normalised_as_in_a_parsed_url() {
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
