//! Opens connections to receivers: name -> addresses -> each address judged by the policy -> TCP -> TLS. This
//! is the only place that connects to a receiver, so nothing gets past the policy: neither a literal address
//! nor a second, different answer from a name server.

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

use super::in_short::{tls_in_short, unresolved};
use super::{TransportError, in_short};
use crate::domain::bounds::{CONNECT_WAIT, LOOKUP_WAIT, RECEIVER_ADDRESSES_MAX};
use crate::domain::delivery::Phases;
use crate::domain::url_policy::{PolicyViolation, UrlPolicy};

/// Looks up names and opens TCP connections. Tests replace both steps with their own.
#[derive(Clone)]
pub struct Dialer {
    lookup: Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>,
    dial: Arc<dyn Fn(SocketAddr) -> BoxFuture<'static, std::io::Result<TcpStream>> + Send + Sync>,
}

impl Dialer {
    /// Returns a dialer that uses the name service and the network of this machine.
    pub fn of_system() -> Self {
        Self::new(
            async |name: String| {
                // The function requires a port, but the lookup does not depend on it.
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            },
            TcpStream::connect,
        )
    }

    /// Returns a dialer that looks up names with `lookup` and opens connections with `dial`.
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

    /// Overrides the lookup: these names, in lower case, have these addresses.
    pub fn with_names(self, names: BTreeMap<String, Vec<IpAddr>>) -> Self {
        let lookup = Arc::clone(&self.lookup);
        let with_overrides = move |name: String| match names.get(&name) {
            Some(addresses) => Box::pin(std::future::ready(Ok(addresses.clone()))),
            None => lookup(name),
        };
        Self { lookup: Arc::new(with_overrides), ..self }
    }
}

/// The connection that a request went over. It is an extension of the response.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The receiver's end.
    pub address: SocketAddr,
    /// How long the steps of opening the connection took; all `None` if it was open already.
    pub opening: Phases,
}

/// An address that a connection would go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedAddress {
    pub address: IpAddr,
    /// Why the policy refuses the address; `None` if it does not.
    pub violation: Option<PolicyViolation>,
}

/// The host and port that a URL says to connect to.
pub(super) struct Destination<'u> {
    /// A name or a literal address, without brackets.
    pub(super) host: &'u str,
    pub(super) port: u16,
    pub(super) has_tls: bool,
}

impl<'u> Destination<'u> {
    pub(super) fn of(uri: &'u Uri) -> Self {
        let has_tls = uri.scheme_str() == Some("https");
        let default_port = if has_tls { 443 } else { 80 };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Self { host, port: uri.port_u16().unwrap_or(default_port), has_tls }
    }
}

/// Opens connections under one policy.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) policy: Arc<UrlPolicy>,
    pub(super) dialer: Dialer,
    pub(super) tls: TlsConnector,
}

