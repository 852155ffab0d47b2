//! The request of one attempt: everything that is frozen with the delivery, and everything that is not, filled in now.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request};
use jiff::Timestamp;

use super::send::Attempt;
use crate::config::{Environment, WebhooksConfig};
use crate::domain::signing;

const USER_AGENT: &str = concat!("agentcron/", env!("CARGO_PKG_VERSION"));

/// Builds it; the error says in words what is missing, and quotes no value.
pub(super) fn request(
    attempt: Attempt,
    url: &str,
    at: Timestamp,
    webhooks: &WebhooksConfig,
    environment: &Environment,
) -> Result<Request<Bytes>, String> {
    let webhook_id = format!("msg_{}", attempt.run_id);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Bytes::from(attempt.body))
        .map_err(|_| "its URL is no URL once its placeholders are filled".to_owned())?;
    configured_headers(&mut request, webhooks, environment)?;
    // After the configured ones: none of them can stand in for ours.
    let keys = &webhooks.signing_secrets;
    if !keys.is_empty() {
        let signatures = signing::signatures(keys, &webhook_id, at, request.body());
        insert(&mut request, "webhook-timestamp", &at.as_second().to_string())?;
        insert(&mut request, "webhook-signature", &signatures)?;
    }
    insert(&mut request, "webhook-id", &webhook_id)?;
    Ok(request)
}

fn configured_headers(
    request: &mut Request<Bytes>,
    webhooks: &WebhooksConfig,
    environment: &Environment,
) -> Result<(), String> {
    for (name, template) in &webhooks.headers {
        let filled = environment.fill(&template.0).map_err(|error| format!("header {name}: {error}"))?;
        insert(request, name, filled.expose())?;
    }
    Ok(())
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
