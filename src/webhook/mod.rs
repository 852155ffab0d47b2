//! Webhooks: the body that reports an ended run, and one attempt to deliver it.

mod answer;
mod body;
mod examine;
mod live_settings;
mod messages;
mod request;
mod sample;
mod send;
mod smtp;

use crate::domain::ids::{DeliveryId, RunId};

pub use body::{EndedRun, body};
pub use examine::{DestinationVerdict, Examination, examine};
pub use live_settings::{LiveSettings, WebhookSettings};
pub use request::OutboundWebhook;
pub use sample::SampleWebhook;
pub use send::{Origin, Sender};

/// Returns the id by which a receiver recognises duplicates: the same at every attempt to report this run, or to deliver this
/// notification.
pub fn webhook_id(run_id: Option<RunId>, delivery_id: DeliveryId) -> String {
    format!("msg_{}", run_id.map_or(delivery_id.0, |run_id| run_id.0))
}

/// Returns a URL in a form that may be shown: scheme, host and path. The query and the fragment may hold a
/// token, and so may the user information before the host, although the policy allows none there.
pub fn redacted(url: &str) -> String {
    let (address, hidden) = match url.split_once(['?', '#']) {
        Some((address, _)) => (address, "?…"),
        None => (url, ""),
    };
    let (scheme, rest) = address.split_once("//").unwrap_or(("", address));
    let authority = rest.split(['/', '\\']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}//…{}{hidden}", &rest[user.len()..]),
        None => format!("{address}{hidden}"),
    }
}

/// Returns the receiver of a URL in a form that may be shown: scheme and host.
pub fn receiver(url: &str) -> String {
    let shown = redacted(url);
    let (scheme, rest) = shown.split_once("//").unwrap_or(("", &shown));
    format!("{scheme}//{}", rest.split(['/', '\\', '?']).next().unwrap_or_default())
}

/// Returns whether a URL belongs to what is shown so: its receiver, or the URL itself.
pub fn is_of(url: &str, shown: &str) -> bool {
    receiver(url) == shown || redacted(url) == shown
}

#[cfg(test)]
mod tests {
    use super::{is_of, receiver, redacted};

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

    #[test]
    fn a_receiver_is_the_host_of_a_url() {
        for (url, shown) in [
            ("https://ops.example:8443/hook?a=b", "https://ops.example:8443"),
            ("https://user:word@ops.example", "https://…@ops.example"),
            ("${{ env.HOOK }}/x", "//${{ env.HOOK }}"),
        ] {
            assert_eq!(receiver(url), shown);
        }
    }

    #[test]
    fn a_url_is_of_its_receiver_and_of_itself() {
        for (shown, expected) in [
            ("https://ops.example", true),
            ("https://ops.example/a?…", true),
            ("https://ops.example/a", false),
            ("https://ops.example/", false),
        ] {
            assert_eq!(is_of("https://ops.example/a?token=x", shown), expected, "{shown}");
        }
    }
}
