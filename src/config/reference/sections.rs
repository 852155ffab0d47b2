//! The reference of the main file's own tables.

use super::DefaultValue::{Absent, Required, Toml};
use super::Secrecy::{MayHoldSecret, Public};
use super::{KeyNames, KeyReference, SectionReference};
use crate::config::limits::{
    BACKUPS_KEPT_MAX, CONCURRENT_RUNS_MAX, VALUES_BYTES_MAX, WEBHOOK_BODY_BYTES_MAX, WEBHOOK_BODY_BYTES_MIN,
    WEBHOOK_CHARS_MAX,
};
use crate::config::notify_targets::TargetType;
use crate::config::value_type::ValueType::*;
use crate::domain::access::{Access, ClientCrons, PageAccess};
use crate::domain::log::LoggedRuns;
use crate::domain::notification::NotificationKind;

pub(in crate::config) const TOP_LEVEL: SectionReference = SectionReference {
    name: "",
    meaning: "Keys at the top of the main file, before its first table.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        include: TextOrList, Absent("no other file is read"), Public, "[\"crons.d/*.toml\"]";
            "Further files with crons; relative to the main file, and `*` is allowed in the last part of the path."
        langgraph_json: Path, Absent("the agent server's own webhook settings are not read"), Public,
            "\"langgraph.json\"";
            "The agent server's own configuration, whose `http.disable_webhooks` and `webhooks` are honoured; where both files set a limit, the stricter one wins."
        shutdown_grace: Duration, Toml("\"20s\""), Public, "\"30s\"";
            "How long a stop waits for work that has begun; zero stops at once."
    },
    tables: &["backend", "store", "log", "http", "webhooks", "notify", "defaults", "cron"],
};

pub(in crate::config) const BACKEND: SectionReference = SectionReference {
    name: "backend",
    meaning: "The agent server that runs the agents.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        url: Url, Toml("\"http://127.0.0.1:2024\""), MayHoldSecret, "\"https://agents.example.com\"";
            "Where the agent server is; without user, password, query and fragment."
        api_key: Text, Absent("no key is sent"), MayHoldSecret, "\"${{ credential.langgraph_api_key }}\"";
            "The key that agentcron sends to the agent server as `x-api-key`."
        request_timeout: Duration, Toml("\"30s\""), Public, "\"1m\"";
            "How long one request may take; requests that wait for a run are not limited by it."
        max_concurrent_runs: Integer { min: 1, max: CONCURRENT_RUNS_MAX }, Toml("256"), Public, "100";
            "How many runs of all crons together may be in progress at the same time. An eighth of the places, at least one, is kept for crons from files."
        ca_file: Path, Absent("only the system's certificate authorities are trusted"), Public,
            "\"/etc/ssl/private-ca.pem\"";
            "A PEM file with further certificate authorities to trust when connecting to the agent server."
    },
    tables: &["headers"],
};

pub(in crate::config) const BACKEND_HEADERS: SectionReference = SectionReference {
    name: "backend.headers",
    meaning: "Headers that let agentcron in at an agent server that reads another header than `x-api-key`.",
    key_names: KeyNames::Chosen,
    keys: keys! {
        NAME: Text, Absent("no header is added"), MayHoldSecret,
            "\"Bearer ${{ credential.langgraph_token }}\"";
            "The value of the header `NAME`, such as `authorization`; each value counts as a secret."
    },
    tables: &[],
};

