//! Finds the rules of a time zone by its name.
//!
//! The system's database is asked first, because an administrator updates it. Zones that it lacks (Debian keeps
//! `US/Eastern` in a package of its own) come from the copy that is built in. An unknown name is an error, and never
//! means UTC.

mod hint;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase, db};
use sha2::{Digest, Sha256};

use super::error::CalendarError;

pub(super) use hint::caution;

/// Below this similarity (from 0 to 1) a suggestion would only confuse.
const SIMILARITY_MIN: f64 = 0.8;

/// The end of 2100: no calendar names a later year than 2099.
const END_SECOND: i64 = 4_133_980_800;

/// Returns the rules of the zone with this IANA name.
pub fn find(name: &str) -> Result<TimeZone, CalendarError> {
    let found = db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
    match found {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        Ok(_) | Err(_) => {
            let did_you_mean = || Some(format!("did you mean `{}`?", nearest(name)?));
            let hint = hint::of(name).or_else(did_you_mean);
            Err(CalendarError::UnknownTimezone { name: name.to_owned(), hint })
        }
    }
}

/// Returns what tells the rules of a zone, in the years of calendars, from others, as this version of the program reads them.
pub(super) fn rules(zone: &TimeZone) -> String {
    let begin = Timestamp::UNIX_EPOCH;
    let changes = zone.following(begin).take_while(|change| change.timestamp().as_second() < END_SECOND);
    let mut digest = Sha256::new_with_prefix(zone.to_offset(begin).seconds().to_be_bytes());
    for change in changes {
        digest.update(change.timestamp().as_second().to_be_bytes());
        digest.update(change.offset().seconds().to_be_bytes());
    }
    let digest = digest.finalize();
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{digest} {}", env!("CARGO_PKG_VERSION"))
}

/// Makes every zone be read again when it is next asked for. Otherwise its file is looked at every five minutes.
pub(super) fn reread() {
    db().reset();
}

/// Returns the most similar zone. It compares whole names and their last parts, so that `berlin` finds `Europe/Berlin`.
fn nearest(name: &str) -> Option<String> {
    let wanted = name.to_lowercase().replace(' ', "_");
    // The time of the comparison grows with the square of the length, and no zone has so long a name.
    if wanted.len() > 64 {
        return None;
    }
    let bundled = TimeZoneDatabase::bundled();
    let compare = |known: &str| {
        let (shorter, longer) = (known.len().min(wanted.len()), known.len().max(wanted.len()));
        // Each character too many or too few counts, so most names need not be compared.
        let is_near = shorter as f64 >= SIMILARITY_MIN * longer as f64;
        if is_near { strsim::normalized_damerau_levenshtein(known, &wanted) } else { 0.0 }
    };
    let similarity = |known: &str| {
        let known = known.to_lowercase();
        let city = known.rsplit('/').next().unwrap_or(&known);
        // A whole name that is just as similar is preferred.
        compare(&known).max(compare(city) - 0.005)
    };
    let scored = bundled.available().map(|known| (similarity(known.as_str()), known.as_str().to_owned()));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= SIMILARITY_MIN).then_some(best.1)
}
