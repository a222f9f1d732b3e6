//! Names that the configuration takes out of a directory: accounts that are exempt or bind for an application, and groups that decide. One that is nobody's is
//! a mistake, and nothing else would tell it before somebody is kept out.

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;
use crate::app::config::FirstFactor;
use crate::app::config::LdapListen;
use crate::directory;
use crate::directory::probe::Named;
use crate::domain::Groups;

/// A name, where it is written, and what becomes of logins where it is nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: Named,
    area: Area,
    /// `ldap.listen wiki exempt`
    place: String,
    outcome: Outcome,
    consequence: &'static str,
}

impl Wanted {
    /// That it is nobody's.
    pub(super) fn missed(&self, directory: &str, why: &str) -> Finding {
        let (Named::Account(name) | Named::Group(name)) = &self.name;
        let message = format!("{name}: {why} in {directory}: {}", self.consequence);
        Finding::new(self.area, &self.place, self.outcome, message)
            .hint("write the name as the directory has it, or take it away; and look whether bind_name may read it")
    }
}

/// The names that this directory has to know.
pub(super) fn wanted(config: &Config, settings: &directory::Settings) -> Vec<Wanted> {
    let here = |names: &[String]| names.contains(&settings.name);
    let listens = || config.ldap_listen.iter().filter(|listen| here(&listen.directory));
    let mut wanted: Vec<Wanted> = listens().flat_map(|listen| accounts(listen, &settings.base)).collect();
    let mut policies: Vec<(&String, bool)> = Vec::new();
    for client in &config.radius_clients {
        let directories = match &client.first {
            FirstFactor::Directory(names) => Some(names),
            FirstFactor::Upstream { .. } | FirstFactor::Waived | FirstFactor::Winbind(_) => client.identify.as_ref(),
        };
        policies.extend(directories.filter(|names| here(names)).map(|names| (&client.policy, names.len() == 1)));
    }
    for listen in listens() {
        let all = std::iter::once(&listen.policy).chain(listen.clients.iter().map(|client| &client.policy));
        policies.extend(all.map(|policy| (policy, listen.directory.len() == 1)));
    }
    policies.sort();
    policies.dedup_by(|one, other| one.0 == other.0);
    for (policy, alone) in policies {
        let groups = config.policies.get(policy).map(|policy| groups(&policy.rules.groups, settings, alone)).unwrap_or_default();
        wanted.extend(groups.into_iter().map(|(key, wanted)| Wanted { place: format!("policy {policy} {key}"), ..wanted }));
    }
    wanted
}

/// With several directories behind a listener, a DN belongs to the one whose domain it lies in.
fn accounts(listen: &LdapListen, base: &str) -> Vec<Wanted> {
    let account =
        |dn: &str, place: String, area, consequence| Wanted { name: Named::Account(dn.to_owned()), area, place, outcome: Outcome::Failed, consequence };
    let exempt = listen.exempt.iter().map(|exempt| {
        account(
            &exempt.dn,
            format!("ldap.listen {} exempt", listen.name),
            Area::Exemption,
            "nobody is exempt by it, and whoever it was meant for is asked for a code",
        )
    });
    let services = listen.clients.iter().filter_map(|client| {
        let place = format!("ldap.client {} service", client.name);
        Some(account(client.service.as_ref()?, place, Area::Directory, "no connection is ever known as this application's"))
    });
    let lies_here = |wanted: &Wanted| match &wanted.name {
        Named::Account(dn) | Named::Group(dn) => listen.directory.len() == 1 || directory::is_in_domain(dn, base),
    };
    exempt.chain(services).filter(lies_here).collect()
}

/// Of several directories that know the people of a policy, a name without a domain may be another's.
fn groups(groups: &Groups, settings: &directory::Settings, alone: bool) -> Vec<(&'static str, Wanted)> {
    let keys: [(_, &[String], _, _); 3] = [
        ("exempt_groups", &groups.exempt, Outcome::Warning, "nobody is exempt by it"),
        ("required_groups", &groups.required, Outcome::Failed, "nobody is let in by it"),
        ("denied_groups", &groups.denied, Outcome::Failed, "nobody can tell who is in it, and nobody is let in"),
    ];
    let mut wanted = Vec::new();
    for (key, names, outcome, consequence) in keys {
        for name in names {
            let is_dn = directory::is_dn(name);
            if is_dn && !alone && !directory::is_in_domain(name, &settings.base) {
                continue;
            }
            let outcome = if alone || is_dn { outcome } else { Outcome::Warning };
            wanted.push((key, Wanted { name: Named::Group(name.clone()), area: Area::Group, place: String::new(), outcome, consequence }));
        }
    }
    wanted
}
