//! Connections to the agent server and to receivers, with the certificates that the configuration adds.

use std::path::Path;

use super::Failure;
use crate::config::{BackendConfig, WebhooksConfig, read_certificates};
use crate::transport::{Dialer, Relay, Transport};

/// Prepares the daemon's own requests to the agent server.
pub(in crate::cli) fn backend_transport(backend: &BackendConfig) -> Result<Transport, Failure> {
    let pem = extra_roots("backend.ca_file", backend.ca_file.as_deref())?;
    Transport::network(pem.as_deref())
        .map_err(|error| unprepared("backend.ca_file", backend.ca_file.as_deref(), &error))
}

/// Prepares the requests that clients make to the agent server through the daemon.
pub(in crate::cli) fn backend_relay(backend: &BackendConfig) -> Result<Relay, Failure> {
    let pem = extra_roots("backend.ca_file", backend.ca_file.as_deref())?;
    Relay::network(pem.as_deref())
        .map_err(|error| unprepared("backend.ca_file", backend.ca_file.as_deref(), &error))
}

/// Prepares requests to receivers, over connections that `dialer` opens.
///
/// Receivers have extra roots of their own: what the agent server is trusted by says nothing about them.
pub(in crate::cli) fn receiver_transport(
    webhooks: &WebhooksConfig,
    dialer: Dialer,
) -> Result<Transport, Failure> {
    let pem = receiver_roots(webhooks)?;
    Transport::to_receivers(pem.as_deref(), dialer, webhooks.url.clone())
        .map_err(|error| unprepared("webhooks.ca_file", webhooks.ca_file.as_deref(), &error))
}

/// Reads the PEM text that is trusted for receivers in addition to the system's store.
pub(in crate::cli) fn receiver_roots(webhooks: &WebhooksConfig) -> Result<Option<Vec<u8>>, Failure> {
    extra_roots("webhooks.ca_file", webhooks.ca_file.as_deref())
}

fn extra_roots(key: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let read = path.map(read_certificates).transpose();
    read.map_err(|problem| Failure::Usage(format!("{key}: {problem}")))
}

fn unprepared(key: &str, path: Option<&Path>, error: &dyn std::error::Error) -> Failure {
    match path {
        Some(path) => Failure::Usage(format!("{key}: {}: {error}", path.display())),
        None => Failure::Failed(format!("cannot prepare connections: {error}")),
    }
}
