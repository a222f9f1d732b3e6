//! `[metrics]`: where monitoring asks, and who may.

use std::net::SocketAddr;

use crate::domain::Network;

use super::ldap::networks;
use super::reader::Section;

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may ask, at least one; usually this machine alone.
    pub networks: Vec<Network>,
}

/// What the section says, if there is one.
pub(super) fn metrics(file: &Section<'_>) -> Option<Metrics> {
    let read = |section: &Section<'_>| {
        let value = section.need("address", "\"127.0.0.1:9464\"");
        let address = value.as_ref().and_then(|value| value.address());
        let named = section.find("networks");
        let is_far = address.is_some_and(|address| !address.ip().is_loopback());
        if let Some(value) = value.filter(|_| is_far && named.is_none()) {
            value.error(
                "can be reached from other machines, and anybody there could read names of clients, directories and providers",
                Some("write networks = [\"192.0.2.20\"], the addresses of your monitoring; or 127.0.0.1 here"),
            );
            return None;
        }
        let networks = named.map_or_else(loopback, |value| networks(&value, "read what is counted"));
        Some(Metrics { address: address?, networks: networks? })
    };
    file.find("metrics").and_then(|value| value.table(read))
}

fn loopback() -> Option<Vec<Network>> {
    ["127.0.0.0/8", "::1"].iter().map(|text| text.parse().ok()).collect()
}
