//! Which application asks, where several share a listener; and who of those that ask is exempt from the second factor.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;

use super::Settings;
use super::caller::Caller;
use super::caller::is_in;
use super::named::Named;
use crate::domain::CodeEntry;
use crate::domain::Exempt;
use crate::domain::Identity;
use crate::domain::Network;
use crate::domain::Rules;
use crate::domain::Timestamp;

/// What tells the callers of one listener apart, and who of them is exempt.
#[derive(Clone, Debug, Default)]
pub struct Callers {
    /// Each `[[ldap.client]]` of this listener.
    pub applications: Vec<Application>,
    /// `exempt`
    pub exemptions: Vec<Exemption>,
    /// Who looks at certificates that callers show; `None` where none is taken.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Balancers: every connection of theirs begins with a PROXY header.
    pub proxy_from: Vec<Network>,
    /// Applications whose word about where a person is counts.
    pub trust_session_tracking: Vec<Network>,
}

/// One `[[ldap.client]]`. Whatever it names must be so; what it leaves out may be anything.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its name: the client in log, metrics and provider's question.
    pub name: String,
    /// Where it is; anywhere where there are none.
    pub networks: Vec<Network>,
    /// A name in its certificate.
    pub certificate: Option<String>,
    /// The account that it binds with before people do, on the same connection.
    pub service: Option<Arc<Named>>,
    /// How its people hand over a code.
    pub code: CodeEntry,
    /// Its policy.
    pub rules: Arc<Rules>,
}

/// One `exempt`: a service account that needs no second factor from here, until then (L-082).
#[derive(Clone, Debug)]
pub struct Exemption {
    /// Whose.
    pub named: Arc<Named>,
    /// From where.
    pub from: Vec<Network>,
    /// A name that the caller's certificate must have.
    pub certificate: Option<String>,
    /// Good before this moment.
    pub until: Timestamp,
}

/// As what a bind is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'s> {
    /// The application's name, or the listener's.
    pub(super) name: &'s str,
    pub(super) code: &'s CodeEntry,
    pub(super) rules: &'s Arc<Rules>,
}

/// How closely an application is described by what is known of a caller, in the order in which that can be relied on: by the certificate, by bits of the network
/// (of all addresses there are none), by the account that bound before. Whoever knows that account's password can bind with it from anywhere: it must not move a
/// connection out of an application that its certificate or its address tells. And by a network after all, were it that of all addresses.
type Closeness = (bool, u8, bool, bool);

impl Settings {
    /// As what a bind of this caller is judged: the application that fits most closely, else the listener. `None` where two fit alike, which a configuration can
    /// rule out for networks and not for a certificate with the names of both.
    pub(super) fn asker(&self, caller: &Caller) -> Option<Asker<'_>> {
        Some(match closest(&self.callers.applications, caller).ok()? {
            Some(Application { name, code, rules, .. }) => Asker { name, code, rules },
            None => Asker { name: &self.name, code: &self.code, rules: &self.rules },
        })
    }
}

/// The application that fits most closely, if any does; two that do alike are none.
fn closest<'a>(applications: &'a [Application], caller: &Caller) -> Result<Option<&'a Application>, Alike> {
    let fitting = || applications.iter().filter_map(|application| application.fits(caller).map(|closeness| (closeness, application)));
    let Some(closest) = fitting().map(|(closeness, _)| closeness).max() else { return Ok(None) };
    let mut found = fitting().filter(|(closeness, _)| *closeness == closest).map(|(_, application)| application);
    let one = found.next();
    if found.next().is_some() { Err(Alike) } else { Ok(one) }
}

/// Two applications fit alike.
#[derive(Debug)]
struct Alike;

impl Callers {
    /// The accounts that are named here.
    pub(super) fn named(&self) -> impl Iterator<Item = &Arc<Named>> {
        let services = self.applications.iter().filter_map(|application| application.service.as_ref());
        self.exemptions.iter().map(|exemption| &exemption.named).chain(services)
    }

    /// Who is exempt where this caller is.
    pub(super) fn exempt(&self, caller: &Caller) -> Vec<Exempt> {
        let here = |exemption: &&Exemption| is_in(&exemption.from, caller.from()) && caller.has(exemption.certificate.as_deref());
        let whose = |exemption: &Exemption| exemption.named.found_in().map(|(who, directory)| Exempt { who, directory, until: exemption.until });
        self.exemptions.iter().filter(here).filter_map(whose).collect()
    }

