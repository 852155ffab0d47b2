//! Reads `[notify.NAME]`: who is notified of what, and how.

use std::time::Duration;

use url::Url;

use super::errors::{Complaint, escaped, quoted};
use super::fields::OneOrMany;
use super::notify_targets::{Destination, EmailDestination, NotifyConfig, NotifyTarget, SmtpTls, TargetType};
use super::reference;
use super::secret::Secret;
use super::section_reader::{Reported, SectionReader};
use super::validate_cron::{check_url, is_cron_name};
use crate::domain::bounds::{NOTIFY_TARGETS_MAX, PING_EVERY, PING_EVERY_LEAST};
use crate::domain::notification::NotificationKind;
use crate::domain::url_policy::UrlPolicy;
use crate::domain::words::UnknownWord;

/// Where PagerDuty takes events, by its Events API v2.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// The public server of ntfy.
const NTFY: &str = "https://ntfy.sh/";
/// The ports of SMTP over TLS, and of the submission of mail (RFC 8314 §3.3, RFC 6409 §3.1).
const SMTPS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;

/// Reads all targets.
pub(super) fn notify(
    policy: Option<&UrlPolicy>,
    root: &mut SectionReader<'_, '_>,
) -> Result<NotifyConfig, Reported> {
    let mut tables = root.child("notify", "notify.NAME");
    let section = tables.section;
    let (mut targets, mut result) = (NotifyConfig::new(), Ok(()));
    for (name, _) in section.entries() {
        let name: &str = name.get_ref();
        let full_name = format!("notify.{name}");
        let mut table = tables.table(name, &full_name, &reference::NOTIFY);
        match target(name, policy, &mut table) {
            Ok(target) => drop(targets.insert(name.to_owned(), target)),
            Err(Reported) => result = Err(Reported),
        }
    }
    if targets.len() > NOTIFY_TARGETS_MAX {
        let complaint = Complaint::new(format!("more than {NOTIFY_TARGETS_MAX} targets"));
        return Err(root.report("notify", complaint));
    }
    result.map(|()| targets)
}

fn target(
    name: &str,
    policy: Option<&UrlPolicy>,
    section: &mut SectionReader<'_, '_>,
) -> Result<NotifyTarget, Reported> {
    let table = section.section;
    if !table.is_present() {
        return Err(Reported);
    }
    if !is_cron_name(name) {
        let message = format!("[{}]: {} is not a name for a target", escaped(table.name), quoted(name));
        let hint = "letters, digits, and -_. between them, at most 100 characters";
        section.report.error(table.document.source.error(table.offset, message, Some(hint.to_owned())));
        return Err(Reported);
    }
    if !table.has("type") {
        section.report.error(table.missing("type"));
        return Err(Reported);
    }
    let kind: TargetType = section.word("type")?;
    let to = destination(kind, section);
    if let (Ok(to), Some(policy)) = (&to, policy.filter(|_| !section.is_substituted("url")))
        && let Some(refusal) = to.url().and_then(|url| policy.judge_url(url.expose()).err())
    {
        let message = format!("refused by the policy: {refusal}");
        section.report("url", Complaint::with_hint(message, "see [webhooks.url]"));
    }
    let on = match kind {
        TargetType::Ping => told_of_nothing(section),
        _ => kinds(section),
    };
    let crons = section.value::<Option<OneOrMany>>("crons").map(|crons| crons.as_slice().to_vec());
    if crons.as_ref().is_some_and(Vec::is_empty) {
        let complaint = Complaint::with_hint("an empty list would match no cron", "leave it out for all");
        section.report("crons", complaint);
    }
    Ok(NotifyTarget { to: to?, on, crons })
}

/// Returns that a dead man's switch is told of nothing.
fn told_of_nothing(section: &mut SectionReader<'_, '_>) -> Vec<NotificationKind> {
    for key in ["on", "crons"] {
        if section.has(key) {
            let hint = "it only hears that the daemon is well; `ping` of a cron tells of that cron";
            section.report(key, Complaint::with_hint("is not for type = \"ping\"", hint));
        }
    }
    Vec::new()
}