pub(in crate::config) const STORE: SectionReference = SectionReference {
    name: "store",
    meaning: "The database, which records every run and every webhook.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        path: Path, Absent("under systemd `$STATE_DIRECTORY/agentcron.db`, else `/var/lib/agentcron/agentcron.db`"), Public,
            "\"agentcron.db\"";
            "The SQLite file."
        url: Text, Absent("the store is in the file `path`"), MayHoldSecret, "\"postgres://agentcron@db.internal/agentcron\"";
            "A PostgreSQL server with the store instead, which several daemons may share; [Several daemons](operating.md#several-daemons) has the rules. TLS is used except to this machine, and `?sslmode=disable` turns it off."
        password: Text, Absent("one in `url`, or that of the file `$PGPASSFILE` or `~/.pgpass`"), MayHoldSecret, "\"${{ credential.agentcron_db }}\"";
            "The password at the server of `url`."
        listen_url: Text, Absent("that of `url`"), MayHoldSecret, "\"postgres://agentcron@db-direct.internal/agentcron\"";
            "The same server without the pooler in front: behind one that pools transactions, no daemon hears of what others have committed, and looks every second instead."
        ca_file: Path, Absent("only the system's certificate authorities are trusted"), Public, "\"/etc/agentcron/db-ca.pem\"";
            "A PEM file with further certificate authorities to trust at the server of `url`."
        values_bytes_max: Integer { min: 0, max: VALUES_BYTES_MAX }, Toml("65536"), Public, "1048576";
            "The most bytes of a run's final values that are kept."
        keep: Period, Toml("\"90d\""), Public, "\"30d\"";
            "How long ended runs and records of skipped occurrences are kept; [How long history is kept](#how-long-history-is-kept) has the rules."
        keep_failures: Period, Toml("\"1y\""), Public, "\"forever\"";
            "How long those are kept that `history --failed` shows, if that is longer than `keep`."
        keep_values: Period, Toml("\"14d\""), Public, "\"0\"";
            "How long the values and interrupts of runs and the bodies of webhooks are kept; `\"0\"` writes no values, and a webhook's body goes with the end of its delivery."
        keep_runs_max: Integer { min: 1, max: u32::MAX as u64 }, Absent("their number has no limit"), Public, "1000";
            "How many ended records each cron has at most, whatever their age; the newest are kept."
        redact: TextList, Absent("nothing is redacted"), Public, "[\"/messages/*/content\"]";
            "JSON Pointers to parts of values that are never written; `*` stands for every element and member. Webhooks have `[redacted]` in their place as well."
    },
    tables: &["backup"],
};

pub(in crate::config) const STORE_BACKUP: SectionReference = SectionReference {
    name: "store.backup",
    meaning: "Backups of the database that the daemon makes by itself. Without this table it makes none.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        schedule: Text, Required, Public, "\"30 3 * * *\"";
            "When a backup is made, as a cron expression in UTC. One that was missed is made up for at the start."
        dir: Path, Required, Public, "\"/var/lib/agentcron/backups\"";
            "The folder of the backups, which is created with mode 0700 if it does not exist."
        keep: Integer { min: 1, max: BACKUPS_KEPT_MAX }, Toml("7"), Public, "30";
            "How many backups are kept; older ones are deleted after a new one has been made and checked."
    },
    tables: &[],
};

pub(in crate::config) const LOG: SectionReference = SectionReference {
    name: "log",
    meaning: "The daemon's log.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        runs: Word(LoggedRuns::WORDS), Toml("\"failed\""), Public, "\"all\"";
            "Which ends of runs the log tells, one line each: `failed` are errors, timeouts, interrupts and missed occurrences."
    },
    tables: &[],
};

