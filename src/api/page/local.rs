//! Times that somebody writes: as a browser sends them, in the zone of the page, or as instants.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use maud::{Markup, html};

use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::present::times;

/// Returns the instant of `2026-11-26T09:00`, of a day, or of an instant as programs write it.
pub(super) fn instant(name: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, ErrorResponse> {
    // In a query, `+` means a space.
    let instant = text.replace(' ', "+").parse::<Timestamp>();
    let local = || text.parse::<DateTime>().ok().and_then(|local| of_local(local, zone));
    let Some(at) = instant.ok().or_else(local) else {
        return Err(ErrorResponse::invalid(format!("{name}: expected a time such as 2026-11-26T09:00")));
    };
    times::asked(at, text).map_err(|error| ErrorResponse::invalid(format!("{name}: {error}")))
}

/// Returns the instant of a local time; of one that a clock change skips, the first after it, when a cron of that time fires.
fn of_local(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(local);
    match found.offset() {
        AmbiguousOffset::Gap { after, .. } => {
            let before_it = after.to_timestamp(local).ok()?;
            zone.following(before_it).next().map(|change| change.timestamp())
        }
        _ => found.compatible().ok(),
    }
}

impl Visit {
    /// Returns these parameters as instants, so far as they are given.
    pub(super) fn instants(
        &self,
        names: &[&'static str],
    ) -> Result<Vec<(&'static str, String)>, ErrorResponse> {
        let zone = self.clock.zone();
        let given = names.iter().filter_map(|name| Some((*name, self.parameter(name)?)));
        given.map(|(name, text)| Ok((name, instant(name, &text, &zone)?.to_string()))).collect()
    }

    /// Returns a parameter as a command or a program takes it, which do not know the zone of the page.
    pub(super) fn parameter_elsewhere(&self, name: &str) -> Option<String> {
        let text = self.parameter(name)?;
        let is_time = ["since", "until"].contains(&name);
        let at = is_time.then(|| instant(name, &text, &self.clock.zone()).ok()).flatten();
        Some(at.map_or(text, |at| at.to_string()))
    }

    /// Returns a field for a time in the zone of the page.
    pub(super) fn time_field(&self, name: &str, label: &str) -> Markup {
        let given = self.parameter(name).unwrap_or_default();
        let zone = self.clock.zone();
        let value = instant(name, &given, &zone);
        let value = value.map(|at| at.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M").to_string());
        html! { label { (label) input type="datetime-local" name=(name) value=(value.unwrap_or_default()); } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_that_of_the_zone_unless_it_says_otherwise() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2026-11-26T09:00", "2026-11-26T08:00:00Z"),
            ("2026-11-26 09:00:05", "2026-11-26T08:00:05Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
            ("2026-11-26T09:00:00Z", "2026-11-26T09:00:00Z"),
            ("2026-11-26T09:00:00 01:00", "2026-11-26T08:00:00Z"),
            // The clock goes from 02:00 to 03:00.
            ("2026-03-29T02:30", "2026-03-29T01:00:00Z"),
            ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(instant("from", text, &zone).unwrap().to_string(), expected, "{text}");
        }
        assert!(instant("from", "9000-01-01T00:00", &zone).is_err());
        assert!(instant("from", "soon", &zone).unwrap_err().detail.starts_with("from: expected a time"));
    }
}
