//! Sessions of the web page: who has shown who they are. They outlive the daemon, so that a restart logs nobody out.
//!
//! A session is known by a digest of its token only, so what is in the store opens nothing.

use jiff::Timestamp;

use super::rows::{millis, time};
use super::sql::Transaction;
use super::{Reader, Store, StoreError};
use crate::domain::bounds::{SESSION_IDLE, SESSION_TOUCHED_EVERY, SESSIONS_MAX};

/// A session that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The digest by which it was found.
    pub digest: String,
    /// The user of this machine who opened it; `None` if it is that of the holder of a key, or if that is not known.
    pub uid: Option<u32>,
    used_at: Timestamp,
}

impl Reader {
    /// Returns the session with one of these digests, unless it has not been used for too long.
    pub fn session(&self, digests: &[String], now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.at_one_moment(|tx| {
            for digest in digests {
                let sql = "SELECT digest, uid, used_at FROM page_sessions WHERE digest = ?1 AND used_at > ?2";
                let found = tx.query_opt(sql, (digest, idle_since(now)), |row| {
                    Ok(Session {
                        digest: row.get("digest")?,
                        uid: row.get("uid")?,
                        used_at: time(row, "used_at")?,
                    })
                })?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }
}

impl Store {
    /// Opens a session. If there are too many, the one that was used longest ago ends.
    pub async fn open_session(
        &self,
        digest: String,
        uid: Option<u32>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO page_sessions (digest, uid, used_at) VALUES (?1, ?2, ?3)",
                (&digest, uid, millis(now)),
            )?;
            delete_sessions(tx, now)
        })
        .await
    }

    /// Notes that a session is in use, if that was not noted lately.
    pub async fn touch_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        if now.duration_since(session.used_at) < SESSION_TOUCHED_EVERY {
            return Ok(());
        }
        let digest = session.digest.clone();
        self.write(move |tx| {
            let sql = "UPDATE page_sessions SET used_at = ?2 WHERE digest = ?1";
            tx.execute(sql, (&digest, millis(now))).map(drop)
        })
        .await
    }

    /// Ends the session with one of these digests.
    pub async fn end_session(&self, digests: Vec<String>) -> Result<(), StoreError> {
        self.write(move |tx| {
            for digest in &digests {
                tx.execute("DELETE FROM page_sessions WHERE digest = ?1", [digest])?;
            }
            Ok(())
        })
        .await
    }
}

/// Deletes the sessions that have ended.
pub(super) fn delete_sessions(tx: &Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("DELETE FROM page_sessions WHERE used_at <= ?1", [idle_since(now)])?;
    let beyond = "DELETE FROM page_sessions WHERE used_at <= \
                  (SELECT used_at FROM page_sessions ORDER BY used_at DESC LIMIT 1 OFFSET ?1)";
    tx.execute(beyond, [SESSIONS_MAX]).map(drop)
}

fn idle_since(now: Timestamp) -> i64 {
    millis(now.saturating_sub(SESSION_IDLE).unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Execution;
    use crate::store::tests::open_store;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[tokio::test]
    async fn a_session_lasts_while_it_is_used_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::Inline);
        let digests = vec!["other".to_owned(), "digest".to_owned()];
        let find = |now| {
            let digests = digests.clone();
            store.read(move |reader| reader.session(&digests, now))
        };
        assert_eq!(find(at(0)).await.unwrap(), None);
        store.open_session("digest".to_owned(), Some(1000), at(0)).await.unwrap();
        let idle = SESSION_IDLE.as_secs();
        let session = find(at(idle - 1)).await.unwrap().unwrap();
        assert_eq!(session.uid, Some(1000));
        assert_eq!(find(at(idle)).await.unwrap(), None, "it was not used for too long");
        store.touch_session(&session, at(idle - 1)).await.unwrap();
        assert!(find(at(idle)).await.unwrap().is_some(), "it is in use");
        store.open_session("another".to_owned(), None, at(3 * idle)).await.unwrap();
        let left = store.read(|reader| {
            reader.at_one_moment(|tx| tx.query_value::<i64>("SELECT count(*) FROM page_sessions", ()))
        });
        assert_eq!(left.await.unwrap(), 1, "what has ended is deleted");
        store.end_session(vec!["another".to_owned()]).await.unwrap();
        let another = store.read(move |reader| reader.session(&["another".to_owned()], at(3 * idle)));
        assert_eq!(another.await.unwrap(), None);
    }

    #[tokio::test]
    async fn too_many_sessions_end_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::Inline);
        for number in 0..=i64::from(SESSIONS_MAX) {
            store.open_session(format!("{number}"), None, at(number)).await.unwrap();
        }
        let now = at(i64::from(SESSIONS_MAX));
        let first = store.read(move |reader| reader.session(&["0".to_owned()], now)).await.unwrap();
        let second = store.read(move |reader| reader.session(&["1".to_owned()], now)).await.unwrap();
        assert_eq!((first.is_some(), second.is_some()), (false, true));
    }
}
