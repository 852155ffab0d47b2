//! An ordinary client of the agent server's API, which can talk to the server itself or to the daemon in front of it.

use std::net::SocketAddr;
use std::time::Duration;

use agentcron::transport::{BodyStream, Transport};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::growing_list::PATIENCE;

/// Sends its requests to one address.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    transport: Transport,
    headers: Vec<(String, String)>,
}

/// A response with its whole body.
#[derive(Clone, Debug)]
pub(crate) struct ClientResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ClientResponse {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, transport: Transport::network(None).unwrap(), headers: Vec::new() }
    }

    /// Adds a header to every request; its body is JSON unless this says otherwise.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Waits until the address accepts connections.
    pub(crate) async fn ready(self) -> Self {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            assert!(Instant::now() < until, "nothing listens on {}", self.address);
            sleep(Duration::from_millis(20)).await;
        }
        self
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Response<BodyStream> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !self.headers.iter().any(|(name, _)| name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(body.into()).unwrap();
        timeout(PATIENCE, self.transport.send(request)).await.unwrap().unwrap()
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> ClientResponse {
        let (parts, mut stream) = self.open(method, path, body).await.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = timeout(PATIENCE, stream.next()).await.unwrap() {
            body.extend_from_slice(&piece.unwrap());
        }
        ClientResponse { status: parts.status.as_u16(), headers: parts.headers, body: body.into() }
    }

    pub(crate) async fn get(&self, path: &str) -> ClientResponse {
        self.send("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> ClientResponse {
        self.send("POST", path, body.to_string()).await
    }

    /// Sends a request and closes the connection before any response.
    pub(crate) async fn post_and_leave(&self, path: &str, body: &Value) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}
