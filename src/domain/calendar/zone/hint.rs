//! Names that people take for time zones: offsets from UTC, whose sign the zone database reverses, and abbreviations. And
//! zones that are not what they seem.

use crate::domain::calendar::Caution;

/// Abbreviations that are no zones, with the zones of places that are called so.
pub(super) const ABBREVIATIONS: [(&[&str], &[&str]); 24] = [
    (&["PST", "PDT", "PT"], &["America/Los_Angeles"]),
    (&["MDT", "MT"], &["America/Denver"]),
    (&["CST"], &["America/Chicago", "Asia/Shanghai"]),
    (&["CDT", "CT"], &["America/Chicago"]),
    (&["EDT", "ET"], &["America/New_York"]),
    (&["AST", "ADT"], &["America/Halifax"]),
    (&["AKST", "AKDT"], &["America/Anchorage"]),
    (&["BRT"], &["America/Sao_Paulo"]),
    (&["IST"], &["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]),
    (&["BST"], &["Europe/London", "Asia/Dhaka"]),
    (&["WEST"], &["Europe/Lisbon"]),
    (&["CEST"], &["Europe/Berlin", "Europe/Paris"]),
    (&["EEST"], &["Europe/Athens", "Europe/Helsinki"]),
    (&["MSK"], &["Europe/Moscow"]),
    (&["SAST"], &["Africa/Johannesburg"]),
    (&["PKT"], &["Asia/Karachi"]),
    (&["WIB"], &["Asia/Jakarta"]),
    (&["SGT"], &["Asia/Singapore"]),
    (&["HKT"], &["Asia/Hong_Kong"]),
    (&["JST"], &["Asia/Tokyo"]),
    (&["KST"], &["Asia/Seoul"]),
    (&["AWST"], &["Australia/Perth"]),
    (&["AEST", "AEDT"], &["Australia/Sydney", "Australia/Brisbane"]),
    (&["NZST", "NZDT"], &["Pacific/Auckland"]),
];

const SECONDS_PER_HOUR: i32 = 3_600;

/// Returns what to write instead of an offset or an abbreviation; `None` if the name is neither.
pub(super) fn of(name: &str) -> Option<String> {
    offset(name).map(offset_hint).or_else(|| abbreviation_hint(name))
}

/// Returns a warning about a zone that exists, but is seldom meant.
pub(in crate::domain::calendar) fn caution(zone: &str) -> Option<Caution> {
    let standard_time = |instead| Caution::NoSummerTime { zone: zone.to_owned(), instead };
    match zone {
        "EST" => return Some(standard_time("America/New_York")),
        "MST" => return Some(standard_time("America/Denver")),
        _ => {}
    }
    let reversed = -offset(zone.strip_prefix("Etc/")?)?;
    (reversed != 0).then(|| Caution::ReversedSign { zone: zone.to_owned(), offset: shown(reversed) })
}

fn offset_hint(seconds: i32) -> String {
    let hours = seconds / SECONDS_PER_HOUR;
    let shown = shown(seconds);
    match (seconds % SECONDS_PER_HOUR, hours) {
        (0, 0) => "write `UTC`".to_owned(),
        (0, -12..=14) => format!("{shown} is `Etc/GMT{:+}`: the sign is reversed", -hours),
        (_, _) => format!("no zone stands for {shown}; write the zone of a place, such as `Asia/Kolkata`"),
    }
}

fn abbreviation_hint(name: &str) -> Option<String> {
    let is_called = |names: &&[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let (_, places) = ABBREVIATIONS.iter().find(|(names, _)| is_called(names))?;
    let places = places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(" or ");
    Some(format!("an abbreviation is no zone; write the zone of a place, such as {places}"))
}

/// Returns `UTC+5` or `UTC+05:30`.
fn shown(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / SECONDS_PER_HOUR, seconds.abs() % SECONDS_PER_HOUR / 60);
    if minutes == 0 { format!("UTC{sign}{hours}") } else { format!("UTC{sign}{hours:02}:{minutes:02}") }
}

/// Parses an offset from UTC as people write it: `UTC+5`, `GMT-8`, `+02:00`, `+0530`, `Z`. It is read as written, east being
/// positive.
fn offset(name: &str) -> Option<i32> {
    let name = name.trim().to_ascii_uppercase();
    if name == "Z" {
        return Some(0);
    }
    let name = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).unwrap_or(&name).trim();
    let (sign, digits) = match name.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        (_, _) => return None,
    };
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some(both), _) => both,
        (None, 4) => digits.split_at_checked(2)?,
        (None, _) => (digits, "0"),
    };
    let number = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|_| is_number)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * SECONDS_PER_HOUR + minutes * 60))
}
