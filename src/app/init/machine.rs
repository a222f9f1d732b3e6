//! What the machine knows of itself, for answers that nobody should have to look up.

use std::fs;
use std::time::Duration;

use crate::app::clock::WallClock;
use crate::app::shapes::Enrolled;
use crate::app::shapes::Once;
use crate::directory::Security;
use crate::directory::Server;
use crate::directory::srv;
use crate::directory::srv::Srv;
use crate::domain::otp;
use crate::ports::Clock;

/// Its short name, as far as it can stand in a configuration.
pub(super) fn host_name() -> String {
    let whole = own_name();
    let short: String = whole.split('.').next().unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).take(64).collect();
    if short.is_empty() { "mfa1".to_owned() } else { short }
}

fn own_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The DNS domain that it is most likely in: of its Kerberos realm, of its search list, of its own name.
#[must_use]
pub fn domain() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let own = own_name();
    realm(&read("/etc/krb5.conf")).or_else(|| searched(&read("/etc/resolv.conf"))).or_else(|| usable(own.split_once('.')?.1))
}

fn realm(krb5: &str) -> Option<String> {
    let value = krb5.lines().find_map(|line| line.trim().strip_prefix("default_realm")?.trim_start().strip_prefix('='))?;
    usable(value)
}

fn searched(resolv: &str) -> Option<String> {
    let listed = resolv.lines().filter_map(|line| line.strip_prefix("search ").or_else(|| line.strip_prefix("domain ")));
    listed.flat_map(str::split_whitespace).find_map(usable)
}

/// Two labels at least, and none of those that name nothing.
fn usable(domain: &str) -> Option<String> {
    let domain = domain.trim().trim_end_matches('.').to_lowercase();
    let fine = domain.contains('.') && domain.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    let local = ["localdomain", "localhost", "invalid"].iter().any(|end| domain.ends_with(end));
    (fine && !local).then_some(domain)
}

/// The servers that DNS names for a domain, as they are written in a configuration.
///
/// # Errors
/// Why there are none.
pub async fn servers(domain: &str, starttls: bool) -> Result<Vec<String>, String> {
    let security = if starttls { Security::StartTls } else { Security::Tls };
    let found = srv::discover(Srv { domain: domain.to_owned(), security, resolver: None }, DNS_MAX).await?;
    let usual = if starttls { ":389" } else { ":636" };
    Ok(found.iter().map(|server| server.to_string().trim_end_matches(usual).to_owned()).collect())
}

/// The code that an app shows now for a token that was just made; `None` where it does not go by time.
#[must_use]
pub fn code(enrolled: &Enrolled) -> Option<Once> {
    let step = otp::step_at(WallClock.now(), enrolled.token.period_s?);
    Some(Once::new(otp::code(enrolled.token.algorithm, &enrolled.seed()?, step, enrolled.token.digits)))
}

/// A server as it is written in a configuration; a bare name is reached by LDAPS.
///
/// # Errors
/// Why it is none.
pub fn server(typed: &str) -> Result<String, String> {
    let whole = if typed.contains("://") { typed.to_owned() } else { format!("ldaps://{typed}") };
    whole.parse::<Server>().map(|_| whole).map_err(|error| error.to_string())
}

/// `DC=corp,DC=example` of `corp.example`.
#[must_use]
pub fn base(domain: &str) -> String {
    domain.split('.').map(|label| format!("DC={label}")).collect::<Vec<_>>().join(",")
}

const DNS_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_read_from_what_the_machine_has() {
        assert_eq!(realm("[libdefaults]\n  default_realm = CORP.EXAMPLE\n"), Some("corp.example".to_owned()));
        assert_eq!(searched("nameserver 192.0.2.1\nsearch localdomain corp.example lab.example\n"), Some("corp.example".to_owned()));
        assert_eq!((searched("search lan\n"), realm("default_realm = \n")), (None, None));
        assert_eq!(base("corp.example"), "DC=corp,DC=example");
        assert_eq!((server("dc1"), server("ldap+starttls://dc1")), (Ok("ldaps://dc1".to_owned()), Ok("ldap+starttls://dc1".to_owned())));
        assert!(server("ldap://dc1.corp.example").is_err() && server("").is_err());
    }
}
