//! Names of servers: whether each has an address, and how long it takes to be told.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use tokio::net::lookup_host;
use tokio::time::Instant;
use tokio::time::timeout;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;
use crate::app::config::ProviderSettings;
use crate::audit::Receiver;

/// The names of all servers that the configuration writes, each once. Addresses need no look-up.
pub(super) fn names(config: &Config) -> BTreeSet<String> {
    let directories = config.directories.iter().flat_map(|settings| &settings.servers).map(|server| server.host.clone());
    let upstreams = config.upstreams.iter().flat_map(|upstream| std::iter::once(&upstream.login).chain(&upstream.accounting));
    let upstreams = upstreams.flat_map(|settings| &settings.servers).map(|server| server.host.clone());
    let providers = config.providers.iter().flat_map(provider);
    let mail = config.mail.iter().map(|mail| mail.settings.host.clone());
    let receivers = config.audit.receivers.iter().filter_map(|receiver| match receiver {
        Receiver::Http { url, .. } => host(url),
        Receiver::Syslog { host, .. } => Some(host.clone()),
    });
    directories.chain(upstreams).chain(providers).chain(mail).chain(receivers).filter(|name| is_name(name)).collect()
}

/// Asks for the addresses of a name, as a login would.
pub(super) async fn name(name: String) -> Vec<Finding> {
    let begun = Instant::now();
    let looked_up = timeout(LOOK_UP_MAX, lookup_host((name.as_str(), 0))).await;
    let took = begun.elapsed();
    let finding = |outcome, message: String| Finding::new(Area::Dns, &name, outcome, message).took(took);
    let addresses: BTreeSet<IpAddr> = match looked_up {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(error)) => return vec![finding(Outcome::Failed, format!("has no address: {}", reason(&error.to_string()))).hint(LOOK)],
        Err(_) => return vec![finding(Outcome::Failed, format!("no answer within {} s", LOOK_UP_MAX.as_secs())).hint(LOOK)],
    };
    let listed = addresses.iter().take(LISTED_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    vec![match addresses.len() {
        0 => finding(Outcome::Failed, "has no address".to_owned()).hint(LOOK),
        _ if took >= SLOW => finding(Outcome::Warning, format!("{listed}, but that took long: each new connection waits for it")).hint(SLOW_HINT),
        count if count > LISTED_MAX => finding(Outcome::Ok, format!("{listed} and {} more", count.saturating_sub(LISTED_MAX))),
        _ => finding(Outcome::Ok, listed),
    }]
}

/// What the system says, without what it was about.
fn reason(error: &str) -> &str {
    error.rsplit(": ").next().unwrap_or(error)
}

/// Whether this is looked up at all.
pub(super) fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}

/// Where a provider is reached.
fn provider(settings: &ProviderSettings) -> Vec<String> {
    let at = |url: &Option<String>, usual: &str| vec![url.as_deref().map_or_else(|| Some(usual.to_owned()), host)].into_iter().flatten().collect();
    match settings {
        ProviderSettings::Duo(settings) => at(&settings.url, &settings.host),
        // Letters go by [mail].
        ProviderSettings::Email(_) | ProviderSettings::Oath(_) => Vec::new(),
        ProviderSettings::Entra(settings) => {
            let (login, connectors) = settings.cloud.hosts();
            let connectors = connectors.iter().flat_map(|connector| at(&settings.url, connector));
            at(&settings.login_url, login).into_iter().chain(connectors).collect()
        }
        ProviderSettings::Okta(settings) => at(&settings.url, &settings.host),
        ProviderSettings::PrivacyIdea(settings) => host(&settings.url).into_iter().collect(),
        ProviderSettings::SmsGateway(settings) => host(settings.template.base()).into_iter().collect(),
        ProviderSettings::TwilioVerify(settings) => at(&settings.url, "verify.twilio.com"),
        ProviderSettings::Webhook(settings) => host(&settings.url).into_iter().collect(),
    }
}

fn host(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned())
}

const LOOK: &str = "look whether it is written right; `getent ahosts NAME` asks as we do, `resolvectl` or /etc/resolv.conf tell whom";
const SLOW_HINT: &str = "the first of several name servers may be away: `resolvectl` or /etc/resolv.conf tell which there are";
const LOOK_UP_MAX: Duration = Duration::from_secs(5);
/// A name server that is well answers in a fraction of it; the next one of a list is asked after 5 s.
const SLOW: Duration = Duration::from_secs(1);
const LISTED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_and_one_that_is_nobodys_fails() {
        let here = name("localhost".to_owned()).await.remove(0);
        assert!(here.outcome == Outcome::Ok && here.ms.is_some() && (here.message.contains("127.0.0.1") || here.message.contains("::1")), "{here:?}");
        let nobody = name("dc1.corp.invalid".to_owned()).await.remove(0);
        assert!(nobody.outcome == Outcome::Failed && nobody.hint.is_some(), "{nobody:?}");
    }

    #[test]
    fn addresses_and_urls_without_a_name_are_not_looked_up() {
        assert_eq!(
            [host("https://[2001:db8::5]:8443/x"), host("https://sms.example/a?b=c"), host("nothing")].map(Option::unwrap_or_default),
            ["2001:db8::5", "sms.example", ""]
        );
        assert!(!is_name("2001:db8::5") && !is_name("192.0.2.1") && is_name("dc1.corp.example"));
    }
}
