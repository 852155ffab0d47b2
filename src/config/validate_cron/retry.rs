//! How failed runs are retried.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::mistakes::{Mistakes, unknown_word};
use crate::config::duration::parse_duration;
use crate::config::errors::Complaint;
use crate::config::fields::{CronFields, OneOrMany};
use crate::config::limits::DURATION_MAX;
use crate::domain::bounds::{RETRIES_MAX, RETRY_FACTOR_MAX, RETRY_WAIT_MAX};
use crate::domain::cron::{RetryOn, RetryPolicy};

const BACKOFF_DEFAULT: Duration = Duration::from_secs(60);
const FACTOR_DEFAULT: f64 = 2.0;

/// The policy, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    max: u32,
    backoff: Option<String>,
    factor: Option<f64>,
    on: Option<OneOrMany>,
    timeout_each: Option<String>,
    webhook_each: Option<bool>,
}

/// Returns the policy, or `None` if runs are not retried: `max = 0` turns the retries of `[defaults]` off.
pub(super) fn retry(fields: &CronFields, mistakes: &mut Mistakes) -> Option<RetryPolicy> {
    let mut add = |pointer: &str, complaint| mistakes.add_complaint("retry", pointer, complaint);
    let written: Written = match serde_json::from_value(Value::Object(fields.retry.clone()?)) {
        Ok(written) => written,
        Err(error) => {
            add("", Complaint::with_hint(error.to_string(), "write { max = 2, backoff = \"1m\" }"));
            return None;
        }
    };
    if written.max > RETRIES_MAX {
        add("/max", Complaint::new(format!("max: got {}, expected 0 to {RETRIES_MAX}", written.max)));
    }
    let factor = written.factor.unwrap_or(FACTOR_DEFAULT);
    if !(1.0..=f64::from(RETRY_FACTOR_MAX)).contains(&factor) {
        let message = format!("factor: got {factor}, expected 1 to {RETRY_FACTOR_MAX}");
        add("/factor", Complaint::new(message));
    }
    let mut duration = |key: &str, text: Option<&str>, max: Duration| {
        let problem = match parse_duration(text?) {
            Ok(duration) if !duration.is_zero() && duration <= max => return Some(duration),
            Ok(_) => format!("expected more than 0 and at most {}", humantime::format_duration(max)),
            Err(problem) => problem,
        };
        add(&format!("/{key}"), Complaint::new(format!("{key}: {problem}")));
        None
    };
    let backoff = duration("backoff", written.backoff.as_deref(), RETRY_WAIT_MAX);
    let timeout_each = duration("timeout_each", written.timeout_each.as_deref(), DURATION_MAX);
    let on = on(written.on.as_ref(), mistakes);
    let policy = RetryPolicy {
        max: written.max,
        backoff: backoff.unwrap_or(BACKOFF_DEFAULT),
        factor,
        on,
        timeout_each,
        webhook_each: written.webhook_each.unwrap_or(false),
    };
    Some(policy).filter(|policy| policy.max > 0)
}

/// Returns the ends that are retried; all of them by default.
fn on(written: Option<&OneOrMany>, mistakes: &mut Mistakes) -> Vec<RetryOn> {
    let Some(words) = written else { return RetryOn::ALL.to_vec() };
    let mut on = Vec::new();
    for word in words.as_slice() {
        match word.parse() {
            Ok(end) => on.push(end),
            Err(_) => {
                let Complaint { message, hint } = unknown_word(word, RetryOn::WORDS);
                mistakes.add_complaint("retry", "/on", Complaint { message: format!("on: {message}"), hint });
            }
        }
    }
    if words.as_slice().is_empty() {
        let complaint = Complaint::new("on: got an empty list, expected \"error\" or \"timeout\"");
        mistakes.add_complaint("retry", "/on", complaint);
    }
    on
}