impl Connector {
    /// Opens a new connection to the host of this URL.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<ReceiverStream, TransportError> {
        let destination = Destination::of(uri);
        let mut opening = Phases::default();
        let addresses = self.addresses(&destination, &mut opening).await?;
        self.open(&destination, &addresses, opening).await
    }

    /// Returns the addresses of the host, each with the decision of the policy.
    pub(super) async fn addresses(
        &self,
        destination: &Destination<'_>,
        opening: &mut Phases,
    ) -> Result<Vec<JudgedAddress>, TransportError> {
        let addresses = match destination.host.parse::<IpAddr>() {
            Ok(literal) => vec![literal],
            Err(_) => measured(&mut opening.lookup, self.look_up(destination.host)).await?,
        };
        let judged = |address| JudgedAddress { address, violation: self.policy.judge_address(address).err() };
        Ok(addresses.into_iter().map(judged).collect())
    }

    /// Opens a connection to one of these addresses, if the policy refuses none of them.
    pub(super) async fn open(
        &self,
        destination: &Destination<'_>,
        judged: &[JudgedAddress],
        mut opening: Phases,
    ) -> Result<ReceiverStream, TransportError> {
        // One bad address spoils the name: a name server that mixes them cannot be trusted with the choice.
        if let Some(violation) = judged.iter().find_map(|address| address.violation.clone()) {
            return Err(TransportError::Denied(violation));
        }
        let addresses: Vec<IpAddr> = judged.iter().map(|judged| judged.address).collect();
        let opened = tokio::time::timeout(CONNECT_WAIT, async {
            let dialled = self.dial_any(&addresses, destination.port);
            let (stream, address) = measured(&mut opening.connect, dialled).await?;
            let io: Box<dyn Io> = match destination.has_tls {
                true => measured(&mut opening.tls, self.tls_handshake(destination.host, stream)).await?,
                false => Box::new(stream),
            };
            Ok(ReceiverStream { io, info: ConnectionInfo { address, opening } })
        });
        let too_long = |_| TransportError::NotSent(format!("no connection {}", within(CONNECT_WAIT)));
        opened.await.map_err(too_long)?
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, TransportError> {
        let failed = |why: &str| TransportError::NotSent(unresolved(why));
        let found = tokio::time::timeout(LOOKUP_WAIT, (self.dialer.lookup)(name.to_owned())).await;
        let addresses = found
            .map_err(|_| failed(&format!("no answer {}", within(LOOKUP_WAIT))))?
            .map_err(|error| TransportError::NotSent(in_short(&error)))?;
        if addresses.is_empty() {
            return Err(failed("it has no address"));
        }
        Ok(addresses)
    }

    /// Tries the addresses one after the other. Each gets a share of the time, so that a dead first one does
    /// not use all of it.
    async fn dial_any(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<(TcpStream, SocketAddr), TransportError> {
        let tried = &addresses[..addresses.len().min(RECEIVER_ADDRESSES_MAX)];
        let share = CONNECT_WAIT / u32::try_from(tried.len()).unwrap_or(1).max(1);
        let mut last_error = String::new();
        for ip in tried {
            let address = SocketAddr::new(*ip, port);
            match tokio::time::timeout(share, (self.dialer.dial)(address)).await {
                Ok(Ok(stream)) => {
                    disable_delay(&stream);
                    return Ok((stream, address));
                }
                Ok(Err(error)) => last_error = format!("{ip}: {}", in_short(&error)),
                Err(_) => last_error = format!("{ip}: no connection {}", within(share)),
            }
        }
        Err(TransportError::NotSent(last_error))
    }

    async fn tls_handshake(&self, host: &str, stream: TcpStream) -> Result<Box<dyn Io>, TransportError> {
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| TransportError::Tls(NO_CERTIFICATE_NAME.to_owned()))?;
        let stream = self.tls.connect(name, stream).await;
        stream.map(|stream| Box::new(stream) as Box<dyn Io>).map_err(|error| {
            // A connection that breaks during the handshake says nothing about certificates.
            match error.get_ref().and_then(|cause| cause.downcast_ref()) {
                Some(problem) => TransportError::Tls(tls_in_short(problem)),
                None => TransportError::NotSent(format!("during the TLS handshake: {}", in_short(&error))),
            }
        })
    }
}

/// The error text for a host that is neither a DNS name nor an address.
pub(super) const NO_CERTIFICATE_NAME: &str = "no certificate can be valid for this host";

/// Sends small segments at once. If the option is refused, segments are only delayed, so the error is
/// ignored.
pub(super) fn disable_delay(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

/// Runs `work` and stores how long it took.
async fn measured<T>(took: &mut Option<Duration>, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    *took = Some(start.elapsed());
    done
}

fn within(wait: Duration) -> String {
    format!("within {}", humantime::format_duration(wait))
}

/// A stream of bytes in both directions.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A new connection to a receiver, with TLS if its URL is `https`, over which nothing was sent yet.
pub(super) struct ReceiverStream {
    pub(super) io: Box<dyn Io>,
    pub(super) info: ConnectionInfo,
}
