//! Which addresses are one party's.
//!
//! Lives here: the network of an address, by which strangers are counted, and the one that a log
//! line may have. Not here: the counts (`auth`, `http`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// An address as a log line may have it: the network of 24 bits, or of 48 of IPv6, which many
/// people share.
pub(crate) fn shown(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => format!("{}/24", Ipv4Addr::from_bits(four.to_bits() >> 8 << 8)),
        IpAddr::V6(six) => format!("{}/48", Ipv6Addr::from_bits(six.to_bits() >> 80 << 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_network_is_shown() {
        for (whole, part) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            assert_eq!(shown(whole.parse().unwrap()), part);
        }
    }
}
