//! Where requests come from.

use std::net::IpAddr;

/// Where a request came from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// The address; `None` over the Unix socket.
    pub(super) address: Option<IpAddr>,
    /// The user at the other end of the Unix socket, as the kernel knows it; `None` over TCP.
    pub(super) uid: Option<u32>,
}
