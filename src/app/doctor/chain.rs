//! Who waits for whom, and for how long: client, login, first factor, provider, person. The weakest link is named.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;
use crate::app::config::FirstFactor;
use crate::app::config::ProviderSettings;
use crate::app::config::written;
use crate::domain::Approval;
use crate::domain::Method;
use crate::domain::Rules;

/// The chain of each RADIUS client and of each LDAP listener, and what is said of it.
pub(super) fn chains(config: &Config) -> Vec<Finding> {
    all(config).iter().map(|(name, chain)| chain.finding(name)).collect()
}

/// Of all chains the one with the least time to spare.
pub(super) fn weakest(config: &Config) -> Option<String> {
    let (name, chain) = all(config).into_iter().min_by_key(|(_, chain)| chain.spare_ms())?;
    Some(format!("{name}: {}; {}", chain.waits(), chain.weakest()))
}

fn all(config: &Config) -> Vec<(String, Chain)> {
    let deadline = config.limits.login_deadline;
    let radius = config.radius_clients.iter().filter_map(|client| {
        let rules = &config.policies.get(&client.policy)?.rules;
        let (first, who) = first_factor(config, &client.first);
        let patience = Some(client.patience);
        let chain = Chain { patience, deadline, first, who, asked: asked(config, rules), rings: rings(rules, client.approval) };
        Some((format!("radius.client {}", client.name), chain))
    });
    let ldap = config.ldap_listen.iter().filter_map(|listen| {
        let rules = &config.policies.get(&listen.policy)?.rules;
        let (first, who) = directories(config, &listen.directory);
        // How long an application waits nobody tells us.
        let chain = Chain { patience: None, deadline, first, who, asked: asked(config, rules), rings: rings(rules, Approval::Wait) };
        Some((format!("ldap.listen {}", listen.name), chain))
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
        let (waits, weakest) = (self.waits(), self.weakest());
        let links = self.links().join(" → ");
        if self.spare_ms() >= 0 {
            return Finding::new(Area::Timeouts, name, Outcome::Ok, format!("{links}; {waits}; weakest link: {weakest}"));
        }
        let (gives_up, longer) = if self.is_hasty() {
            ("it will give up first", "raise the time-out of the client, and `patience` with it")
        } else {
            ("the login will end first", "raise limits.login_deadline")
        };
        let remedy = match self.person() {
            Some(_) if PERSON > self.limit() => format!("{longer}; or let people append a code, or use approval = \"enter\""),
            _ => format!("make the time-outs behind shorter, or {longer}"),
        };
        Finding::new(Area::Timeouts, name, Outcome::Warning, format!("{links}; {waits}; {weakest}: {gives_up}")).hint(remedy)
    }

    /// From the client on, each with its time.
    fn links(&self) -> Vec<String> {
        let client = self.patience.map(|patience| format!("client {}", written(patience)));
        let ours = format!("login {}", written(self.deadline));
        let behind = std::iter::once(self.who.clone()).filter(|who| !who.is_empty());
        let asked = self.asked.iter().map(|(name, timeout)| format!("provider {name} {}", written(*timeout)));
        client.into_iter().chain([ours]).chain(behind).chain(asked).collect()
    }

    /// Whether the client gives up before the login does.
    fn is_hasty(&self) -> bool {
        self.patience.is_some_and(|patience| patience < self.deadline)
    }

    fn limit(&self) -> Duration {
        self.patience.map_or(self.deadline, |patience| patience.min(self.deadline))
    }

    fn waits(&self) -> String {
        if self.is_hasty() { format!("the client waits {}", written(self.limit())) } else { format!("limits.login_deadline is {}", written(self.limit())) }
    }

    /// When each server but the last is away.
    fn slowest(&self) -> Duration {
        self.asked.iter().fold(self.first, |sum, (_, timeout)| sum.saturating_add(*timeout))
    }

    /// A person who is waited for, and is slower than all servers, or too slow already.
    fn person(&self) -> Option<Method> {
        self.rings.filter(|_| PERSON > self.limit() || self.slowest() <= PERSON)
    }

    fn weakest(&self) -> String {
        match self.person() {
            Some(method) => format!("a {} takes people {}", method.as_str(), written(PERSON)),
            None if self.slowest().is_zero() => "nobody is asked".to_owned(),
            None => format!("when servers are away a login may take {}", written(self.slowest())),
        }
    }

    /// How much of the time is left when it takes as long as it may; negative: it does not fit.
    fn spare_ms(&self) -> i64 {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let needed = if self.person().is_some() { PERSON } else { self.slowest() };
        ms(self.limit()).saturating_sub(ms(needed))
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
    let timeout = written(timeout);
    let words = if servers == 1 { format!("{name} {timeout}") } else { format!("{name} {timeout} × {servers} servers") };
    (slowest, words)
}

/// The providers of a policy, each once, with the time of one request.
fn asked(config: &Config, rules: &Rules) -> Vec<(String, Duration)> {
    let mut seen = BTreeSet::new();
    let names = rules.methods.iter().map(|choice| &*choice.provider).filter(|name| seen.insert(*name));
    let timed = names.filter_map(|name| {
        let settings = config.providers.iter().find(|settings| settings.name() == name)?;
        let timeout = match settings {
            ProviderSettings::Email(_) => config.mail.as_ref().map(|mail| mail.settings.timeout),
            _ => settings.timeout(),
        };
        Some((name.to_owned(), timeout?))
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
        assert_eq!(
            (hasty.outcome, hasty.message.as_str()),
            (
                Outcome::Warning,
                "client 10s → login 55s → directory corp 5s → provider duo 5s; the client waits 10s; a push takes people 30s: it will give up first"
            )
        );
        let slow = chain(10, 6, None);
        let said = "the client waits 10s; when servers are away a login may take 11s: it will give up first";
        assert!(slow.outcome == Outcome::Warning && slow.message.ends_with(said), "{slow:?}");
        assert_eq!(chain(10, 5, None).outcome, Outcome::Ok);
        let fine = chain(60, 5, Some(Method::Push));
        assert!(fine.outcome == Outcome::Ok && fine.message.ends_with("limits.login_deadline is 55s; weakest link: a push takes people 30s"), "{fine:?}");
        let away = chain(60, 40, Some(Method::Push));
        assert!(away.outcome == Outcome::Ok && away.message.ends_with("weakest link: when servers are away a login may take 45s"), "{away:?}");
        let ours = Chain { patience: None, deadline: seconds(20), first: seconds(1), who: String::new(), asked: Vec::new(), rings: Some(Method::Call) };
        let told = ours.finding("ldap.listen wiki");
        assert_eq!(told.message, "login 20s; limits.login_deadline is 20s; a call takes people 30s: the login will end first");
        assert!(told.hint.unwrap().starts_with("raise limits.login_deadline"));
        assert_eq!(ours.spare_ms(), -10_000);
    }
}
