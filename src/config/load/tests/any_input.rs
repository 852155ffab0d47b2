//! Any file is a configuration or an error, and never a panic.

use proptest::prelude::*;

use super::*;
use crate::config::{CronFields, validate_cron};

/// Generates pieces of text that together look much like a configuration.
fn piece() -> impl Strategy<Value = String> {
    let keys = CronFields::NAMES.iter().map(|name| format!("{name} = ")).collect::<Vec<_>>();
    prop_oneof![
        prop::sample::select(keys),
        prop::sample::select(vec![
            "[cron.x]\n",
            "[cron.y]\n",
            "[cron]\n",
            "[defaults]\n",
            "[backend]\n",
            "[webhooks.url]\n",
            "[webhooks]\n",
            "[[cron]]\n",
            "[http]\n",
            "[store]\n",
            "url = ",
            "path = ",
            "include = ",
            "headers = ",
            "listen = ",
            "allowed_ports = ",
            "signing_secrets = ",
            "cron.z.input.a = ",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "\"0 9 * * *\"\n",
            "\"${{ env.HOOK_TOKEN }}\"\n",
            "\"${{ env.UNSET }}\"\n",
            "\"${{\"\n",
            "[1, \"a\"]\n",
            "{ a = 1 }\n",
            "true\n",
            "-1\n",
            "1e308\n",
            "nan\n",
            "2026-01-01\n",
            "\"1h\"\n",
            "\"*\"\n",
            "\"https://x/${{ env.HOOK_TOKEN }}\"\n",
            "0xffffffffffffffffff\n",
            // Over two lines, for a key that may hold a secret: of others the value is quoted.
            "api_key = \"\"\"\nhunter2\"\"\"\n",
            "'",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}\n",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load_files(&[("a.toml", &bytes), ("langgraph.json", &bytes)]);
    }

    #[test]
    fn anything_like_a_configuration(pieces in prop::collection::vec(piece(), 0..24)) {
        let main = format!("include = [\"b.toml\"]\n{}", pieces[..pieces.len() / 2].concat());
        load_files(&[("a.toml", main.as_bytes()), ("b.toml", pieces[pieces.len() / 2..].concat().as_bytes())]);
    }

    #[test]
    fn any_server_file(url in "\\PC{0,20}", length in any::<i64>()) {
        let server = serde_json::json!({"webhooks": {"url": {"allowed_domains": [url], "max_url_length": length}}});
        let main = b"langgraph_json = \"langgraph.json\"\n[webhooks.url]\nallowed_domains = [\"*.x.org\"]";
        load_files(&[("a.toml", main), ("langgraph.json", server.to_string().as_bytes())]);
    }

    #[test]
    fn any_fields_of_a_request(name in "\\PC{0,12}", key in prop::sample::select(CronFields::NAMES), text in "\\PC{0,30}") {
        let request = serde_json::json!({key: text, "schedule": "0 9 * * *", "assistant_id": "a"});
        if let Ok(fields) = serde_json::from_value::<CronFields>(request) {
            let _ = validate_cron(&name, &fields);
        }
    }
}
