//! The reference of the main file's own tables.

use super::{DefaultValue, KeyNames, KeyReference, Secrecy, SectionReference};
use crate::config::limits::{
    CONCURRENT_RUNS_MAX, VALUES_BYTES_MAX, WEBHOOK_BODY_BYTES_MAX, WEBHOOK_BODY_BYTES_MIN, WEBHOOK_CHARS_MAX,
};
use crate::config::value_type::ValueType;
use crate::domain::access::{Access, ClientCrons};
use crate::domain::log::LoggedRuns;

pub(in crate::config) const TOP_LEVEL: SectionReference = SectionReference {
    name: "",
    meaning: "Keys at the top of the main file, before its first table.",
    key_names: KeyNames::Fixed,
    keys: TOP_LEVEL_KEYS,
    tables: &["backend", "store", "log", "http", "webhooks", "defaults", "cron"],
};

const TOP_LEVEL_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "include",
        value_type: ValueType::TextOrList,
        default: DefaultValue::Absent("no other file is read"),
        example: "[\"crons.d/*.toml\"]",
        meaning: "Further files with crons; relative to the main file, and `*` is allowed in the last part of the path.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "langgraph_json",
        value_type: ValueType::Path,
        default: DefaultValue::Absent("the agent server's own webhook settings are not read"),
        example: "\"langgraph.json\"",
        meaning: "The agent server's own configuration, whose `http.disable_webhooks` and `webhooks` are honoured; where both files set a limit, the stricter one wins.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "shutdown_grace",
        value_type: ValueType::Duration,
        default: DefaultValue::Toml("\"20s\""),
        example: "\"30s\"",
        meaning: "How long a stop waits for work that has begun; zero stops at once.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const BACKEND: SectionReference = SectionReference {
    name: "backend",
    meaning: "The agent server that runs the agents.",
    key_names: KeyNames::Fixed,
    keys: BACKEND_KEYS,
    tables: &["headers"],
};

const BACKEND_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "url",
        value_type: ValueType::Url,
        default: DefaultValue::Toml("\"http://127.0.0.1:2024\""),
        example: "\"https://agents.example.com\"",
        meaning: "Where the agent server is; without user, password, query and fragment.",
        secrecy: Secrecy::MayHoldSecret,
    },
    KeyReference {
        name: "api_key",
        value_type: ValueType::Text,
        default: DefaultValue::Absent("no key is sent"),
        example: "\"${{ credential.langgraph_api_key }}\"",
        meaning: "The key that agentcron sends to the agent server as `x-api-key`.",
        secrecy: Secrecy::MayHoldSecret,
    },
    KeyReference {
        name: "request_timeout",
        value_type: ValueType::Duration,
        default: DefaultValue::Toml("\"30s\""),
        example: "\"1m\"",
        meaning: "How long one request may take; requests that wait for a run are not limited by it.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "max_concurrent_runs",
        value_type: ValueType::Integer { min: 1, max: CONCURRENT_RUNS_MAX },
        default: DefaultValue::Toml("256"),
        example: "100",
        meaning: "How many runs of all crons together may be in progress at the same time. An eighth of the places, at least one, is kept for crons from files.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "ca_file",
        value_type: ValueType::Path,
        default: DefaultValue::Absent("only the system's certificate authorities are trusted"),
        example: "\"/etc/ssl/private-ca.pem\"",
        meaning: "A PEM file with further certificate authorities to trust when connecting to the agent server.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const BACKEND_HEADERS: SectionReference = SectionReference {
    name: "backend.headers",
    meaning: "Headers that let agentcron in at an agent server that reads another header than `x-api-key`.",
    key_names: KeyNames::Chosen,
    keys: BACKEND_HEADERS_KEYS,
    tables: &[],
};

const BACKEND_HEADERS_KEYS: &[KeyReference] = &[KeyReference {
    name: "NAME",
    value_type: ValueType::Text,
    default: DefaultValue::Absent("no header is added"),
    example: "\"Bearer ${{ credential.langgraph_token }}\"",
    meaning: "The value of the header `NAME`, such as `authorization`; each value counts as a secret.",
    secrecy: Secrecy::MayHoldSecret,
}];

pub(in crate::config) const STORE: SectionReference = SectionReference {
    name: "store",
    meaning: "The database, which records every run and every webhook.",
    key_names: KeyNames::Fixed,
    keys: STORE_KEYS,
    tables: &[],
};

