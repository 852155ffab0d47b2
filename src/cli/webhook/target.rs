//! Whom `webhook test` and `webhook doctor` are about, and by which settings.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use uuid::Uuid;

use crate::cli::failure::Failure;
use crate::cli::next::{crons_of, named};
use crate::cli::session::Session;
use crate::config::{WebhooksConfig, webhooks_by_default};
use crate::domain::cron::CronSource;
use crate::domain::template;
use crate::webhook::{BodyLimits, OutboundWebhook, SampleWebhook};

/// What a test pretends to be of when no cron is named.
const CRON_NAME: &str = "webhook-test";
const ASSISTANT_ID: &str = "agent";

/// A URL, or the cron that has one.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct To {
    /// The receiver's URL; placeholders such as ${{ env.HOOK_TOKEN }} are filled
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// The webhook of this cron, by its name or id
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
}

/// A receiver and all that a webhook to it is made by.
pub(super) struct Target {
    /// Placeholders still in it.
    pub(super) url: String,
    pub(super) webhooks: WebhooksConfig,
    /// The file that the settings are from; none if they are the defaults.
    pub(super) configuration: Option<PathBuf>,
    cron_name: String,
    assistant_id: String,
}

/// By the configuration; where there is none within reach, by the defaults, which is said.
pub(super) fn settle(to: &To, session: &mut Session) -> Result<Target, Failure> {
    let path = session.config_path.clone();
    if let (Some(url), Err(error)) = (&to.url, File::open(&path)) {
        session.output.warn(&format!(
            "no configuration at {} ({error}): judged by the defaults, without secrets and headers",
            path.display()
        ))?;
        return Ok(Target {
            url: url.clone(),
            webhooks: webhooks_by_default(),
            configuration: None,
            cron_name: CRON_NAME.to_owned(),
            assistant_id: ASSISTANT_ID.to_owned(),
        });
    }
    let config = session.load_config(&path)?;
    if config.http.disable_webhooks {
        session.output.warn("webhooks are disabled (http.disable_webhooks): the daemon sends none")?;
    }
    let mut target = Target {
        url: to.url.clone().unwrap_or_default(),
        webhooks: config.webhooks,
        configuration: Some(path),
        cron_name: CRON_NAME.to_owned(),
        assistant_id: ASSISTANT_ID.to_owned(),
    };
    if let Some(name) = &to.cron {
        let cron = named(name, crons_of(config.crons, &config.store.path)?)?;
        let no_webhook = || Failure::Usage(format!("the cron `{name}` has no webhook"));
        let url = cron.webhook.ok_or_else(no_webhook)?.0;
        target.url = match cron.source {
            CronSource::File => url,
            CronSource::Api => template::escaped(&url),
        };
        (target.cron_name, target.assistant_id) = (cron.name, cron.request.assistant_id);
    }
    Ok(target)
}

impl Target {
    /// A webhook that tells about nothing, and says so.
    pub(super) fn attempt(&self, session: &Session) -> OutboundWebhook {
        let made = SampleWebhook {
            id: Uuid::new_v4(),
            cron_name: &self.cron_name,
            assistant_id: &self.assistant_id,
            url: &self.url,
            at: session.now(),
        };
        let limits = BodyLimits {
            bytes_max: self.webhooks.body_bytes_max,
            allowed_fields: self.webhooks.allowed_fields.clone(),
        };
        OutboundWebhook { webhook_id: made.webhook_id(), url: self.url.clone(), body: made.body(&limits) }
    }
}
