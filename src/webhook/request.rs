//! Builds the request of one attempt from the frozen delivery and from the settings and secrets of the
//! moment.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use jiff::Timestamp;
use url::Url;

use crate::config::{Environment, Secret, WebhooksConfig};
use crate::domain::secrets::Secrets;
use crate::domain::signing::{self, SigningKey};
use crate::domain::template;
use crate::domain::trace::{TRACEPARENT, TraceParent};

const UNFIT_URL: &str = "the URL has characters that are not allowed in a request line";
const USER_AGENT: &str = concat!("agentcron/", env!("CARGO_PKG_VERSION"));

#[derive(Clone, Debug)]
pub struct OutboundWebhook {
    /// The id by which the receiver recognises duplicates, see [`super::webhook_id`].
    pub webhook_id: String,
    /// The receiver's URL, with its placeholders not yet filled.
    pub url: String,
    /// The exact bytes to send.
    pub body: Vec<u8>,
    /// The trace that it belongs to, which a configured header may replace; `None` for none.
    pub trace: Option<TraceParent>,
}

/// A request that posts JSON.
pub(super) struct MessageRequest {
    pub(super) url: Secret,
    pub(super) body: Vec<u8>,
    pub(super) token: Option<Secret>,
    /// What of it must not be shown.
    pub(super) secrets: Vec<Secret>,
}

/// A request that lacks only its signature.
pub(super) struct PreparedRequest {
    pub(super) request: Request<Bytes>,
    /// Everything in it that must not be shown, even if the receiver echoes it.
    pub(super) secrets: Secrets,
    pub(super) webhook_id: String,
}

/// Builds the request. The error says what is missing or unusable, and quotes no value.
pub(super) fn prepare(
    webhook: OutboundWebhook,
    url: &Url,
    settings: &WebhooksConfig,
    environment: &Environment,
) -> Result<PreparedRequest, String> {
    let mut secrets = secrets_of_url(&webhook.url, url, environment);
    let mut request = Request::new(Bytes::from(webhook.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.as_str().parse().map_err(|_| UNFIT_URL.to_owned())?;
    let headers = request.headers_mut();
    // With room for those that come later.
    headers.reserve(8 + settings.headers.len());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(trace) = webhook.trace {
        insert(&mut request, TRACEPARENT, &trace.to_string())?;
    }
    for (name, template) in &settings.headers {
        let filled = environment.fill(&template.0).map_err(|error| format!("header {name}: {error}"))?;
        insert(&mut request, name, filled.expose())?;
        secrets.add(filled.expose());
        values(&template.0, environment).for_each(|value| secrets.add(value));
    }
    // Inserted after the configured headers, so that none of them can replace it.
    insert(&mut request, "webhook-id", &webhook.webhook_id)?;
    Ok(PreparedRequest { request, secrets, webhook_id: webhook.webhook_id })
}

/// Builds the request of a message in the form of its receiver. What it sends is secret, and nothing of the configuration for
/// webhooks is added.
pub(super) fn prepare_message(message: MessageRequest, url: &Url) -> Result<PreparedRequest, String> {
    let mut secrets = Secrets::default();
    // The path of a hook is its secret.
    message.secrets.iter().for_each(|secret| secrets.add(secret.expose()));
    [url.as_str(), url.path()].into_iter().filter(|text| text.len() > 1).for_each(|text| secrets.add(text));
    let mut request = Request::new(Bytes::from(message.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.as_str().parse().map_err(|_| UNFIT_URL.to_owned())?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(token) = message.token {
        insert(&mut request, header::AUTHORIZATION.as_str(), &format!("Bearer {}", token.expose()))?;
    }
    Ok(PreparedRequest { request, secrets, webhook_id: String::new() })
}

/// Signs the request with all keys and this time, and returns the signatures. Without keys the request stays
/// unsigned.
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
    let unfit = || format!("header {name}: with its placeholders filled, its value is not valid");
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("header {name}: its name is not valid"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| unfit())?;
    // Debug output of the request then hides the value.
    value.set_sensitive(true);
    request.headers_mut().insert(header, value);
    Ok(())
}

/// Collects the values of a URL's placeholders and the values in its query: as written, as sent, and decoded.
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

/// Returns the values of the placeholders in a text.
fn values(text: &str, environment: &Environment) -> impl Iterator<Item = String> {
    let placeholders = template::placeholders(text).unwrap_or_default();
    let looked_up =
        placeholders.into_iter().filter_map(|placeholder| environment.lookup(placeholder.name).ok());
    looked_up.map(|secret| secret.expose().to_owned())
}
