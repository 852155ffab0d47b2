//! Keeps the sections of the last good configuration, for a start with mistakes.

use super::{Store, StoreError};
use crate::config::SavedSection;

impl Store {
    /// Replaces these sections, and forgets those that cannot be saved.
    pub async fn save_sections(&self, sections: Vec<SavedSection>) -> Result<(), StoreError> {
        self.write(move |tx| {
            let mut save = tx.prepare(
                "INSERT INTO last_good_sections (section, body) VALUES (?1, ?2) \
                 ON CONFLICT (section) DO UPDATE SET body = excluded.body",
            )?;
            let mut forget = tx.prepare("DELETE FROM last_good_sections WHERE section = ?1")?;
            for (section, body) in &sections {
                match body {
                    Some(body) => save.execute((section, body))?,
                    None => forget.execute([section])?,
                };
            }
            Ok(())
        })
        .await
    }
}
