//! What is hidden from those who may see states and no values.

use serde_json::{Map, Value};

use super::{Cron, CronDetails, Delivery, DeliveryDetails, Explanation, LogTail, Page, Run, RunDetails};
use crate::domain::run::Phase;
use crate::store::StatusSnapshot;

/// The keys of a definition that graphs read.
const PAYLOAD: [&str; 4] = ["input", "config", "context", "metadata"];
/// In the place of a text that is hidden.
const HIDDEN: &str = "(shown only with a login or a key)";

/// Removes what graphs are given from the definition of a cron.
pub(in crate::api) fn hide_values_of_definition(definition: &mut Map<String, Value>) {
    definition.retain(|key, _| !PAYLOAD.contains(&key.as_str()));
}

/// Can be shown to those who may see states and no values.
pub trait HideValues {
    /// Removes what graphs were given, asked and returned, and what receivers answered.
    fn hide_values(&mut self);
}

impl<T: HideValues> HideValues for Page<T> {
    fn hide_values(&mut self) {
        self.items.iter_mut().for_each(T::hide_values);
    }
}

impl HideValues for LogTail {
    fn hide_values(&mut self) {
        self.lines.clear();
    }
}

impl HideValues for Run {
    fn hide_values(&mut self) {
        if let Some(error) = &mut self.error {
            HIDDEN.clone_into(&mut error.message);
        }
        // While a run waits, and if it fails, its reason may quote what came from outside.
        let may_quote = self.status == "error" || self.phase.0 != Phase::Ended;
        if self.reason.is_some() && may_quote {
            self.reason = Some(HIDDEN.to_owned());
        }
    }
}

impl HideValues for RunDetails {
    fn hide_values(&mut self) {
        self.run.hide_values();
        self.runs.iter_mut().for_each(Run::hide_values);
        self.timeline.clear();
        self.values = Value::Null;
        self.interrupts = Value::Null;
        for event in self.events.iter_mut().filter(|event| event.detail.is_some()) {
            event.detail = Some(HIDDEN.to_owned());
        }
        for delivery in &mut self.deliveries {
            delivery.attempts.iter_mut().for_each(|attempt| attempt.answer = None);
        }
    }
}

impl HideValues for Cron {
    fn hide_values(&mut self) {
        if let Some(last) = &mut self.last {
            last.hide_values();
        }
    }
}

impl HideValues for CronDetails {
    fn hide_values(&mut self) {
        self.cron.hide_values();
        self.failures.iter_mut().for_each(|failures| failures.last.hide_values());
        if let Some(definition) = self.definition.as_object_mut() {
            hide_values_of_definition(definition);
        }
        for version in &mut self.versions {
            version.changes.retain(|change| !PAYLOAD.contains(&change.key.as_str()));
        }
    }
}

impl HideValues for Explanation {
    fn hide_values(&mut self) {
        HIDDEN.clone_into(&mut self.detail);
        self.run.iter_mut().chain(&mut self.runs).for_each(Run::hide_values);
    }
}

impl HideValues for StatusSnapshot {
    fn hide_values(&mut self) {
        self.last_failures.clear();
    }
}

impl HideValues for Delivery {
    fn hide_values(&mut self) {}
}

impl HideValues for DeliveryDetails {
    fn hide_values(&mut self) {
        self.attempts.iter_mut().for_each(|attempt| attempt.answer = None);
    }
}
