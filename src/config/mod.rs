//! The configuration: turns files into settings that later code can rely on, or returns the list of every mistake.
//!
//! `load` reads the files. `validate_cron` judges one cron, for files, stored definitions and the HTTP API alike.
//! `reference` lists every key. Only `environment` reads environment variables and credentials; nothing here is
//! global.

mod certificates;
mod clean_files;
mod common_settings;
mod credentials;
mod cron_definition;
mod crons;
mod document;
mod draft;
mod duration;
mod effective;
mod environment;
mod errors;
mod fields;
mod groups;
mod headers;
mod http;
mod in_force;
mod in_order;
mod include;
mod json;
mod json_schema;
mod langgraph_json;
mod last_good;
mod limits;
mod live;
mod load;
mod loss;
mod nearest;
mod needed_values;
mod notify;
mod notify_targets;
#[cfg(feature = "postgres")]
mod password_file;
mod pasted;
mod placeholders;
mod places;
mod redact;
mod redacted_file;
mod reference;
mod regular_file;
mod secret;
mod section;
mod section_reader;
mod sections;
#[cfg_attr(not(feature = "postgres"), path = "no_server_url.rs")]
mod server_url;
mod settings;
mod source_file;
mod starter;
mod store_location;
mod top_level;
mod type_check;
mod unit_places;
mod validate_cron;
mod value_type;
mod webhook_url_policy;
mod webhooks;

pub use certificates::read_certificates;
pub use clean_files::CleanFiles;
pub use common_settings::{CommonSettings, agreed_settings};
pub use credentials::Credentials;
pub use cron_definition::{CronDefinition, SourceLocation};
pub use draft::{Draft, without_links};
pub use effective::effective_settings;
pub use environment::{Environment, LookupError};
pub use errors::{ConfigError, ConfigErrors, Position};
pub use fields::{CronFields, OneOrMany};
pub use groups::{GroupError, group_id};
pub use json_schema::json_schema;
pub use last_good::{LastGood, webhooks_by_default};
pub use limits::FILE_BYTES_MAX;
pub use live::{Live, LiveWriter, live};
pub use load::{Loaded, load, load_again, load_draft, load_main, load_partly};
pub use loss::{KeptCron, KeptCrons, Loss};
pub use nearest::nearest;
pub use needed_values::{NeededValues, names_in};
pub use notify_targets::{Destination, EmailDestination, NotifyConfig, NotifyTarget, SmtpTls, TargetType};
pub use pasted::{Pasted, read_pasted};
pub use places::{socket_in_file, store_in_file, stores_perhaps};
pub use redacted_file::{LEFT_OUT, host_of, redacted_file};
pub use reference::{
    DefaultValue, KeyNames, KeyReference, RETRY, Secrecy, SectionReference, is_name, is_public, reference,
};
pub use regular_file::{Links, demand_regular, open_regular, read_regular, sync_folder};
pub use secret::Secret;
pub use server_url::ServerConfig;
pub use settings::{
    ApiKey, BackendConfig, BackupConfig, Config, HttpConfig, SavedSection, Sources, StoreConfig,
    WebhooksConfig,
};
pub use starter::STARTER_FILES;
pub use store_location::{ServerLocation, StoreLocation};
pub use unit_places::{default_store, socket_from_outside};
pub use validate_cron::{
    CronIdentity, FieldError, FieldErrorKind, check_url_policy, is_cron_name, validate_cron, validate_cron_as,
};
pub use value_type::ValueType;
