//! Servers that DNS names: the SRV records of a domain (RFC 2782), looked up again when their time is over.
//!
//! DNS is not to be believed: a server it names must lie in the domain, and show a certificate for its name like any other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tokio::time::timeout;
use tracing::warn;

use super::Security;
use super::Server;

/// `srv = "corp.example"`: whose servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// The domain.
    pub domain: String,
    /// How connections to them are kept from others: `Tls` at port 636, or `StartTls` at the port that DNS says.
    pub security: Security,
    /// Who is asked; `None`: whom this machine asks.
    pub resolver: Option<SocketAddr>,
}

/// The servers that DNS names now, in order of preference, for somebody who looks at them before they are written down.
///
/// # Errors
/// Why there are none, in words.
pub async fn discover(srv: Srv, within: Duration) -> Result<Vec<Server>, String> {
    let finder = Finder::new(srv, within);
    let found = timeout(within, finder.find("init")).await.unwrap_or(Err(FindError::Timeout));
    found.map(|(servers, _)| servers).map_err(|error| error.to_string())
}

/// Looks the servers up, when it is time.
#[derive(Debug)]
pub(super) struct Finder {
    srv: Srv,
    within: Duration,
    looked: Mutex<Option<Looked>>,
    /// One looks, others wait or go on with what there is.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

/// The last time that somebody looked.
#[derive(Clone, Copy, Debug)]
struct Looked {
    at: Instant,
    again_at: Instant,
    failed: bool,
}

/// Why there are no servers.
#[derive(Debug, thiserror::Error)]
pub(super) enum FindError {
    #[error(transparent)]
    Dns(#[from] NetError),
    #[error("no server it names lies in the domain")]
    Elsewhere,
    #[error("there is no SRV record _ldap._tcp of the domain")]
    None,
    #[error("no answer in time")]
    Timeout,
}

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    priority: u16,
    weight: u16,
    port: u16,
    host: String,
}

impl Finder {
    /// Asks nobody yet.
    pub(super) fn new(srv: Srv, within: Duration) -> Self {
        let Srv { domain, security, resolver } = srv;
        let domain = domain.trim_end_matches('.').to_lowercase();
        Self { srv: Srv { domain, security, resolver }, within, looked: Mutex::default(), turn: Arc::default() }
    }

    /// Whether somebody should look: what was found is old, or nobody of it answers (`none_well`).
    pub(super) fn is_due(&self, none_well: bool) -> bool {
        let now = Instant::now();
        self.looked().is_none_or(|looked| now >= looked.again_at || none_well && now >= looked.at + AGAIN_MIN)
    }

    /// The servers in order of preference; none where nothing was found, and then what was found before stays good.
    pub(super) async fn look(&self, directory: &str, has_some: bool) -> Option<Vec<Server>> {
        let found = timeout(self.within, self.find(directory)).await.unwrap_or(Err(FindError::Timeout));
        let now = Instant::now();
        let before = self.looked().is_some_and(|looked| looked.failed);
        let (servers, keep) = match found {
            Ok((servers, keep)) => (Some(servers), keep),
            Err(why) => {
                if !before {
                    warn!(directory, domain = self.srv.domain, error = %why, "the servers of a domain cannot be found by DNS: those found before, if any, stay");
                }
                (None, if has_some { KEEP_MIN } else { FAILED_PAUSE })
            }
        };
        *self.looked() = Some(Looked { at: now, again_at: now + keep, failed: servers.is_none() });
        servers
    }

    /// The servers in order of preference, and for how long they are good.
    pub(super) async fn find(&self, directory: &str) -> Result<(Vec<Server>, Duration), FindError> {
        let resolver = self.resolver()?;
        for service in SERVICES {
            let answer = match resolver.lookup(format!("{service}.{}.", self.srv.domain), RecordType::SRV).await {
                Ok(answer) => answer,
                Err(why) if why.is_no_records_found() => continue,
                Err(why) => return Err(why.into()),
            };
            let mut keep = KEEP_MAX;
            let mut targets = Vec::new();
            for record in answer.answers().iter().take(RECORDS_MAX) {
                let RData::SRV(srv) = &record.data else { continue };
                keep = keep.min(Duration::from_secs(u64::from(record.ttl)));
                let host = srv.target.to_ascii().trim_end_matches('.').to_lowercase();
                targets.push(Target { priority: srv.priority, weight: srv.weight, port: srv.port, host });
            }
            if targets.is_empty() {
                continue;
            }
            let strange: Vec<_> = targets.extract_if(.., |target| !self.is_ours(target)).collect();
            if let Some(first) = strange.first() {
                let (count, domain) = (strange.len(), &self.srv.domain);
                warn!(directory, domain, host = ?first.host, count, "DNS names servers that are none, or not in the domain: left out (name them in `servers` if they are right)");
            }
            let mut servers: Vec<Server> = Vec::new();
            for target in in_order(targets, chance) {
                let port = if self.srv.security == Security::Tls { LDAPS } else { target.port };
                let server = Server { host: target.host, port, security: self.srv.security };
                if !servers.contains(&server) && servers.len() < SERVERS_MAX {
                    servers.push(server);
                }
            }
            return if servers.is_empty() { Err(FindError::Elsewhere) } else { Ok((servers, keep.max(KEEP_MIN))) };
        }
        Err(FindError::None)
    }

