//! What `ntlm_auth` says: a verdict, one line that explains it, and a dot; after a no, a second dot.

use zeroize::Zeroizing;

use crate::domain::PasswordError;
use crate::domain::Refused;
use crate::wire::mschap::HashHash;

/// What a process is asked about, all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Is this somebody's response?
    Authentication,
    /// Change a password.
    Change,
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With Samba's sentence for it.
    No(String),
    /// With the session key, where there was one to ask for.
    Yes(Option<HashHash>),
}

/// What came is the beginning of no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

impl Topic {
    /// How the program is told.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            // Without the second word a controller that is told to take NTLMv2 alone takes no MS-CHAP-V2 either.
            Self::Authentication => &["--helper-protocol=ntlm-server-1", "--allow-mschapv2"],
            Self::Change => &["--helper-protocol=ntlm-change-password-1"],
        }
    }

    /// Reads all that was said since the question; `None` while the answer may go on.
    pub(super) fn hear(self, said: &[u8]) -> Result<Option<Verdict>, Nonsense> {
        let (yes, no, why) = match self {
            Self::Authentication => ("Authenticated: Yes", "Authenticated: No", "Authentication-Error: "),
            Self::Change => ("Password-Change: Yes", "Password-Change: No", "Password-Change-Error: "),
        };
        let said = std::str::from_utf8(said).map_err(|_| Nonsense)?;
        // What stands behind the last end of a line is not a line yet.
        let Some((whole, begun)) = said.rsplit_once('\n') else { return Ok(None) };
        let lines: Vec<&str> = whole.split('\n').collect();
        let verdict = match (self, lines.as_slice()) {
            (_, [one]) if [yes, no].contains(one) => None,
            (_, [one, text] | [one, text, "."]) if *one == no && text.starts_with(why) => None,
            (_, [one, text, ".", "."]) if *one == no => Some(Verdict::No(text.strip_prefix(why).ok_or(Nonsense)?.to_owned())),
            (Self::Authentication, [one, key]) if *one == yes && key.starts_with(KEY) => None,
            (Self::Authentication, [one, key, "."]) if *one == yes => Some(Verdict::Yes(Some(key.strip_prefix(KEY).and_then(hash_hash).ok_or(Nonsense)?))),
            (Self::Change, [one, "."]) if *one == yes => Some(Verdict::Yes(None)),
            _ => return Err(Nonsense),
        };
        if verdict.is_some() && !begun.is_empty() {
            return Err(Nonsense);
        }
        Ok(verdict)
    }
}

/// What a refused response means; `None` for words that say nothing about the person: no controller, no trust, or words of a later Samba.
pub(super) fn refusal(text: &str) -> Option<Refused> {
    meaning(REFUSALS, text)
}

/// What a refused change means, likewise.
pub(super) fn change_refusal(text: &str) -> Option<PasswordError> {
    meaning(CHANGE_REFUSALS, text)
}

fn meaning<T: Copy>(table: &[(&str, T)], text: &str) -> Option<T> {
    let text = text.to_ascii_lowercase();
    table.iter().find(|(words, _)| text.contains(words)).map(|(_, means)| *means)
}

/// 32 hexadecimal digits.
fn hash_hash(text: &str) -> Option<HashHash> {
    let mut key = Zeroizing::new([0; 16]);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (octet, [high, low]) in key.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *octet = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(key)
}

const KEY: &str = "User-Session-Key: ";

