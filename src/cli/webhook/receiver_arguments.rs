//! The receiver that `webhook test` and `webhook doctor` are about, and the settings that apply to it.

use std::path::PathBuf;

use clap::Args;
use uuid::Uuid;

use crate::cli::terminal::{Failure, Session, cron_named, crons_of};
use crate::config::{FILE_BYTES_MAX, WebhooksConfig, read_regular, webhooks_by_default};
use crate::domain::cron::CronSource;
use crate::domain::template;
use crate::webhook::{OutboundWebhook, SampleWebhook};

/// What a sample pretends to be about when no cron is named.
const CRON_NAME: &str = "webhook-test";
const ASSISTANT_ID: &str = "agent";

/// A URL, or a cron that has one.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct ReceiverArguments {
    /// URL of the receiver; placeholders such as ${{ env.HOOK_TOKEN }} are filled in
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Use the webhook of this cron (name or id)
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
}

/// What happens with a receiver that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiverUse {
    /// Something is sent to it, with its secrets.
    Sent,
    LookedAt,
}

/// A receiver, and everything that a webhook to it is made from.
pub(super) struct ChosenReceiver {
    /// Its placeholders are not filled in yet.
    pub(super) url: String,
    pub(super) webhooks: WebhooksConfig,
    /// The file with the settings; `None` if they are the defaults.
    pub(super) configuration: Option<PathBuf>,
    cron_name: String,
    assistant_id: String,
}

/// Returns the receiver with the settings of the configuration. If there is a URL but no configuration, uses the
/// defaults and warns about it.
pub(super) fn choose_receiver(
    arguments: &ReceiverArguments,
    use_of_it: ReceiverUse,
    session: &mut Session,
) -> Result<ChosenReceiver, Failure> {
    let path = session.config_path.clone();
    let read = read_regular(&path, FILE_BYTES_MAX);
    if let (Some(url), Err(error), Some(webhooks)) = (&arguments.url, read, webhooks_by_default()) {
        session.output.warn(&format!(
            "no configuration at {} ({error}): using the defaults, without secrets and headers",
            path.display()
        ))?;
        return Ok(ChosenReceiver {
            url: url.clone(),
            webhooks,
            configuration: None,
            cron_name: CRON_NAME.to_owned(),
            assistant_id: ASSISTANT_ID.to_owned(),
        });
    }
    let config = match use_of_it {
        ReceiverUse::Sent => session.load_config(&path)?,
        ReceiverUse::LookedAt => session.view_config(&path)?,
    };
    if config.http.disable_webhooks {
        session.output.warn("webhooks are disabled (http.disable_webhooks): the daemon sends none")?;
    }
    let mut receiver = ChosenReceiver {
        url: arguments.url.clone().unwrap_or_default(),
        webhooks: config.webhooks,
        configuration: Some(path),
        cron_name: CRON_NAME.to_owned(),
        assistant_id: ASSISTANT_ID.to_owned(),
    };
    if let Some(name) = &arguments.cron {
        let cron = cron_named(name, crons_of(&config.crons, &config.store.location)?)?;
        let no_webhook = || Failure::Usage(format!("the cron `{name}` has no webhook"));
        let url = cron.webhook.ok_or_else(no_webhook)?.0;
        receiver.url = match cron.source {
            CronSource::File => url,
            CronSource::Api => template::escaped(&url),
        };
        (receiver.cron_name, receiver.assistant_id) = (cron.name, cron.request.assistant_id);
    }
    Ok(receiver)
}

impl ChosenReceiver {
    /// Returns a sample, which says in its metadata that it is one.
    pub(super) fn sample(&self, session: &Session) -> OutboundWebhook {
        let sample = SampleWebhook {
            id: Uuid::new_v4(),
            cron_name: &self.cron_name,
            assistant_id: &self.assistant_id,
            url: &self.url,
            at: session.now(),
        };
        OutboundWebhook {
            webhook_id: sample.webhook_id(),
            url: self.url.clone(),
            body: sample.body(&self.webhooks),
            trace: None,
        }
    }
}
