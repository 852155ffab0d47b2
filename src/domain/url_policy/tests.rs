//! The rules of a policy; the cases that an attacker would try are in `tests/it/policy_urls.rs`.

use expect_test::{Expect, expect};

use super::*;

fn usual() -> UrlPolicy {
    UrlPolicy {
        require_https: false,
        allowed_domains: None,
        allowed_ports: None,
        max_url_length: 4096,
        disable_loopback: true,
        disable_private_ips: false,
    }
}

fn check(policy: &UrlPolicy, urls: &[&str], expected: Expect) {
    let judged = urls.iter().map(|url| match policy.judge_url(url) {
        Ok(url) => format!("{url}\n"),
        Err(violation) => format!("{violation}\n"),
    });
    expected.assert_eq(&judged.collect::<String>());
}

#[test]
fn domains_are_exact_or_subdomains() {
    let listed = ["Ops.Example.com", "*.hooks.example", "bücher.example", "8.8.8.8"];
    let policy = UrlPolicy { allowed_domains: Some(listed.map(str::to_owned).to_vec()), ..usual() };
    check(
        &policy,
        &[
            "https://ops.example.com./",
            "https://a.ops.example.com/",
            "https://b.a.hooks.example/",
            "https://hooks.example/",
            "https://.hooks.example/",
            "https://evilhooks.example/",
            "https://BÜCHER.example/",
            "https://8.8.8.8/",
            "https://9.8.8.8/",
        ],
        expect![[r#"
            https://ops.example.com./
            its host is not in the list (allowed_domains)
            https://b.a.hooks.example/
            its host is not in the list (allowed_domains)
            its host is not in the list (allowed_domains)
            its host is not in the list (allowed_domains)
            https://xn--bcher-kva.example/
            https://8.8.8.8/
            its host is not in the list (allowed_domains)
        "#]],
    );
}

#[test]
fn a_listed_port_is_allowed_but_zero_never_is() {
    let policy = UrlPolicy { allowed_ports: Some(vec![443, 25, 0]), ..usual() };
    check(
        &policy,
        &["https://a.example/", "http://a.example/", "http://a.example:25/", "http://a.example:0/"],
        expect![[r#"
            https://a.example/
            port 80 is not in the list (allowed_ports)
            http://a.example:25/
            port 0 is not in the list (allowed_ports)
        "#]],
    );
}

#[test]
fn loopback_can_be_allowed_and_a_metadata_service_cannot() {
    let policy = UrlPolicy { disable_loopback: false, require_https: false, ..usual() };
    check(
        &policy,
        &[
            "http://localhost:2024/",
            "http://a.localhost/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::1]/",
            "http://0.0.0.0/",
            "http://[64:ff9b::7f00:1]/",
            "http://169.254.169.254/",
            "http://100.100.100.200/",
            "http://Metadata.Google.Internal./",
        ],
        expect![[r#"
            http://localhost:2024/
            http://a.localhost/
            http://[::ffff:7f00:1]/
            http://[::1]/
            0.0.0.0 is not an address to connect to (reserved)
            64:ff9b::7f00:1 is a loopback address behind a translator (reserved)
            169.254.169.254 is a cloud metadata service (metadata)
            100.100.100.200 is a cloud metadata service (metadata)
            its host is a cloud metadata service (metadata)
        "#]],
    );
}

#[test]
fn https_can_be_required_and_the_strictest_policy_refuses_all() {
    let policy = UrlPolicy { require_https: true, ..usual() };
    check(
        &policy,
        &["http://a.example/", "HTTPS://a.example/"],
        expect![[r#"
        it is not https (require_https)
        https://a.example/
    "#]],
    );
    check(
        &UrlPolicy::nothing(),
        &["https://a.example/"],
        expect![[r#"
        it is longer than 0 characters (max_url_length)
    "#]],
    );
}

proptest::proptest! {
    /// Any text is judged without a panic, and an allowed one is a URL with a host and no user.
    #[test]
    fn any_text_is_judged(text in "(http|https|HTTP)?(:|://|:/)?[a-z0-9.@:\\[\\]\\\\/%x①１ \n]{0,40}") {
        if let Ok(url) = usual().judge_url(&text) {
            proptest::prop_assert!(url.has_host() && url.username().is_empty());
        }
    }

    /// An IPv4 address embedded in an IPv6 address is judged like the IPv4 address.
    #[test]
    fn a_mapped_address_is_judged_like_the_one_it_maps(bits in proptest::prelude::any::<u32>()) {
        let address = core::net::Ipv4Addr::from(bits);
        let judged = |address: IpAddr| usual().judge_address(address).map_err(|violation| violation.rule);
        proptest::prop_assert_eq!(judged(address.into()), judged(address.to_ipv6_mapped().into()));
    }
}
