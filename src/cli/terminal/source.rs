//! Where commands read what is recorded: in the database or, for a user who may use only the socket, from the daemon.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::ask::get_with;
use super::lookup::{find_run, find_webhook};
use super::socket::is_alive;
use super::{Failure, Session};
use crate::api::wire::{DeliveryDetails, Page, RunDetails};
use crate::store::{Place, Reader};

/// As many items are on a page as fit well into a response.
const PAGE: u64 = 500;

pub(in crate::cli) enum Source {
    Store(Box<Reader>),
    Daemon(RespondingDaemon),
}

/// A daemon that has responded at its socket.
pub(in crate::cli) struct RespondingDaemon {
    socket: PathBuf,
}

impl Session {
    pub(in crate::cli) fn source(&mut self) -> Result<Source, Failure> {
        let location = self.store_location()?;
        let denied = match Place::of(&location).and_then(|place| Reader::connect(&place)) {
            Err(denied) if denied.is_denied() => denied,
            opened => return Ok(Source::Store(Box::new(opened?))),
        };
        match self.socket_path() {
            Ok(socket) if is_alive(&socket, self.now()).is_ok() => {
                Ok(Source::Daemon(RespondingDaemon { socket }))
            }
            _ => Err(denied.into()),
        }
    }
}

impl Source {
    /// Returns the id of the run with this id or this unique prefix of one.
    pub(in crate::cli) fn find_run(&self, text: &str) -> Result<String, Failure> {
        match self {
            Source::Store(reader) => Ok(find_run(text, reader)?.to_string()),
            Source::Daemon(daemon) => Ok(daemon.get::<RunDetails>(&["runs", text], &[])?.run.run_id),
        }
    }

    /// Returns the id of the webhook with this id, the id of its run, or a unique prefix of either.
    pub(in crate::cli) fn find_webhook(&self, text: &str) -> Result<String, Failure> {
        match self {
            Source::Store(reader) => Ok(find_webhook(text, reader)?.to_string()),
            Source::Daemon(daemon) => {
                Ok(daemon.get::<DeliveryDetails>(&["deliveries", text], &[])?.delivery.delivery_id)
            }
        }
    }
}

impl RespondingDaemon {
    /// Gets `/v1/…` with the parameters that are not empty.
    pub(in crate::cli) fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        get_with(&self.socket, path, query)
    }

    /// Returns the first `limit` items of a listing, which is `/v1/…`.
    pub(in crate::cli) fn list<T: DeserializeOwned>(
        &self,
        listing: &str,
        query: &[(&str, String)],
        limit: u64,
    ) -> Result<Vec<T>, Failure> {
        let (mut items, mut cursor) = (Vec::new(), Some(String::new()));
        while let Some(after) = cursor.take()
            && items.len() as u64 != limit
        {
            let page_limit = PAGE.min(limit - items.len() as u64).to_string();
            let query = [query, &[("cursor", after), ("limit", page_limit)]].concat();
            let page: Page<T> = self.get(&[listing], &query)?;
            items.extend(page.items);
            cursor = page.next_cursor;
        }
        Ok(items)
    }
}