    /// Whether an application binds as this one before its people do.
    pub(super) fn is_service(&self, who: &Identity) -> bool {
        self.applications.iter().any(|application| application.service.as_ref().is_some_and(|service| service.is(who)))
    }

    /// Notes that an exemption let this one in.
    pub(super) fn used(&self, who: &Identity, now: Timestamp) {
        if let Some(exemption) = self.exemptions.iter().find(|exemption| exemption.named.is(who)) {
            exemption.named.used(now);
        }
    }
}

impl Application {
    fn fits(&self, caller: &Caller) -> Option<Closeness> {
        let bits = caller.from().and_then(|from| self.bits(from));
        let is_here = self.networks.is_empty() || bits.is_some();
        let is_served = self.service.as_ref().is_none_or(|service| caller.is_served_by(service));
        let fits = is_here && is_served && caller.has(self.certificate.as_deref());
        fits.then_some((self.certificate.is_some(), bits.unwrap_or(0), self.service.is_some(), bits.is_some()))
    }

    fn bits(&self, from: IpAddr) -> Option<u8> {
        self.networks.iter().filter(|network| network.contains(from)).map(Network::prefix_bits).max()
    }
}

impl Exemption {
    /// Whole days until its end; `None` when that is over.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> Option<u64> {
        (now < self.until).then(|| self.until.0.saturating_sub(now.0) / DAY_MS)
    }
}

