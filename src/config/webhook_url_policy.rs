//! The policy for webhook URLs that two files may set: where both say something, the stricter one wins.

use serde::Deserialize;

use super::limits::WEBHOOK_CHARS_MAX;
use crate::domain::url_policy::UrlPolicy;

/// `webhooks.url` of either file, as written.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUrlPolicy {
    pub(super) require_https: Option<bool>,
    pub(super) allowed_domains: Option<Vec<String>>,
    pub(super) allowed_ports: Option<Vec<u16>>,
    pub(super) max_url_length: Option<u64>,
    pub(super) disable_loopback: Option<bool>,
    pub(super) disable_private_ips: Option<bool>,
}

/// Returns the policy of both files. A key that only one of them sets has its value, and a key that neither sets has
/// our default.
pub(super) fn stricter(own: RawUrlPolicy, server: RawUrlPolicy) -> UrlPolicy {
    let either = |a: Option<bool>, b: Option<bool>, default| match (a, b) {
        (Some(a), Some(b)) => a || b,
        (one, other) => one.or(other).unwrap_or(default),
    };
    let lengths = own.max_url_length.into_iter().chain(server.max_url_length);
    UrlPolicy {
        require_https: either(own.require_https, server.require_https, false),
        allowed_domains: allowed_by_both(own.allowed_domains, server.allowed_domains, |a, b| {
            common_domain(a, b)
        }),
        allowed_ports: allowed_by_both(own.allowed_ports, server.allowed_ports, |a, b| {
            (a == b).then_some(*a)
        }),
        max_url_length: lengths.min().map_or(WEBHOOK_CHARS_MAX, |length| length as usize),
        disable_loopback: either(own.disable_loopback, server.disable_loopback, true),
        disable_private_ips: either(own.disable_private_ips, server.disable_private_ips, false),
    }
}

/// Returns what both lists allow; if there is only one list, what it allows. `common` returns what two entries have in
/// common.
pub(super) fn allowed_by_both<T>(
    own: Option<Vec<T>>,
    server: Option<Vec<T>>,
    common: impl Fn(&T, &T) -> Option<T>,
) -> Option<Vec<T>> {
    match (own, server) {
        (Some(own), Some(server)) => {
            let common = &common;
            Some(own.iter().flat_map(|a| server.iter().filter_map(move |b| common(a, b))).collect())
        }
        (one, other) => one.or(other),
    }
}

/// Returns the narrower of two domain patterns, if one lies within the other.
fn common_domain(a: &str, b: &str) -> Option<String> {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let is_within = |inner: &str, outer: &str| {
        let inner_suffix = inner.strip_prefix('*').unwrap_or(inner);
        let is_below = |suffix: &str| inner_suffix.ends_with(suffix) && inner_suffix.len() > suffix.len();
        inner == outer || outer.strip_prefix('*').is_some_and(is_below)
    };
    if is_within(&a, &b) {
        Some(a)
    } else if is_within(&b, &a) {
        Some(b)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_domain_of_two_is_common_to_both() {
        for (a, b, common) in [
            ("a.x.org", "*.x.org", Some("a.x.org")),
            ("x.org", "*.x.org", None),
            ("*.x.org", "*.y.x.org", Some("*.y.x.org")),
            ("*.x.org", "*.x.org", Some("*.x.org")),
            ("X.org", "x.org", Some("x.org")),
            ("ax.org", "*.x.org", None),
        ] {
            assert_eq!(common_domain(a, b).as_deref(), common, "{a} {b}");
            assert_eq!(common_domain(b, a).as_deref(), common, "{b} {a}");
        }
    }
}
