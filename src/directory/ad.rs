//! Names as people type them, and what a directory's refusals mean.

use crate::domain::Outage;
use crate::domain::PrimaryError;
use crate::domain::Refused;

use super::dn::Dn;

/// A typed name that has one of the forms we ask a directory about (L-072).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// A short name, alone or behind our own NetBIOS name.
    Bare(&'a str),
    /// A distinguished name.
    Dn(Dn),
    /// Something with one `@`: a user principal name or a mail address.
    Principal {
        /// All of it.
        whole: &'a str,
        /// What stands before the sign.
        front: &'a str,
        /// What stands behind it.
        domain: &'a str,
    },
}

impl<'a> Name<'a> {
    /// Reads a name for Active Directory. `None`: nobody is asked about this one, and whose it is cannot be told.
    ///
    /// A domain controller takes 32 spellings of one account, NUL bytes and `<GUID=..>` among them; we take four forms and blanks around them.
    pub(super) fn for_ad(typed: &'a str, netbios: Option<&str>) -> Option<Self> {
        let name = clean(typed)?;
        if name.starts_with('<') {
            return None;
        }
        if let Some((before, short)) = name.split_once('\\').filter(|_| !name.contains('=')) {
            return netbios.filter(|ours| ours.eq_ignore_ascii_case(before)).and(Some(short)).filter(|short| is_account(short)).map(Self::Bare);
        }
        match Self::common(name)? {
            Self::Bare(short) if !is_account(short) => None,
            // A computer's or a trust's account; people never have one.
            Self::Principal { front, .. } if front.ends_with('$') => None,
            read => Some(read),
        }
    }

    /// Reads a name for any other directory.
    pub(super) fn for_ldap(typed: &'a str) -> Option<Self> {
        Self::common(clean(typed)?)
    }

    fn common(name: &'a str) -> Option<Self> {
        if let Some((front, domain)) = name.split_once('@').filter(|_| !name.contains('=')) {
            let is_one =
                !front.is_empty() && !domain.is_empty() && !domain.contains('@') && !name.contains(|sign: char| sign.is_whitespace() || "\\/".contains(sign));
            return is_one.then_some(Self::Principal { whole: name, front, domain });
        }
        if name.contains('=') { Dn::parse(name).map(Self::Dn) } else { Some(Self::Bare(name)) }
    }
}

/// Without the blanks around; `None` for nothing, too much, or what cannot be seen (L-070).
fn clean(typed: &str) -> Option<&str> {
    let name = typed.trim_matches(|sign: char| sign.is_whitespace() && !sign.is_control());
    let is_fit = !name.is_empty() && typed.len() <= NAME_LEN_MAX && !name.contains(char::is_control);
    is_fit.then_some(name)
}