/// Words of Samba's sentences, of the short ones that it had before, and of the status' own names. The first that fits counts: some sentences hold another's words.
const REFUSALS: &[(&str, Refused)] = &[
    ("automatically locked", Refused::LockedOut),
    ("account locked out", Refused::LockedOut),
    ("account_locked_out", Refused::LockedOut),
    ("must be changed before", Refused::MustChange),
    ("must change password", Refused::MustChange),
    ("password_must_change", Refused::MustChange),
    ("account password has expired", Refused::PasswordExpired),
    ("password expired", Refused::PasswordExpired),
    ("password_expired", Refused::PasswordExpired),
    ("user account has expired", Refused::AccountExpired),
    ("account expired", Refused::AccountExpired),
    ("account_expired", Refused::AccountExpired),
    ("account is currently disabled", Refused::Disabled),
    ("account disabled", Refused::Disabled),
    ("account_disabled", Refused::Disabled),
    ("account has time restrictions", Refused::NotNow),
    ("invalid logon hours", Refused::NotNow),
    ("invalid_logon_hours", Refused::NotNow),
    ("log on from the source workstation", Refused::NotHere),
    ("invalid workstation", Refused::NotHere),
    ("invalid_workstation", Refused::NotHere),
    ("some user account restriction", Refused::Restricted),
    ("account restriction", Refused::Restricted),
    ("account_restriction", Refused::Restricted),
    ("authentication firewall", Refused::Restricted),
    ("authentication_firewall", Refused::Restricted),
    ("smart card logon is required", Refused::Restricted),
    ("smartcard_logon_required", Refused::Restricted),
    ("type of logon", Refused::Restricted),
    ("logon_type_not_granted", Refused::Restricted),
    ("specified account does not exist", Refused::UnknownName),
    ("no such user", Refused::UnknownName),
    ("no_such_user", Refused::UnknownName),
    ("current password is not correct", Refused::WrongPassword),
    ("wrong password", Refused::WrongPassword),
    ("wrong_password", Refused::WrongPassword),
    ("attempted logon is invalid", Refused::WrongPassword),
    ("logon failure", Refused::WrongPassword),
    ("logon_failure", Refused::WrongPassword),
];

/// The same for a change. Samba says "wrong password" of a name that nobody has, too.
const CHANGE_REFUSALS: &[(&str, PasswordError)] = &[
    ("password update rule has been violated", PasswordError::Refused),
    ("password restriction", PasswordError::Refused),
    ("password_restriction", PasswordError::Refused),
    ("too short to meet the policy", PasswordError::Refused),
    ("password is too short", PasswordError::Refused),
    ("pwd_too_short", PasswordError::Refused),
    ("change passwords too frequently", PasswordError::Refused),
    ("password is too recent", PasswordError::Refused),
    ("pwd_too_recent", PasswordError::Refused),
    ("one that you have used in the past", PasswordError::Refused),
    ("password history conflict", PasswordError::Refused),
    ("pwd_history_conflict", PasswordError::Refused),
    ("not allowed in passwords", PasswordError::Refused),
    ("ill formed password", PasswordError::Refused),
    ("ill_formed_password", PasswordError::Refused),
    ("current password is not correct", PasswordError::WrongOld),
    ("wrong password", PasswordError::WrongOld),
    ("wrong_password", PasswordError::WrongOld),
    ("specified account does not exist", PasswordError::WrongOld),
    ("no such user", PasswordError::WrongOld),
    ("no_such_user", PasswordError::WrongOld),
    ("attempted logon is invalid", PasswordError::WrongOld),
    ("logon failure", PasswordError::WrongOld),
    ("logon_failure", PasswordError::WrongOld),
    ("automatically locked", PasswordError::WrongOld),
    ("account locked out", PasswordError::WrongOld),
    ("account_locked_out", PasswordError::WrongOld),
];

#[cfg(test)]
mod tests {
    use super::*;

    const YES: &str = "Authenticated: Yes\nUser-Session-Key: E6249FAFE3E2B7872A55267ED43FF7B1\n.\n";
    const NO: &str = "Authenticated: No\nAuthentication-Error: The user account has expired.\n.\n.\n";

