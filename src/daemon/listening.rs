//! Where the daemon can be reached: its socket, and its port. A daemon that cannot be reached still fires, since that is its
//! purpose.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket};

use super::World;
use crate::api::{Listeners, Socket};
use crate::domain::bounds::ACCEPT_QUEUE;

/// Listens wherever it can, and returns what `status` is to say about the rest.
pub(super) fn listen(world: &World) -> (Listeners, Option<String>) {
    let (network, no_network) = match world.listen.map(bind_network) {
        None => (None, None),
        Some(Ok(listener)) => (Some(listener), None),
        Some(Err(problem)) => (None, Some(problem)),
    };
    let socket = world.socket.as_deref().and_then(bind_socket);
    let group = world.config.http.socket_group.as_deref();
    let no_group = socket.as_ref().zip(group).and_then(|(socket, group)| open_to_group(socket, group));
    let problems: Vec<String> = no_network.into_iter().chain(no_group).collect();
    (Listeners { socket, network }, (!problems.is_empty()).then(|| problems.join("; ")))
}

fn bind_socket(path: &Path) -> Option<Socket> {
    Socket::bind(path)
        .map_err(|error| {
            tracing::error!(%error, "socket not bound; trigger, pause and the like will not reach the daemon");
        })
        .ok()
}

/// Lets a group use the socket, or returns why that cannot be. Then only the daemon's user and root use it.
fn open_to_group(socket: &Socket, group: &str) -> Option<String> {
    let error = socket.open_to(group).err()?;
    tracing::error!(%error, "socket not open to http.socket_group");
    Some(format!("the members of http.socket_group cannot use the socket: {error}"))
}

fn bind_network(address: SocketAddr) -> Result<TcpListener, String> {
    match bind(address) {
        Ok(listener) => {
            let address = listener.local_addr().unwrap_or(address);
            tracing::info!(%address, "listening for clients of the agent server's API");
            Ok(listener)
        }
        Err(error) => {
            tracing::error!(%address, %error, "port not bound; clients cannot reach the daemon (see http.listen)");
            Err(format!("clients cannot reach the daemon at {address} (http.listen): {error}"))
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of a former process must not keep the port from us.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}
