//! The request of one attempt: what is frozen with the delivery, and what is filled in now.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use jiff::Timestamp;
use url::Url;

use super::send::Attempt;
use crate::config::{Environment, WebhooksConfig};
use crate::domain::signing;
use crate::domain::template;

const USER_AGENT: &str = concat!("agentcron/", env!("CARGO_PKG_VERSION"));

/// Shorter ones stand in every text, and are no secrets.
const SECRET_BYTES_MIN: usize = 4;

/// A request, ready to be sent.
pub(super) struct Prepared {
    pub(super) request: Request<Bytes>,
    /// What is in it that must not be read in an echo of it, in the forms an echo may have; longest first.
    pub(super) secrets: Vec<String>,
}

/// Builds it; the error says in words what is missing, and quotes no value.
pub(super) fn prepare(
    attempt: Attempt,
    url: &Url,
    at: Timestamp,
    webhooks: &WebhooksConfig,
    environment: &Environment,
) -> Result<Prepared, String> {
    let mut secrets = secrets_of_url(&attempt.url, url, environment);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Bytes::from(attempt.body))
        .map_err(|_| "its URL has characters that no request line may have".to_owned())?;
    for (name, template) in &webhooks.headers {
        let filled = environment.fill(&template.0).map_err(|error| format!("header {name}: {error}"))?;
        insert(&mut request, name, filled.expose())?;
        secrets.push(filled.expose().to_owned());
        secrets.extend(values(&template.0, environment));
    }
    // After the configured ones: none of them can stand in for ours.
    if !webhooks.signing_secrets.is_empty() {
        let signatures =
            signing::signatures(&webhooks.signing_secrets, &attempt.webhook_id, at, request.body());
        insert(&mut request, "webhook-timestamp", &at.as_second().to_string())?;
        insert(&mut request, "webhook-signature", &signatures)?;
        secrets.extend(signatures.split([' ', ',']).map(str::to_owned));
    }
    insert(&mut request, "webhook-id", &attempt.webhook_id)?;
    secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(Prepared { request, secrets })
}

fn insert(request: &mut Request<Bytes>, name: &str, value: &str) -> Result<(), String> {
    let unfit = || format!("header {name}: not the value of a header once its placeholders are filled");
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("header {name}: not a name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| unfit())?;
    // Whoever prints the request prints a word instead.
    value.set_sensitive(true);
    request.headers_mut().insert(header, value);
    Ok(())
}

/// What its placeholders stand for, and its query: as written, as sent, and decoded.
fn secrets_of_url(template: &str, url: &Url, environment: &Environment) -> Vec<String> {
    let mut secrets: Vec<String> = url.query().map(str::to_owned).into_iter().collect();
    for (_, value) in url.query_pairs() {
        secrets.extend(forms(&value));
    }
    secrets.extend(values(template, environment).iter().flat_map(|value| forms(value)));
    secrets
}

fn forms(value: &str) -> [String; 2] {
    [value.to_owned(), url::form_urlencoded::byte_serialize(value.as_bytes()).collect()]
}

fn values(text: &str, environment: &Environment) -> Vec<String> {
    let placeholders = template::placeholders(text).unwrap_or_default();
    let looked_up = placeholders.iter().filter_map(|placeholder| environment.lookup(placeholder.name).ok());
    looked_up.map(|secret| secret.expose().to_owned()).collect()
}
