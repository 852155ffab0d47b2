//! The tables of the main file: what is accepted, and what the messages say.

use super::*;
use crate::config::ConfigError;

#[test]
fn what_is_absent_has_its_default() {
    let config = loaded("");
    expect![[r#"
        (
            BackendConfig {
                url: Url {
                    scheme: "http",
                    cannot_be_a_base: false,
                    username: "",
                    password: None,
                    host: Some(
                        Ipv4(
                            127.0.0.1,
                        ),
                    ),
                    port: Some(
                        2024,
                    ),
                    path: "/",
                    query: None,
                    fragment: None,
                },
                api_key: Credentials {
                    headers: {},
                    secrets: ***,
                },
                headers: Credentials {
                    headers: {},
                    secrets: ***,
                },
                request_timeout: 30s,
                max_concurrent_runs: 256,
                ca_file: None,
            },
            StoreConfig {
                location: File(
                    "/var/lib/agentcron/agentcron.db",
                ),
                values_bytes_max: 65536,
                retention: Retention {
                    keep: For(
                        7776000s,
                    ),
                    keep_failures: For(
                        31557600s,
                    ),
                    keep_values: For(
                        1209600s,
                    ),
                    keep_runs_max: None,
                    redact: [],
                },
                backup: None,
            },
            HttpConfig {
                listen: Some(
                    127.0.0.1:2025,
                ),
                keys: [],
                allow_origins: [],
                client_crons: Open,
                page: On,
                open_probes: true,
                socket: None,
                socket_group: None,
                disable_webhooks: false,
                disabled_by_files: false,
            },
            WebhooksConfig {
                signing_secrets: [],
                url: UrlPolicy {
                    require_https: false,
                    allowed_domains: None,
                    allowed_ports: None,
                    max_url_length: 4096,
                    disable_loopback: true,
                    disable_private_ips: false,
                },
                headers: {},
                env_prefix: "LG_WEBHOOK_",
                allowed_fields: None,
                body_bytes_max: 1048576,
                ca_file: None,
            },
            20s,
        )"#]]
    .assert_eq(&format!(
        "{:#?}",
        (config.backend, config.store, config.http, config.webhooks, config.shutdown_grace)
    ));
}

#[test]
fn secrets_are_resolved_and_hidden() {
    let config = loaded(
        "[backend]\napi_key = \"${{ credential.langgraph_api_key }}\"\nurl = \"https://x.org/base\"\n\
         [webhooks]\nsigning_secrets = [\"${{ credential.webhook_secret }}\"]\n",
    );
    assert_eq!(config.backend.credentials().headers()["x-api-key"], "hunter2");
    assert_eq!(config.webhooks.signing_secrets.len(), 1);
}

#[test]
fn headers_for_the_agent_server_are_judged_and_never_shown() {
    let lines = |count: usize| (0..count).map(|n| format!("x-{n} = \"a\"\n")).collect::<String>();
    check(&format!("[backend.headers]\n{}", lines(17)), expect!["a.toml:11:7: x-9: got more than 16 headers"]);
    check(&format!("[backend.headers]\nauthorization = \"{}\"", "hunter2 ".repeat(1025)), expect!["a.toml:2:17: authorization: got more than 8192 bytes"]);
    check(
        r#"
[backend]
api_key = "${{ credential.langgraph_api_key }}"
[backend.headers]
Authorization = "Bearer ${{ env.HOOK_TOKEN }}"
authorization = "hunter2"
X-Api-Key = "hunter2"
"bad name" = "hunter2"
Host = "hunter2"
Content-Length = "5"
Connection = "close"
Transfer-Encoding = "chunked"
Via = "hunter2"
Forwarded = "for=hunter2"
X-Forwarded-For = "hunter2"
User-Agent = "hunter2"
X-Empty = ""
X-Unset = "${{ env.UNSET }}"
X-Firing = "${{ run.id }}"
X-Lines = "hunter2\r\nhunter2"
X-Umlaut = "hünter2"
X-Number = 5
"#,
        expect![[r#"
            a.toml:6:17: authorization: got this header twice; upper and lower case are the same
            a.toml:7:13: X-Api-Key: backend.api_key is sent in this header (write only one of the two)
            a.toml:8:14: bad name: not the name of a header
            a.toml:9:8: Host: is set by agentcron itself (leave it out)
            a.toml:10:18: Content-Length: is set by agentcron itself (leave it out)
            a.toml:11:14: Connection: is set by agentcron itself (leave it out)
            a.toml:12:21: Transfer-Encoding: is set by agentcron itself (leave it out)
            a.toml:13:7: Via: is set by agentcron or its clients (expected a header that lets agentcron in, such as authorization)
            a.toml:14:13: Forwarded: is set by agentcron or its clients (expected a header that lets agentcron in, such as authorization)
            a.toml:15:19: X-Forwarded-For: is set by agentcron or its clients (expected a header that lets agentcron in, such as authorization)
            a.toml:16:14: User-Agent: is set by agentcron or its clients (expected a header that lets agentcron in, such as authorization)
            a.toml:17:11: X-Empty: got an empty text (leave the header out to send none)
            a.toml:18:11: X-Unset: env.UNSET is not set
            a.toml:19:12: X-Firing: `run.id` has no value here (it can be used in input, config, context and metadata)
            a.toml:20:11: X-Lines: not a valid header value: expected visible ASCII characters on one line
            a.toml:21:12: X-Umlaut: not a valid header value: expected visible ASCII characters on one line
            a.toml:22:12: X-Number: got an integer, expected text"#]],
    );
    check("[backend]\nheaders = \"Bearer hunter2\"", expect!["a.toml:2:11: headers: got text, expected a table (write [backend.headers])"]);
    check("[backend]\napi_key = \"hünter2\"", expect!["a.toml:2:11: api_key: not a valid header value: expected visible ASCII characters on one line"]);
    let config = loaded(
        "[backend]\nheaders = { Authorization = \"Basic ${{ env.HOOK_TOKEN }}-${{ env.ASSISTANT }}\", x-team = \"ops\" }",
    );
    let credentials = config.backend.credentials();
    assert_eq!(credentials.headers()["authorization"], "Basic hunter2-agent-eu");
    assert_eq!(credentials.headers()["x-team"], "ops");
    let echo = "Basic hunter2-agent-eu, hunter2-agent-eu, hunter2, agent-eu";
    assert_eq!(credentials.secrets().redact(echo), "***, ***, ***, ***");
    assert_eq!(loaded("[backend.headers]\nx-api-key = \"hunter2\"").backend.headers.headers().len(), 1);
}

#[test]
fn relative_paths_start_at_the_main_file() {
    let config =
        loaded("[store]\npath = \"data/a.db\"\n[http]\nsocket = \"a.sock\"\nlisten = \"[::1]:2025\"");
    let base = config.path.parent().unwrap();
    assert_eq!(config.store.location.file(), Some(&*base.join("data/a.db")));
    assert_eq!(config.http.socket, Some(base.join("a.sock")));
    assert_eq!(config.http.listen, Some("[::1]:2025".parse().unwrap()));
}

#[test]
fn keys_have_names_and_rights() {
    let config = loaded(
        "[http]\napi_keys = [\"first-key-of-all-of-them\"]\n[http.keys.phone]\nkey = \"key-of-the-phone-app\"\naccess = \"client\"\n",
    );
    let keys = config.http.keys.iter().map(|key| format!("{} {}", key.name, key.access));
    assert_eq!(keys.collect::<Vec<_>>(), ["api_keys[0] act", "phone client"]);
    check("[http.keys]", expect!["a.toml:1:1: keys: no key in it would let nobody in (write [http.keys.NAME])"]);
    check("[http.keys.a]\n[http]\nkeys.b = 1", expect![[r#"
        a.toml:1:12: [http.keys.a] has no access
        a.toml:1:12: [http.keys.a] has no key
        a.toml:3:10: b: got an integer, expected a table (write [http.keys.b])"#]]);
    check("[http.keys.a]\naccess = \"act\"", expect!["a.toml:1:12: [http.keys.a] has no key"]);
    check("[http.keys.a]\nkey = \"key-of-the-phone-app\"\naccess = \"write\"", expect!["a.toml:3:10: access: `write` is not one of read, act, client"]);
    check("[http.keys.a]\nkey = \"short\"\naccess = \"act\"\nname = \"x\"", expect![[r#"
        a.toml:2:7: key: expected at least 16 visible ASCII characters (such as `openssl rand -hex 32`)
        a.toml:4:1: unknown key `name` in [http.keys.a] (known: key, access)"#]]);
    check("[http.keys.\"a b\"]\nkey = \"key-of-the-phone-app\"\naccess = \"act\"", expect!["a.toml:1:12: [http.keys.a b]: `a b` is not a name for a key (letters, digits, and -_. between them, at most 100 characters)"]);
    check(
        "[http.keys.a]\nkey = \"key-of-the-phone-app\"\naccess = \"act\"\n[http.keys.b]\nkey = \"key-of-the-phone-app\"\naccess = \"read\"",
        expect!["a.toml:5:7: key: the same key as `a`: nobody could tell who acted"],
    );
}

#[test]
fn origins_are_exact_or_one_label_below_a_domain() {
    let config = loaded("[http]\nallow_origins = [\"https://app.example.com\", \"https://*.example.app\"]");
    assert_eq!(config.http.allow_origins.len(), 2);
    check("[http]\nallow_origins = [\"*\"]", expect!["a.toml:2:18: allow_origins: got `*` (every site could use the API: name the origins, such as https://app.example.com)"]);
    check("[http]\nallow_origins = [\"https://a.example\", \"https://a.example/\"]", expect!["a.toml:2:39: allow_origins: got `https://a.example/` (an origin has no path, query or user: end it after the host and port)"]);
    check("[http]\nallow_origins = [\"a.example\"]", expect!["a.toml:2:18: allow_origins: got `a.example` (expected an origin such as https://app.example.com or https://*.example.app)"]);
    check("[http]\nclient_crons = \"service\"", expect![[r#"
        warning: a.toml:2:16: client_crons: without keys, no client may act under backend's credentials (set http.api_keys, or [http.keys.NAME])
        warning: a.toml: no cron is defined: only crons that clients make through the API will fire
        ok: "#]]);
}

#[test]
fn a_port_that_other_machines_reach_needs_keys() {
    let keys = "api_keys = [\"${{ credential.webhook_secret }}\"]";
    assert_eq!(loaded("[http]\nlisten = \"off\"").http.listen, None);
    for open in ["0.0.0.0:2025", "[::]:2025", "192.168.1.5:80"] {
        let (shown, _) = load_files(&[("a.toml", format!("[http]\nlisten = \"{open}\"").as_bytes())]);
        assert!(shown.starts_with("a.toml:2:10: listen: "), "{open}: {shown}");
        let config = loaded(&format!("[http]\nlisten = \"{open}\"\n{keys}"));
        assert_eq!(config.http.keys.len(), 1);
    }
    check("[http]\nlisten = \"0.0.0.0:2025\"", expect![[r#"a.toml:2:10: listen: 0.0.0.0:2025 can be reached from other machines, and anybody there could use it (set http.api_keys = ["${{ credential.NAME }}"], or listen on 127.0.0.1)"#]]);
    check("[http]\napi_keys = []", expect!["a.toml:2:12: api_keys: an empty list would let nobody in (leave it out if no key is needed, on loopback)"]);
    check("[http]\napi_keys = [\"hunter2\"]", expect!["a.toml:2:13: api_keys: expected at least 16 visible ASCII characters (such as `openssl rand -hex 32`)"]);
    check(&format!("[http]\nlisten = \"off\"\n{keys}"), expect![[r#"
        warning: a.toml:3:12: api_keys: has no effect while listen is off: the Unix socket needs no key
        warning: a.toml: no cron is defined: only crons that clients make through the API will fire
        ok: "#]]);
}

#[test]
fn a_backend_is_one_plain_url() {
    for url in [
        "127.0.0.1:2024",
        "localhost:2024",
        "ftp://x",
        "http://hunter2:hunter2@x",
        "http://x?hunter2",
        "http://x:0",
        "http://x:99999",
        "http://",
        "",
        "${{ env.UNSET }}",
        "unix:/run/x",
    ] {
        let (shown, _) = load_files(&[("a.toml", format!("[backend]\nurl = \"{url}\"").as_bytes())]);
        println!("{url}: {shown}");
        assert!(shown.starts_with("a.toml:2:7: url: "), "{url}: {shown}");
    }
    check("[backend]\nurl = \"http://hunter2:hunter2@x\"", expect![[
            r#"a.toml:2:7: url: got a URL with a user or password in it (write api_key = "…" instead)"#
        ]],
    );
    check("[backend]\nurl = \"127.0.0.1:2024\"", expect!["a.toml:2:7: url: not a URL: there is no scheme (such as http://127.0.0.1:2024)"]);
    check("[backend]\nurl = \"localhost:2024\"", expect!["a.toml:2:7: url: expected a URL with http or https and a host (such as http://127.0.0.1:2024)"]);
    check("[backend]\nurl = \"http://x:99999\"", expect!["a.toml:2:7: url: not a URL (invalid port number)"]);
}

#[test]
fn values_have_bounds() {
    check(
        r#"
shutdown_grace = "400d"
[backend]
request_timeout = "0s"
max_concurrent_runs = 0
api_key = ""
ca_file = ""
[store]
path = "a\u0000b"
values_bytes_max = 99999999999
[http]
listen = "2025"
socket = 5
socket_group = "ops staff"
disable_webhooks = "yes"
[webhooks]
body_bytes_max = 1
[webhooks.url]
allowed_ports = [443, 70000]
max_url_length = 100000
"#,
        expect![[r#"
            a.toml:2:18: shutdown_grace: got `400d`, expected a duration from 1ms to 366d
            a.toml:4:19: request_timeout: got a duration of zero, expected a longer one
            a.toml:5:23: max_concurrent_runs: got 0, expected 1 to 10000
            a.toml:6:11: api_key: expected one line of text that is not empty (leave the key out to send none)
            a.toml:7:11: ca_file: got an empty text
            a.toml:9:8: path: expected a path without control characters
            a.toml:10:20: values_bytes_max: got 99999999999, expected 0 to 16777216
            a.toml:12:10: listen: got `2025`, expected an address with a port such as 127.0.0.1:2025 or [::1]:2025, or off
            a.toml:13:10: socket: got an integer, expected text
            a.toml:14:16: socket_group: expected the name of one group, or its number
            a.toml:15:20: disable_webhooks: got text, expected true or false
            a.toml:17:18: body_bytes_max: got 1, expected 1024 to 16777216
            a.toml:19:17: allowed_ports: got 70000 in the list, expected 0 to 65535
            a.toml:20:18: max_url_length: got 100000, expected 1 to 4096"#]]);
}

#[test]
fn tables_are_tables() {
    check("backend = \"x\"\nwebhooks.url = 5\ndefaults = []\nhttp = 2026-01-01", expect![[r#"
        a.toml:1:11: backend: got text, expected a table (write [backend])
        a.toml:2:16: url: got an integer, expected a table (write [webhooks.url])
        a.toml:3:12: defaults: got a list, expected a table (write [defaults])
        a.toml:4:8: http: got a date or time, expected a table (write [http])"#]]);
    check("schedule = \"x\"\nurl = \"x\"\n[crons.x]\n", expect![[r#"
        a.toml:1:1: unknown key `schedule` at the top level (it belongs under [cron.NAME] or [defaults])
        a.toml:2:1: unknown key `url` at the top level (it belongs under [backend])
        a.toml:3:2: unknown key `crons` at the top level (write [cron.NAME])"#]]);
}

#[test]
fn a_switch_of_the_environment_forces_webhooks_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    std::fs::write(&path, "[http]\ndisable_webhooks = false").unwrap();
    let with = |value| load(&path, &Environment::of_map([("env.AGENTCRON_DISABLE_WEBHOOKS", value)]));
    assert!(with("true").unwrap().http.disable_webhooks);
    assert!(!with("false").unwrap().http.disable_webhooks);
    assert!(with("maybe").is_err());
}

#[test]
fn includes_are_found_beside_the_main_file() {
    let cron = b"[cron.x]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"".as_slice();
    check_files(
        &[("a.toml", b"include = [\"none.d/*.toml\", \"d/*\"]"), ("d/x.toml", cron), ("d/.y.toml", b"?")],
        expect![[r#"
            warning: a.toml:1:12: include: there is no such folder; the crons that it had go on, until it is there without them
            ok: x"#]]);
    check_files(
        &[("a.toml", b"include = [\"*/x.toml\", \"\", \"..\", \"absent.toml\"]")],
        expect![[r#"
            a.toml:1:12: include: `*/x.toml`: `*` is only allowed in the last part of the path
            a.toml:1:24: include: got no path, expected one such as crons.d/*.toml
            a.toml:1:28: include: `..` does not name a file
            absent.toml: No such file or directory (os error 2)"#]]);
    check_files(&[("a.toml", b"include = \"*.toml\""), ("b.toml", cron)], expect!["ok: x"]);
    check_files(
        &[
            ("a.toml", b"include = [\"b.toml\"]"),
            ("b.toml", b"include = \"c.toml\"\n[backend]\nurl = 1\n[cronn.x]"),
        ],
        expect![[r#"
            b.toml:1:1: unknown key `include` at the top level (it belongs in the main file; included files hold [cron.NAME] tables)
            b.toml:2:2: unknown key `backend` at the top level (it belongs in the main file; included files hold [cron.NAME] tables)
            b.toml:4:2: unknown key `cronn` at the top level (included files hold [cron.NAME] tables)"#]]);
    check_files(
        &[("a.toml", b"include = [\"b.toml\"]\n[backend]\nurl = 5"), ("b.toml", b"[cron.x")],
        expect![[r#"
            a.toml:3:7: url: got an integer, expected text
            b.toml:1:8: not TOML: unclosed table, expected `]`
              | [cron.x
              |        ^"#]]);
    check_files(
        &[("a.toml", b"include = [\"d\"]"), ("d/x.toml", cron)],
        expect!["d: it is a directory, expected a regular file"]);
}

/// Whoever only looks at the configuration need not have its secrets, but the daemon needs them.
#[test]
fn secrets_of_the_daemon_are_warnings_for_whoever_looks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    let text = r#"
        backend.api_key = "${{ credential.a }}"
        backend.headers = { authorization = "Bearer ${{ credential.b }}" }
        http.api_keys = ["${{ credential.c }}", "${{ env.D }}"]
        webhooks.signing_secrets = ["${{ credential.e }}"]
        webhooks.headers = { x-key = "${{ env.LG_WEBHOOK_F }}" }
        [cron.a]
        schedule = "0 0 * * *"
        assistant_id = "agent"
        webhook = "https://ops.example.com/?token=${{ env.G }}"
        input = { key = "${{ credential.h }}" }"#;
    std::fs::write(&path, text).unwrap();
    let nobody = Environment::of_map([]);
    let mistakes = load(&path, &nobody).unwrap_err();
    let config = load(&path, &nobody.for_looking()).unwrap();
    let of_daemon = |warning: &&ConfigError| warning.to_string().contains("the daemon may have it");
    let warnings: Vec<_> = config.warnings.iter().filter(of_daemon).cloned().collect();
    let places = |all: &[ConfigError]| all.iter().map(|error| error.position).collect::<BTreeSet<_>>();
    // Of several keys without a value, the daemon names the first.
    assert_eq!((mistakes.0.len(), warnings.len()), (7, 8));
    assert!(places(&mistakes.0).is_subset(&places(&warnings)));
    let shown = warnings.iter().find(|warning| warning.message.contains("api_key:")).unwrap().to_string();
    assert!(shown.ends_with("a.toml:2:27: api_key: credential.a is not set (not checked here; the daemon may have it)"), "{shown}");
    assert_eq!((config.crons.len(), config.http.keys.len()), (1, 2));
    for mistake in ["backend.url = \"${{ nothing.x }}\"", "backend.api_key = \"${{ nothing.x }}\"", "backend.api_key = 5"] {
        std::fs::write(&path, mistake).unwrap();
        assert!(load(&path, &nobody.for_looking()).is_err(), "{mistake}");
    }
}
