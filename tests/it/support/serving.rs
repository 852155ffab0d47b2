//! A server on loopback that can go down like a killed process and come back on the same port.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Something that listens on a port of 127.0.0.1.
pub(crate) struct Serving {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Serving {
    /// Port 0 takes a free one.
    pub(crate) fn start<Served>(port: u16, serve: impl FnOnce(TcpListener) -> Served) -> Self
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        let mut serving = Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), runtime: None };
        serving.start_again(serve);
        serving
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again on the same port, after `stop`.
    pub(crate) fn start_again<Served>(&mut self, serve: impl FnOnce(TcpListener) -> Served)
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        assert!(self.runtime.is_none(), "it serves already");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).unwrap()
        };
        runtime.spawn(serve(listener));
        self.runtime = Some(runtime);
    }

    /// Closes the port and cuts all connections, as a killed process would.
    pub(crate) fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // A runtime must not be dropped inside another one's task, which is where tests are.
        std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5))).join().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves a router until the runtime ends.
pub(crate) async fn serve_router(listener: TcpListener, router: axum::Router) {
    axum::serve(listener, router).await.unwrap();
}
