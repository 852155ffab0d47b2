//! `[webhooks]`, and what the agent server's own file adds to it.

use super::*;

#[test]
fn headers_are_valid_and_take_variables_of_their_prefix() {
    check(
        r#"
[webhooks]
allowed_fields = ["run_id", "statu"]
signing_secrets = ["", "${{ env.UNSET }}", "whsec_hunter2", "${{ env.HOOK_TOKEN }}", "${{ credential.webhook_secret }}"]
[webhooks.headers]
X-Fine = "Bearer ${{ env.LG_WEBHOOK_X }}"
"bad name" = "x"
Proxy-Connection = "x"
Webhook-Attempt = "x"
Content-Type = "text/plain"
X-Foreign = "${{ env.HOOK_TOKEN }}"
X-Unset = "${{ env.LG_WEBHOOK_UNSET }}"
X-Firing = "${{ run.id }}"
X-Lines = "hunter2\nhunter2"
X-Number = 5
"#,
        expect![[r#"
            a.toml:3:29: allowed_fields: the body has no key `statu` (did you mean `status`?)
            a.toml:4:20: signing_secrets: expected one line of text that is not empty (leave the key out to send none)
            a.toml:4:24: signing_secrets: env.UNSET is not set
            a.toml:4:44: signing_secrets: the text after the prefix is not base64: expected letters, digits, + and /, padded with = (such as `openssl rand -base64 32` with whsec_ before it)
            a.toml:4:61: signing_secrets: expected whsec_ or whsk_ in lower case, and base64 after it (such as `openssl rand -base64 32` with whsec_ before it)
            a.toml:7:14: bad name: not the name of a header
            a.toml:8:20: Proxy-Connection: is set by agentcron itself (leave it out)
            a.toml:9:19: Webhook-Attempt: is set by agentcron itself (leave it out)
            a.toml:10:16: Content-Type: is set by agentcron itself (leave it out)
            a.toml:11:13: X-Foreign: `HOOK_TOKEN` does not begin with LG_WEBHOOK_ (see webhooks.env_prefix)
            a.toml:12:11: X-Unset: env.LG_WEBHOOK_UNSET is not set
            a.toml:13:12: X-Firing: `run.id` has no value here (it can be used in input, config, context and metadata)
            a.toml:14:11: X-Lines: not a valid header value: expected visible ASCII characters on one line
            a.toml:15:12: X-Number: got an integer, expected text"#]]);
    let config =
        loaded("[webhooks]\nenv_prefix = \"HOOK_\"\n[webhooks.headers]\nX-A = \"${{ env.HOOK_TOKEN }}\"");
    assert_eq!(config.webhooks.headers["x-a"].0, "${{ env.HOOK_TOKEN }}");
}

#[test]
fn a_url_policy_is_not_empty_and_names_hosts() {
    check("[webhooks.url]\nallowed_domains = []\nallowed_ports = []\nrequire_http = true", expect![[r#"
        a.toml:2:19: allowed_domains: an empty list would allow nothing (leave the key out to allow all; http.disable_webhooks sends none)
        a.toml:3:17: allowed_ports: an empty list would allow nothing (leave the key out to allow all; http.disable_webhooks sends none)
        a.toml:4:1: unknown key `require_http` in [webhooks.url] (did you mean `require_https`?)"#]]);
    check("[webhooks.url]\nallowed_domains = [\"x.org\", \"*.x.org\", \"https://x.org\", \"*\", \"a.*.org\"]", expect![[r#"
            a.toml:2:40: allowed_domains: got `https://x.org`, expected a host such as example.com, or *.example.com for its subdomains
            a.toml:2:57: allowed_domains: got `*`, expected a host such as example.com, or *.example.com for its subdomains
            a.toml:2:62: allowed_domains: got `a.*.org`, expected a host such as example.com, or *.example.com for its subdomains"#]]);
}

fn policy(ours: &str, server: &str, expected: Expect) {
    let main = format!("langgraph_json = \"langgraph.json\"\n{ours}");
    let (shown, config) = load_files(&[("a.toml", main.as_bytes()), ("langgraph.json", server.as_bytes())]);
    let shown = match config {
        Some(Config { http, webhooks, .. }) => {
            let (url, fields) = (webhooks.url, webhooks.allowed_fields);
            let headers: Vec<_> =
                webhooks.headers.iter().map(|(name, value)| format!("{name}: {}", value.0)).collect();
            format!("disabled {}\n{url:#?}\n{fields:?}\n{headers:?}", http.disable_webhooks)
        }
        None => shown,
    };
    expected.assert_eq(&shown);
}

#[test]
fn the_servers_file_has_the_servers_defaults() {
    policy(
        "",
        r#"{"graphs": {"agent": "./agent.py:graph"}}"#,
        expect![[r#"
        disabled false
        UrlPolicy {
            require_https: false,
            allowed_domains: None,
            allowed_ports: None,
            max_url_length: 4096,
            disable_loopback: true,
            disable_private_ips: false,
        }
        None
        []"#]]);
    policy(
        "",
        r#"{"webhooks": {"url": {}}, "http": {"disable_webhooks": true, "app": "x"}}"#,
        expect![[r#"
        disabled true
        UrlPolicy {
            require_https: true,
            allowed_domains: None,
            allowed_ports: None,
            max_url_length: 2048,
            disable_loopback: true,
            disable_private_ips: false,
        }
        None
        []"#]]);
    policy(
        "",
        r#"{"webhooks": {"url": {"disable_loopback": false, "require_https": false}}}"#,
        expect![[r#"
            disabled false
            UrlPolicy {
                require_https: false,
                allowed_domains: None,
                allowed_ports: None,
                max_url_length: 2048,
                disable_loopback: false,
                disable_private_ips: false,
            }
            None
            []"#]]);
}

#[test]
fn the_stricter_file_wins() {
    policy(
        "[webhooks]\nallowed_fields = [\"run_id\", \"status\"]\n[webhooks.headers]\nx-a = \"ours\"\n[webhooks.url]\n\
         require_https = false\nallowed_domains = [\"*.x.org\", \"y.org\"]\nallowed_ports = [443, 8443]\nmax_url_length = 3000\n\
         disable_loopback = false",
        r#"{"webhooks": {"allowed_fields": ["status", "values"], "headers": {"X-A": "theirs", "X-B": "${{ env.LG_WEBHOOK_X }}"},
            "url": {"allowed_domains": ["a.x.org", "z.org"], "allowed_ports": [8443]}}}"#,
        expect![[r#"
            disabled false
            UrlPolicy {
                require_https: true,
                allowed_domains: Some(
                    [
                        "a.x.org",
                    ],
                ),
                allowed_ports: Some(
                    [
                        8443,
                    ],
                ),
                max_url_length: 2048,
                disable_loopback: true,
                disable_private_ips: false,
            }
            Some(["status"])
            ["x-a: ours", "x-b: ${{ env.LG_WEBHOOK_X }}"]"#]]);
    policy(
        "[webhooks.url]\ndisable_loopback = false",
        r#"{"webhooks": {"headers": {}}}"#,
        expect![[r#"
        disabled false
        UrlPolicy {
            require_https: false,
            allowed_domains: None,
            allowed_ports: None,
            max_url_length: 4096,
            disable_loopback: false,
            disable_private_ips: false,
        }
        None
        []"#]]);
}

#[test]
fn mistakes_in_the_servers_file_are_reported_with_its_name() {
    policy(
        "",
        "{\"webhooks\": {\n  \"url\": {\"require_https\": \"hunter2\"}}}",
        expect!["langgraph.json:2:36: wrong type: expected a boolean"]);
    policy(
        "",
        "{\"webhooks\": {\n  \"url\": {\"requires_https\": true}}}",
        expect!["langgraph.json:2:26: unknown key `requires_https`, expected one of `require_https`, `allowed_domains`, `allowed_ports`, `max_url_length`, `disable_loopback`, `disable_private_ips`"]);
    policy("", "{\"webhooks\": ", expect!["langgraph.json:1:13: not JSON: EOF while parsing a value"]);
    policy(
        "",
        r#"{"webhooks": {"headers": {"X": "${{ env.LG_WEBHOOK_UNSET }}", "Y": "${{ env.HOOK_TOKEN }}"}}}"#,
        expect![[r#"
            langgraph.json: webhooks.headers.X: env.LG_WEBHOOK_UNSET is not set
            langgraph.json: webhooks.headers.Y: `HOOK_TOKEN` does not begin with LG_WEBHOOK_ (see webhooks.env_prefix)"#]]);
    check("langgraph_json = \"absent.json\"", expect!["a.toml:1:18: langgraph_json: absent.json: No such file or directory (os error 2)"]);
}

#[test]
fn a_webhook_that_the_policy_refuses_is_reported_at_its_place() {
    let cron = "[cron.x]\nschedule = \"0 9 * * *\"\nassistant_id = \"agent\"\n";
    check(&format!("{cron}webhook = \"http://127.0.0.1:8080/hunter2\""), expect!["a.toml:4:11: webhook: refused by the policy: 127.0.0.1 is this machine (disable_loopback) (see [webhooks.url])"]);
    check(&format!("{cron}webhook = \"http://localhost/\"\n[webhooks.url]\ndisable_loopback = false"), expect!["ok: x"]);
    check(&format!("[webhooks.url]\nrequire_https = true\n[defaults]\nwebhook = \"http://x.org/\"\n{cron}"), expect!["a.toml:4:11: webhook: refused by the policy: it is not https (require_https) (see [webhooks.url])"]);
    check(&format!("{cron}webhook = \"https://${{{{ env.HOOK_TOKEN }}}}.org/\"\n[webhooks.url]\nallowed_domains = [\"x.org\"]"), expect!["a.toml:4:11: webhook: refused by the policy: its host is not in the list (allowed_domains) (see [webhooks.url])"]);
    check(&format!("{cron}webhook = \"${{{{ env.UNSET }}}}\"\n[webhooks.url]\nallowed_ports = [443]"), expect!["a.toml:4:11: webhook: env.UNSET is not set"]);
}

#[test]
fn headers_that_clients_could_have_sent_to_themselves_get_a_warning() {
    let headers = "[webhooks.headers]\nauthorization = \"Bearer x\"\n";
    for (more, warned) in [
        ("", true),
        ("[http]\nlisten = \"off\"\n", false),
        ("[webhooks.url]\nallowed_domains = [\"ops.example.com\"]\n", false),
    ] {
        let config = loaded(&format!("{headers}{more}"));
        let has_warning = config.warnings.iter().any(|warning| warning.message.contains("allowed_domains"));
        assert_eq!(has_warning, warned, "{more}");
    }
}

#[test]
fn clients_elsewhere_that_may_name_private_receivers_get_a_warning() {
    let cron = "[cron.x]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"\n";
    for (listen, url, is_warned) in [
        ("127.0.0.1:2025", "", false),
        ("[::1]:2025", "", false),
        ("off", "", false),
        ("0.0.0.0:2025", "", true),
        ("10.0.0.1:2025", "", true),
        ("[::]:2025", "", true),
        ("0.0.0.0:2025", "disable_private_ips = true", false),
        ("0.0.0.0:2025", "allowed_domains = [\"example.com\"]", false),
    ] {
        let http = format!("[http]\nlisten = \"{listen}\"\napi_keys = [\"hunter2-hunter2-hunter2\"]\n");
        let config = loaded(&format!("{http}[webhooks.url]\n{url}\n{cron}"));
        let is_said = config.warnings.iter().any(|warning| warning.to_string().contains("private networks"));
        assert_eq!(is_said, is_warned, "{listen} {url}");
    }
}

#[test]
fn a_secret_with_blanks_around_it_is_a_mistake_wherever_it_is() {
    for blank in [" ", "\u{a0}", "\u{3000}"] {
        for key in ["backend.api_key = \"X\"", "http.api_keys = [\"X\"]", "webhooks.signing_secrets = [\"X\"]"] {
            for value in [format!("{blank}hunter2-hunter2-hunter2"), format!("hunter2-hunter2-hunter2{blank}")] {
                let shown = load_files(&[("a.toml", key.replace('X', &value).as_bytes())]).0;
                assert!(shown.contains("begins or ends with a blank, which no secret does"), "{key}: {shown}");
            }
        }
    }
}
