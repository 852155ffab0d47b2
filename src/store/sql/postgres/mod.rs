//! A store on PostgreSQL, reached by tokio-postgres. An operation waits where it runs, as it would for a file, and carries its
//! messages meanwhile; a thread of its own only tells it when something has arrived.
//!
//! A session keeps nothing between its transactions but its prepared statements: each says for itself where its tables are.

mod dialect;
mod errors;
mod params;
mod pulse;
mod row;
mod schema;
mod server;
mod session;
mod statement;
mod transaction;
mod usable;
mod wait;

pub(in crate::store) use errors::Error;
pub(in crate::store) use errors::{in_words, is_contention, is_of_connection};
pub(in crate::store) use pulse::{Beat, Ear, Pulse};
pub(super) use row::{Row, Rows};
pub(super) use schema::BYTES;
pub(in crate::store) use schema::{demand_made, make};
pub use server::Server;
pub(in crate::store) use server::SharedServer;
pub(in crate::store) use session::{Fate, Mark, Session};
pub(super) use statement::Statement;
pub(super) use transaction::Transaction;
pub(in crate::store) use usable::{demand_makeable, demand_usable};
