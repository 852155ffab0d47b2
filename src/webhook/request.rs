//! The request of one attempt: what is frozen with the delivery, and what is filled in now.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use jiff::Timestamp;
use url::Url;

use super::send::Attempt;
use crate::config::{Environment, WebhooksConfig};
use crate::domain::secrets::Secrets;
use crate::domain::signing::{self, SigningKey};
use crate::domain::template;

const USER_AGENT: &str = concat!("agentcron/", env!("CARGO_PKG_VERSION"));

/// A request, complete but for its signature.
pub(super) struct Prepared {
    pub(super) request: Request<Bytes>,
    pub(super) secrets: Secrets,
    pub(super) webhook_id: String,
}

/// Builds it; the error says in words what is missing, and quotes no value.
pub(super) fn prepare(
    attempt: Attempt,
    url: &Url,
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
        secrets.add(filled.expose());
        values(&template.0, environment).for_each(|value| secrets.add(value));
    }
    // After the configured ones: none of them can stand in for ours.
    insert(&mut request, "webhook-id", &attempt.webhook_id)?;
    Ok(Prepared { request, secrets, webhook_id: attempt.webhook_id })
}

/// Signs with all keys, as of now; without keys a request goes unsigned.
pub(super) fn sign(
    request: &mut Request<Bytes>,
    webhook_id: &str,
    keys: &[SigningKey],
    now: Timestamp,
) -> Result<String, String> {
    let signatures = signing::signatures(keys, webhook_id, now, request.body());
    if !keys.is_empty() {
        insert(request, "webhook-timestamp", &now.as_second().to_string())?;
        insert(request, "webhook-signature", &signatures)?;
    }
    Ok(signatures)
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
fn secrets_of_url(template: &str, url: &Url, environment: &Environment) -> Secrets {
    let mut secrets = Secrets::default();
    url.query().into_iter().for_each(|query| secrets.add(query));
    let decoded = url.query_pairs().map(|(_, value)| value.into_owned());
    for value in decoded.chain(values(template, environment)) {
        secrets.add(url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
        secrets.add(value);
    }
    secrets
}

fn values(text: &str, environment: &Environment) -> impl Iterator<Item = String> {
    let placeholders = template::placeholders(text).unwrap_or_default();
    let looked_up =
        placeholders.into_iter().filter_map(|placeholder| environment.lookup(placeholder.name).ok());
    looked_up.map(|secret| secret.expose().to_owned())
}
