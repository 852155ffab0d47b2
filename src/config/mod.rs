//! Raw -> settled configuration: what people wrote becomes facts that later code need not doubt, or the list of
//! every mistake in it.
//!
//! `load` reads the files; `validate_cron` judges one cron and serves files, stored definitions and the HTTP API alike.
//! Only `environment` reads environment variables and credentials; nothing here is global.

mod crons;
mod document;
mod duration;
mod environment;
mod errors;
mod fields;
mod include;
mod json;
mod langgraph_json;
mod limits;
mod load;
mod nearest;
mod placeholders;
mod secret;
mod section;
mod sections;
mod shape;
mod source;
mod starter;
mod validate_cron;
mod validated;
mod webhooks;

pub use environment::{Environment, LookupError};
pub use errors::{ConfigError, ConfigErrors, Position};
pub use fields::{CronFields, OneOrMany};
pub use load::load;
pub use nearest::nearest;
pub use placeholders::check_values;
pub use secret::Secret;
pub use sections::STORE_PATH_DEFAULT;
pub use starter::STARTER_FILES;
pub use validate_cron::{
    CronIdentity, FieldError, check_webhook_policy, is_cron_name, validate_cron, validate_cron_as,
};
pub use validated::{
    BackendConfig, Config, CronDefinition, HttpConfig, SourceLocation, Sources, StoreConfig, WebhooksConfig,
};
pub use webhooks::webhooks_by_default;
