//! Times as the reader of a page wants to see them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::api::wire::Time;
use crate::domain::calendar::zone_named;
use crate::present::times;

/// Which zone times are shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ZoneChoice {
    Mine,
    Utc,
    /// That of the cron, where there is one.
    OfCron,
    /// That of a link that somebody was sent.
    Named(TimeZone),
}

/// Shows instants in the zone that the reader wants.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) choice: ZoneChoice,
    pub(super) mine: TimeZone,
    now: Timestamp,
}

impl Clock {
    pub(super) fn new(choice: ZoneChoice, mine: TimeZone, now: Timestamp) -> Self {
        Self { choice, mine, now }
    }

    /// Returns the zone for what has no cron.
    pub(super) fn zone(&self) -> TimeZone {
        self.zone_for(None)
    }

    /// Returns the zone for what is about a cron in this zone.
    pub(super) fn zone_for(&self, of_cron: Option<&str>) -> TimeZone {
        match (&self.choice, of_cron) {
            (ZoneChoice::Utc, _) => TimeZone::UTC,
            (ZoneChoice::Named(zone), _) => zone.clone(),
            (ZoneChoice::OfCron, Some(name)) => zone_named(name).unwrap_or_else(|_| self.mine.clone()),
            (ZoneChoice::OfCron, None) | (ZoneChoice::Mine, _) => self.mine.clone(),
        }
    }

    /// Returns an instant as `09:00:00` if it is today, `Thu 09:00:00` if it is of this week, and with its date otherwise.
    pub(super) fn time(&self, at: Time, of_cron: Option<&str>) -> Markup {
        let text = self.text(at, of_cron);
        self.element(at, &text)
    }

    /// Returns the same to the millisecond.
    pub(super) fn time_to_the_millisecond(&self, at: Time, of_cron: Option<&str>) -> Markup {
        let text = format!("{}.{:03}", self.text(at, of_cron), at.0.as_millisecond().rem_euclid(1000));
        self.element(at, &text)
    }

    /// Returns the time of day to the millisecond, for what stands below its day.
    pub(super) fn time_of_day(&self, at: Time, of_cron: Option<&str>) -> Markup {
        self.element(at, &times::time_of_day(at.0, &self.zone_for(of_cron)))
    }

    /// Returns an instant with how far away it is, which goes on by itself.
    pub(super) fn time_and_relative(&self, at: Time, of_cron: Option<&str>) -> Markup {
        html! { (self.time(at, of_cron)) " " span.dim { (self.relative(at)) } }
    }

    /// Returns how far away an instant is, which goes on by itself.
    pub(super) fn relative(&self, at: Time) -> Markup {
        html! { span data-relative=(at.0.as_millisecond()) { (times::relative(at.0, self.now)) } }
    }

    /// Returns the day of an instant, with its weekday.
    pub(super) fn day(&self, at: Time, of_cron: Option<&str>) -> String {
        at.0.to_zoned_datetime(self.zone_for(of_cron)).strftime("%a %-d %b %Y").to_string()
    }

    fn text(&self, at: Time, of_cron: Option<&str>) -> String {
        let zone = self.zone_for(of_cron);
        let (at, now) = (at.0.to_zoned_datetime(zone.clone()), self.now.to_zoned_datetime(zone));
        let days = at.date().since(now.date()).map_or(i32::MAX, |span| span.get_days());
        let format = match days {
            0 => "%H:%M:%S",
            -6..=6 => "%a %H:%M:%S",
            _ => "%Y-%m-%d %H:%M:%S",
        };
        at.strftime(format).to_string()
    }

    fn element(&self, at: Time, text: &str) -> Markup {
        let utc = times::local_with_day(at.0, &TimeZone::UTC);
        let mine = times::local_with_day(at.0, &self.mine);
        let title = format!("{utc} · {mine} · {}", times::relative(at.0, self.now));
        html! { time datetime=(at.0) title=(title) { (text) } }
    }
}
