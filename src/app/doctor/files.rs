//! What needs nobody to be asked: days that certificates and exemptions have left, and what shared secrets are worth.

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Certificate;
use crate::app::config::Config;
use crate::app::config::LdapExempt;
use crate::app::config::LdapListen;
use crate::app::config::SECRET_VARIETY_MIN;
use crate::app::config::SHORT_SECRET_BYTES;
use crate::domain::Secret;
use crate::domain::Timestamp;

/// Every certificate in a file that the configuration names.
pub(super) fn certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    let one = |certificate: &Certificate| {
        let finding = |outcome, message: String| Finding::new(Area::Certificate, format!("{} {}", certificate.key, certificate.subject), outcome, message);
        let days = certificate.not_after.0.saturating_sub(now.0) / DAY_MS;
        let file = certificate.file.display();
        match (certificate.not_after <= now, certificate.is_authority) {
            // Our own checks take the word of an authority however old it is; others do not.
            (true, true) => finding(Outcome::Warning, format!("has expired; {file}"))
                .hint("ask the authority for its new certificate, and put it beside or in place of this one"),
            (true, false) => {
                finding(Outcome::Failed, format!("has expired; {file}")).hint("have it renewed, then reload: nobody who checks it connects any more")
            }
            (false, _) if days < DAYS_WARNED => finding(Outcome::Warning, format!("{days} days left; {file}")).hint("have it renewed, then reload"),
            (false, _) => finding(Outcome::Ok, format!("{days} days left")),
        }
    };
    config.certificates.iter().map(one).collect()
}

/// The secrets shared with RADIUS clients and servers. Inside TLS there is none worth the name (RFC 6614 §2.3).
pub(super) fn secrets(config: &Config) -> Vec<Finding> {
    let clients = config.radius_clients.iter().filter(|client| client.certificate.is_none());
    let clients = clients.map(|client| secret(format!("radius.client {}", client.name), &client.secret));
    let over_udp = config.upstreams.iter().filter(|upstream| upstream.login.servers.iter().any(|server| !server.is_tls()));
    clients.chain(over_udp.map(|upstream| secret(format!("upstream {}", upstream.login.name), &upstream.login.secret))).collect()
}

fn secret(name: String, secret: &Secret) -> Finding {
    let message = format!("{} bytes, {} different ones", secret.len(), secret.variety());
    if secret.len() > SHORT_SECRET_BYTES && secret.variety() >= SECRET_VARIETY_MIN {
        return Finding::new(Area::Secret, name, Outcome::Ok, message);
    }
    Finding::new(Area::Secret, name, Outcome::Warning, format!("{message}: it can be found by trying"))
        .hint("make a long one for both sides: openssl rand -hex 32")
}

/// Service accounts that need no second factor, and until when.
pub(super) fn exemptions(config: &Config, now: Timestamp) -> Vec<Finding> {
    let all = config.ldap_listen.iter().flat_map(|listen| listen.exempt.iter().map(move |exempt| (listen, exempt)));
    let one = |(listen, exempt): (&LdapListen, &LdapExempt)| {
        let finding = |outcome, message: String| Finding::new(Area::Exemption, format!("{} {}", listen.name, exempt.dn), outcome, message);
        let days = exempt.until.0.saturating_sub(now.0) / DAY_MS;
        let later = "look whether the account is still in use, and write a later day if it is";
        if exempt.until <= now {
            return finding(Outcome::Warning, "is over: the account needs a second factor now".to_owned()).hint(later);
        }
        let until = format!("holds until {}, for {days} days", day(Timestamp(exempt.until.0.saturating_sub(1))));
        if days < DAYS_WARNED { finding(Outcome::Warning, until).hint(later) } else { finding(Outcome::Ok, until) }
    };
    all.map(one).collect()
}

/// The day of a moment, in UTC.
fn day(moment: Timestamp) -> String {
    let moment = i64::try_from(moment.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y-%m-%d").to_string()
}

const DAY_MS: u64 = 86_400_000;
const DAYS_WARNED: u64 = 30;