pub(in crate::config) const HTTP: SectionReference = SectionReference {
    name: "http",
    meaning: "agentcron's own HTTP server, and the switch for all webhooks.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        listen: Text, Toml("\"127.0.0.1:2025\""), Public, "\"off\"";
            "The address and port where clients find the agent server's API with durable crons and webhooks, or `off`."
        api_keys: TextList, Absent("no key is needed, and `listen` must be on loopback"), MayHoldSecret,
            "[\"${{ credential.agentcron_api_key }}\"]";
            "Keys of 16 characters or more, one of which every caller at `listen` must send; their holders may do everything, as with `access = \"act\"` in `[http.keys.NAME]`."
        allow_origins: TextList, Absent("without keys, only pages on this machine may use the agent server's API"), Public,
            "[\"https://app.example.com\", \"https://*.example.app\"]";
            "The origins of the web pages that may call from a browser; `*` stands for one label of the host's name."
        client_crons: Word(ClientCrons::WORDS), Toml("\"open\""), Public, "\"service\"";
            "Whether clients may have crons on an agent server that knows users: with `open` they may not, and with `service` their crons run under the credentials of `[backend]`, while the agent server decides who may see and change each."
        page: Word(PageAccess::WORDS), Toml("\"on\""), Public, "\"read-only\"";
            "The web page at `/agentcron/`: `on`, `read-only` for everybody, or `off`. Without keys, strangers see states only. Whoever comes by `agentcron open` has the rights of the socket, and whoever logs in with a key those of the key."
        open_probes: Boolean, Toml("true"), Public, "false";
            "Whether `/healthz` and `/readyz` need no key, so that load balancers and Kubernetes can ask; they say nothing secret."
        socket: Path, Absent("beside the database, with the extension `sock`; under systemd `$RUNTIME_DIRECTORY/agentcron.sock` if the database is at its default"), Public,
            "\"/run/agentcron/agentcron.sock\"";
            "The Unix socket over which the command line talks to the daemon."
        socket_group: Text, Absent("only the daemon's own user and root may use the socket"), Public, "\"agentcron\"";
            "A group whose members may use the socket, and so do everything: its name in `/etc/group`, or its number. The daemon must be in that group."
        disable_webhooks: Boolean, Toml("false"), Public, "true";
            "Records webhooks as suppressed and does not send them; AGENTCRON_DISABLE_WEBHOOKS=true in the environment does the same."
    },
    tables: &["keys"],
};

pub(in crate::config) const HTTP_KEY: SectionReference = SectionReference {
    name: "http.keys.NAME",
    meaning: "A key for callers at `listen`; `NAME` is what the log calls its holder. Keys are reloaded with the files.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        key: Text, Required, MayHoldSecret, "\"${{ credential.agentcron_api_key }}\"";
            "The key: 16 visible ASCII characters or more, sent as `x-api-key` or as `Authorization: Bearer`."
        access: Word(Access::WORDS), Required, Public, "\"read\"";
            "What its holder may do: `read` sees `/v1` and metrics, `act` may do everything, and `client` may use the agent server's API with credentials of its own."
    },
    tables: &[],
};

pub(in crate::config) const WEBHOOKS: SectionReference = SectionReference {
    name: "webhooks",
    meaning: "The webhooks that report the end of runs.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        signing_secrets: TextList, Absent("webhooks are not signed"), MayHoldSecret,
            "[\"${{ credential.webhook_secret }}\"]";
            "Standard Webhooks keys (`whsec_…` with base64 of 24 to 64 bytes, or `whsk_…`); every key signs, so that receivers can change from one to the next."
        env_prefix: Text, Toml("\"LG_WEBHOOK_\""), Public, "\"HOOK_\"";
            "The prefix that environment variables in `webhooks.headers` must have."
        allowed_fields: TextList, Absent("the whole body is sent"), Public,
            "[\"run_id\", \"status\", \"values\"]";
            "The keys of the webhook body that are sent."
        body_bytes_max: Integer { min: WEBHOOK_BODY_BYTES_MIN, max: WEBHOOK_BODY_BYTES_MAX }, Toml("1048576"), Public,
            "65536";
            "The most bytes a webhook body may have; a longer one is sent without `values`."
        ca_file: Path, Absent("only the system's certificate authorities are trusted"), Public,
            "\"/etc/ssl/private-ca.pem\"";
            "A PEM file with further certificate authorities to trust when connecting to receivers."
    },
    tables: &["url", "headers"],
};