    impl std::fmt::Debug for Verdict {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match self {
                Self::No(text) => write!(f, "No({text:?})"),
                Self::Yes(_) => f.write_str("Yes(..)"),
            }
        }
    }

    #[test]
    fn an_answer_ends_with_its_last_dot_and_not_before() {
        let all = [
            (Topic::Authentication, YES),
            (Topic::Authentication, NO),
            (Topic::Change, "Password-Change: Yes\n.\n"),
            (Topic::Change, "Password-Change: No\nPassword-Change-Error: Wrong Password\n.\n.\n"),
        ];
        for (topic, whole) in all {
            for end in 0..whole.len() {
                assert_eq!(topic.hear(&whole.as_bytes()[..end]), Ok(None), "{:?}", &whole[..end]);
            }
            assert!(matches!(topic.hear(whole.as_bytes()), Ok(Some(_))), "{whole:?}");
            assert_eq!(topic.hear(format!("{whole}.\n").as_bytes()), Err(Nonsense));
            assert_eq!(topic.hear(format!("{whole}A").as_bytes()), Err(Nonsense));
        }
        assert_eq!(Topic::Authentication.hear(NO.as_bytes()), Ok(Some(Verdict::No("The user account has expired.".to_owned()))));
        let Ok(Some(Verdict::Yes(Some(key)))) = Topic::Authentication.hear(YES.as_bytes()) else { panic!("{YES}") };
        assert_eq!((key[0], key[15]), (0xe6, 0xb1));
    }

    #[test]
    fn a_yes_without_a_whole_key_is_no_yes() {
        for said in [
            "Authenticated: Yes\n.\n",
            "Authenticated: Yes\nUser-Session-Key: E6249FAFE3E2B7872A55267ED43FF7\n.\n",
            "Authenticated: Yes\nUser-Session-Key: E6249FAFE3E2B7872A55267ED43FF7B1B1\n.\n",
            "Authenticated: Yes\nUser-Session-Key: +6249FAFE3E2B7872A55267ED43FF7B1\n.\n",
            "Authenticated: Yes\nAuthentication-Error: no\n.\n.\n",
            "Authenticated: No\nUser-Session-Key: E6249FAFE3E2B7872A55267ED43FF7B1\n.\n",
            "authenticated: yes\n",
            "Error: Unknown request\n.\n",
            "Password-Change: Yes\n.\n",
            "\n",
        ] {
            assert_eq!(Topic::Authentication.hear(said.as_bytes()), Err(Nonsense), "{said:?}");
        }
        assert_eq!(Topic::Authentication.hear(&[0xff]), Err(Nonsense));
        assert_eq!(Topic::Change.hear(b"Authenticated: Yes\n"), Err(Nonsense));
    }

    #[test]
    fn r_093_samba_s_sentences_mean_what_the_status_means() {
        for (text, means) in [
            (
                "The user account has been automatically locked because too many invalid logon attempts or password change attempts have been requested.",
                Refused::LockedOut,
            ),
            ("The user password must be changed before logging on the first time.", Refused::MustChange),
            ("The user account password has expired.", Refused::PasswordExpired),
            ("The user account has expired.", Refused::AccountExpired),
            ("The referenced account is currently disabled and cannot be logged on to.", Refused::Disabled),
            ("The user account has time restrictions and cannot be logged onto at this time.", Refused::NotNow),
            ("The user account is restricted so that it cannot be used to log on from the source workstation.", Refused::NotHere),
            (
                "Indicates a referenced user name and authentication information are valid, but some user account restriction has prevented successful authentication (such as time-of-day restrictions).",
                Refused::Restricted,
            ),
            (
                "Logon Failure: The machine you are logging onto is protected by an authentication firewall. The specified account is not allowed to authenticate to the machine.",
                Refused::Restricted,
            ),
            ("The specified account does not exist.", Refused::UnknownName),
            (
                "When trying to update a password, this return status indicates that the value provided as the current password is not correct.",
                Refused::WrongPassword,
            ),
            ("The attempted logon is invalid. This is either due to a bad username or authentication information.", Refused::WrongPassword),
            ("Logon failure", Refused::WrongPassword),
            ("NT_STATUS_ACCOUNT_LOCKED_OUT", Refused::LockedOut),
        ] {
            assert_eq!(refusal(text), Some(means), "{text}");
        }
    }

    #[test]
    fn words_that_say_nothing_about_the_person_are_no_refusal() {
        for text in [
            "",
            "Reading winbind reply failed!",
            "No logon servers are currently available to service the logon request.",
            "A domain controller for this domain was not found.",
            "The logon request failed because the trust relationship between this workstation and the primary domain failed.",
            "The network logon failed. This might be because the validation authority cannot be reached.",
            "The authentication failed because NTLM was blocked.",
            "{Access Denied} A process has requested access to an object but has not been granted those access rights.",
        ] {
            assert_eq!(refusal(text), None, "{text}");
            assert_eq!(change_refusal(text), None, "{text}");
        }
    }

    #[test]
    fn r_095_a_change_is_refused_by_rule_or_for_the_old_password() {
        for (text, means) in [
            (
                "When trying to update a password, this status indicates that some password update rule has been violated. For example, the password might not meet length criteria.",
                PasswordError::Refused,
            ),
            ("NT_STATUS_PASSWORD_RESTRICTION", PasswordError::Refused),
            (
                "When trying to update a password, this return status indicates that the value provided as the current password is not correct.",
                PasswordError::WrongOld,
            ),
        ] {
            assert_eq!(change_refusal(text), Some(means), "{text}");
        }
    }
}
