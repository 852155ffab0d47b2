//! Questions that are sent before they are asked: each would be a way to the server and back, and so all of them are one.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::TryStreamExt;

use super::{Known, Session, lost, rows};
use crate::store::StoreError;
use crate::store::sql::postgres::params::Sent;
use crate::store::sql::postgres::row::{Row, Rows};

/// A question that was sent.
pub(super) struct Foreseen {
    known: Arc<Known>,
    values: Vec<Sent>,
    answer: Answer,
}

impl Foreseen {
    fn is(&self, known: &Known, values: &[Sent]) -> bool {
        std::ptr::eq(&*self.known, known) && self.values == values
    }
}

/// Empty until it has arrived.
type Answer = Arc<Mutex<Option<Vec<Row>>>>;

impl Session {
    /// Sends a question that is asked soon. If it was sent before and not asked yet, that answer is not of now any more.
    pub(in crate::store::sql::postgres) fn foresee(
        &self,
        known: &Arc<Known>,
        values: Vec<Sent>,
    ) -> Result<(), StoreError> {
        self.flush()?;
        let (client, prepared, answer) = (self.client(), self.prepared(known, &values)?, Answer::default());
        let sent = Foreseen { known: Arc::clone(known), values: values.clone(), answer: Arc::clone(&answer) };
        let mut foreseen = self.foreseen.borrow_mut();
        foreseen.retain(|former| !former.is(known, &values));
        foreseen.push(sent);
        drop(foreseen);
        self.push(async move {
            let rows = rows(&client, prepared, &values).await?.map_ok(Row).try_collect().await?;
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
            Ok(())
        })
    }

    /// Waits for the answer to a question if it was sent before, and returns it once.
    pub(in crate::store::sql::postgres) fn foreseen(
        &self,
        known: &Known,
        values: &[Sent],
    ) -> Result<Option<Rows>, StoreError> {
        let mut foreseen = self.foreseen.borrow_mut();
        let asked = foreseen.iter().position(|sent| sent.is(known, values));
        let Some(Foreseen { answer, .. }) = asked.map(|asked| foreseen.swap_remove(asked)) else {
            return Ok(None);
        };
        drop(foreseen);
        let take = || answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let arrived = self.wait(poll_fn(|context| {
            self.hear(context);
            match take() {
                Some(rows) => Poll::Ready(Ok(Some(rows))),
                None if self.has_failed() => Poll::Ready(Ok(None)),
                None => Poll::Pending,
            }
        }))?;
        match arrived {
            Some(rows) => Ok(Some(rows.into_iter())),
            None => Err(self.settle().err().unwrap_or_else(|| lost("an answer is missing"))),
        }
    }
}
