//! One login as asked: who, with what, through which door.

use std::fmt;
use std::net::IpAddr;

use super::exempt::Exempt;
use super::rules::Method;
use super::secret::Secret;

/// A login, as a door understood it.
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// The door it came through.
    pub door: Door,
    /// The client's (NAS's, application's) name in the configuration.
    pub client: String,
    /// The name as typed. It may refuse, it never grants.
    pub login: String,
    /// The first factor as given.
    pub primary: Primary,
    /// What came along with the password, cut off by the client's [`CodeEntry`].
    pub appended: Option<Appended>,
    /// What this client can do beside yes and no.
    pub dialogue: Dialogue,
    /// Where the person is, as far as the client is trusted to tell.
    pub source: Option<IpAddr>,
    /// Who needs no second factor where this came from; of everybody else it says nothing.
    pub exempt: Vec<Exempt>,
    /// What else must be the same when this login is repeated or answered: the door's own bytes, never looked into.
    pub seat: Vec<u8>,
    /// What else must be the same when this login is repeated, and may be another when it is answered: who asks, where the seat does not tell.
    pub asker: Vec<u8>,
}

/// What one login is called, from its first packet to its end: in the log, in the audit and at providers. Unlike any other; no secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trace(pub u128);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What came behind a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// A code.
    Code(Secret),
    /// The method the person wants, by its word.
    Method(Method),
}

impl Appended {
    /// Whether this can be nothing but a code.
    #[must_use]
    pub fn is_code(typed: &Secret) -> bool {
        is_code(typed.expose())
    }
}

/// What can be said between us and the person at a client. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialogue {
    /// What to ask when a code is needed; `None` where this client cannot be asked anything.
    pub prompt: Option<String>,
    /// Let the person choose where there are several methods.
    pub menu: bool,
    /// How somebody is waited for who must approve on the phone.
    pub approval: Approval,
    /// Milliseconds for which a question that nobody answered in time stays out for the person's next try, at most [`Dialogue::LATE_MS_MAX`]; 0: not at all.
    pub late_ms: u64,
    /// Milliseconds for which the very same login again is the same login, at most [`Dialogue::JOIN_MS_MAX`]; 0: not at all.
    pub join_ms: u64,
    /// Whether the first factor can change a password that has run out. The engine knows, and fills it in.
    pub change: bool,
}

impl Dialogue {
    /// The longest time for a late approval: 5 minutes.
    pub const LATE_MS_MAX: u64 = 300_000;
    /// The longest join window: 1 minute.
    pub const JOIN_MS_MAX: u64 = 60_000;
}

/// How somebody is waited for who must approve on the phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Approval {
    /// "Approve, then press Enter": for clients that do not wait as long as people take.
    Enter,
    /// The client waits.
    #[default]
    Wait,
}

/// The kind of door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// LDAP.
    Ldap,
    /// RADIUS.
    Radius,
}

impl Door {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::Radius => "radius",
        }
    }
}

impl AuthRequest {
    /// Whether the name typed is said to be the person's own. An outer EAP identity is none: whose login it is tells the first factor alone.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !matches!(&self.primary, Primary::Relayed(Relayed { named: false, .. }))
    }

    /// Whether it may be one of many that an application sends at once, all of one service account.
    #[must_use]
    pub fn may_crowd(&self) -> bool {
        !self.exempt.is_empty()
    }
}

/// The first factor, as given.
#[derive(Clone)]
pub enum Primary {
    /// The answer to a challenge of ours, MS-CHAPv2 (RFC 2759).
    MsChap2 {
        /// MS-CHAP-Challenge.
        challenge: [u8; 16],
        /// MS-CHAP2-Response.
        response: Box<[u8; 50]>,
    },
    /// A new password for one that has run out, MS-CHAPv2 (RFC 2759 §8). Good only after a login that
    /// ended with [`super::Denial::MustChange`].
    MsChap2Change {
        /// What it answers to: the same must have gone with the end of that login.
        key: Vec<u8>,
        /// The door's own bytes.
        change: Secret,
    },
    /// A password in clear, the code already cut off.
    Password(Secret),
    /// Whatever there is goes to a server behind us, which knows what to make of it.
    Relayed(Relayed),
    /// No first factor is asked for here: the client has seen to it.
    Waived,
}

/// A request for a server behind us.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// The door's own bytes, never looked into.
    pub packet: Secret,
    /// The credential in it: what must be the same when the request is repeated.
    pub proof: Secret,
    /// What was typed in clear, where it was: it may be the answer to a challenge of our own.
    pub typed: Option<Secret>,
    /// Whether the name in it is the person's own.
    pub named: bool,
}