const STORE_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "path",
        value_type: ValueType::Path,
        default: DefaultValue::Absent(
            "under systemd `$STATE_DIRECTORY/agentcron.db`, else `/var/lib/agentcron/agentcron.db`",
        ),
        example: "\"agentcron.db\"",
        meaning: "The SQLite file.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "values_bytes_max",
        value_type: ValueType::Integer { min: 0, max: VALUES_BYTES_MAX },
        default: DefaultValue::Toml("65536"),
        example: "1048576",
        meaning: "The most bytes of a run's final values that are kept.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const LOG: SectionReference = SectionReference {
    name: "log",
    meaning: "The daemon's log.",
    key_names: KeyNames::Fixed,
    keys: LOG_KEYS,
    tables: &[],
};

const LOG_KEYS: &[KeyReference] = &[KeyReference {
    name: "runs",
    value_type: ValueType::Word(LoggedRuns::WORDS),
    default: DefaultValue::Toml("\"failed\""),
    example: "\"all\"",
    meaning: "Which ends of runs the log tells, one line each: `failed` are errors, timeouts, interrupts and missed occurrences.",
    secrecy: Secrecy::Public,
}];

pub(in crate::config) const HTTP: SectionReference = SectionReference {
    name: "http",
    meaning: "agentcron's own HTTP server, and the switch for all webhooks.",
    key_names: KeyNames::Fixed,
    keys: HTTP_KEYS,
    tables: &["keys"],
};

const HTTP_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "listen",
        value_type: ValueType::Text,
        default: DefaultValue::Toml("\"127.0.0.1:2025\""),
        example: "\"off\"",
        meaning: "The address and port where clients find the agent server's API with durable crons and webhooks, or `off`.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "api_keys",
        value_type: ValueType::TextList,
        default: DefaultValue::Absent("no key is needed, and `listen` must be on loopback"),
        example: "[\"${{ credential.agentcron_api_key }}\"]",
        meaning: "Keys of 16 characters or more, one of which every caller at `listen` must send; their holders may do everything, as with `access = \"act\"` in `[http.keys.NAME]`.",
        secrecy: Secrecy::MayHoldSecret,
    },
    KeyReference {
        name: "allow_origins",
        value_type: ValueType::TextList,
        default: DefaultValue::Absent(
            "without keys, only pages on this machine may use the agent server's API",
        ),
        example: "[\"https://app.example.com\", \"https://*.example.app\"]",
        meaning: "The origins of the web pages that may call from a browser; `*` stands for one label of the host's name.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "client_crons",
        value_type: ValueType::Word(ClientCrons::WORDS),
        default: DefaultValue::Toml("\"open\""),
        example: "\"service\"",
        meaning: "Whether clients may have crons on an agent server that knows users: with `open` they may not, and with `service` their crons run under the credentials of `[backend]`, while the agent server decides who may see and change each.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "socket",
        value_type: ValueType::Path,
        default: DefaultValue::Absent(
            "beside the database, with the extension `sock`; under systemd `$RUNTIME_DIRECTORY/agentcron.sock` if the database is at its default",
        ),
        example: "\"/run/agentcron/agentcron.sock\"",
        meaning: "The Unix socket over which the command line talks to the daemon.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "disable_webhooks",
        value_type: ValueType::Boolean,
        default: DefaultValue::Toml("false"),
        example: "true",
        meaning: "Records webhooks as suppressed and does not send them; AGENTCRON_DISABLE_WEBHOOKS=true in the environment does the same.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const HTTP_KEY: SectionReference = SectionReference {
    name: "http.keys.NAME",
    meaning: "A key for callers at `listen`; `NAME` is what the log calls its holder. Keys are reloaded with the files.",
    key_names: KeyNames::Fixed,
    keys: HTTP_KEY_KEYS,
    tables: &[],
};

const HTTP_KEY_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "key",
        value_type: ValueType::Text,
        default: DefaultValue::Required,
        example: "\"${{ credential.agentcron_api_key }}\"",
        meaning: "The key: 16 visible ASCII characters or more, sent as `x-api-key` or as `Authorization: Bearer`.",
        secrecy: Secrecy::MayHoldSecret,
    },
    KeyReference {
        name: "access",
        value_type: ValueType::Word(Access::WORDS),
        default: DefaultValue::Required,
        example: "\"read\"",
        meaning: "What its holder may do: `read` sees `/v1` and metrics, `act` may do everything, and `client` may use the agent server's API with credentials of its own.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const WEBHOOKS: SectionReference = SectionReference {
    name: "webhooks",
    meaning: "The webhooks that report the end of runs.",
    key_names: KeyNames::Fixed,
    keys: WEBHOOKS_KEYS,
    tables: &["url", "headers"],
};

