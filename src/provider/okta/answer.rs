//! Shapes of Okta's answers. What is not exactly of these shapes is no answer.

use reqwest::Url;
use serde::Deserialize;

use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Number;
use crate::domain::Progress;
use crate::domain::Ticket;
use crate::provider::object::Object;

/// `GET /api/v1/users/{login}`.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) status: String,
    profile: Object<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    login: String,
}

/// One of `GET /api/v1/users/{id}/factors`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Factor {
    pub(super) id: String,
    #[serde(rename = "factorType")]
    kind: String,
    status: String,
}

/// What `verify` and a transaction say.
#[derive(Debug, Deserialize)]
pub(super) struct Verified {
    #[serde(rename = "factorResult")]
    pub(super) result: String,
    #[serde(rename = "_links", default)]
    links: Object<Links>,
    #[serde(rename = "_embedded", default)]
    embedded: Object<Embedded>,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    poll: Option<Object<Link>>,
}

#[derive(Debug, Deserialize)]
struct Link {
    href: String,
}

#[derive(Debug, Default, Deserialize)]
struct Embedded {
    challenge: Option<Object<Challenge>>,
}

#[derive(Deserialize)]
struct Challenge {
    #[serde(rename = "correctAnswer")]
    correct_answer: Option<u32>,
}

/// It answers a push: nobody reads it in a log.
impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(..)")
    }
}

/// Every refusal.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "errorCode")]
    pub(super) code: String,
}

impl User {
    /// Whether it is the one that was asked for. Some names mean somebody else there: `me` is whoever the token belongs to, and an id is a name too.
    pub(super) fn is(&self, login: &str) -> bool {
        // The whole of it: Okta finds people by what stands before the @ too, whatever the domain behind it.
        self.profile.0.login.to_lowercase() == login.to_lowercase() && is_id(&self.id)
    }
}

impl Factor {
    /// Whether a person can be asked by it in this way.
    pub(super) fn does(&self, method: Method) -> bool {
        let kinds: &[&str] = match method {
            Method::Call => &["call"],
            Method::Email => &["email"],
            Method::Oath => &["token:software:totp", "token:hotp", "token:hardware", "token"],
            Method::Push => &["push"],
            Method::Text => &["sms"],
        };
        self.status == "ACTIVE" && is_id(&self.id) && kinds.contains(&self.kind.as_str())
    }
}

impl Verified {
    /// The number to show, if this question has one.
    pub(super) fn number(&self) -> Option<Number> {
        let answer = self.embedded.0.challenge.as_ref()?.0.correct_answer?;
        Number::new(&answer.to_string())
    }

    /// The transaction that its poll link names; `None` unless that leads to `factor` on one of `hosts`, and to nowhere else.
    pub(super) fn transaction(&self, hosts: &[String], factor: &str) -> Option<Ticket> {
        let link = Url::parse(&self.links.0.poll.as_ref()?.0.href).ok()?;
        let at_home = hosts.iter().filter_map(|host| Url::parse(host).ok()).any(|host| host.origin() == link.origin());
        let id = link.path().strip_prefix(factor)?.strip_prefix("/transactions/")?;
        let bare = link.query().is_none() && link.fragment().is_none() && link.username().is_empty() && link.password().is_none();
        (at_home && bare && is_id(id)).then(|| Ticket(link.path().into()))
    }

    /// Whether it speaks of another question than this one.
    pub(super) fn strays(&self, hosts: &[String], ticket: &Ticket) -> bool {
        let factor = ticket.0.rsplit_once("/transactions/").map_or("", |(factor, _)| factor);
        self.links.0.poll.is_some() && self.transaction(hosts, factor).as_ref() != Some(ticket)
    }

    /// How a question stands. One word approves; one that is not known here does not.
    pub(super) fn of_question(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        match self.result.as_str() {
            "SUCCESS" => Ok(Progress::Allowed { spend: None }),
            "WAITING" => Ok(Progress::Pending(ticket.clone())),
            "CANCELED" | "EXPIRED" | "TIMEOUT" | "TIME_WINDOW_EXCEEDED" => Err(FactorError::Expired),
            _ => Ok(Progress::Denied { fraud: false }),
        }
    }

    /// What became of a code.
    pub(super) fn of_code(&self) -> Result<Progress, FactorError> {
        match self.result.as_str() {
            "SUCCESS" => Ok(Progress::Allowed { spend: None }),
            "CANCELED" | "EXPIRED" | "TIMEOUT" | "TIME_WINDOW_EXCEEDED" => Err(FactorError::Expired),
            _ => Err(FactorError::BadCode),
        }
    }
}

