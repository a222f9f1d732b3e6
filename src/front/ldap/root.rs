//! The root DSE as clients of this door may see it: what the directory can do, less what we do not let through, plus what we do ourselves.

use super::gate::CONTROLS_REFUSED;
use super::gate::EXTENSIONS_REFUSED;
use super::gate::START_TLS;
use super::gate::WHO_AM_I;
use crate::wire::ldap::Entry;

/// What may be asked of it by whoever has not bound: what tells what a directory is and can do (RFC 4512 §5.1, RFC 3045, and what the servers we know add to
/// that). Others are questions of their own under an attribute's name: Active Directory answers `netlogon` with its site and whether an account is there, and
/// the `msDS-Repl..` ones by work that nobody unknown should set it to.
const PLAIN: &[&str] = &[
    "*",
    "+",
    "1.1",
    "altServer",
    "configContext",
    "configurationNamingContext",
    "currentTime",
    "dataversion",
    "defaultNamingContext",
    "directoryTreeName",
    "dnsHostName",
    "domainControllerFunctionality",
    "domainFunctionality",
    "dsaName",
    "dsServiceName",
    "entryDN",
    "firstchangenumber",
    "forestFunctionality",
    "highestCommittedUSN",
    "isGlobalCatalogReady",
    "isSynchronized",
    "lastchangenumber",
    "lastUSN",
    "ldapServiceName",
    "monitorContext",
    "namingContexts",
    "netscapemdsuffix",
    "objectClass",
    "rootDomainNamingContext",
    "schemaNamingContext",
    "serverName",
    "structuralObjectClass",
    "subschemaSubentry",
    "supportedAuthPasswordSchemes",
    "supportedCapabilities",
    "supportedControl",
    "supportedExtension",
    "supportedFeatures",
    "supportedLDAPPolicies",
    "supportedLDAPVersion",
    "supportedSASLMechanisms",
    "vendorName",
    "vendorVersion",
];

/// Whether anybody may ask for this attribute of the root DSE.
pub(super) fn is_plain(attribute: &[u8]) -> bool {
    let name = attribute.split(|octet| *octet == b';').next().unwrap_or_default();
    PLAIN.iter().any(|plain| plain.as_bytes().eq_ignore_ascii_case(name))
}

/// What of ours must stand in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// StartTLS can be asked for now.
    pub(super) start_tls: bool,
    /// The client wants to know the extended operations.
    pub(super) extensions: bool,
}

/// Makes the directory's root DSE ours (L-002).
pub(super) fn filter(entry: &mut Entry, offer: Offer) {
    // 389-ds tells its mechanisms under a name of its own as well.
    entry.attributes.retain(|(name, _)| !is(name, "supportedSASLMechanisms") && !is(name, "availableSASLMechanisms"));
    for (name, values) in &mut entry.attributes {
        let types_only = values.is_empty();
        if is(name, "supportedControl") {
            values.retain(|value| !listed(CONTROLS_REFUSED, value));
        } else if is(name, "supportedLDAPVersion") {
            values.retain(|value| value == b"3");
        } else if is(name, "supportedExtension") {
            values.retain(|value| !listed(EXTENSIONS_REFUSED, value) && !listed(&[START_TLS, WHO_AM_I], value));
            if !types_only {
                values.extend(ours(offer));
            }
        }
    }
    if offer.extensions && !entry.attributes.iter().any(|(name, _)| is(name, "supportedExtension")) {
        entry.attributes.push(("supportedExtension".to_owned(), ours(offer).collect()));
    }
}

/// The extended operations we answer ourselves.
fn ours(offer: Offer) -> impl Iterator<Item = Vec<u8>> {
    offer.start_tls.then_some(START_TLS).into_iter().chain([WHO_AM_I]).map(|oid| oid.as_bytes().to_vec())
}

fn is(name: &str, attribute: &str) -> bool {
    name.split(';').next().is_some_and(|name| name.eq_ignore_ascii_case(attribute))
}

fn listed(list: &[&str], value: &[u8]) -> bool {
    list.iter().any(|oid| oid.as_bytes() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &[&str])]) -> Entry {
        let values = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect();
        Entry { dn: String::new(), attributes: attributes.iter().map(|(name, of)| ((*name).to_owned(), values(of))).collect() }
    }

    fn seen(mut root: Entry, offer: Offer) -> Entry {
        filter(&mut root, offer);
        root
    }

    const CLEAR: Offer = Offer { start_tls: true, extensions: false };
    const SECURED: Offer = Offer { start_tls: false, extensions: false };

    #[test]
    fn l_002_mechanisms_that_pass_us_by_are_not_told() {
        let mechanisms: &[&str] = &["GSSAPI", "NTLM"];
        let root = entry(&[
            ("SupportedSaslMechanisms", mechanisms),
            ("availableSASLMechanisms", mechanisms),
            ("supportedLDAPVersion", &["2", "3"]),
            ("dnsHostName", &["dc1"]),
        ]);
        assert_eq!(seen(root, CLEAR), entry(&[("supportedLDAPVersion", &["3"]), ("dnsHostName", &["dc1"])]));
    }

    #[test]
    fn l_002_l_064_controls_we_refuse_are_not_told() {
        let root = entry(&[("supportedControl", &["1.2.840.113556.1.4.319", "2.16.840.1.113730.3.4.18"])]);
        assert_eq!(seen(root, CLEAR), entry(&[("supportedControl", &["1.2.840.113556.1.4.319"])]));
    }

    #[test]
    fn l_002_l_084_start_tls_is_told_while_it_can_be_asked_for() {
        let root = || entry(&[("supportedExtension", &[START_TLS, "1.2.840.113556.1.4.1781", "1.3.6.1.1.8"])]);
        assert_eq!(seen(root(), CLEAR), entry(&[("supportedExtension", &["1.3.6.1.1.8", START_TLS, WHO_AM_I])]));
        assert_eq!(seen(root(), SECURED), entry(&[("supportedExtension", &["1.3.6.1.1.8", WHO_AM_I])]));
    }

    #[test]
    fn l_002_what_we_can_do_is_told_where_the_directory_can_do_nothing() {
        let asked = Offer { extensions: true, ..CLEAR };
        assert_eq!(seen(entry(&[]), asked), entry(&[("supportedExtension", &[START_TLS, WHO_AM_I])]));
        assert_eq!(seen(entry(&[]), CLEAR), entry(&[]));
        assert_eq!(seen(entry(&[("supportedExtension", &[])]), CLEAR), entry(&[("supportedExtension", &[])]));
    }
}
