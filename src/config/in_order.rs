//! Does the same with many things on all cores, and takes what comes of it in their order.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, available_parallelism, scope};

use super::limits::{READ_AHEAD, READERS_MAX, STACK_BYTES};

/// Calls `take` with what `work` returns for each item, in the order of the items.
pub(super) fn in_order<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let threads = available_parallelism().map_or(1, NonZero::get).min(READERS_MAX).min(items.len());
    let work = &work;
    scope(|scope| {
        let start = |first: usize| -> Option<Receiver<R>> {
            let (done, results) = sync_channel(READ_AHEAD);
            let work_off = move || {
                let own = items.iter().skip(first).step_by(threads);
                // Whoever has stopped taking has panicked.
                let _ = own.map(work).try_for_each(|result| done.send(result));
            };
            let thread = Builder::new().name("config".to_owned()).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, work_off).ok().map(|_| results)
        };
        // On a single core, and without a thread, the work is done here.
        let workers: Vec<_> =
            (0..threads).map(|first| if threads > 1 { start(first) } else { None }).collect();
        for (item, worker) in items.iter().zip(workers.iter().cycle()) {
            match worker.as_ref().map(Receiver::recv) {
                None => take(work(item)),
                Some(Ok(result)) => take(result),
                // It has panicked, as this thread does at the end of the scope.
                Some(Err(_)) => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_taken_in_order_however_long_each_takes() {
        for count in [0, 1, 2, 3, 100] {
            let items: Vec<u32> = (0..count).collect();
            let mut taken = Vec::new();
            let slow_if_even = |item: &u32| {
                (0..(item + 1) % 2 * 100_000).for_each(|turn| _ = std::hint::black_box(turn));
                *item
            };
            in_order(&items, slow_if_even, |result| taken.push(result));
            assert_eq!(taken, items);
        }
    }
}
