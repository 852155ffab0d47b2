//! Webhooks: the body that tells about an ended run, and one attempt to deliver it.

mod answer;
mod body;
mod examine;
mod live_settings;
mod request;
mod sample;
mod send;

use crate::domain::ids::RunId;

pub use body::{BodyLimits, Ended, body};
pub use examine::{Examination, Finding, examine};
pub use live_settings::{LiveSettings, SettingsWriter, WebhookSettings, live_settings};
pub use sample::{Sample, sample};
pub use send::{Attempt, CancelToken, Origin, Sender};

/// The receiver's key against doubles: the same at every attempt to tell about this run.
pub fn webhook_id(run_id: RunId) -> String {
    format!("msg_{run_id}")
}

/// A URL as it may be shown: scheme, host and path. The query, or a fragment, may be a token; and so may what stands
/// before the host, where the policy lets nothing stand.
pub fn redacted(url: &str) -> String {
    let (address, more) = match url.split_once(['?', '#']) {
        Some((address, _)) => (address, "?…"),
        None => (url, ""),
    };
    let (scheme, rest) = address.split_once("//").unwrap_or(("", address));
    let authority = rest.split(['/', '\\']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}//…{}{more}", &rest[user.len()..]),
        None => format!("{address}{more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn no_token_of_a_url_is_shown() {
        for (url, shown) in [
            ("https://ops.example/hook", "https://ops.example/hook"),
            ("https://ops.example/@me?token=x#y", "https://ops.example/@me?…"),
            ("https://user:word@ops.example/hook", "https://…@ops.example/hook"),
            ("https://user:wo@rd@ops.example", "https://…@ops.example"),
            ("user:word@ops.example/x", "//…@ops.example/x"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