impl fmt::Debug for Primary {
    /// Without responses: a password can be guessed against them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MsChap2 { .. } => f.write_str("MsChap2(..)"),
            Self::MsChap2Change { .. } => f.write_str("MsChap2Change(..)"),
            Self::Password(_) => f.write_str("Password(..)"),
            Self::Relayed(relayed) => f.debug_tuple("Relayed").field(relayed).finish(),
            Self::Waived => f.write_str("Waived"),
        }
    }
}

impl Primary {
    /// What makes two requests carry the same first factor.
    #[must_use]
    pub fn proof(&self) -> [&[u8]; 2] {
        match self {
            Self::MsChap2 { challenge, response } => [challenge, response.as_slice()],
            Self::MsChap2Change { change, .. } => [b"change", change.expose()],
            Self::Password(password) => [b"password", password.expose()],
            Self::Relayed(relayed) => [b"relayed", relayed.proof.expose()],
            Self::Waived => [b"waived", &[]],
        }
    }

    /// What was typed in clear.
    #[must_use]
    pub fn typed(&self) -> Option<&Secret> {
        match self {
            Self::Password(typed) => Some(typed),
            Self::Relayed(relayed) => relayed.typed.as_ref(),
            Self::MsChap2 { .. } | Self::MsChap2Change { .. } | Self::Waived => None,
        }
    }
}

/// How a client hands over a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeEntry {
    /// Behind the password, after this separator; in place of a code the word of a method may stand there.
    Append(String),
    /// As [`CodeEntry::Append`], where a PIN stands beside each code: 6 to 24 digits.
    AppendWithPin(String),
    /// Behind the password: so many last digits, 6 to 8, and to 24 with a PIN among them.
    AppendDigits(u8),
    /// Asked for with this text.
    Challenge(String),
    /// Not at all: push and call alone.
    None,
}

impl CodeEntry {
    /// Cuts an appended code or word off a password. What does not look like `password, code` or `password, word` is all password.
    #[must_use]
    pub fn split(&self, typed: &Secret) -> (Secret, Option<Appended>) {
        let bytes = typed.expose();
        let cut = match self {
            Self::Append(separator) | Self::AppendWithPin(separator) => after_last(bytes, separator.as_bytes()),
            Self::AppendDigits(digits) => bytes.len().checked_sub(usize::from(*digits)).map(|at| (at, at)),
            Self::Challenge(_) | Self::None => None,
        };
        let parted = cut.and_then(|(end, start)| Some((bytes.get(..end).filter(|password| !password.is_empty())?, self.read(bytes.get(start..)?)?)));
        match parted {
            Some((password, appended)) => (Secret::new(password.to_vec()), Some(appended)),
            None => (typed.clone(), None),
        }
    }

    /// What was typed alone, where a password would stand: a code, with its PIN where one may stand beside it, or the word of a method; or nothing that we know.
    #[must_use]
    pub fn alone(&self, typed: &Secret) -> Option<Appended> {
        self.code(typed.expose()).or_else(|| Method::of_word(typed.expose()).map(Appended::Method))
    }

    fn read(&self, appended: &[u8]) -> Option<Appended> {
        match self {
            Self::Append(_) | Self::AppendWithPin(_) => self.code(appended).or_else(|| Method::of_word(appended).map(Appended::Method)),
            Self::AppendDigits(_) | Self::Challenge(_) | Self::None => self.code(appended),
        }
    }

    fn code(&self, typed: &[u8]) -> Option<Appended> {
        let with_pin = matches!(self, Self::AppendDigits(_) | Self::AppendWithPin(_)) && is_code_with_pin(typed);
        (with_pin || is_code(typed)).then(|| Appended::Code(Secret::new(typed.to_vec())))
    }
}

/// Six to eight ASCII digits.
pub(super) fn is_code(bytes: &[u8]) -> bool {
    (6..=8).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit)
}

/// A code and a PIN of up to sixteen digits.
fn is_code_with_pin(bytes: &[u8]) -> bool {
    (6..=24).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit)
}

