//! The strip: a day back and a day ahead, by hour. What has ended is stacked by outcome, and what is scheduled is outlined.

use maud::{Markup, html};

use crate::domain::run::Status;

const WIDTH: i64 = 960;
const HEIGHT: i64 = 84;
/// Room for the labels of the hours.
const FOOT: i64 = 16;
/// From the top to the bottom of a bar; what is least comes last.
const ORDER: [(&[Status], &str); 4] = [
    (&[Status::Error, Status::Timeout], "bad"),
    (&[Status::Missed], "missed"),
    (&[Status::Skipped, Status::Cancelled, Status::Interrupted], "attention"),
    (&[Status::Success], "good"),
];

/// An hour.
#[derive(Clone, Debug, Default)]
pub(in crate::api::page) struct StripHour {
    /// Such as `09`.
    pub(in crate::api::page) label: String,
    /// Such as `Thu 09:00`.
    pub(in crate::api::page) title: String,
    pub(in crate::api::page) ended: Vec<(Status, u64)>,
    pub(in crate::api::page) coming: u64,
    /// Whether the daemon or the agent server was away meanwhile.
    pub(in crate::api::page) is_away: bool,
    /// Where the runs of this hour are listed.
    pub(in crate::api::page) link: Option<String>,
}

/// Draws the hours; the one of now has this place.
pub(in crate::api::page) fn strip(hours: &[StripHour], now: usize) -> Markup {
    let count = i64::try_from(hours.len()).unwrap_or(1).max(1);
    let most = hours.iter().map(StripHour::all).max().unwrap_or(0).max(1);
    let slot = WIDTH / count;
    html! {
        svg.strip viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + FOOT)) role="group" aria-label=(described(hours)) {
            line.line x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (place, hour) in hours.iter().enumerate() {
                @let x = i64::try_from(place).unwrap_or(0) * slot;
                (bar(hour, x, slot, most))
                @if place % 3 == 0 { text x=(x + slot / 2) y=(HEIGHT + FOOT - 3) text-anchor="middle" aria-hidden="true" { (hour.label) } }
            }
            @let x = i64::try_from(now).unwrap_or(0) * slot;
            line.now x1=(x) x2=(x) y1="0" y2=(HEIGHT) {}
        }
    }
}

fn bar(hour: &StripHour, x: i64, slot: i64, most: u64) -> Markup {
    let height = |count: u64| {
        let most = u128::from(most);
        // Whatever is there at all is seen.
        let height = u128::from(count) * u128::try_from(HEIGHT - 6).unwrap_or(1) / most;
        i64::try_from(height).unwrap_or(HEIGHT).max(i64::from(count > 0) * 2)
    };
    let mut y = HEIGHT;
    let parts: Vec<_> = ORDER
        .iter()
        .rev()
        .filter_map(|(statuses, class)| {
            let count = statuses.iter().map(|status| hour.of(*status)).sum();
            let height = height(count);
            y -= height;
            (count > 0).then_some((*class, y, height))
        })
        .collect();
    let coming = height(hour.coming);
    let drawn = html! {
        title { (hour.described()) }
        rect.hit x=(x) y="0" width=(slot) height=(HEIGHT) {}
        @if hour.is_away { rect.away x=(x) y="0" width=(slot) height=(HEIGHT) {} }
        @for (class, y, height) in &parts { rect class=(class) x=(x + 2) y=(y) width=(slot - 4) height=(height) {} }
        @if coming > 0 { rect.coming x=(x + 2) y=(y - coming) width=(slot - 4) height=(coming) {} }
    };
    html! {
        @match &hour.link {
            Some(link) => a href=(link) aria-label=(hour.described()) { (drawn) },
            None => g { (drawn) },
        }
    }
}

impl StripHour {
    fn of(&self, status: Status) -> u64 {
        self.ended.iter().filter(|(found, _)| *found == status).map(|(_, count)| count).sum()
    }

    fn all(&self) -> u64 {
        self.ended.iter().map(|(_, count)| count).sum::<u64>() + self.coming
    }

    fn described(&self) -> String {
        let ended = self.ended.iter().map(|(status, count)| format!("{count} {status}"));
        let coming = (self.coming > 0).then(|| format!("{} to come", self.coming));
        let away = self.is_away.then(|| "something was away".to_owned());
        let parts: Vec<_> = ended.chain(coming).chain(away).collect();
        match parts.as_slice() {
            [] => format!("{}: nothing", self.title),
            parts => format!("{}: {}", self.title, parts.join(", ")),
        }
    }
}

fn described(hours: &[StripHour]) -> String {
    let sum = |status: Status| hours.iter().map(|hour| hour.of(status)).sum::<u64>();
    let ended = Status::ALL.iter().map(|status| (sum(*status), *status)).filter(|(count, _)| *count > 0);
    let ended: Vec<_> = ended.map(|(count, status)| format!("{count} {status}")).collect();
    let coming: u64 = hours.iter().map(|hour| hour.coming).sum();
    let ended = if ended.is_empty() { "nothing ended".to_owned() } else { ended.join(", ") };
    format!("The day before and the day to come, by hour: {ended}; {coming} to come")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happened_at_all_is_seen_and_said() {
        let one = |ended: Vec<(Status, u64)>, coming| StripHour {
            ended,
            coming,
            title: "Thu 09:00".to_owned(),
            ..StripHour::default()
        };
        let hours = [one(vec![(Status::Success, 10_000), (Status::Error, 1)], 0), one(Vec::new(), 7)];
        let drawn = strip(&hours, 1).into_string();
        assert!(drawn.contains("10000 success, 1 error; 7 to come"), "{drawn}");
        assert!(drawn.contains("class=\"bad\"") && drawn.contains("Thu 09:00: 7 to come"), "{drawn}");
        assert!(!drawn.contains("height=\"0\""), "{drawn}");
        assert!(strip(&[], 0).into_string().contains("nothing ended; 0 to come"));
    }
}
