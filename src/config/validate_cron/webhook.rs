//! The webhook's URL: judged as it will look once filled, never shown, because it may hold a token.

use url::Url;

use super::{CronFields, FieldError, Mistakes};
use crate::config::environment::Environment;
use crate::config::limits::WEBHOOK_CHARS_MAX;
use crate::config::placeholders::check_text;
use crate::domain::cron::Template;
use crate::domain::template;
use crate::domain::url_policy::UrlPolicy;

pub(super) fn webhook(fields: &CronFields, mistakes: &mut Mistakes) -> Option<Template> {
    let text = fields.webhook.as_deref()?;
    let complaints = check_text(text, false);
    if complaints.is_empty()
        && let Err(complaint) = check_url(&with_dummies(text))
    {
        mistakes.add_at("webhook", String::new(), complaint.message, complaint.hint.map(str::to_owned));
    }
    for (message, hint) in complaints {
        mistakes.add_at("webhook", String::new(), message, hint);
    }
    Some(Template(text.to_owned()))
}

/// Whether the policy refuses the URL as it is now, with its placeholders filled. What can only be known when its host is
/// looked up is judged then.
pub fn check_policy(
    fields: &CronFields,
    policy: &UrlPolicy,
    environment: &Environment,
) -> Option<FieldError> {
    // A placeholder without a value is a mistake of its own.
    let url = environment.fill(fields.webhook.as_deref()?).ok()?;
    let refusal = policy.judge_url(url.expose()).err()?;
    Some(FieldError {
        field: "webhook",
        pointer: String::new(),
        message: format!("refused by the policy: {refusal}"),
        hint: Some("see [webhooks.url]".to_owned()),
        excerpt: None,
    })
}

/// What is wrong with a URL; static texts, so that none can quote it.
pub(in crate::config) struct Complaint {
    pub(in crate::config) message: String,
    pub(in crate::config) hint: Option<&'static str>,
}

/// Judges a URL that has no placeholders left in it.
pub(in crate::config) fn check_url(text: &str) -> Result<(), Complaint> {
    let complain = |message: String, hint| Err(Complaint { message, hint });
    if text.chars().count() > WEBHOOK_CHARS_MAX {
        return complain(format!("longer than {WEBHOOK_CHARS_MAX} characters"), None);
    }
    if text.starts_with('/') {
        let hint = "the server itself takes paths of its own app; here a webhook is sent from outside of it";
        return complain("got a path, expected a full URL such as https://host/path".to_owned(), Some(hint));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return complain("not a URL: there is no scheme, expected https://host/path".to_owned(), None);
        }
        Err(error) => return complain(format!("not a URL: {error}"), None),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return complain("got a scheme that is not http or https".to_owned(), None);
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "put the token into the query or a header";
        return complain("got a URL with a user or password in it".to_owned(), Some(hint));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return complain("not a URL: there is no host".to_owned(), None);
    }
    if url.port() == Some(0) {
        return complain("got port 0, expected 1 to 65535".to_owned(), None);
    }
    Ok(())
}

/// A URL of the same shape. A placeholder at the very start may well be the scheme and host, anywhere else it is
/// something that may stand in a host, a port, a path or a query alike.
fn with_dummies(text: &str) -> String {
    let whole = text.starts_with("${{");
    let filled =
        template::fill(text, &|_| Ok::<_, std::convert::Infallible>("1".to_owned())).unwrap_or_default();
    if !whole {
        return filled;
    }
    let rest = &filled[1..];
    if rest.starts_with("://") { format!("https{rest}") } else { format!("https://host{rest}") }
}
