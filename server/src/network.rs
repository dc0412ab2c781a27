//! Which addresses are one party's.
//!
//! Lives here: the network of an address, by which strangers are counted. Not here: the counts (`auth`, `http`).

use std::net::{IpAddr, Ipv6Addr};

/// Whoever has one IPv6 address has the 2^64 beside it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        },
    }
}
