//! Looking through a history for a text.

use jiff::Timestamp;

use super::*;
use crate::config::CronDefinition;
use crate::store::Execution;
use crate::store::tests::{open_store, reader, shell};

#[tokio::test]
async fn a_search_finds_the_newest_stops_in_time_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    let body = r#"{"schedule":"* * * * * *","assistant_id":"agent","overlap":"allow","catchup":"all"}"#;
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    store
        .sync_file_crons(at("2026-03-02T09:00:00Z"), vec![CronDefinition::of_body("digest", body)])
        .await
        .unwrap();
    store.plan_due(at("2026-03-02T09:40:00Z")).await.unwrap();
    let database = shell(folder.path());
    database.execute("UPDATE runs SET reason = 'Refused: 50 %' WHERE scheduled_for % 600000 = 0", ());
    let reader = reader(folder.path());
    let search = |text: &str, cursor, limit, most| {
        let found =
            reader.runs_that_mention(&Needle::of(text), &RunFilter::default(), cursor, limit, most).unwrap();
        let minutes = found.runs.iter().map(|(_, row)| row.run.scheduled_for.strftime("%M").to_string());
        (minutes.collect::<Vec<_>>(), found.stopped_at)
    };
    assert_eq!(
        search("refused: 50 %", None, 10, u32::MAX),
        (["40", "30", "20", "10"].map(str::to_owned).to_vec(), None)
    );
    assert_eq!(search("REFUSED", None, 2, u32::MAX), (["40", "30"].map(str::to_owned).to_vec(), None));
    let (first, stopped_at) = search("refused", None, 10, 1000);
    assert_eq!((first.as_slice(), stopped_at.is_some()), (["40", "30"].map(str::to_owned).as_slice(), true));
    let (second, stopped_at) = search("refused", stopped_at, 10, 2000);
    assert_eq!((second, stopped_at), (["20", "10"].map(str::to_owned).to_vec(), None));
    assert_eq!(search("DIGEST", None, 3, u32::MAX).0.len(), 3);
    assert_eq!(search("nothing", None, 3, u32::MAX), (Vec::new(), None));
}
