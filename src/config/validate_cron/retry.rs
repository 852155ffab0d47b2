//! How failed runs are retried.

use std::time::Duration;

use super::mistakes::{Mistakes, unknown_word};
use crate::config::duration::parse_duration;
use crate::config::errors::Complaint;
use crate::config::fields::{CronFields, RetryFields};
use crate::domain::bounds::{RETRIES_MAX, RETRY_FACTOR_MAX, RETRY_WAIT_MAX};
use crate::domain::cron::{RetryOn, RetryPolicy};

const BACKOFF_DEFAULT: Duration = Duration::from_secs(60);
const FACTOR_DEFAULT: f64 = 2.0;

/// Returns the policy, or `None` if runs are not retried: `max = 0` turns the retries of `[defaults]` off.
pub(super) fn retry(fields: &CronFields, mistakes: &mut Mistakes) -> Option<RetryPolicy> {
    let written = fields.retry.as_ref()?;
    let mut add = |pointer: &str, message: String| {
        mistakes.add_complaint("retry", pointer, Complaint::new(message));
    };
    if written.max.is_none() {
        add("", format!("has no max, expected one from 1 to {RETRIES_MAX}, such as {{ max = 2 }}"));
    }
    if let Some(max) = written.max.filter(|max| *max > RETRIES_MAX) {
        add("/max", format!("max: got {max}, expected 0 to {RETRIES_MAX}"));
    }
    let factor = written.factor.unwrap_or(FACTOR_DEFAULT);
    if !(1.0..=f64::from(RETRY_FACTOR_MAX)).contains(&factor) {
        add("/factor", format!("factor: got {factor}, expected 1 to {RETRY_FACTOR_MAX}"));
    }
    let backoff = duration("backoff", written.backoff.as_deref(), mistakes);
    if backoff.is_some_and(|backoff| backoff > RETRY_WAIT_MAX) {
        let message = "backoff: longer than 1h, which is the longest wait before a retry";
        mistakes.add_complaint("retry", "/backoff", Complaint::new(message));
    }
    let policy = RetryPolicy {
        max: written.max.unwrap_or(0),
        backoff: backoff.unwrap_or(BACKOFF_DEFAULT),
        factor,
        on: on(written, mistakes),
        timeout_each: duration("timeout_each", written.timeout_each.as_deref(), mistakes),
        webhook_each: written.webhook_each.unwrap_or(false),
    };
    Some(policy).filter(|policy| policy.max > 0)
}

fn duration(key: &str, text: Option<&str>, mistakes: &mut Mistakes) -> Option<Duration> {
    let parsed = parse_duration(text?);
    let parsed = parsed.and_then(|duration| match duration.is_zero() {
        true => Err("got a duration of zero, expected a longer one".to_owned()),
        false => Ok(duration),
    });
    let mut add = |message| {
        let complaint = Complaint::new(format!("{key}: {message}"));
        mistakes.add_complaint("retry", &format!("/{key}"), complaint);
    };
    parsed.map_err(&mut add).ok()
}

/// Returns the ends that are retried; all of them by default.
fn on(written: &RetryFields, mistakes: &mut Mistakes) -> Vec<RetryOn> {
    let Some(words) = &written.on else { return RetryOn::ALL.to_vec() };
    let mut on = Vec::new();
    for word in words.as_slice() {
        match word.parse() {
            Ok(end) => on.push(end),
            Err(_) => {
                let Complaint { message, hint } = unknown_word(word, RetryOn::WORDS);
                let complaint = Complaint { message: format!("on: {message}"), hint };
                mistakes.add_complaint("retry", "/on", complaint);
            }
        }
    }
    if words.as_slice().is_empty() {
        let complaint = Complaint::new("on: got an empty list, expected \"error\" or \"timeout\"");
        mistakes.add_complaint("retry", "/on", complaint);
    }
    on
}
