//! The line by which a service manager shows what the daemon does and what is wrong.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::counted;
use crate::domain::printable::blanked;
use crate::store::CronsAtAGlance;

/// Characters of a name that are shown.
const NAME_CHARS: usize = 40;

/// Returns `5 crons, next inbox 11:40, failing: health-check`. `next` is the next instant with the name of its cron;
/// `away` says that the agent server takes no runs.
pub fn status_line(
    glance: &CronsAtAGlance,
    next: Option<(Timestamp, &str)>,
    away: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let mut parts = vec![counted(glance.crons, "cron")];
    parts.extend(next.map(|(at, name)| format!("next {} {}", shortened(name), short_time(at, now, zone))));
    parts.extend(away.then(|| "agent server away".to_owned()));
    if glance.mistakes > 0 {
        parts.push(format!("configuration not in force: {}", counted(glance.mistakes, "mistake")));
    }
    if glance.failing > 0 {
        let names: Vec<String> = glance.worst.iter().map(|name| shortened(name)).collect();
        let more = glance.failing.saturating_sub(names.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("failing: {}{more}", names.join(", ")));
    }
    parts.join(", ")
}

fn shortened(name: &str) -> String {
    blanked(&name.chars().take(NAME_CHARS).collect::<String>())
}

/// Returns the time of day, with the date unless that is today's.
fn short_time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, today) = (at.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone.clone()).date());
    let format = match (at.date() == today, at.second()) {
        (true, 0) => "%H:%M",
        (true, _) => "%H:%M:%S",
        (false, _) => "%a %Y-%m-%d %H:%M",
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_comes_and_what_is_wrong() {
        let now: Timestamp = "2026-11-26T09:00:00Z".parse().unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let line = |glance: &CronsAtAGlance, next: Option<(&str, &str)>, away| {
            let next = next.map(|(at, name)| (at.parse().unwrap(), name));
            status_line(glance, next, away, now, &berlin)
        };
        let well = CronsAtAGlance { crons: 5, failing: 0, worst: Vec::new(), mistakes: 0 };
        assert_eq!(line(&well, Some(("2026-11-26T10:40:00Z", "inbox")), false), "5 crons, next inbox 11:40");
        assert_eq!(
            line(&well, Some(("2026-11-26T23:00:00Z", "inbox")), false),
            "5 crons, next inbox Fri 2026-11-27 00:00"
        );
        let worst = ["health-check", "b", "c"].map(str::to_owned).to_vec();
        let ill = CronsAtAGlance { crons: 1, failing: 5, worst, mistakes: 2 };
        assert_eq!(
            line(&ill, Some(("2026-11-26T10:40:05Z", "inbox\n")), true),
            "1 cron, next inbox  11:40:05, agent server away, configuration not in force: 2 mistakes, failing: \
             health-check, b, c and 2 more"
        );
        let long = CronsAtAGlance { crons: 1, failing: 500, worst: vec!["é".repeat(500); 3], mistakes: 1 };
        assert!(line(&long, Some(("2026-11-27T10:40:05Z", &"n".repeat(500))), true).chars().count() < 350);
    }
}
