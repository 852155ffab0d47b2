//! Ports for processes that must be told which to take, and that come back on the same.
//!
//! A port that the system gives to whoever asks for any is soon given to the next, be it for an outgoing connection, and
//! a test with hundreds of them then finds its port taken. So these are from below that range (32768 on Linux, RFC 6335
//! has it begin at 49152).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 20_000;
const COUNT: u32 = 10_000;

/// On loopback; nobody has it, and no test of this process is given it again.
pub(crate) fn free_address() -> SocketAddr {
    // Processes that run at the same time begin at different ports.
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
fn no_address_is_given_twice() {
    let addresses: std::collections::BTreeSet<_> = (0..100).map(|_| free_address()).collect();
    assert_eq!(addresses.len(), 100);
}
