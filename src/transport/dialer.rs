//! The way to a receiver: name -> addresses -> every one of them judged -> TCP -> TLS. This is the only place where a
//! connection to a receiver is made, so nothing gets past the policy: no literal, no second answer of a name server.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::domain::bounds::{CONNECT_WAIT, LOOKUP_WAIT, RECEIVER_ADDRESSES_MAX};
use crate::domain::delivery::Phases;
use crate::domain::url_policy::{PolicyViolation, UrlPolicy};

/// Looks names up and opens connections; tests put their own in its place.
#[derive(Clone)]
pub struct Dialer {
    lookup: Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>,
    dial: Arc<dyn Fn(SocketAddr) -> BoxFuture<'static, std::io::Result<TcpStream>> + Send + Sync>,
}

impl Dialer {
    /// The name service and the network of this machine.
    pub fn of_system() -> Self {
        Self::new(
            async |name: String| {
                // The port is only there because the function wants one.
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            },
            TcpStream::connect,
        )
    }

    /// Names are looked up by `lookup`, and connections opened by `dial`.
    pub fn new<L, D>(
        lookup: impl Fn(String) -> L + Send + Sync + 'static,
        dial: impl Fn(SocketAddr) -> D + Send + Sync + 'static,
    ) -> Self
    where
        L: Future<Output = std::io::Result<Vec<IpAddr>>> + Send + 'static,
        D: Future<Output = std::io::Result<TcpStream>> + Send + 'static,
    {
        Self {
            lookup: Arc::new(move |name| Box::pin(lookup(name))),
            dial: Arc::new(move |address| Box::pin(dial(address))),
        }
    }
}

impl Dialer {
    /// The same, but these names (in lower case) lead to these addresses, whatever the name service says.
    pub fn with_names(self, names: BTreeMap<String, Vec<IpAddr>>) -> Self {
        let lookup = Arc::clone(&self.lookup);
        let look_up = move |name: String| match names.get(&name) {
            Some(addresses) => Box::pin(std::future::ready(Ok(addresses.clone()))),
            None => lookup(name),
        };
        Self { lookup: Arc::new(look_up), ..self }
    }
}

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    #[error("{0}")]
    Denied(PolicyViolation),
    #[error("{0}")]
    NoConnection(String),
    #[error("{0}")]
    Tls(String),
}

/// The far end of the connection that a request went over; an extension of the answer.
#[derive(Clone, Debug)]
pub struct FarEnd {
    /// Where it is.
    pub address: SocketAddr,
    /// What opening the connection took; nothing if it was open already.
    pub opening: Phases,
}

/// An address that a connection would go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedAddress {
    /// The address.
    pub address: IpAddr,
    /// Why no connection may go to it, if the policy refuses it.
    pub refusal: Option<PolicyViolation>,
}

/// What a URL says about where to connect.
pub(super) struct Destination<'u> {
    host: &'u str,
    port: u16,
    with_tls: bool,
}

impl<'u> Destination<'u> {
    pub(super) fn of(uri: &'u Uri) -> Self {
        let with_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if with_tls { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Self { host, port, with_tls }
    }
}

/// Makes connections under one policy.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) policy: Arc<UrlPolicy>,
    pub(super) dialer: Dialer,
    pub(super) tls: TlsConnector,
}

