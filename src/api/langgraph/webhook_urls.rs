//! Which webhook URLs clients may use: those that the policy in force allows. The error texts are the agent server's own
//! (observed with `langgraph-api` 0.16.7).

use url::{Host, Url};

use crate::api::error_response::ErrorResponse;
use crate::domain::url_policy::{Rule, UrlPolicy};

/// Checks a URL that a client has sent; placeholders in it are plain text.
pub(super) fn check(policy: &UrlPolicy, url: &str) -> Result<(), ErrorResponse> {
    if url.starts_with('/') {
        let message = match policy.disable_loopback {
            true => "Loopback webhooks (relative URLs and localhost) are disabled by default.",
            false => "Webhook must be a full URL: agentcron sends it from outside the agent server",
        };
        return Err(ErrorResponse::invalid(message));
    }
    policy.judge_url(url).map(drop).map_err(|refusal| {
        let rule = refusal.rule;
        ErrorResponse::invalid(match rule {
            Rule::MaxUrlLength => "Webhook URL too long".to_owned(),
            Rule::RequireHttps => "Webhook must use https".to_owned(),
            Rule::AllowedDomains => "Webhook domain not allowed".to_owned(),
            Rule::AllowedPorts | Rule::Port => format!("Webhook port {} not allowed", port_of(url)),
            Rule::Scheme if policy.require_https => "Webhook must use https".to_owned(),
            Rule::Scheme => other_scheme(url),
            Rule::Text | Rule::Userinfo => format!("Webhook URL not allowed: {refusal}"),
            Rule::DisableLoopback if is_name(url) => {
                format!("Webhook host blocked: localhost address ({rule})")
            }
            Rule::DisableLoopback => format!("Webhook host blocked: loopback IP range ({rule})"),
            Rule::DisablePrivateIps => format!("Webhook host blocked: private IP range ({rule})"),
            Rule::Metadata | Rule::Reserved => format!("Webhook host blocked: blocked IP range ({rule})"),
        })
    })
}

/// If the URL has no host either, the server reports that instead.
fn other_scheme(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if url.has_host() => format!("Webhook host blocked: scheme '{}' not allowed", url.scheme()),
        Ok(_) | Err(_) => "Invalid webhook hostname ''".to_owned(),
    }
}

fn is_name(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.host(), Some(Host::Domain(_))))
}

fn port_of(url: &str) -> u16 {
    Url::parse(url).ok().and_then(|url| url.port_or_known_default()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn policy() -> UrlPolicy {
        UrlPolicy {
            require_https: false,
            allowed_domains: None,
            allowed_ports: None,
            max_url_length: 60,
            disable_loopback: true,
            disable_private_ips: true,
        }
    }

    fn check_urls(policy: &UrlPolicy, urls: &[&str], expected: Expect) {
        let line = |url: &&str| match check(policy, url) {
            Ok(()) => format!("{url}: fine\n"),
            Err(error) => format!("{url}: {}\n", error.detail),
        };
        expected.assert_eq(&urls.iter().map(line).collect::<String>());
    }

    #[test]
    fn errors_have_the_text_of_the_server() {
        let long = format!("https://a.example.com/{}", "x".repeat(60));
        let strict = UrlPolicy {
            require_https: true,
            allowed_domains: Some(vec!["*.example.com".to_owned()]),
            allowed_ports: Some(vec![443]),
            ..policy()
        };
        let urls = [
            "https://a.example.com/x",
            "http://a.example.com/x",
            "https://a.example.com:444/x",
            "https://b.org/x",
            &long,
            "ftp://a.example.com",
            "nonsense",
        ];
        check_urls(
            &strict,
            &urls,
            expect![[r#"
            https://a.example.com/x: fine
            http://a.example.com/x: Webhook must use https
            https://a.example.com:444/x: Webhook port 444 not allowed
            https://b.org/x: Webhook domain not allowed
            https://a.example.com/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: Webhook URL too long
            ftp://a.example.com: Webhook must use https
            nonsense: Webhook must use https
        "#]],
        );
        let urls = [
            "http://127.0.0.1:9/x",
            "http://localhost/x",
            "http://10.0.0.1/x",
            "http://169.254.169.254/",
            "http://u:p@example.org/x",
            "http://example.org:22/",
            "http://exa mple.org/",
            "/hook",
            "//example.org/x",
            "ftp://example.org/x",
            "javascript:alert(1)",
            "nonsense",
        ];
        check_urls(
            &policy(),
            &urls,
            expect![[r#"
                http://127.0.0.1:9/x: Webhook port 9 not allowed
                http://localhost/x: Webhook host blocked: localhost address (disable_loopback)
                http://10.0.0.1/x: Webhook host blocked: private IP range (disable_private_ips)
                http://169.254.169.254/: Webhook host blocked: blocked IP range (metadata)
                http://u:p@example.org/x: Webhook URL not allowed: it contains a user or password; put the token into the query or a header (userinfo)
                http://example.org:22/: Webhook port 22 not allowed
                http://exa mple.org/: Webhook URL not allowed: it contains whitespace, a control character or a backslash (text)
                /hook: Loopback webhooks (relative URLs and localhost) are disabled by default.
                //example.org/x: Loopback webhooks (relative URLs and localhost) are disabled by default.
                ftp://example.org/x: Webhook host blocked: scheme 'ftp' not allowed
                javascript:alert(1): Invalid webhook hostname ''
                nonsense: Invalid webhook hostname ''
            "#]],
        );
        check_urls(
            &UrlPolicy { disable_loopback: false, ..policy() },
            &["/hook", "http://[::1]:80/"],
            expect![[r#"
                /hook: Webhook must be a full URL: agentcron sends it from outside the agent server
                http://[::1]:80/: fine
            "#]],
        );
    }
}
