//! Clients: who may talk to us, told by where a packet comes from.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Addition;
use super::census::Card;
use crate::domain::Approval;
use crate::domain::CodeEntry;
use crate::domain::Network;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::front::certificate::Names;
use crate::ports::AccountingRelay;
use crate::ports::PrimaryCheck;
use crate::wire::radius::Integrity;
use crate::wire::radius::Request;
use crate::wire::radius::attr;

/// One `[[radius.client]]`.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Where its packets come from; of several clients the longest prefix wins.
    pub networks: Vec<Network>,
    /// Of several clients with the very same network and secret this one has this NAS-Identifier.
    pub nas_identifier: Option<String>,
    /// Whether NAS-IP-Address must be where the packet comes from.
    pub nas_address: NasAddress,
    /// The shared secret. Of a client with a `certificate` it is `radsec`, whatever stands here (RFC 6614 §2.3).
    pub secret: Secret,
    /// A name in its certificate: the common name, or a DNS name or address of the alternative ones. Such a client is heard behind TLS alone.
    pub certificate: Option<String>,
    /// Whether requests must be signed.
    pub integrity: Integrity,
    /// Who checks the first factor.
    pub first: First,
    /// What becomes of its Accounting-Requests.
    pub accounting: Accounting,
    /// How a code is handed over.
    pub code: CodeEntry,
    /// Whether a challenge lists the methods of the account.
    pub menu: bool,
    /// How somebody is waited for who must approve on the phone.
    pub approval: Approval,
    /// Milliseconds for which an approval that came too late counts for the next try; 0: none.
    pub late_ms: u64,
    /// Milliseconds for which the very same login again is the same login; 0: not at all.
    pub join_ms: u64,
    /// The answer to a challenge may stand in MS-CHAP2-Response, as six digits in clear (FortiGate).
    pub code_in_ms_chap2: bool,
    /// Its Calling-Station-Id is the same for all of its people, so that it tells nobody apart.
    pub one_station: bool,
    /// How the octets of a password are text.
    pub charset: Charset,
    /// How long this NAS waits; the login ends 2 s before.
    pub patience: Duration,
    /// The attribute that tells where the person is: Calling-Station-Id (31), Framed-IP-Address (8), Framed-IPv6-Address (168) or Tunnel-Client-Endpoint (66).
    pub source: Option<u8>,
    /// Its policy.
    pub rules: Arc<Rules>,
    /// What the policy adds to an Access-Accept.
    pub additions: Arc<[Addition]>,
    /// Where people without an account can make one; told to those whose first factor passed.
    pub enrol_url: Option<String>,
    /// What is told about it.
    pub card: Card,
}

/// What becomes of a client's Accounting-Requests (RFC 2866).
#[derive(Clone, Debug)]
pub enum Accounting {
    /// They are written down: who is on.
    Record,
    /// They are written down once a server behind us has taken them; else the client hears nothing.
    Relay(Arc<dyn AccountingRelay>),
}

/// Who checks the first factor, and what a client may send.
#[derive(Clone, Debug)]
pub enum First {
    /// MS-CHAPv2, or a password in clear.
    MsChap2(Arc<dyn PrimaryCheck>),
    /// A password in clear alone.
    Password(Arc<dyn PrimaryCheck>),
    /// Whatever a server behind us understands.
    Upstream {
        /// That server.
        check: Arc<dyn PrimaryCheck>,
        /// Requests without a credential go there too.
        without_credential: bool,
    },
    /// The client itself: what comes in the password's place can only be a code.
    Waived(Arc<dyn PrimaryCheck>),
}

impl First {
    /// Who checks it.
    #[must_use]
    pub fn check(&self) -> &Arc<dyn PrimaryCheck> {
        match self {
            Self::MsChap2(check) | Self::Password(check) | Self::Upstream { check, .. } | Self::Waived(check) => check,
        }
    }
}

/// How the octets of a password are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// ISO 8859-1.
    Latin1,
    /// UTF-8.
    Utf8,
}

/// What it means that NAS-IP-Address or NAS-IPv6-Address is not where a packet comes from (RFC 3579 §4.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NasAddress {
    /// It is said in the log.
    Log,
    /// The request is rejected.
    Require,
}

/// All clients, found by the network a packet comes from: the longest prefix first, and never by what is in the packet.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// In the order of the configuration.
    all: Vec<Arc<Client>>,
    /// Clients of the same network have the same secret; among them the NAS-Identifier decides.
    by_network: HashMap<Network, Vec<Arc<Client>>>,
    /// Those with a certificate.
    behind_tls: Vec<Arc<Client>>,
    /// Prefix lengths there are, longest first: of IPv4, of IPv6.
    lengths: [Vec<u8>; 2],
}

impl Clients {
    /// Takes them in.
    #[must_use]
    pub fn new(clients: Vec<Client>) -> Self {
        let mut all = Self::default();
        for mut client in clients {
            if client.certificate.is_some() {
                client.secret = Secret::from(RADSEC);
                let client = Arc::new(client);
                all.all.push(Arc::clone(&client));
                all.behind_tls.push(client);
                continue;
            }
            let client = Arc::new(client);
            all.all.push(Arc::clone(&client));
            for network in &client.networks {
                all.by_network.entry(*network).or_default().push(Arc::clone(&client));
                let [four, six] = &mut all.lengths;
                if network.is_ipv4() { four } else { six }.push(network.prefix_bits());
            }
        }
        for lengths in &mut all.lengths {
            lengths.sort_unstable_by(|one, other| other.cmp(one));
            lengths.dedup();
        }
        all
    }