/// What Okta calls things: nothing that could be more than one segment of a path.
fn is_id(text: &str) -> bool {
    (1..=ID_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

const ID_LEN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> [String; 1] {
        ["https://corp.okta.example".into()]
    }
    const FACTOR: &str = "/api/v1/users/00u1/factors/opf1";

    fn verified(result: &str, href: &str) -> Verified {
        serde_json::from_str(&format!(r#"{{"factorResult":"{result}","_links":{{"poll":{{"href":"{href}"}}}}}}"#)).unwrap()
    }

    #[test]
    fn m_12_a_poll_link_leads_to_the_asked_factor_on_our_own_host() {
        let ticket = |href: &str| verified("WAITING", href).transaction(&hosts(), FACTOR).map(|ticket| ticket.0.to_string());
        let good = "https://corp.okta.example/api/v1/users/00u1/factors/opf1/transactions/mst-9_x";
        assert_eq!(ticket(good).as_deref(), Some("/api/v1/users/00u1/factors/opf1/transactions/mst-9_x"));
        for bad in [
            "https://evil.example/api/v1/users/00u1/factors/opf1/transactions/t",
            "https://corp.okta.example.evil.example/api/v1/users/00u1/factors/opf1/transactions/t",
            "https://corp.okta.example:444/api/v1/users/00u1/factors/opf1/transactions/t",
            "http://corp.okta.example/api/v1/users/00u1/factors/opf1/transactions/t",
            "https://me@corp.okta.example/api/v1/users/00u1/factors/opf1/transactions/t",
            "https://corp.okta.example/api/v1/users/00u2/factors/opf1/transactions/t",
            "https://corp.okta.example/api/v1/users/00u1/factors/opf2/transactions/t",
            "https://corp.okta.example/api/v1/users/00u1/factors/opf1/transactions/t/../../x",
            "https://corp.okta.example/api/v1/users/00u1/factors/opf1/transactions/",
            "https://corp.okta.example/api/v1/users/00u1/factors/opf1/transactions/t?x=y",
            "/api/v1/users/00u1/factors/opf1/transactions/t",
        ] {
            assert_eq!(ticket(bad), None, "{bad}");
        }
    }

    #[test]
    fn m_13_a_list_is_no_object_however_deep_it_stands() {
        let user = |profile: &str| serde_json::from_str::<User>(&format!(r#"{{"id":"00u1","status":"ACTIVE","profile":{profile}}}"#)).is_ok();
        assert!(user(r#"{"login":"alice"}"#) && !user(r#"["alice"]"#));
        let said = |rest: &str| serde_json::from_str::<Verified>(&format!(r#"{{"factorResult":"WAITING",{rest}}}"#)).is_ok();
        assert!(said(r#""_links":{"poll":{"href":"x"}},"_embedded":{"challenge":{"correctAnswer":7}}"#) && said(r#""_links":{}"#));
        for list in [r#""_links":[{"href":"x"}]"#, r#""_links":{"poll":["x"]}"#, r#""_embedded":[{"correctAnswer":7}]"#, r#""_embedded":{"challenge":[7]}"#] {
            assert!(!said(list), "{list}");
        }
    }

    #[test]
    fn one_word_approves_and_no_other() {
        let ticket = Ticket(format!("{FACTOR}/transactions/t").into());
        let words = [
            "SUCCESS",
            "SUCCESS ",
            "success",
            "Success",
            "ALLOW ",
            "CHALLENGE",
            "ERROR",
            "EXPIRED",
            "FAILED",
            "PASSCODE_REPLAYED",
            "REJECTED",
            "TIMEOUT",
            "TIME_WINDOW_EXCEEDED",
            "CANCELED",
            "WAITING",
            "QUANTUM",
            "",
        ];
        for word in words {
            let said: Verified = serde_json::from_str(&format!(r#"{{"factorResult":"{word}"}}"#)).unwrap();
            for outcome in [said.of_question(&ticket), said.of_code()] {
                assert_eq!(outcome == Ok(Progress::Allowed { spend: None }), word == "SUCCESS", "{word}: {outcome:?}");
            }
        }
    }

    #[test]
    fn m_20_a_name_that_means_somebody_else_there_is_not_the_person() {
        let user = |login: &str| serde_json::from_str::<User>(&format!(r#"{{"id":"00u1","status":"ACTIVE","profile":{{"login":"{login}"}}}}"#)).unwrap();
        assert!(user("alice@corp.example").is("ALICE@corp.example") && user("alice").is("alice"));
        assert!(!user("alice@partner.example").is("alice"), "a short name is of no domain");
        assert!(!user("admin@corp.example").is("me"));
        assert!(!user("bob@corp.example").is("00u1"));
        assert!(!user("alice@corp.example").is("alice@other.example"));
        assert!(!user("alice@corp.example").is("ali"));
    }
}
