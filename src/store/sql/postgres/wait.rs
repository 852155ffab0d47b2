//! Waits for a future on the thread that needs it, whether or not that thread runs others.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Opens connections, and tells whoever waits for one when something has arrived there. It is none that a test could stop.
pub(super) static CONNECTIONS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(1).thread_name("postgres").enable_all().build().ok()
});

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until a future is ready, or returns `None` if it is not within `patience`. `look` is called every now and then meanwhile.
pub(super) fn wait<F: Future>(future: F, patience: Duration, mut look: impl FnMut()) -> Option<F::Output> {
    let began = Instant::now();
    // Whoever waits in a task of tokio would use up how often that may poll, and then wait for ever.
    let mut future = pin!(tokio::task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if began.elapsed() > patience {
            return None;
        }
        thread::park_timeout(LOOKS_EVERY);
        look();
    }
}

const LOOKS_EVERY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_ready_on_another_thread_is_waited_for() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(120));
            send.send(7)
        });
        let mut looks = 0;
        assert_eq!(wait(receive, Duration::from_secs(60), || looks += 1), Some(Ok(7)));
        assert!(looks >= 2, "{looks}");
        assert_eq!(wait(std::future::pending::<()>(), Duration::from_millis(1), || ()), None);
        assert_eq!(sender.join().unwrap(), Ok(()));
    }
}
