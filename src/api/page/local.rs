//! Times that somebody writes: as a browser sends them, in the zone of the page, or as instants.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::visit::Visit;
use crate::api::error_response::ErrorResponse;

/// Returns the instant of `2026-11-26T09:00`, of a day, or of an instant as programs write it.
pub(super) fn instant(name: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, ErrorResponse> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
    let local = local.ok().and_then(|local| zone.to_timestamp(local).ok());
    local.ok_or_else(|| ErrorResponse::invalid(format!("{name}: expected a time such as 2026-11-26T09:00")))
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
        ] {
            assert_eq!(instant("from", text, &zone).unwrap().to_string(), expected, "{text}");
        }
        assert!(instant("from", "soon", &zone).unwrap_err().detail.starts_with("from: expected a time"));
    }
}
