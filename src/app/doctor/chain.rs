//! Who waits for whom, and for how long: client, login, first factor, provider, person. The weakest link is named.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;
use crate::app::config::FirstFactor;
use crate::domain::Approval;
use crate::domain::Method;
use crate::domain::Rules;

/// The chain of each RADIUS client and of each LDAP listener.
pub(super) fn chains(config: &Config) -> Vec<Finding> {
    let deadline = config.limits.login_deadline;
    let radius = config.radius_clients.iter().filter_map(|client| {
        let rules = &config.policies.get(&client.policy)?.rules;
        let (first, who) = first_factor(config, &client.first);
        let patience = Some(client.patience);
        let chain = Chain { patience, deadline, first, who, asked: asked(config, rules), rings: rings(rules, client.approval) };
        Some(chain.finding(&format!("radius.client {}", client.name)))
    });
    let ldap = config.ldap_listen.iter().filter_map(|listen| {
        let rules = &config.policies.get(&listen.policy)?.rules;
        let (first, who) = directories(config, &listen.directory);
        // How long an application waits nobody tells us.
        let chain = Chain { patience: None, deadline, first, who, asked: asked(config, rules), rings: rings(rules, Approval::Wait) };
        Some(chain.finding(&format!("ldap.listen {}", listen.name)))
    });
    radius.chain(ldap).collect()
}

/// What has to fit into one another.
#[derive(Debug)]
struct Chain {
    /// How long the client waits.
    patience: Option<Duration>,
    /// `limits.login_deadline`.
    deadline: Duration,
    /// The first factor at its slowest: every server but the last is away, or slow.
    first: Duration,
    /// And what that is made of, in words.
    who: String,
    /// Providers and the time that one request to each may take, in order.
    asked: Vec<(String, Duration)>,
    /// The method for which a person is waited for while the client waits.
    rings: Option<Method>,
}

impl Chain {
    fn finding(&self, name: &str) -> Finding {
        let finding = |outcome, message: String| Finding::new(Area::Timeouts, name, outcome, message);
        let (limit, waits) = match self.patience {
            Some(patience) if patience < self.deadline => (patience, format!("the client waits {patience:?}")),
            _ => (self.deadline, format!("limits.login_deadline is {:?}", self.deadline)),
        };
        let gives_up = if self.patience.is_some_and(|patience| patience < self.deadline) { "it will give up first" } else { "the login will end first" };
        let longer = match self.patience {
            Some(patience) if patience < self.deadline => "raise the time-out of the client, and `patience` with it",
            _ => "raise limits.login_deadline",
        };
        if let Some(method) = self.rings.filter(|_| limit < PERSON) {
            let message = format!("{waits}; a {} takes people {PERSON:?}: {gives_up}", method.as_str());
            return finding(Outcome::Warning, message).hint(format!("{longer}; or let people append a code, or use approval = \"enter\""));
        }
        let providers: Duration = self.asked.iter().map(|(_, timeout)| *timeout).sum();
        let links = self.asked.iter().map(|(name, timeout)| format!("provider {name} {timeout:?}"));
        let links = std::iter::once(self.who.clone()).filter(|who| !who.is_empty()).chain(links).collect::<Vec<_>>().join(", ");
        let slowest = self.first.saturating_add(providers);
        if slowest > limit {
            let message = format!("{waits}; when servers are away a login may take {slowest:?} ({links}): {gives_up}");
            return finding(Outcome::Warning, message).hint(format!("make the time-outs behind shorter, or {longer}"));
        }
        let weakest = match self.rings {
            Some(method) if limit.saturating_sub(PERSON) <= limit.saturating_sub(slowest) => format!("a {}, which takes people {PERSON:?}", method.as_str()),
            _ if links.is_empty() => "none: nobody is asked".to_owned(),
            _ => format!("servers that are away, {slowest:?} in all ({links})"),
        };
        finding(Outcome::Ok, format!("{waits}; weakest link: {weakest}"))
    }
}