/// Returns how often a dead man's switch hears from the daemon.
fn every(section: &mut SectionReader<'_, '_>) -> Result<Duration, Reported> {
    if !section.has("every") {
        return Ok(PING_EVERY);
    }
    let every = section.duration("every")?;
    if every < PING_EVERY_LEAST {
        let complaint =
            Complaint::new(format!("expected at least {}", humantime::format_duration(PING_EVERY_LEAST)));
        return Err(section.report("every", complaint));
    }
    Ok(every)
}

/// Returns what a target is told of.
fn kinds(section: &mut SectionReader<'_, '_>) -> Vec<NotificationKind> {
    let written = section.value::<Option<OneOrMany>>("on");
    let written = written.as_ref().map(OneOrMany::as_slice).unwrap_or_default();
    if written.is_empty() {
        section.report("on", Complaint::new("an empty list would tell nothing"));
    }
    let mut kinds = Vec::new();
    for word in written {
        match word.parse() {
            Ok(kind) => kinds.push(kind),
            Err(error) => {
                let error: UnknownWord = error;
                section.report("on", Complaint::new(error.to_string()));
            }
        }
    }
    kinds
}

/// The keys that belong to some types only.
const OF_TYPES: [(&str, &[TargetType]); 8] = [
    ("routing_key", &[TargetType::PagerDuty]),
    ("topic", &[TargetType::Ntfy]),
    ("token", &[TargetType::Ntfy]),
    ("user", &[TargetType::Email]),
    ("password", &[TargetType::Email]),
    ("from", &[TargetType::Email]),
    ("to", &[TargetType::Email]),
    ("every", &[TargetType::Ping]),
];

fn destination(kind: TargetType, section: &mut SectionReader<'_, '_>) -> Result<Destination, Reported> {
    for (key, types) in OF_TYPES {
        if section.has(key) && !types.contains(&kind) {
            let of = types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
            section.report(key, Complaint::new(format!("is for type = \"{of}\", and this is \"{kind}\"")));
        }
    }
    Ok(match kind {
        TargetType::Slack => Destination::Slack { url: url(None, section)? },
        TargetType::Webhook => Destination::Webhook { url: url(None, section)? },
        TargetType::Ping => Destination::Ping { url: url(None, section)?, every: every(section)? },
        TargetType::PagerDuty => {
            let routing_key = required("routing_key", section);
            Destination::PagerDuty { url: url(Some(PAGERDUTY), section)?, routing_key: routing_key? }
        }
        TargetType::Ntfy => {
            let (topic, token) = (required("topic", section), optional("token", section));
            Destination::Ntfy { url: url(Some(NTFY), section)?, topic: topic?, token: token? }
        }
        TargetType::Email => Destination::Email(email(section)?),
    })
}

fn optional(key: &str, section: &mut SectionReader<'_, '_>) -> Result<Option<Secret>, Reported> {
    let written: Option<String> = section.value(key);
    written.map(|text| section.secret(key, "", &text)).transpose()
}

fn required(key: &str, section: &mut SectionReader<'_, '_>) -> Result<Secret, Reported> {
    if !section.has(key) {
        let table = section.section;
        section.report.error(table.missing(key));
    }
    optional(key, section)?.ok_or(Reported)
}

/// Returns the URL, which may be a secret as a whole.
fn url(default: Option<&str>, section: &mut SectionReader<'_, '_>) -> Result<Secret, Reported> {
    if let Some(default) = default.filter(|_| !section.has("url")) {
        return Ok(Secret::new(default));
    }
    let url = required("url", section)?;
    match check_url(url.expose()) {
        Ok(()) => Ok(url),
        // Only the daemon has the value.
        Err(_) if section.is_substituted("url") => Ok(url),
        Err(complaint) => Err(section.report("url", complaint)),
    }
}

