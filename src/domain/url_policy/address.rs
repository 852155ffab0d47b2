//! Classifies addresses: IPv4 by the IANA special-purpose registry, and IPv6 by the space allocated as global
//! unicast, with everything outside it refused. An IPv4 address embedded in an IPv6 address is classified as
//! the IPv4 address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The classes of addresses that a policy distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressClass {
    Public,
    Loopback,
    Private,
    Metadata,
    /// With a description that completes "the address is …".
    Reserved(&'static str),
}

/// Metadata services with addresses that are not link-local: Azure's wire server, Alibaba, Oracle.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];

const DOCUMENTATION: AddressClass = AddressClass::Reserved("reserved for documentation");

pub(super) fn class_of(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => class_of_v4(address),
        IpAddr::V6(address) => class_of_v6(address),
    }
}

fn class_of_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA.contains(&address) {
        return AddressClass::Metadata;
    }
    match address.octets() {
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressClass::Private,
        // AWS, Google, Azure, ECS, EKS and more.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] => AddressClass::Metadata,
        [169, 254, ..] => AddressClass::Reserved("link-local, like metadata services"),
        [0, ..] => AddressClass::Reserved("not an address to connect to"),
        [192, 0, 0, _] => AddressClass::Reserved("reserved for protocol assignments"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => DOCUMENTATION,
        [192, 88, 99, _] => AddressClass::Reserved("a 6to4 relay"),
        [198, 18 | 19, ..] => AddressClass::Reserved("reserved for benchmarks"),
        [224..=239, ..] => AddressClass::Reserved("multicast"),
        [240..=255, ..] => AddressClass::Reserved("reserved"),
        _ => AddressClass::Public,
    }
}

fn class_of_v6(address: Ipv6Addr) -> AddressClass {
    if address == Ipv6Addr::LOCALHOST {
        return AddressClass::Loopback;
    }
    match address.segments() {
        // Mapped addresses: the system itself connects by IPv4.
        [0, 0, 0, 0, 0, 0xffff, high, low] => class_of_v4(embedded(high, low)),
        // NAT64 (RFC 6052) and 6to4 (RFC 3056): a translator on the way connects by IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            by_translation(class_of_v4(embedded(high, low)))
        }
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => AddressClass::Metadata,
        [0xfc00..=0xfdff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::Reserved("link-local"),
        [0xff00..=0xffff, ..] => AddressClass::Reserved("multicast"),
        [0x2001, 0x0..=0x1ff, ..] => AddressClass::Reserved("reserved for protocol assignments"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0x0..=0xfff, ..] => DOCUMENTATION,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved("outside the space that is allocated on the internet"),
    }
}

/// Reclassifies loopback: behind a translator it is neither this machine nor a receiver.
fn by_translation(class: AddressClass) -> AddressClass {
    match class {
        AddressClass::Loopback => AddressClass::Reserved("a loopback address behind a translator"),
        AddressClass::Public | AddressClass::Private | AddressClass::Metadata | AddressClass::Reserved(_) => {
            class
        }
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}