/// Where the last `separator` begins and ends.
fn after_last(bytes: &[u8], separator: &[u8]) -> Option<(usize, usize)> {
    if separator.is_empty() {
        return None;
    }
    let start = bytes.windows(separator.len()).rposition(|window| window == separator)?;
    Some((start, start.saturating_add(separator.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(entry: &CodeEntry, typed: &str) -> (String, Option<String>) {
        let (password, appended) = entry.split(&Secret::from(typed));
        let told = |appended| match appended {
            Appended::Code(code) => code.expose_text().unwrap().to_owned(),
            Appended::Method(method) => method.as_str().to_owned(),
        };
        (password.expose_text().unwrap().to_owned(), appended.map(told))
    }

    #[test]
    fn r_066_a_word_is_a_word_behind_the_separator_alone() {
        let comma = CodeEntry::Append(",".into());
        assert_eq!(split(&comma, "pass,push"), ("pass".into(), Some("push".into())));
        assert_eq!(split(&comma, "pa,ss,CALL"), ("pa,ss".into(), Some("call".into())));
        assert_eq!(split(&comma, "pass,Phone"), ("pass".into(), Some("call".into())));
        for whole in ["pass,pushy", "pass, push", "pass,oath", "pass,", "pass,code", ",push", "passpush"] {
            assert_eq!(split(&comma, whole), (whole.into(), None));
        }
        assert_eq!(split(&CodeEntry::AppendDigits(6), "passphrase,push"), ("passphrase,push".into(), None));
        assert_eq!(split(&CodeEntry::Challenge("Code:".into()), "pass,push"), ("pass,push".into(), None));
    }

    #[test]
    fn r_066_a_pin_may_stand_beside_a_code_where_the_policy_says_so() {
        let comma = CodeEntry::AppendWithPin(",".into());
        assert_eq!(split(&comma, "pa,ss,4711123456"), ("pa,ss".into(), Some("4711123456".into())));
        assert_eq!(split(&comma, "pass,123456"), ("pass".into(), Some("123456".into())));
        assert_eq!(split(&comma, "pass,push"), ("pass".into(), Some("push".into())));
        for whole in ["pass,4711 123456", "pass,1234567890123456789012345", "pass,4711x123456"] {
            assert_eq!(split(&comma, whole), (whole.into(), None));
        }
        assert_eq!(split(&CodeEntry::AppendDigits(10), "pass4711123456"), ("pass".into(), Some("4711123456".into())));
        let code = |typed: &str| Some(Appended::Code(Secret::from(typed)));
        for entry in [&comma, &CodeEntry::AppendDigits(10)] {
            assert_eq!(entry.alone(&Secret::from("4711123456")), code("4711123456"), "where no password stands before it too");
        }
        assert_eq!(CodeEntry::Append(",".into()).alone(&Secret::from("4711123456")), None);
        assert_eq!(CodeEntry::Append(",".into()).alone(&Secret::from("123456")), code("123456"));
        assert_eq!(comma.alone(&Secret::from("push")), Some(Appended::Method(Method::Push)));
    }

    #[test]
    fn r_066_a_code_is_cut_off_by_the_configured_rule_alone() {
        let comma = CodeEntry::Append(",".into());
        assert_eq!(split(&comma, "pa,ss,123456"), ("pa,ss".into(), Some("123456".into())));
        assert_eq!(split(&comma, "password123456"), ("password123456".into(), None));
        assert_eq!(split(&comma, "pass,12345"), ("pass,12345".into(), None));
        assert_eq!(split(&comma, "pass,123456789"), ("pass,123456789".into(), None));
        assert_eq!(split(&comma, "pass,12345x"), ("pass,12345x".into(), None));
        let digits = CodeEntry::AppendDigits(6);
        assert_eq!(split(&digits, "pass123456"), ("pass".into(), Some("123456".into())));
        assert_eq!(split(&digits, "pass12345x"), ("pass12345x".into(), None));
        assert_eq!(split(&CodeEntry::None, "pass,123456"), ("pass,123456".into(), None));
        assert_eq!(split(&CodeEntry::Challenge("Code:".into()), "pass,123456"), ("pass,123456".into(), None));
    }

    #[test]
    fn r_090_a_response_is_not_told() {
        let primary = Primary::MsChap2 { challenge: [251; 16], response: Box::new([252; 50]) };
        let told = format!("{primary:?}");
        assert!(!told.contains("251") && !told.contains("252"), "{told}");
    }

    #[test]
    fn r_065_a_code_with_no_password_before_it_is_no_code() {
        assert_eq!(split(&CodeEntry::Append(",".into()), ",123456"), (",123456".into(), None));
        assert_eq!(split(&CodeEntry::AppendDigits(6), "123456"), ("123456".into(), None));
        assert_eq!(split(&CodeEntry::Append(String::new()), "pass123456"), ("pass123456".into(), None));
    }

    #[test]
    fn m_02_only_ascii_digits_are_a_code() {
        assert_eq!(split(&CodeEntry::Append(",".into()), "pass,１２３４５６").1, None);
        assert_eq!(split(&CodeEntry::Append(",".into()), "pass,123 456").1, None);
    }
}
