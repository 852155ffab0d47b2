//! Finds the settings that need a restart: all but the crons, the keys of callers, how long
//! history is kept, and most settings of webhooks.

use crate::config::{BackendConfig, Config, HttpConfig, StoreConfig};

/// Returns the names of the settings in which two configurations differ and that need a restart.
pub(super) fn settings_that_differ(running: &Config, written: &Config) -> Vec<&'static str> {
    // Destructured, so that a new setting does not compile until it is considered here.
    let Config {
        path: _,
        backend,
        store,
        logged_runs,
        http,
        webhooks,
        notify: _,
        shutdown_grace,
        crons: _,
        without_values: _,
        clean_files: _,
        warnings: _,
        sources: _,
        mistakes: _,
        kept: _,
        unknown: _,
        saved: _,
    } = running;
    let mut differ = of_backend(backend, &written.backend);
    differ.extend(of_store(store, &written.store));
    differ.extend((*logged_runs != written.logged_runs).then_some("log.runs"));
    differ.extend(of_http(http, &written.http));
    differ.extend((webhooks.ca_file != written.webhooks.ca_file).then_some("webhooks.ca_file"));
    differ.extend((*shutdown_grace != written.shutdown_grace).then_some("shutdown_grace"));
    differ
}

fn of_backend(running: &BackendConfig, written: &BackendConfig) -> Vec<&'static str> {
    let BackendConfig { url, api_key, headers, request_timeout, max_concurrent_runs, ca_file } = running;
    names([
        ("backend.url", *url != written.url),
        ("backend.api_key", *api_key != written.api_key),
        ("backend.headers", *headers != written.headers),
        ("backend.request_timeout", *request_timeout != written.request_timeout),
        ("backend.max_concurrent_runs", *max_concurrent_runs != written.max_concurrent_runs),
        ("backend.ca_file", *ca_file != written.ca_file),
    ])
}

fn of_store(running: &StoreConfig, written: &StoreConfig) -> Vec<&'static str> {
    let StoreConfig { location, values_bytes_max, retention: _, backup } = running;
    names([
        (if location.file().is_some() { "store.path" } else { "store.url" }, *location != written.location),
        ("store.values_bytes_max", *values_bytes_max != written.values_bytes_max),
        ("store.backup", *backup != written.backup),
    ])
}

fn of_http(running: &HttpConfig, written: &HttpConfig) -> Vec<&'static str> {
    let HttpConfig {
        listen,
        keys: _,
        allow_origins: _,
        client_crons: _,
        page: _,
        open_probes: _,
        socket,
        socket_group,
        disable_webhooks: _,
        disabled_by_files: _,
    } = running;
    names([
        ("http.listen", *listen != written.listen),
        ("http.socket", *socket != written.socket),
        ("http.socket_group", *socket_group != written.socket_group),
    ])
}

fn names<const N: usize>(settings: [(&'static str, bool); N]) -> Vec<&'static str> {
    settings.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}