const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::super::named::Roll;
    use super::*;
    use crate::domain::FirstAlone;
    use crate::domain::Lock;
    use crate::front::certificate::Names;

    fn rules() -> Arc<Rules> {
        Arc::new(Rules { unenrolled: FirstAlone::Accept, lock: Lock { failures_max: 5, wait_ms: 1_000, window_ms: 0 }, ..Rules::bare("staff", Vec::new()) })
    }

    fn application(name: &str, networks: &[&str], certificate: Option<&str>, service: Option<&Arc<Named>>) -> Application {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Application { name: name.into(), networks, certificate: certificate.map(Into::into), service: service.cloned(), code: CodeEntry::None, rules: rules() }
    }

    fn caller(address: &str, names: &[&str]) -> Caller {
        let caller = Caller::direct(format!("{address}:7").parse().unwrap());
        if names.is_empty() { caller } else { caller.with_names(Names::made_up(names)) }
    }

    fn found(applications: &[Application], caller: &Caller) -> String {
        closest(applications, caller).map_or_else(|Alike| "alike".to_owned(), |found| found.map_or_else(|| "none".to_owned(), |found| found.name.clone()))
    }

    #[test]
    fn m_48_the_application_that_is_described_most_closely_is_meant() {
        let all = [
            application("all", &["10.0.0.0/8"], None, None),
            application("wiki", &["10.1.0.0/16", "10.2.0.0/16"], None, None),
            application("one", &["10.1.0.7"], None, None),
            application("shown", &[], Some("git.example"), None),
            application("both", &["10.9.0.0/16"], Some("git.example"), None),
        ];
        for (address, names, expected) in [
            ("10.3.0.1", &[][..], "all"),
            ("10.2.0.1", &[], "wiki"),
            ("10.1.0.7", &[], "one"),
            ("192.0.2.1", &[], "none"),
            ("192.0.2.1", &["git.example"], "shown"),
            ("10.1.0.7", &["git.example"], "shown"),
            ("10.9.0.1", &["git.example"], "both"),
            ("10.9.0.1", &["git.example.evil"], "all"),
        ] {
            assert_eq!(found(&all, &caller(address, names)), expected, "{address} {names:?}");
        }
    }

    #[test]
    fn m_48_a_certificate_with_the_names_of_two_applications_is_of_neither() {
        let all = [application("wiki", &[], Some("wiki.example"), None), application("git", &[], Some("git.example"), None)];
        assert_eq!(found(&all, &caller("192.0.2.1", &["wiki.example"])), "wiki");
        assert_eq!(found(&all, &caller("192.0.2.1", &["wiki.example", "git.example"])), "alike");
    }

    #[test]
    fn m_48_a_service_account_tells_by_its_identity() {
        let roll = Roll::default();
        let (wiki, git) = (roll.entry("door", "corp", "CN=svc-wiki"), roll.entry("door", "corp", "CN=svc-git"));
        wiki.found(Identity("S-1-5-7".into()));
        let all = [application("wiki", &[], None, Some(&wiki)), application("git", &[], None, Some(&git)), application("all", &["0.0.0.0/0"], None, None)];
        let bound = |who: &str| caller("192.0.2.1", &[]).served_by(Identity(who.into()));
        assert_eq!(found(&all, &bound("S-1-5-7")), "wiki");
        assert_eq!(found(&all, &bound("CN=svc-wiki")), "all", "not by its name");
        assert_eq!(found(&all, &caller("192.0.2.1", &[])), "all", "one that is not known is nobody, as is who has not bound");
    }

    #[test]
    fn m_48_a_certificate_tells_more_than_a_network_and_a_network_more_than_who_bound_before() {
        let roll = Roll::default();
        let wiki = roll.entry("door", "corp", "CN=svc-wiki");
        wiki.found(Identity("S-1-5-7".into()));
        let all = [
            application("served", &[], None, Some(&wiki)),
            application("there", &["10.1.0.0/16"], None, None),
            application("served there", &["10.1.0.0/16"], None, Some(&wiki)),
            application("served near", &["10.0.0.0/8"], None, Some(&wiki)),
            application("shown", &[], Some("git.example"), None),
        ];
        let bound = |address: &str, names: &[&str]| caller(address, names).served_by(Identity("S-1-5-7".into()));
        assert_eq!(found(&all, &bound("192.0.2.1", &[])), "served");
        assert_eq!(found(&all, &bound("192.0.2.1", &["git.example"])), "shown");
        assert_eq!(found(&all, &bound("10.1.0.1", &["git.example"])), "shown");
        assert_eq!(found(&all, &bound("10.2.0.1", &[])), "served near");
        assert_eq!(found(&all, &bound("10.1.0.1", &[])), "served there");
        assert_eq!(found(&all, &caller("10.1.0.1", &[])), "there");
        assert_eq!(found(&all[..2], &bound("10.1.0.1", &[])), "there", "whoever binds as the wiki's account from there is not the wiki");
    }

    #[test]
    fn l_082_m_46_an_exemption_holds_from_its_networks_with_its_certificate_alone() {
        let roll = Roll::default();
        let named = roll.entry("door", "corp", "CN=svc");
        let exemption = |certificate: Option<&str>| {
            let from = vec!["10.0.0.0/8".parse().unwrap()];
            let exemption = Exemption { named: Arc::clone(&named), from, certificate: certificate.map(Into::into), until: Timestamp(9) };
            Callers { exemptions: vec![exemption], ..Callers::default() }
        };
        let here = caller("10.0.0.7", &["wiki.example"]);
        assert_eq!(exemption(None).exempt(&here), [], "nobody knows whose it is");
        named.found(Identity("S-1-5-7".into()));
        let exempt = [Exempt { who: Identity("S-1-5-7".into()), directory: "corp".into(), until: Timestamp(9) }];
        assert_eq!(exemption(None).exempt(&here), exempt);
        assert_eq!(exemption(None).exempt(&caller("11.0.0.7", &["wiki.example"])), []);
        assert_eq!(exemption(Some("wiki.example")).exempt(&here), exempt);
        assert_eq!(exemption(Some("git.example")).exempt(&here), []);
        assert_eq!(exemption(Some("wiki.example")).exempt(&caller("10.0.0.7", &[])), []);
    }

    #[test]
    fn m_46_an_exemption_counts_its_days() {
        let named = Roll::default().entry("door", "corp", "CN=svc");
        let exemption = Exemption { named, from: Vec::new(), certificate: None, until: Timestamp(30 * DAY_MS) };
        let left = [0, 1, 29 * DAY_MS + 1, 30 * DAY_MS - 1, 30 * DAY_MS].map(|now| exemption.days_left(Timestamp(now)));
        assert_eq!(left, [Some(30), Some(29), Some(0), Some(0), None]);
    }
}
