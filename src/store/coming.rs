//! How many occurrences of all crons are to come, by hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::definitions::Definitions;
use super::read::{fires_from, heads};
use super::sql::Transaction;
use super::{Store, StoreError, pauses_of_all};
use crate::domain::bounds::{COMING_CRONS_MAX, COMING_STEPS_MAX};
use crate::domain::cron::Cron;
use crate::domain::cron_state::CronStatus;
use crate::domain::plan::{Decided, is_excluded};
use crate::domain::tally::TallyUnit;

/// Occurrences to come by the number of their hour, as in the roll-ups.
pub type ComingByHour = BTreeMap<i64, u64>;

/// Crons that fire, each with the instant after which it does: now, or when it is not paused any more.
pub(super) type Firing = Vec<(Arc<Cron>, Timestamp)>;

impl Store {
    /// Counts the occurrences that will start runs in this many hours, the present one included, by hour. A cron that fires very often
    /// is counted for a while, and goes on as often. Returns `None` if there are too many crons to be counted.
    pub async fn coming_by_hour(
        &self,
        now: Timestamp,
        hours: i64,
    ) -> Result<Option<ComingByHour>, StoreError> {
        let definitions = self.definitions.clone();
        self.read_at_one_moment(move |tx| {
            let last = TallyUnit::Hour.number(now) + hours - 1;
            let mut coming = ComingByHour::new();
            let Some(crons) = firing(tx, &definitions, now)? else { return Ok(None) };
            crons.iter().for_each(|(cron, from)| count(cron, *from, last, &mut coming));
            Ok(Some(coming))
        })
        .await
    }
}

/// Returns the crons that fire, or `None` if there are too many.
pub(super) fn firing(
    tx: &Transaction<'_>,
    definitions: &Definitions,
    now: Timestamp,
) -> Result<Option<Firing>, StoreError> {
    // All of ten thousand would be read to be counted otherwise.
    let sql = "SELECT count(*) FROM (SELECT 1 AS one FROM crons WHERE removed_at IS NULL LIMIT ?1) AS few";
    let most = u32::try_from(COMING_CRONS_MAX).unwrap_or(u32::MAX);
    if tx.query_count(sql, [most.saturating_add(1)])? > u64::from(most) {
        return Ok(None);
    }
    let pause_of_all = pauses_of_all::now(tx, now)?;
    let mut firing = Vec::new();
    for cron in heads(tx)? {
        let from = fires_from(cron.state.pause(now), pause_of_all.as_ref(), now);
        let Some(from) = from.filter(|_| cron.status != Ok(CronStatus::Disabled)) else { continue };
        match definitions.get(tx, cron.definition_id, &cron.name) {
            Ok(cron) => firing.push((cron, from)),
            // It does not fire, and the status says so.
            Err(StoreError::BadRow(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(firing))
}

/// Counts what it starts after `from`, until the end of the last hour.
fn count(cron: &Cron, from: Timestamp, last: i64, coming: &mut ComingByHour) {
    let hour = |at| TallyUnit::Hour.number(at);
    let (mut at, mut steps) = (from, 0_u64);
    let decided = Decided::default();
    while let Some(next) = decided.next_within(cron, at).filter(|next| hour(*next) <= last) {
        at = next;
        *coming.entry(hour(at)).or_default() += u64::from(!is_excluded(cron, at));
        steps += 1;
        if steps == COMING_STEPS_MAX {
            return go_on(at, from, last, coming);
        }
    }
}

/// Goes on as often as it fired until now.
fn go_on(at: Timestamp, since: Timestamp, last: i64, coming: &mut ComingByHour) {
    let hour_of_millis = 3_600_000;
    let took = u64::try_from(at.duration_since(since).as_millis()).unwrap_or(u64::MAX).max(1);
    let an_hour = COMING_STEPS_MAX.saturating_mul(hour_of_millis) / took;
    let first = TallyUnit::Hour.number(at);
    let end = TallyUnit::Hour.begin(first + 1);
    let left = u64::try_from(end.duration_since(at).as_millis()).unwrap_or(0);
    *coming.entry(first).or_default() += an_hour.saturating_mul(left) / hour_of_millis;
    for later in first + 1..=last {
        *coming.entry(later).or_default() += an_hour;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CronDefinition, CronIdentity};
    use crate::domain::act::Actor;
    use crate::domain::cron::CronSource;
    use crate::domain::ids::{CronId, InstallationId};
    use crate::store::tests::open_store;
    use crate::store::{CronStateChange, Execution};

    fn counted(schedule: &str) -> Vec<u64> {
        let fields = serde_json::json!({ "assistant_id": "agent", "schedule": schedule, "input": {} });
        let (installation, cron_id) = (InstallationId::default(), CronId::default());
        let identity = CronIdentity { installation, cron_id, name: "x", source: CronSource::File };
        let cron = super::super::definitions::parse(identity, &fields.to_string()).unwrap();
        let now: Timestamp = "2026-11-27T10:30:00Z".parse().unwrap();
        let mut coming = ComingByHour::new();
        count(&cron, now, TallyUnit::Hour.number(now) + 3, &mut coming);
        coming.into_values().collect()
    }

    #[test]
    fn what_comes_is_counted_by_hour_and_goes_on_as_often() {
        assert_eq!(counted("0 * * * *"), [1, 1, 1]);
        assert_eq!(counted("*/15 * * * *"), [1, 4, 4, 4]);
        // 300 of them are the first five minutes.
        assert_eq!(counted("* * * * * *"), [1800, 3600, 3600, 3600]);
    }

    /// The daemon also plans a cron when its pause ends, which is no occurrence.
    #[tokio::test]
    async fn what_a_pause_ends_before_comes_and_what_it_covers_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::Inline);
        let body = r#"{"schedule":"0 8,12 * * *","timezone":"UTC","assistant_id":"agent"}"#;
        let at = |hour: &str| -> Timestamp { format!("2026-11-27T{hour}:00Z").parse().unwrap() };
        let now = at("07:00");
        store.sync_file_crons(now, vec![CronDefinition::of_body("digest", body)]).await.unwrap();
        for (until, is_paused, coming, also) in [
            (Some("07:30"), false, 2, [1, 1]),
            (Some("10:00"), true, 1, [0, 1]),
            (Some("12:00"), true, 1, [0, 1]),
            (None, true, 0, [0, 0]),
        ] {
            let pause = CronStateChange::Pause { note: None, until: until.map(at) };
            store.change_cron_state(now, Actor::AGENTCRON, "digest".to_owned(), pause).await.unwrap();
            store.plan_due(now).await.unwrap();
            let upcoming = store.read(move |reader| reader.next_of_all(now, 9)).await.unwrap();
            let [row] = upcoming.as_slice() else { panic!("{upcoming:?}") };
            assert_eq!((row.at, row.is_paused), (at("08:00"), is_paused), "{until:?}");
            let hours = store.coming_by_hour(now, 8).await.unwrap().unwrap();
            assert_eq!(hours.into_values().sum::<u64>(), coming, "{until:?}");
            let found = store.also_at(vec![at("08:00"), at("12:00")], now).await.unwrap();
            assert_eq!([found[0].count, found[1].count], also, "{until:?}");
        }
    }
}
