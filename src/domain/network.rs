//! Networks: is this address one of those.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// An IPv4 or IPv6 network. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) counts as the IPv4 address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` lies in this network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The network of this many bits that has `address` in it; `None` for more bits than an address has.
    #[must_use]
    pub fn around(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        IpNet::new(address.to_canonical(), prefix_bits).ok().map(|net| Self(net.trunc()))
    }

    /// Whether it is one of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Bits of the prefix; of two networks that contain an address the longer one is meant.
    #[must_use]
    pub fn prefix_bits(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl FromStr for Network {
    type Err = String;

    /// `192.0.2.0/24`, `2001:db8::/32`, or one address alone. Host bits must be zero, so that nobody means less than he writes.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let net: IpNet = text.parse().map_err(|_| format!("`{text}` is not a network: write 192.0.2.0/24, 2001:db8::/32 or one address"))?;
        if net.trunc() != net {
            return Err(format!("`{text}` has bits set behind its prefix: write {}, or {}/{}", net.trunc(), net.addr(), net.max_prefix_len()));
        }
        Ok(Self(net))
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_its_network_and_in_no_other() {
        assert!(net("192.0.2.0/24").contains("192.0.2.77".parse().unwrap()));
        assert!(!net("192.0.2.0/24").contains("192.0.3.77".parse().unwrap()));
        assert!(net("2001:db8::/32").contains("2001:db8:1::9".parse().unwrap()));
        assert!(!net("0.0.0.0/0").contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_it_is() {
        assert!(net("192.0.2.7").contains("::ffff:192.0.2.7".parse().unwrap()));
        assert!(net("::ffff:192.0.2.7").contains("192.0.2.7".parse().unwrap()));
        assert!(!net("::/0").contains("::ffff:192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn host_bits_are_refused_with_both_things_one_may_have_meant() {
        let told = "192.0.2.7/24".parse::<Network>().unwrap_err();
        assert!(told.contains("192.0.2.0/24") && told.contains("192.0.2.7/32"), "{told}");
        assert!("192.0.2.0/33".parse::<Network>().is_err());
        assert!("corp".parse::<Network>().is_err());
    }
}
