//! Ports for processes that must be given a port, and that listen on the same one after a restart.
//!
//! The system soon reuses the ephemeral ports that it hands out, for outgoing connections as well, so that a test would
//! find its port taken after a restart. These ports are below that range, which begins at 32768 on Linux (at 49152 in
//! RFC 6335).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 20_000;
const COUNT: u32 = 10_000;

/// Returns a free address on loopback that no other test of this process gets.
pub(crate) fn free_address() -> SocketAddr {
    // Test processes that run at the same time begin at different ports.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

#[test]
fn no_address_is_returned_twice() {
    let addresses: std::collections::BTreeSet<_> = (0..100).map(|_| free_address()).collect();
    assert_eq!(addresses.len(), 100);
}
