//! The URLs of a webhook and of pings: judged in the shape it has once filled, and never quoted, because it may hold a token.

use url::Url;

use super::mistakes::{FieldError, Mistakes};
use crate::config::environment::Environment;
use crate::config::errors::Complaint;
use crate::config::limits::WEBHOOK_CHARS_MAX;
use crate::config::placeholders::{AllowedNames, check_text};
use crate::domain::cron::Template;
use crate::domain::template;
use crate::domain::url_policy::UrlPolicy;

/// Returns the URL of a webhook or of pings, which is the value of this field.
pub(super) fn url(field: &'static str, text: &Option<String>, mistakes: &mut Mistakes) -> Option<Template> {
    let text = text.as_deref()?;
    let complaints = check_text(text, AllowedNames::Environment);
    if complaints.is_empty()
        && let Err(complaint) = check_url(&with_dummies(text))
    {
        mistakes.add_complaint(field, "", complaint);
    }
    for complaint in complaints {
        mistakes.add_complaint(field, "", complaint);
    }
    Some(Template(text.to_owned()))
}

/// Returns an error if the policy refuses the URL in this field with its placeholders filled from the environment as it is now. What
/// is known only after the host is looked up is judged at every delivery instead.
pub fn check_url_policy(
    (field, url): (&'static str, &str),
    policy: &UrlPolicy,
    environment: &Environment,
) -> Option<FieldError> {
    // A placeholder without a value is reported as a mistake of its own.
    let url = environment.fill(url).ok()?;
    let refusal = policy.judge_url(url.expose()).err()?;
    let complaint = Complaint::with_hint(format!("refused by the policy: {refusal}"), "see [webhooks.url]");
    Some(FieldError::invalid(field, "", complaint))
}

/// Judges a URL that has no placeholders left in it. No message quotes the URL.
pub(in crate::config) fn check_url(text: &str) -> Result<(), Complaint> {
    if text.chars().count() > WEBHOOK_CHARS_MAX {
        return Err(Complaint::new(format!("longer than {WEBHOOK_CHARS_MAX} characters")));
    }
    if text.starts_with('/') {
        return Err(Complaint::with_hint(
            "got a path, expected a full URL such as https://host/path",
            "the agent server accepts paths of its own app, but agentcron sends webhooks from outside of it",
        ));
    }
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            Complaint::new("not a URL: there is no scheme, expected https://host/path")
        }
        error => Complaint::new(format!("not a URL: {error}")),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Complaint::new("got a scheme that is not http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::with_hint(
            "got a URL with a user or password in it",
            "put the token into the query or a header",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Complaint::new("not a URL: there is no host"));
    }
    if url.port() == Some(0) {
        return Err(Complaint::new("got port 0, expected 1 to 65535"));
    }
    Ok(())
}

/// Returns a URL of the same shape, with each placeholder replaced. A placeholder at the very start may hold the scheme
/// and host; anywhere else its value must fit a host, a port, a path or a query alike.
fn with_dummies(text: &str) -> String {
    let starts_with_placeholder = text.starts_with("${{");
    let filled =
        template::fill(text, &|_| Ok::<_, std::convert::Infallible>("1".to_owned())).unwrap_or_default();
    if !starts_with_placeholder {
        return filled;
    }
    let rest = &filled[1..];
    if rest.starts_with("://") { format!("https{rest}") } else { format!("https://host{rest}") }
}