fn email(section: &mut SectionReader<'_, '_>) -> Result<EmailDestination, Reported> {
    let server = required("url", section);
    let (password, user) = (optional("password", section)?, section.value::<Option<String>>("user"));
    let user = user.map(|text| section.fill_secret("user", "", &text)).transpose()?;
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => return Err(section.report("user", Complaint::new("has no password beside it"))),
        (None, Some(_)) => return Err(section.report("password", Complaint::new("has no user beside it"))),
    };
    let (from, to) = (section.value::<Option<String>>("from"), section.value::<Option<OneOrMany>>("to"));
    for (key, is_missing) in [("from", from.is_none()), ("to", to.is_none())] {
        if is_missing {
            let table = section.section;
            section.report.error(table.missing(key));
        }
    }
    let (from, to) = (from.ok_or(Reported)?, to.ok_or(Reported)?.as_slice().to_vec());
    for (key, address) in std::iter::once(("from", &from)).chain(to.iter().map(|address| ("to", address))) {
        if address.parse::<lettre::message::Mailbox>().is_err() {
            let message = format!("got {}, expected an address such as ops@example.com", quoted(address));
            section.report(key, Complaint::new(message));
        }
    }
    if to.is_empty() {
        section.report("to", Complaint::new("names nobody"));
    }
    let server = server?;
    let (host, port, tls) = match smtp_server(server.expose()) {
        Ok(server) => server,
        Err(_) if section.is_substituted("url") => (String::new(), SMTPS_PORT, SmtpTls::Wrapped),
        Err(complaint) => return Err(section.report("url", complaint)),
    };
    Ok(EmailDestination { host, port, tls, login, from, to })
}

/// Parses `smtps://host:port` or `smtp://host:port`. No message quotes it.
fn smtp_server(text: &str) -> Result<(String, u16, SmtpTls), Complaint> {
    let example = "such as smtps://mail.example.com or smtp://mail.example.com:587";
    let wrong = |message: &str| Complaint::with_hint(message, example);
    let url = Url::parse(text).map_err(|_| wrong("not a URL"))?;
    let is_wrapped = match url.scheme() {
        "smtps" => true,
        "smtp" => false,
        _ => return Err(wrong("expected a URL with smtps or smtp")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::with_hint("got a URL with a user in it", "write user and password instead"));
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
        return Err(wrong("got more than a host and a port"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("there is no host"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let (tls, usual) = match (is_wrapped, is_here) {
        (true, _) => (SmtpTls::Wrapped, SMTPS_PORT),
        (false, true) => (SmtpTls::IfOffered, 25),
        (false, false) => (SmtpTls::StartTls, SUBMISSION_PORT),
    };
    let port = url.port().unwrap_or(usual);
    if port == 0 {
        return Err(Complaint::new("got port 0, expected 1 to 65535"));
    }
    Ok((bare.to_owned(), port, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_reached_by_tls_unless_it_is_this_machine() {
        for (text, expected) in [
            ("smtps://mail.example.com", "mail.example.com 465 Wrapped"),
            ("smtps://mail.example.com:2465/", "mail.example.com 2465 Wrapped"),
            ("smtp://mail.example.com", "mail.example.com 587 StartTls"),
            ("smtp://mail.example.com:25", "mail.example.com 25 StartTls"),
            ("smtp://localhost", "localhost 25 IfOffered"),
            ("smtp://[::1]:2525", "::1 2525 IfOffered"),
        ] {
            let (host, port, tls) = smtp_server(text).map_err(|complaint| complaint.message).unwrap();
            assert_eq!(format!("{host} {port} {tls:?}"), expected, "{text}");
        }
        for text in [
            "mail.example.com",
            "https://a",
            "smtp://u:p@a",
            "smtp://a/b",
            "smtp://",
            "smtp://a:0",
            "smtp://a?b",
        ] {
            assert!(smtp_server(text).is_err(), "{text}");
        }
    }
}
