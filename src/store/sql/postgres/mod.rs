//! A store on PostgreSQL, reached by tokio-postgres. What arrives is read on a thread of its own; an operation waits for it where
//! it runs, as it would for a file.
//!
//! A session keeps nothing between its transactions: each says for itself where its tables are, so that a pooler may stand between.

mod dialect;
mod params;
mod row;
mod schema;
mod session;
mod statement;
mod transaction;
mod wait;

pub(super) use row::{Row, Rows};
pub(super) use schema::BYTES;
pub(in crate::store) use schema::make;
pub use session::Server;
pub(in crate::store) use session::Session;
pub(super) use statement::Statement;
pub(super) use transaction::Transaction;
