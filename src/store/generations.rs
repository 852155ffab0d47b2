//! Adopts files as a new generation, where several daemons have one store, or finds that they are to change nothing
//! (`domain/generation.rs` decides). Whoever adopts them brings the crons up to date in the same transaction.

use std::sync::Arc;

use jiff::Timestamp;

use super::counts::Tx;
use super::rows::{millis, time};
use super::sql::{Row, Transaction, named_params};
use super::sync_crons::{Changes, SyncReport, Synced};
use super::{Store, StoreError};
use crate::config::{CommonSettings, CronDefinition, KeptCrons};
use crate::domain::bounds::GENERATIONS_REMEMBERED;
use crate::domain::generation::{Adoption, Generation, Occasion, Understood, adopt, digest};
use crate::domain::ids::DaemonNumber;

/// The files of a daemon, as far as they are understood.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub definitions: Vec<Arc<CronDefinition>>,
    /// Which crons go on although no file was understood to define them.
    pub kept: KeptCrons,
    /// [`CommonSettings`] as text.
    pub settings: String,
    pub understood: Understood,
    /// The machine of the daemon.
    pub host: String,
}

/// Why files are proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The daemon starts, or has read again what has not changed.
    Found,
    /// They have changed while it ran, and their digest was this one before.
    Changed { from: String },
    /// Somebody wishes it.
    Requested,
}

/// What became of proposed files.
#[derive(Debug)]
pub struct Proposed {
    pub adoption: Adoption,
    pub in_force: Generation,
    /// Nothing is changed unless they were adopted.
    pub report: SyncReport,
}

/// The generation in force, and what it says for every daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationInForce {
    pub generation: Generation,
    /// `None` if a version of this program wrote it that is not known here.
    pub settings: Option<CommonSettings>,
    /// The last generation of the files that were asked about; `None` if they are of none.
    pub files: Option<i64>,
}

impl Proposal {
    /// Returns what tells these files from others.
    pub fn digest(&self) -> String {
        let crons = self.definitions.iter().map(|definition| (&*definition.name, &*definition.body));
        digest(&self.settings, crons)
    }
}

impl Store {
    /// Adopts these files, or leaves everything as it is.
    pub async fn propose(
        &self,
        now: Timestamp,
        reading: Reading,
        proposal: Proposal,
    ) -> Result<Proposed, StoreError> {
        let (cache, daemon) = (self.definitions.clone(), self.number);
        let (digest, proposal) = (proposal.digest(), Arc::new(proposal));
        let (proposed, asked) = (Arc::clone(&proposal), (digest.clone(), reading.clone()));
        // Three daemons with the same files are usual, and they need no writer.
        let found = self.read_for_loop(move |tx| decide(tx, &asked.0, &asked.1, proposed.understood)).await?;
        if let (
            adoption @ (Adoption::InForce | Adoption::Superseded | Adoption::NotUnderstood),
            Some(in_force),
        ) = found
        {
            let installation = cache.installation();
            let kept = self.read_for_loop(move |tx| {
                let Proposal { definitions, kept, .. } = &*proposal;
                Ok(Changes::find(tx, installation, definitions.clone(), kept)?.kept)
            });
            let report = SyncReport { kept: kept.await?, ..SyncReport::default() };
            return Ok(Proposed { adoption, in_force, report });
        }
        let (adoption, in_force, synced) = self
            .write(move |tx| {
                // Another one may have been faster.
                let (adoption, in_force) = decide(tx, &digest, &reading, proposal.understood)?;
                let Proposal { definitions, kept, .. } = &*proposal;
                let changes = Changes::find(tx, cache.installation(), definitions.clone(), kept)?;
                match (adoption, in_force) {
                    (Adoption::Adopted, in_force) | (_, in_force @ None) => {
                        let number = 1 + in_force.map_or(0, |in_force| in_force.number);
                        let synced = changes.make(tx, &cache, now)?;
                        let in_force = insert(tx, number, &digest, &proposal, daemon, now)?;
                        Ok((Adoption::Adopted, in_force, synced))
                    }
                    (adoption, Some(in_force)) => {
                        let report = SyncReport { kept: changes.kept, ..SyncReport::default() };
                        Ok((adoption, in_force, Synced::of(report)))
                    }
                }
            })
            .await?;
        let report = synced.committed();
        self.count_crons_of_files().await?;
        Ok(Proposed { adoption, in_force, report })
    }

    /// Returns the generation in force, and which one the files with this digest are; `None` if there is none yet.
    pub async fn generation_in_force(&self, files: String) -> Result<Option<GenerationInForce>, StoreError> {
        self.read_for_loop(move |tx| {
            let files = number_of(tx, &files)?;
            let sql =
                "SELECT number, adopted_at, host, settings FROM generations ORDER BY number DESC LIMIT 1";
            tx.query_opt(sql, (), |row| {
                let settings = CommonSettings::of_text(row.value("settings")?.as_str().unwrap_or_default());
                Ok(GenerationInForce { generation: generation(row)?, settings, files })
            })
        })
        .await
    }
}

fn decide(
    tx: &Transaction<'_>,
    digest: &str,
    reading: &Reading,
    understood: Understood,
) -> Result<(Adoption, Option<Generation>), StoreError> {
    let sql = "SELECT number, adopted_at, host FROM generations ORDER BY number DESC LIMIT 1";
    let in_force = tx.query_opt(sql, (), generation)?;
    let occasion = match reading {
        Reading::Found => Occasion::Found,
        Reading::Changed { from } => Occasion::Changed { from: number_of(tx, from)? },
        Reading::Requested => Occasion::Requested,
    };
    let number = in_force.as_ref().map(|in_force| in_force.number);
    Ok((adopt(occasion, understood, number_of(tx, digest)?, number), in_force))
}

fn number_of(tx: &Transaction<'_>, digest: &str) -> Result<Option<i64>, StoreError> {
    tx.query_value("SELECT max(number) FROM generations WHERE digest = ?1", [digest])
}

fn generation(row: &Row<'_>) -> Result<Generation, StoreError> {
    let (number, host) = (row.get("number")?, row.get("host")?);
    Ok(Generation { number, adopted_at: time(row, "adopted_at")?, host })
}

fn insert(
    tx: &Tx<'_>,
    number: i64,
    digest: &str,
    proposal: &Proposal,
    daemon: DaemonNumber,
    now: Timestamp,
) -> Result<Generation, StoreError> {
    let Proposal { settings, host, .. } = proposal;
    let sql = "INSERT INTO generations (number, digest, adopted_at, daemon, host, settings) \
               VALUES (:number, :digest, :now, :daemon, :host, :settings)";
    tx.execute(
        sql,
        named_params! {
            ":number": number,
            ":digest": digest,
            ":now": millis(now),
            ":daemon": daemon.0,
            ":host": host,
            ":settings": settings,
        },
    )?;
    let oldest = number - i64::from(GENERATIONS_REMEMBERED);
    tx.execute("DELETE FROM generations WHERE number <= ?1", [oldest])?;
    Ok(Generation { number, adopted_at: now, host: host.clone() })
}

#[cfg(test)]
mod tests;