    /// Made anew each time: the machine may have got other name servers.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.srv.resolver {
            None => TokioResolver::builder_tokio()?,
            Some(address) => {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                server.connections.iter_mut().for_each(|connection| connection.port = address.port());
                TokioResolver::builder_with_config(ResolverConfig::from_name_servers(vec![server]), TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = self.within / 4;
        builder.build()
    }

    /// Whoever can forge DNS must not send us to a name of their own, for which they have a certificate.
    fn is_ours(&self, target: &Target) -> bool {
        let is_below = target.host.strip_suffix(&self.srv.domain).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        let is_host = target.port != 0 && ServerName::try_from(target.host.as_str()).is_ok();
        is_below && is_host
    }

    fn looked(&self) -> MutexGuard<'_, Option<Looked>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 2782: the lowest priority first; among equals each as often first as its weight says. `chance` gives a number up to and including its argument.
fn in_order(mut targets: Vec<Target>, mut chance: impl FnMut(u32) -> u32) -> Vec<Target> {
    // Those of weight 0 stand first, where the smallest number alone chooses them.
    targets.sort_by_key(|target| (target.priority, target.weight > 0));
    let mut ordered = Vec::with_capacity(targets.len());
    while let Some(priority) = targets.first().map(|target| target.priority) {
        let equals = || targets.iter().take_while(|target| target.priority == priority);
        let chosen = chance(equals().map(|target| u32::from(target.weight)).sum());
        let mut sum = 0;
        let at = equals().position(|target| {
            sum += u32::from(target.weight);
            sum >= chosen
        });
        ordered.push(targets.remove(at.unwrap_or(0)));
    }
    ordered
}

fn chance(max: u32) -> u32 {
    getrandom::u32().ok().and_then(|number| number.checked_rem(max.saturating_add(1))).unwrap_or(0)
}

/// Where Active Directory lists its domain controllers, and where everybody else lists LDAP servers.
const SERVICES: [&str; 2] = ["_ldap._tcp.dc._msdcs", "_ldap._tcp"];
const LDAPS: u16 = 636;
/// Servers of one answer that are taken.
const SERVERS_MAX: usize = 32;
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 1_024;
const KEEP_MIN: Duration = Duration::from_secs(60);
const KEEP_MAX: Duration = Duration::from_secs(3_600);
/// Before the next try, where there is nobody at all.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// Before the next look, where all that were found are away.
const AGAIN_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn target(priority: u16, weight: u16, host: &str) -> Target {
        Target { priority, weight, port: 389, host: host.to_owned() }
    }

    fn order(targets: &[Target], chance: impl FnMut(u32) -> u32) -> String {
        in_order(targets.to_vec(), chance).into_iter().map(|target| target.host).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rfc_2782_the_lowest_priority_goes_first_and_weight_shares_among_equals() {
        let targets = [target(20, 0, "backup"), target(10, 60, "big"), target(10, 0, "never"), target(10, 20, "small")];
        assert_eq!(order(&targets, |_| 0), "never big small backup");
        assert_eq!(order(&targets, |_| 1), "big small never backup");
        assert_eq!(order(&targets, |max| max), "small big never backup");
        // Of 81 numbers one is for the one without weight, 60 for the big one and 20 for the small one.
        let first = |number| order(&targets, |max| if max == 80 { number } else { 0 }).split(' ').next().unwrap().to_owned();
        let count = |name: &str| (0..=80).filter(|number| first(*number) == name).count();
        assert_eq!((count("never"), count("big"), count("small")), (1, 60, 20));
        assert_eq!(order(&[], |_| 0), "");
    }

    #[test]
    fn l_087_a_server_must_lie_in_the_domain_that_is_configured() {
        let finder = Finder::new(Srv { domain: "Corp.Example.".to_owned(), security: Security::Tls, resolver: None }, KEEP_MIN);
        for good in ["dc1.corp.example", "dc1.site.corp.example", "corp.example"] {
            assert!(finder.is_ours(&target(0, 0, good)), "{good}");
        }
        for bad in ["dc1.corp.example.evil.test", "evilcorp.example", "", "evil.test", ".corp.example", "dc 1.corp.example"] {
            assert!(!finder.is_ours(&target(0, 0, bad)), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_up_again_when_its_time_is_over_or_nobody_answers() {
        let finder = Finder::new(Srv { domain: "corp.example".to_owned(), security: Security::Tls, resolver: None }, KEEP_MIN);
        assert!(finder.is_due(false) && finder.is_due(true));
        let now = Instant::now();
        *finder.looked() = Some(Looked { at: now, again_at: now + KEEP_MIN, failed: false });
        assert!(!finder.is_due(false) && !finder.is_due(true));
        tokio::time::advance(AGAIN_MIN).await;
        assert!(!finder.is_due(false) && finder.is_due(true));
        tokio::time::advance(KEEP_MIN).await;
        assert!(finder.is_due(false));
    }
}