const WEBHOOKS_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "signing_secrets",
        value_type: ValueType::TextList,
        default: DefaultValue::Absent("webhooks are not signed"),
        example: "[\"${{ credential.webhook_secret }}\"]",
        meaning: "Standard Webhooks keys (`whsec_…` with base64 of 24 to 64 bytes, or `whsk_…`); every key signs, so that receivers can change from one to the next.",
        secrecy: Secrecy::MayHoldSecret,
    },
    KeyReference {
        name: "env_prefix",
        value_type: ValueType::Text,
        default: DefaultValue::Toml("\"LG_WEBHOOK_\""),
        example: "\"HOOK_\"",
        meaning: "The prefix that environment variables in `webhooks.headers` must have.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "allowed_fields",
        value_type: ValueType::TextList,
        default: DefaultValue::Absent("the whole body is sent"),
        example: "[\"run_id\", \"status\", \"values\"]",
        meaning: "The keys of the webhook body that are sent.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "body_bytes_max",
        value_type: ValueType::Integer { min: WEBHOOK_BODY_BYTES_MIN, max: WEBHOOK_BODY_BYTES_MAX },
        default: DefaultValue::Toml("1048576"),
        example: "65536",
        meaning: "The most bytes a webhook body may have; a longer one is sent without `values`.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "ca_file",
        value_type: ValueType::Path,
        default: DefaultValue::Absent("only the system's certificate authorities are trusted"),
        example: "\"/etc/ssl/private-ca.pem\"",
        meaning: "A PEM file with further certificate authorities to trust when connecting to receivers.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const WEBHOOKS_URL: SectionReference = SectionReference {
    name: "webhooks.url",
    meaning: "Which URLs webhooks may be sent to. Every address is checked again when a connection is made.",
    key_names: KeyNames::Fixed,
    keys: WEBHOOKS_URL_KEYS,
    tables: &[],
};

const WEBHOOKS_URL_KEYS: &[KeyReference] = &[
    KeyReference {
        name: "require_https",
        value_type: ValueType::Boolean,
        default: DefaultValue::Toml("false"),
        example: "true",
        meaning: "Refuses URLs that are not https.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "allowed_domains",
        value_type: ValueType::TextList,
        default: DefaultValue::Absent("every host is allowed"),
        example: "[\"ops.example.com\", \"*.hooks.example.com\"]",
        meaning: "The hosts that are allowed; `*.` allows the subdomains of a host.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "allowed_ports",
        value_type: ValueType::IntegerList { min: 0, max: 65_535 },
        default: DefaultValue::Absent("every port is allowed, except those of other protocols such as 25"),
        example: "[443]",
        meaning: "The ports that are allowed.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "max_url_length",
        value_type: ValueType::Integer { min: 1, max: WEBHOOK_CHARS_MAX as u64 },
        default: DefaultValue::Toml("4096"),
        example: "2048",
        meaning: "The most characters a URL may have.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "disable_loopback",
        value_type: ValueType::Boolean,
        default: DefaultValue::Toml("true"),
        example: "false",
        meaning: "Refuses URLs that lead to this machine.",
        secrecy: Secrecy::Public,
    },
    KeyReference {
        name: "disable_private_ips",
        value_type: ValueType::Boolean,
        default: DefaultValue::Toml("false"),
        example: "true",
        meaning: "Refuses URLs that lead into private networks.",
        secrecy: Secrecy::Public,
    },
];

pub(in crate::config) const WEBHOOKS_HEADERS: SectionReference = SectionReference {
    name: "webhooks.headers",
    meaning: "Headers that are sent with every webhook.",
    key_names: KeyNames::Chosen,
    keys: WEBHOOKS_HEADERS_KEYS,
    tables: &[],
};

const WEBHOOKS_HEADERS_KEYS: &[KeyReference] = &[KeyReference {
    name: "NAME",
    value_type: ValueType::Text,
    default: DefaultValue::Absent("no header is added"),
    example: "\"Bearer ${{ env.LG_WEBHOOK_TOKEN }}\"",
    meaning: "The value of the header `NAME`; variables in it must begin with `webhooks.env_prefix`.",
    secrecy: Secrecy::MayHoldSecret,
}];

pub(in crate::config) const INCLUDED_FILE: SectionReference = SectionReference {
    name: "",
    meaning: "The top level of an included file, which holds crons and nothing else.",
    key_names: KeyNames::Fixed,
    keys: &[],
    tables: &["cron"],
};
