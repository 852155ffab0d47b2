//! Floor 0: the types and rules of the domain. Pure: no IO, no clock, no randomness, no async, no SQL, no wire format.

pub mod access;
pub mod backoff;
pub mod bounds;
pub mod calendar;
pub mod containment;
pub mod cron;
pub mod cron_state;
pub mod delivery;
pub mod delivery_mode;
pub mod edit;
pub mod ids;
pub mod origin;
pub mod overload;
pub mod plan;
pub mod printable;
pub mod reason;
pub mod retry;
pub mod run;
pub mod run_spec;
pub mod secrets;
pub mod signing;
pub mod template;
pub mod turns;
pub mod url_policy;
pub mod values;
pub mod words;
