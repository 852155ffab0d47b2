//! `agentcron notify`: who is notified of what, and whether a message gets there.

use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use super::terminal::{
    Failure, Rows, Session, Shape, Shrink, Source, TableOptions, joined, printable, receiver_transport,
};
use super::webhook::test_delivery;
use crate::api::wire::Delivery;
use crate::config::{NotifyConfig, NotifyTarget};
use crate::domain::notification::{Notification, url_of_target};
use crate::present::times;
use crate::store::{DeliveryFilter, host_name};
use crate::transport::Dialer;
use crate::webhook::{OutboundWebhook, Sender};

/// Show who is notified of what, or send a test message
#[derive(Args, Debug)]
#[command(after_help = "\
The targets are those of the configuration, [notify.NAME]. What was sent to one
is among the webhooks: `agentcron webhook list --url notify://NAME`.

Examples:
  agentcron notify
  agentcron notify test ops
  agentcron notify list --json | jq -r .name")]
pub(super) struct Notify {
    #[command(subcommand)]
    verb: Option<NotifyVerb>,
}

#[derive(Debug, Subcommand)]
enum NotifyVerb {
    List(List),
    Test(Test),
}

/// List the targets: what each is told of, and the last message to it
#[derive(Args, Debug, Default)]
pub(super) struct List {
    #[command(flatten)]
    table: TableOptions,
}

/// Send a test message to a target and show its response
#[derive(Args, Debug)]
#[command(after_help = "\
The message is made and sent like a real one, with the URL policy and the secrets
of the configuration. No daemon is needed. The exit code is 0 if the receiver
took it, 1 if not.

Examples:
  agentcron notify test ops")]
pub(super) struct Test {
    /// The name of the target, as in [notify.NAME]
    name: String,
}

/// A target as `--json` shows it.
#[derive(Serialize)]
struct Target {
    name: String,
    #[serde(rename = "type")]
    target_type: &'static str,
    /// Without what may be secret.
    to: String,
    on: Vec<&'static str>,
    crons: Option<Vec<String>>,
    /// The last message to it; null if there is none.
    last: Option<Delivery>,
}

const SHAPE: Shape = Shape {
    columns: &["target", "type", "on", "crons", "last", "status", "to"],
    usual: &[12, 9, 40, 12, 19, 10, 32],
    shrink: &[Shrink::Omit("crons"), Shrink::Below("to"), Shrink::Below("on")],
};

pub(super) fn notify(notify: &Notify, session: &mut Session) -> Result<(), Failure> {
    match &notify.verb {
        None => list(&List::default(), session),
        Some(NotifyVerb::List(arguments)) => list(arguments, session),
        Some(NotifyVerb::Test(arguments)) => test(arguments, session),
    }
}

fn list(list: &List, session: &mut Session) -> Result<(), Failure> {
    let config = session.main_config(&session.environment.for_looking())?;
    let targets = with_last(&config.notify, session)?;
    if session.output.is_json() {
        return Ok(targets.iter().try_for_each(|target| session.output.json(target))?);
    }
    if targets.is_empty() {
        return Ok(session.output.line("nobody is notified: the configuration has no [notify.NAME]")?);
    }
    let mut rows = Rows::new(&SHAPE).with_options(&list.table)?.in_zone("last", &session.zone);
    for target in &targets {
        let last = target.last.as_ref();
        // A dead man's switch is told of none.
        let all = if target.on.is_empty() { "" } else { "all" };
        rows.push(vec![
            printable(&target.name),
            target.target_type.to_owned(),
            joined(target.on.iter().copied()),
            target
                .crons
                .as_ref()
                .map_or_else(|| all.to_owned(), |crons| printable(&joined(crons.iter().map(String::as_str)))),
            last.map(|last| times::local(last.created_at.0, &session.zone)).unwrap_or_default(),
            last.map(|last| last.status.0.to_string()).unwrap_or_default(),
            printable(&target.to),
        ]);
    }
    Ok(session.output.table(rows)?)
}

fn with_last(targets: &NotifyConfig, session: &mut Session) -> Result<Vec<Target>, Failure> {
    // Whoever sets up a target has perhaps not started the daemon yet.
    let source = match session.store_location()?.is_missing() {
        true => None,
        false => Some(session.source()?),
    };
    let mut found = Vec::new();
    for (name, target) in targets {
        let url = url_of_target(name);
        let rows: Vec<Delivery> = match &source {
            None => Vec::new(),
            Some(Source::Daemon(daemon)) => {
                daemon.list("deliveries", &[("url", url.clone())], LOOKED_THROUGH)?
            }
            Some(Source::Store(reader)) => {
                let filter = DeliveryFilter { url: Some(url.clone()), ..DeliveryFilter::default() };
                let (queue, now) = (reader.webhook_queue()?, session.now());
                let limit = u32::try_from(LOOKED_THROUGH).unwrap_or(u32::MAX);
                let rows = reader.webhooks_before(&filter, None, limit)?;
                rows.iter().map(|(_, row)| Delivery::of(row, &queue, now)).collect()
            }
        };
        let last = rows.into_iter().find(|row| row.url == url);
        found.push(shown(name, target, last));
    }
    Ok(found)
}

/// How many of the last messages are looked through: the names of other targets may begin with this one.
const LOOKED_THROUGH: u64 = 100;

fn shown(name: &str, target: &NotifyTarget, last: Option<Delivery>) -> Target {
    Target {
        name: name.to_owned(),
        target_type: target.to.target_type().as_str(),
        to: target.to.shown(),
        on: target.on.iter().map(|kind| kind.as_str()).collect(),
        crons: target.crons.clone(),
        last,
    }
}

fn test(test: &Test, session: &mut Session) -> Result<(), Failure> {
    let config = session.main_config(&session.environment.clone())?;
    let Some(target) = config.notify.get(&test.name) else {
        let known = config.notify.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let name = &test.name;
        return Err(Failure::Usage(format!("there is no [notify.{name}]; there are: {known}")));
    };
    if config.http.disable_webhooks {
        session.output.warn("webhooks are disabled (http.disable_webhooks): the daemon notifies nobody")?;
    }
    let host = host_name();
    let body = Notification::test(&host, session.now()).to_json().into_bytes();
    let webhook_id = format!("msg_test_{}", Uuid::new_v4());
    let message = OutboundWebhook { webhook_id, url: url_of_target(&test.name), body, trace: None };
    let transport = receiver_transport(&config.webhooks, Dialer::of_system())?;
    let (environment, clock) = (session.environment.clone(), session.clock.clone());
    let sender = Sender::new(transport, environment, clock, config.webhooks.clone());
    let sender = sender.with_targets(std::sync::Arc::new(config.notify.clone()));
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let delivery = runtime.block_on(test_delivery::send(message, &sender, session));
    // A name lookup that hangs must not keep the process alive.
    runtime.shutdown_background();
    if session.output.is_json() {
        let mut object = delivery.to_json();
        object["name"] = test.name.clone().into();
        session.output.json(&object)?;
    } else {
        let (kind, to) = (target.to.target_type(), printable(&target.to.shown()));
        session.output.line(&format!("{}: {kind}, {to}", printable(&test.name)))?;
        delivery.print(session)?;
    }
    match delivery.is_delivered() {
        true => Ok(()),
        false => Err(Failure::Failed("the test message was not delivered".to_owned())),
    }
}