/// Whether this could be the sAMAccountName of a person: none of the signs Active Directory forbids there, no computer's `$`, no bare SID.
fn is_account(short: &str) -> bool {
    let is_sid = short.get(..4).is_some_and(|front| front.eq_ignore_ascii_case("S-1-"));
    let is_braced = short.starts_with('{') || short.starts_with(char::is_whitespace);
    !short.is_empty() && !is_sid && !is_braced && !short.ends_with('$') && !short.contains(|sign| r#""/\[]:;|=,+*?<>@"#.contains(sign))
}

/// Where a refused bind stands: a person's failure for `invalidCredentials` and its kin, an outage for all that says nothing about the person.
pub(super) fn refusal(result_code: u32, diagnostic: &str) -> PrimaryError {
    let why = match result_code {
        49 => sub_code(diagnostic).and_then(sub_code_means).unwrap_or(Refused::WrongPassword),
        // constraintViolation: what directories with a password policy say to a locked account.
        19 => Refused::LockedOut,
        // What 389 Directory Server says of nsAccountLock.
        53 if diagnostic.contains("inactivated") => Refused::Disabled,
        // inappropriateAuthentication, insufficientAccessRights, unwillingToPerform: no password, or an account put out of use.
        48 | 50 | 53 => Refused::Restricted,
        // strongerAuthRequired, confidentialityRequired: the way we come is wrong, and a peer of ours would come the same way.
        8 | 13 => return PrimaryError::Outage(Outage::Fault),
        _ => return PrimaryError::Outage(Outage::Directory),
    };
    PrimaryError::Refused { who: None, why }
}

/// `52e` out of `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1`.
fn sub_code(diagnostic: &str) -> Option<&str> {
    let (_, behind) = diagnostic.split_once("AcceptSecurityContext error, data ")?;
    behind.split(|sign: char| !sign.is_ascii_hexdigit()).next()
}

fn sub_code_means(code: &str) -> Option<Refused> {
    match code.to_ascii_lowercase().as_str() {
        "525" => Some(Refused::UnknownName),
        "52e" => Some(Refused::WrongPassword),
        "52f" => Some(Refused::Restricted),
        "530" => Some(Refused::NotNow),
        "531" => Some(Refused::NotHere),
        "532" => Some(Refused::PasswordExpired),
        "533" => Some(Refused::Disabled),
        "701" => Some(Refused::AccountExpired),
        "773" => Some(Refused::MustChange),
        "775" => Some(Refused::LockedOut),
        _ => None,
    }
}

/// Bytes of a typed name.
const NAME_LEN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn ad(typed: &str) -> Option<Name<'_>> {
        Name::for_ad(typed, Some("EXAMPLE"))
    }

    #[test]
    fn l_072_four_forms_of_a_name_are_read() {
        for typed in ["alice", " alice", "alice ", "\u{a0}alice\u{3000}", r"EXAMPLE\alice", r"example\alice "] {
            assert_eq!(ad(typed), Some(Name::Bare("alice")), "{typed:?}");
        }
        assert_eq!(ad(" alice@Example.test "), Some(Name::Principal { whole: "alice@Example.test", front: "alice", domain: "Example.test" }));
        assert_eq!(ad("CN=alice , DC=test").map(|name| matches!(name, Name::Dn(dn) if dn.to_string() == "CN=alice,DC=test")), Some(true));
        assert_eq!(ad(r"CN=Smith\, J@x,DC=test").map(|name| matches!(name, Name::Dn(_))), Some(true));
        assert_eq!(ad("jörg müller"), Some(Name::Bare("jörg müller")));
    }

    #[test]
    fn l_070_what_cannot_be_seen_is_nobodys_name() {
        for typed in ["", " ", "alice\0", "alice@example.test\0evil", "al\u{7}ice", "alice\n", "\talice", "alice\u{85}", &"a".repeat(257)] {
            assert_eq!(ad(typed), None, "{typed:?}");
            assert_eq!(Name::for_ldap(typed), None, "{typed:?}");
        }
        assert!(ad(&"a".repeat(256)).is_some());
    }

    #[test]
    fn b2_spellings_that_a_domain_controller_would_take_are_nobodys_name_here() {
        for typed in [
            "alice @example.test",
            "alice@ example.test",
            r"EXAMPLE\ alice",
            r"OTHER\alice",
            r"example.test\alice",
            r"EXAMPLE\alice\x",
            r"EXAMPLE\",
            r"\alice",
            r"EXAMPLE\alice@example.test",
            "<GUID=f7d2>",
            "<sid=S-1-5-21-1-2-3-1102>",
            "S-1-5-21-1-2-3-1102",
            "s-1-5-21-1-2-3-1102",
            r"EXAMPLE\S-1-5-21-1-2-3-1102",
            "{f7d2a5b0-0000-0000-0000-000000000000}",
            "example.test/Users/alice",
            "host/dc1.example.test",
            "host/dc1@example.test",
            "alice@example.test@evil.test",
            "@example.test",
            "alice@",
            "DC1$",
            r"EXAMPLE\DC1$",
            "DC1$@example.test",
            "al*ce",
            "alice;x",
            r#"CN="alice",DC=test"#,
            "CN=alice;DC=test",
            "2.5.4.03=alice,DC=test",
        ] {
            assert_eq!(ad(typed), None, "{typed:?}");
        }
        assert_eq!(Name::for_ad(r"EXAMPLE\alice", None), None);
    }

    #[test]
    fn another_directory_has_no_netbios_names() {
        assert_eq!(Name::for_ldap("machine$"), Some(Name::Bare("machine$")));
        assert_eq!(Name::for_ldap(r"CORP\alice"), Some(Name::Bare(r"CORP\alice")));
        assert!(matches!(Name::for_ldap("alice@example.test"), Some(Name::Principal { .. })));
        assert!(matches!(Name::for_ldap("uid=alice,ou=people,o=x"), Some(Name::Dn(_))));
    }

    fn why(code: u32, diagnostic: &str) -> Refused {
        match refusal(code, diagnostic) {
            PrimaryError::Refused { who: None, why } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sub_code_tells_why_active_directory_refuses() {
        for (code, meaning) in [
            ("525", Refused::UnknownName),
            ("52e", Refused::WrongPassword),
            ("52E", Refused::WrongPassword),
            ("52f", Refused::Restricted),
            ("530", Refused::NotNow),
            ("531", Refused::NotHere),
            ("532", Refused::PasswordExpired),
            ("533", Refused::Disabled),
            ("701", Refused::AccountExpired),
            ("773", Refused::MustChange),
            ("775", Refused::LockedOut),
            ("80090346", Refused::WrongPassword),
        ] {
            assert_eq!(why(49, &format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {code}, v1db1")), meaning, "{code}");
        }
        assert_eq!(why(49, ""), Refused::WrongPassword);
        assert_eq!(why(49, "AcceptSecurityContext error, data 533"), Refused::Disabled);
        assert_eq!(why(49, "no data 533 here"), Refused::WrongPassword);
    }

    #[test]
    fn a_code_that_says_nothing_about_the_person_is_an_outage() {
        for code in [1, 2, 3, 10, 11, 14, 51, 52, 80, 4097, u32::MAX] {
            assert_eq!(refusal(code, ""), PrimaryError::Outage(Outage::Directory), "{code}");
        }
        assert_eq!(refusal(8, ""), PrimaryError::Outage(Outage::Fault));
        assert_eq!(refusal(13, ""), PrimaryError::Outage(Outage::Fault));
        assert_eq!(why(53, ""), Refused::Restricted);
        assert_eq!(why(53, "Account inactivated. Contact system administrator."), Refused::Disabled);
        assert_eq!(why(19, ""), Refused::LockedOut);
    }
}