impl Connector {
    /// A new connection to the host of this URL.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Opened, ConnectFailure> {
        let destination = Destination::of(uri);
        let mut opening = Phases::default();
        let addresses = self.addresses(&destination, &mut opening).await?;
        self.open(&destination, &addresses, opening).await
    }

    /// Where the host leads, and what the policy says of each address.
    pub(super) async fn addresses(
        &self,
        destination: &Destination<'_>,
        opening: &mut Phases,
    ) -> Result<Vec<JudgedAddress>, ConnectFailure> {
        let addresses = match destination.host.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => measured(&mut opening.lookup, self.look_up(destination.host)).await?,
        };
        let judged = |address| JudgedAddress { address, refusal: self.policy.judge_address(address).err() };
        Ok(addresses.into_iter().map(judged).collect())
    }

    /// A connection to one of these addresses, if the policy refuses none of them.
    pub(super) async fn open(
        &self,
        destination: &Destination<'_>,
        judged: &[JudgedAddress],
        mut opening: Phases,
    ) -> Result<Opened, ConnectFailure> {
        // One bad address spoils the name: whoever answers with a mixture is not to be trusted with the choice.
        if let Some(refusal) = judged.iter().find_map(|address| address.refusal.clone()) {
            return Err(ConnectFailure::Denied(refusal));
        }
        let addresses: Vec<IpAddr> = judged.iter().map(|judged| judged.address).collect();
        let opened = tokio::time::timeout(CONNECT_WAIT, async {
            let dialled = self.dial_any(&addresses, destination.port);
            let (stream, address) = measured(&mut opening.connect, dialled).await?;
            let io: Box<dyn Io> = if destination.with_tls {
                measured(&mut opening.tls, self.shake_hands(destination.host, stream)).await?
            } else {
                Box::new(stream)
            };
            Ok(Opened { io, far_end: FarEnd { address, opening } })
        });
        let too_long = |_| ConnectFailure::NoConnection(format!("no connection {}", within(CONNECT_WAIT)));
        opened.await.map_err(too_long)?
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, ConnectFailure> {
        let failed = |problem: String| ConnectFailure::NoConnection(format!("its name: {problem}"));
        let found = tokio::time::timeout(LOOKUP_WAIT, (self.dialer.lookup)(name.to_owned())).await;
        let addresses = found
            .map_err(|_| failed(format!("no answer {}", within(LOOKUP_WAIT))))?
            .map_err(|error| failed(error.to_string()))?;
        if addresses.is_empty() { Err(failed("it has no address".to_owned())) } else { Ok(addresses) }
    }

    /// One after the other, each with its share of the time, so that a dead first one does not use up all of it.
    async fn dial_any(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<(TcpStream, SocketAddr), ConnectFailure> {
        let tried = &addresses[..addresses.len().min(RECEIVER_ADDRESSES_MAX)];
        let share = CONNECT_WAIT / u32::try_from(tried.len()).unwrap_or(1).max(1);
        let mut last = String::new();
        for address in tried {
            let far_end = SocketAddr::new(*address, port);
            match tokio::time::timeout(share, (self.dialer.dial)(far_end)).await {
                Ok(Ok(stream)) => {
                    // A delayed segment is a nuisance, a refused option is none.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, far_end));
                }
                Ok(Err(error)) => last = format!("{address}: {error}"),
                Err(_) => last = format!("{address}: no connection {}", within(share)),
            }
        }
        Err(ConnectFailure::NoConnection(last))
    }

    async fn shake_hands(&self, host: &str, stream: TcpStream) -> Result<Box<dyn Io>, ConnectFailure> {
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| ConnectFailure::Tls("no certificate can be for such a host".to_owned()))?;
        let stream = self.tls.connect(name, stream).await;
        stream.map(|stream| Box::new(stream) as Box<dyn Io>).map_err(|error| {
            // A line that breaks during the handshake says nothing about certificates.
            match error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
                true => ConnectFailure::Tls(error.to_string()),
                false => ConnectFailure::NoConnection(format!("during the TLS handshake: {error}")),
            }
        })
    }
}

/// Notes how long it took.
async fn measured<T>(took: &mut Option<Duration>, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    *took = Some(start.elapsed());
    done
}

fn within(wait: Duration) -> String {
    format!("within {}", humantime::format_duration(wait))
}

/// Bytes in both directions.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, with or without TLS, on which nothing was said yet.
pub(super) struct Opened {
    pub(super) io: Box<dyn Io>,
    pub(super) far_end: FarEnd,
}
