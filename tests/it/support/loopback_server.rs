//! A server on loopback that can stop like a killed process and start again on the same port.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct LoopbackServer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl LoopbackServer {
    /// Listens on a port of 127.0.0.1; port 0 takes a free one.
    pub(crate) fn start<Served>(port: u16, serve: impl FnOnce(TcpListener) -> Served) -> Self
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        let mut server = Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), runtime: None };
        server.start_again(serve);
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again on the same port, after `stop`.
    pub(crate) fn start_again<Served>(&mut self, serve: impl FnOnce(TcpListener) -> Served)
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        assert!(self.runtime.is_none(), "the server is running already");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener).unwrap()
        };
        runtime.spawn(serve(listener));
        self.runtime = Some(runtime);
    }

    /// Closes the port and all connections, as a killed process would.
    pub(crate) fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // A runtime must not be dropped inside a task of another one, and tests run in such a task.
        std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5))).join().unwrap();
    }
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves a router until the runtime ends.
pub(crate) async fn serve_router(listener: TcpListener, router: axum::Router) {
    axum::serve(listener, router).await.unwrap();
}
