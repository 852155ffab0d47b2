//! What an address is. IPv4 by the IANA special-purpose registry; IPv6 by what is allocated as global unicast, all else
//! being refused; an IPv4 address inside an IPv6 one counts as itself.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, as far as a policy is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Loopback,
    Private,
    Metadata,
    /// In words.
    Reserved(&'static str),
}

/// Metadata services that are not link-local: Azure's wire server, Alibaba, Oracle.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

const DOCUMENTATION: Kind = Kind::Reserved("for documentation");

pub(super) fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    if METADATA.contains(&address) {
        return Kind::Metadata;
    }
    match address.octets() {
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Kind::Private,
        // AWS, Google, Azure, ECS, EKS and more.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] => Kind::Metadata,
        [169, 254, ..] => Kind::Reserved("link-local, where metadata services are"),
        [0, ..] => Kind::Reserved("no address to connect to"),
        [192, 0, 0, _] => Kind::Reserved("for protocol assignments"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => DOCUMENTATION,
        [192, 88, 99, _] => Kind::Reserved("a relay of 6to4"),
        [198, 18 | 19, ..] => Kind::Reserved("for benchmarks"),
        [224..=239, ..] => Kind::Reserved("multicast"),
        [240..=255, ..] => Kind::Reserved("reserved"),
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    if address == Ipv6Addr::LOCALHOST {
        return Kind::Loopback;
    }
    match address.segments() {
        // Mapped: the system itself connects by IPv4.
        [0, 0, 0, 0, 0, 0xffff, high, low] => kind_v4(embedded(high, low)),
        // NAT64 (RFC 6052) and 6to4 (RFC 3056): somebody on the way does.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            by_translation(kind_v4(embedded(high, low)))
        }
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Kind::Metadata,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::Reserved("link-local"),
        [0xff00..=0xffff, ..] => Kind::Reserved("multicast"),
        [0x2001, 0x0..=0x1ff, ..] => Kind::Reserved("for protocol assignments"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0x0..=0xfff, ..] => DOCUMENTATION,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Reserved("outside of what is allocated on the internet"),
    }
}

/// The loopback of a translator is neither this machine nor anybody's receiver.
fn by_translation(kind: Kind) -> Kind {
    match kind {
        Kind::Loopback => Kind::Reserved("the loopback of a translator"),
        Kind::Public | Kind::Private | Kind::Metadata | Kind::Reserved(_) => kind,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}
