//! The shapes of our JSON, defined once: `/v1` returns them, the commands print them with `--json`, and the OpenAPI
//! document is generated from them. So a name cannot differ between the three.

mod acts;
mod crons;
mod daemons;
mod deliveries;
mod events;
mod explain;
mod history;
mod page;
mod pauses;
mod reload;
mod report;
mod requests;
mod runs;
mod status;
mod values;
mod webhooks;

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::act::{ActKind, ActorKind};
use crate::domain::cron::CronSource;
use crate::domain::cron_state::{ListedState, PauseCause};
use crate::domain::daemon::Life;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::outage::Away;
use crate::domain::reason::{DeliveryReasonCode, ReasonCode, RunEventKind};
use crate::domain::run::{Phase, Status, Trigger};
use crate::present::attention::Concern;
use crate::present::explain::InstantVerdict;
use crate::store::{ListedBy, NoticeKind, Topic};

pub use acts::{Act, Actor};
pub use crons::{Cron, CronDetails, Failures, KeyChange, Occurrence, Recent, Version};
pub use daemons::{Daemon, DaemonName, Holds};
pub use deliveries::{Attempt, Delivery, DeliveryDetails};
pub use events::Changed;
pub use explain::Explanation;
pub use history::{ForgetRequest, Forgotten, Pruning};
pub use page::{PageLink, PageLinkRequest};
pub use pauses::Pause;
pub use reload::Reloaded;
pub use report::{Counted, CronReport, CronStats, DayStats, ReasonCount, ReceiverReport, Report};
pub use requests::{
    AllPausedChanged, BackfillInstant, BackfillRequest, Backfilled, Cancelled, CronState, CronStateChanged,
    EmptyRequest, PauseRequest, RunRequest, Triggered,
};
pub use runs::{Run, RunDelivery, RunDetails, RunError, RunEvent, RunWebhook, TimelineEntry};
pub use status::{
    Attention, Configuration, Counts, DaemonProcess, Denied, Liveness, LogTail, NextOccurrence, Notice,
    Outage, Readiness, StatusReport, StorePlace, Verdict,
};
pub use values::HideValues;
pub(super) use values::hide_values_of_definition;
pub(super) use webhooks::{
    DeliveryModeResponse, HoldRequest, ReleaseRequest, ReplayRequest, ReplayResponse, ResumeRequest,
    ResumeResponse,
};

/// An instant, RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-03-02T09:00:00Z")]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::deserialize(deserializer).map(|Word(at)| Self(at))
    }
}

/// A word of a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<T>(pub T);

impl<T: Display> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A page of a listing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass this as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Why a request failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({ "detail": "there is no cron `digets`; did you mean `digest`?" }))]
pub struct ErrorBody {
    /// What is wrong, human-readable.
    pub detail: String,
}

/// Declares the schemas of query parameters that take words of a closed set.
macro_rules! word_parameters {
    ($($name:ident = $schema:expr;)+) => {$(
        pub(super) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

word_parameters!(
    RunStatusParameter = run_statuses();
    TriggerParameter = triggers();
    ReasonCodeParameter = reason_codes();
    DeliveryStatusParameter = delivery_statuses();
    CronSourceParameter = cron_sources();
    CronStateParameter = cron_states();
    CronSortParameter = cron_orders();
);

/// Declares the schemas of what takes the words of a closed set.
macro_rules! word_schemas {
    ($($name:ident = $set:ident;)+) => {$(
        fn $name() -> Object {
            one_of($set::WORDS.iter().copied())
        }
    )+};
}

word_schemas!(
    topics = Topic;
    triggers = Trigger;
    reason_codes = ReasonCode;
    run_event_kinds = RunEventKind;
    phases = Phase;
    delivery_statuses = DeliveryStatus;
    pause_causes = PauseCause;
    cron_sources = CronSource;
    cron_states = ListedState;
    cron_orders = ListedBy;
    act_kinds = ActKind;
    actor_kinds = ActorKind;
    aways = Away;
    concerns = Concern;
    lives = Life;
    notice_kinds = NoticeKind;
    instant_verdicts = InstantVerdict;
);

fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// A word of a closed set, or null. A field with a schema of its own must say this itself.
fn one_of_or_null(words: &[&str]) -> Object {
    let words = words.iter().copied().map(Value::from).chain([Value::Null]);
    let word_or_null = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(word_or_null).enum_values(Some(words)).build()
}

/// How a run ended, or its phase while it is in progress.
fn run_statuses() -> Object {
    let phases = Phase::ALL.iter().filter(|phase| **phase != Phase::Ended);
    one_of(Status::WORDS.iter().copied().chain(phases.map(|word| word.as_str())))
}

/// How a run ended.
fn run_statuses_ended() -> Object {
    one_of(Status::WORDS.iter().copied())
}

fn reason_code_or_null() -> Object {
    one_of_or_null(ReasonCode::WORDS)
}

fn delivery_reason_code_or_null() -> Object {
    one_of_or_null(DeliveryReasonCode::WORDS)
}