/// The slowest that a first factor can be, and why.
fn first_factor(config: &Config, first: &FirstFactor) -> (Duration, String) {
    match first {
        FirstFactor::Directory(names) => directories(config, names),
        FirstFactor::Upstream { name, .. } => config
            .upstreams
            .iter()
            .find(|upstream| upstream.login.name == *name)
            .map_or_else(Default::default, |upstream| link(&format!("upstream {name}"), upstream.login.timeout, upstream.login.servers.len())),
        FirstFactor::Winbind(domain) => {
            config.winbinds.get(domain).map_or_else(Default::default, |settings| link(&format!("winbind {domain}"), settings.timeout, 1))
        }
        FirstFactor::Waived => Default::default(),
    }
}

/// A password goes to one directory alone: the slowest counts.
fn directories(config: &Config, names: &[String]) -> (Duration, String) {
    let named = config.directories.iter().filter(|settings| names.contains(&settings.name));
    let slow = named.map(|settings| {
        // How many DNS names is its own affair; two are what people have at least.
        let count = if settings.srv.is_some() { SRV_SERVERS } else { settings.servers.len() };
        link(&format!("directory {}", settings.name), settings.timeout, count)
    });
    slow.max_by_key(|(slowest, _)| *slowest).unwrap_or_default()
}

fn link(name: &str, timeout: Duration, servers: usize) -> (Duration, String) {
    let slowest = timeout.saturating_mul(u32::try_from(servers).unwrap_or(u32::MAX));
    let words = if servers == 1 { format!("{name} {timeout:?}") } else { format!("{name} {timeout:?} × {servers} servers") };
    (slowest, words)
}

/// The providers of a policy, each once, with the time of one request.
fn asked(config: &Config, rules: &Rules) -> Vec<(String, Duration)> {
    let mut seen = BTreeSet::new();
    let names = rules.methods.iter().map(|choice| &*choice.provider).filter(|name| seen.insert(*name));
    let timed = names.filter_map(|name| {
        let settings = config.providers.iter().find(|settings| settings.name() == name)?;
        Some((name.to_owned(), settings.timeout()?))
    });
    timed.collect()
}

fn rings(rules: &Rules, approval: Approval) -> Option<Method> {
    let ringing = rules.methods.iter().map(|choice| choice.method).find(|method| matches!(method, Method::Call | Method::Push));
    ringing.filter(|_| approval == Approval::Wait)
}

/// What people take to find the phone and press a button.
const PERSON: Duration = Duration::from_secs(30);
/// Domain controllers that a domain has at least.
const SRV_SERVERS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn chain(patience: u64, first: u64, rings: Option<Method>) -> Finding {
        let asked = vec![("duo".to_owned(), seconds(5))];
        Chain { patience: Some(seconds(patience)), deadline: seconds(55), first: seconds(first), who: format!("directory corp {first}s"), asked, rings }
            .finding("radius.client vpn")
    }

    #[test]
    fn the_weakest_link_is_named() {
        let hasty = chain(10, 5, Some(Method::Push));
        assert_eq!((hasty.outcome, hasty.message.as_str()), (Outcome::Warning, "the client waits 10s; a push takes people 30s: it will give up first"));
        let slow = chain(10, 6, None);
        assert_eq!(
            (slow.outcome, slow.message.as_str()),
            (Outcome::Warning, "the client waits 10s; when servers are away a login may take 11s (directory corp 6s, provider duo 5s): it will give up first")
        );
        assert_eq!(chain(10, 5, None).outcome, Outcome::Ok);
        let fine = chain(60, 5, Some(Method::Push));
        assert_eq!((fine.outcome, fine.message.as_str()), (Outcome::Ok, "limits.login_deadline is 55s; weakest link: a push, which takes people 30s"));
        let away = chain(60, 40, Some(Method::Push));
        assert_eq!((away.outcome, away.message.contains("weakest link: servers that are away, 45s")), (Outcome::Ok, true), "{away:?}");
        let ours = Chain { patience: None, deadline: seconds(20), first: seconds(1), who: String::new(), asked: Vec::new(), rings: Some(Method::Call) };
        let ours = ours.finding("ldap.listen wiki");
        assert_eq!(ours.message, "limits.login_deadline is 20s; a call takes people 30s: the login will end first");
        assert!(ours.hint.unwrap().starts_with("raise limits.login_deadline"));
    }
}
