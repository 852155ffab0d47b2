//! The shapes of our JSON, made once: `/v1` answers them, the commands print them with `--json`, and the OpenAPI
//! document is generated from them. So a name cannot differ between the three.

mod crons;
mod deliveries;
mod requests;
mod runs;
mod status;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::cron::CronSource;
use crate::domain::cron_state::PauseCause;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::{DeliveryReasonCode, ReasonCode, RunEventKind};
use crate::domain::run::{Phase, Status, Trigger};
use crate::store::{CronStatus, NoticeKind};

pub use crons::{Cron, CronDetails, Occurrence, Pause};
pub use deliveries::{Attempt, Delivery, DeliveryDetails};
pub use requests::{
    BackfillBody, Backfilled, Cancelled, CronState, CronStateChanged, Instant, Nothing, PauseBody, Triggered,
};
pub use runs::{Run, RunAttempt, RunDelivery, RunDetails, RunError, RunEvent, RunWebhook};
pub use status::{
    Alive, Configuration, Counts, Daemon, DaemonStatus, Facts, Held, Next, Notice, Readiness, Released,
    State, StoreFile, Suspended, Webhooks,
};

/// An instant: RFC 3339, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-03-02T09:00:00Z")]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A page of a listing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// To be given as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Why something was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({ "detail": "there is no cron `digets`; did you mean `digest`?" }))]
pub struct Refused {
    /// In words.
    pub detail: String,
}

/// Words that a query may name, as the document has them.
macro_rules! query_words {
    ($($(#[$doc:meta])* $name:ident = $words:expr;)+) => {$(
        $(#[$doc])*
        pub(super) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $words.into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

query_words!(
    /// How a run ended, or its phase while it is not over.
    RunWord = run_words();
    /// Why a run exists.
    TriggerWord = triggers();
    /// Why a run is as it is.
    ReasonWord = reason_codes();
    /// Where a delivery stands.
    DeliveryWord = delivery_statuses();
    /// Where the definition of a cron lives.
    SourceWord = cron_sources();
    /// How a cron stands.
    StateWord = one_of(CronStatus::ALL.iter().map(|word| word.as_str()));
);

fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// Why a run exists.
fn triggers() -> Object {
    one_of(Trigger::ALL.iter().map(|word| word.as_str()))
}

/// How a run ended, or where it is in its life while it is not over.
fn run_words() -> Object {
    let phases = Phase::ALL.iter().filter(|phase| **phase != Phase::Ended);
    one_of(Status::ALL.iter().map(|word| word.as_str()).chain(phases.map(|word| word.as_str())))
}

fn reason_codes() -> Object {
    one_of(ReasonCode::ALL.iter().map(|word| word.as_str()))
}

fn delivery_reason_codes() -> Object {
    one_of(DeliveryReasonCode::ALL.iter().map(|word| word.as_str()))
}

fn run_event_kinds() -> Object {
    one_of(RunEventKind::ALL.iter().map(|word| word.as_str()))
}

fn phases() -> Object {
    one_of(Phase::ALL.iter().map(|word| word.as_str()))
}

fn delivery_statuses() -> Object {
    one_of(DeliveryStatus::ALL.iter().map(|word| word.as_str()))
}

fn pause_causes() -> Object {
    one_of(PauseCause::ALL.iter().map(|word| word.as_str()))
}

/// Where the definition of a cron lives.
fn cron_sources() -> Object {
    one_of(CronSource::ALL.iter().map(|word| word.as_str()))
}

fn notice_kinds() -> Object {
    one_of(NoticeKind::ALL.iter().map(|word| word.as_str()))
}