pub(in crate::config) const WEBHOOKS_URL: SectionReference = SectionReference {
    name: "webhooks.url",
    meaning: "Which URLs webhooks may be sent to. Every address is checked again when a connection is made.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        require_https: Boolean, Toml("false"), Public, "true";
            "Refuses URLs that are not https."
        allowed_domains: TextList, Absent("every host is allowed"), Public,
            "[\"ops.example.com\", \"*.hooks.example.com\"]";
            "The hosts that are allowed; `*.` allows the subdomains of a host."
        allowed_ports: IntegerList { min: 0, max: 65_535 }, Absent("every port is allowed, except those of other protocols such as 25"), Public,
            "[443]";
            "The ports that are allowed."
        max_url_length: Integer { min: 1, max: WEBHOOK_CHARS_MAX as u64 }, Toml("4096"), Public, "2048";
            "The most characters a URL may have."
        disable_loopback: Boolean, Toml("true"), Public, "false";
            "Refuses URLs that lead to this machine."
        disable_private_ips: Boolean, Toml("false"), Public, "true";
            "Refuses URLs that lead into private networks."
    },
    tables: &[],
};

pub(in crate::config) const WEBHOOKS_HEADERS: SectionReference = SectionReference {
    name: "webhooks.headers",
    meaning: "Headers that are sent with every webhook.",
    key_names: KeyNames::Chosen,
    keys: keys! {
        NAME: Text, Absent("no header is added"), MayHoldSecret, "\"Bearer ${{ env.LG_WEBHOOK_TOKEN }}\"";
            "The value of the header `NAME`; variables in it must begin with `webhooks.env_prefix`."
    },
    tables: &[],
};

pub(in crate::config) const NOTIFY: SectionReference = SectionReference {
    name: "notify.NAME",
    meaning: "Somebody who is notified when a state changes; `NAME` is what `agentcron notify` calls the target.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        type: Word(TargetType::WORDS), Required, Public, "\"slack\"";
            "What the target is, which decides the form of the messages."
        url: Text, Absent("PagerDuty's own, or `https://ntfy.sh/`; the other types need one"), MayHoldSecret,
            "\"${{ credential.slack_hook }}\"";
            "Where it is: the URL of an incoming webhook of Slack, of another server of PagerDuty or ntfy, of a receiver of JSON, or of a dead man's switch; for e-mail the server, such as `smtps://mail.example.com` or `smtp://mail.example.com:587`."
        on: WordOrList(NotificationKind::WORDS), Toml("[\"failing\", \"recovered\", \"missed\", \"paused\", \"outage\", \"configuration\"]"), Public,
            "[\"failing\", \"recovered\", \"late\"]";
            "What it is told of."
        crons: TextOrList, Absent("it is told of every cron"), Public, "[\"billing-*\", \"daily-digest\"]";
            "The crons that it is told of; `*` stands for any text."
        routing_key: Text, Absent("PagerDuty needs one"), MayHoldSecret, "\"${{ credential.pagerduty_key }}\"";
            "The integration key of a service of PagerDuty, by its Events API v2."
        topic: Text, Absent("ntfy needs one"), MayHoldSecret, "\"agentcron-8f2c91\"";
            "The topic of ntfy; on a public server, whoever knows it can read it."
        token: Text, Absent("nothing is sent"), MayHoldSecret, "\"${{ credential.ntfy_token }}\"";
            "An access token of ntfy."
        user: Text, Absent("no login"), MayHoldSecret, "\"agentcron@example.com\"";
            "The user at the mail server."
        password: Text, Absent("no login"), MayHoldSecret, "\"${{ credential.smtp_password }}\"";
            "The user's password."
        from: Text, Absent("e-mail needs one"), Public, "\"agentcron <agentcron@example.com>\"";
            "The sender of e-mail."
        to: TextOrList, Absent("e-mail needs one"), Public, "[\"ops@example.com\"]";
            "The recipients of e-mail."
        every: Duration, Absent("every minute"), Public, "\"5m\"";
            "How often a dead man's switch (`type = \"ping\"`) hears that the daemon is well; at least `10s`."
    },
    tables: &[],
};

pub(in crate::config) const INCLUDED_FILE: SectionReference = SectionReference {
    name: "",
    meaning: "The top level of an included file, which holds crons and nothing else.",
    key_names: KeyNames::Fixed,
    keys: &[],
    tables: &["cron"],
};