    /// All of them, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Arc<Client>] {
        &self.all
    }

    /// Those who share the smallest network that has this address. All have one secret and one integrity.
    pub(super) fn at(&self, address: IpAddr) -> &[Arc<Client>] {
        let address = address.to_canonical();
        let [four, six] = &self.lengths;
        let lengths = if address.is_ipv4() { four } else { six };
        let found = lengths.iter().find_map(|bits| self.by_network.get(&Network::around(address, *bits)?));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether anybody at this address may come in behind TLS.
    pub(super) fn may_be_behind_tls(&self, address: IpAddr) -> bool {
        self.behind_tls.iter().any(|client| prefix_bits(client, address).is_some())
    }

    /// Those with this address *and* one of these names; of several the ones with the longest prefix.
    pub(super) fn behind_tls(&self, address: IpAddr, names: &Names) -> Vec<Arc<Client>> {
        let named = self.behind_tls.iter().filter(|client| client.certificate.as_deref().is_some_and(|name| names.has(name)));
        let near: Vec<_> = named.filter_map(|client| Some((prefix_bits(client, address)?, client))).collect();
        let longest = near.iter().map(|(bits, _)| *bits).max();
        near.into_iter().filter(|(bits, _)| Some(*bits) == longest).map(|(_, client)| Arc::clone(client)).collect()
    }
}

/// Bits of the smallest of the client's networks that has this address.
fn prefix_bits(client: &Client, address: IpAddr) -> Option<u8> {
    client.networks.iter().filter(|network| network.contains(address)).map(Network::prefix_bits).max()
}

/// Which of those who share a network has sent a verified request: the one with its NAS-Identifier, else the one without any.
pub(super) fn among<'c>(clients: &'c [Arc<Client>], request: &Request<'_>) -> Option<&'c Arc<Client>> {
    let named = request.text(attr::NAS_IDENTIFIER);
    let its_own = clients.iter().find(|client| client.nas_identifier.is_some() && client.nas_identifier.as_deref() == named);
    its_own.or_else(|| clients.iter().find(|client| client.nas_identifier.is_none()))
}

/// The one secret of all who are behind TLS (RFC 6614 §2.3).
const RADSEC: &str = "radsec";

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::super::tests::client;
    use super::*;
    use crate::domain::Method;
    use crate::wire::radius::upstream::AccessRequest;

    fn named(name: &str, networks: &[&str], nas_identifier: Option<&str>) -> Client {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Client { name: name.into(), networks, nas_identifier: nas_identifier.map(str::to_owned), ..client(&World::new(), Method::Oath) }
    }

    #[test]
    fn r_021_of_several_clients_the_longest_prefix_is_meant() {
        let clients = Clients::new(vec![
            named("all", &["0.0.0.0/0", "127.0.0.0/8"], None),
            named("one", &["10.1.0.0/16", "10.2.3.4"], None),
            named("two", &["10.2.0.0/16", "2001:db8::/32"], None),
        ]);
        let name = |address: &str| clients.at(address.parse().unwrap()).first().map(|client| client.name.clone());
        assert_eq!(name("10.1.2.3").as_deref(), Some("one"));
        assert_eq!(name("10.2.3.4").as_deref(), Some("one"));
        assert_eq!(name("10.2.3.5").as_deref(), Some("two"));
        assert_eq!(name("::ffff:10.2.3.5").as_deref(), Some("two"));
        assert_eq!(name("192.0.2.1").as_deref(), Some("all"));
        assert_eq!(name("2001:db8::1").as_deref(), Some("two"));
        assert_eq!(name("2001:db9::1"), None);
    }

    #[test]
    fn r_021_the_nas_identifier_decides_among_those_of_one_network_and_never_before_it() {
        let clients =
            Clients::new(vec![named("vpn", &["10.1.0.0/16"], Some("vpn")), named("rest", &["10.1.0.0/16"], None), named("wifi", &["10.1.2.3"], Some("wifi"))]);
        let found = |address: &str, identifier: &[u8]| {
            let bytes = AccessRequest::new(1, [7; 16]).with(attr::NAS_IDENTIFIER, identifier).signed(b"secret").unwrap();
            let request = Request::verify(&bytes, b"secret", Integrity::Require).unwrap();
            among(clients.at(address.parse().unwrap()), &request).map(|client| client.name.clone())
        };
        assert_eq!(found("10.1.9.9", b"vpn").as_deref(), Some("vpn"));
        assert_eq!(found("10.1.9.9", b"else").as_deref(), Some("rest"));
        assert_eq!(found("10.1.9.9", b"").as_deref(), Some("rest"));
        assert_eq!(found("10.1.2.3", b"wifi").as_deref(), Some("wifi"));
        assert_eq!(found("10.1.2.3", b"vpn"), None, "the smaller network decides, whatever the packet says");
    }
}
