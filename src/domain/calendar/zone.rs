//! From the name of a time zone to its rules.
//!
//! The system's database comes first, since an administrator updates it; zones that it lacks (Debian keeps `US/Eastern`
//! in a package of its own) come from the copy that is built in. An unknown name is an error, never UTC.

use jiff::tz::{TimeZone, TimeZoneDatabase, db};

use super::error::CalendarError;

/// Below this likeness (0 to 1) a suggestion would only confuse.
const LIKENESS_MIN: f64 = 0.8;

pub(super) fn find(name: &str) -> Result<TimeZone, CalendarError> {
    let found = db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
    match found {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        Ok(_) | Err(_) => {
            Err(CalendarError::UnknownTimezone { name: name.to_owned(), nearest: nearest(name) })
        }
    }
}

/// Compares with whole names and with their last parts, so that `berlin` finds `Europe/Berlin`.
fn nearest(name: &str) -> Option<String> {
    let wanted = name.to_lowercase().replace(' ', "_");
    // The comparison takes time by the square of the length, and no zone's name is that long.
    if wanted.len() > 64 {
        return None;
    }
    let bundled = TimeZoneDatabase::bundled();
    let likeness = |known: &str| {
        let known = known.to_lowercase();
        let city = known.rsplit('/').next().unwrap_or(&known);
        let by_name = strsim::normalized_damerau_levenshtein(&known, &wanted);
        // Half a point below a whole name that is just as alike.
        by_name.max(strsim::normalized_damerau_levenshtein(city, &wanted) - 0.005)
    };
    let scored = bundled.available().map(|known| (likeness(known.as_str()), known.as_str().to_owned()));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}
