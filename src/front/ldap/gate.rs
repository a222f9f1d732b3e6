//! Which requests may pass to the directory, and as whom: one table, no waiting.

use std::collections::HashSet;

use crate::domain::Grant;
use crate::wire::ldap::Code;
use crate::wire::ldap::Control;
use crate::wire::ldap::Request;
use crate::wire::ldap::any_named;

/// StartTLS (RFC 4511 §4.14).
pub(super) const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// Who am I? (RFC 4532).
pub(super) const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
/// Extended operations that set a password or a key: Password Modify (RFC 3062), and FreeIPA's for keytabs.
const SETS_PASSWORDS: &[&str] = &[PASSWORD_MODIFY, "2.16.840.1.113730.3.8.10.1", "2.16.840.1.113730.3.8.10.5"];
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
/// What eDirectory's extended operations for passwords begin with.
const NMAS: &str = "2.16.840.1.113719.1.39.42.100.";
/// Extended operations that would check passwords, change parts or pack operations past us: fast bind (L-063), batch (L-067), turn (RFC 4531),
/// refresh of dynamic entries, OpenLDAP's verify credentials.
pub(super) const EXTENSIONS_REFUSED: &[&str] =
    &["1.2.840.113556.1.4.1781", "1.2.840.113556.1.4.2212", "1.3.6.1.1.19", "1.3.6.1.4.1.1466.101.119.1", "1.3.6.1.4.1.4203.666.6.5"];
/// Controls that make an operation somebody else's (L-064), critical or not: proxied authorization, its draft and OpenLDAP's own, authorization identity,
/// session tracking; and batch (L-067).
pub(super) const CONTROLS_REFUSED: &[&str] = &[
    "1.2.840.113556.1.4.2212",
    "1.3.6.1.4.1.21008.108.63.1",
    "1.3.6.1.4.1.4203.666.5.12",
    "2.16.840.1.113730.3.4.12",
    "2.16.840.1.113730.3.4.16",
    "2.16.840.1.113730.3.4.18",
];
/// Attributes that are passwords or stand in for one, by name and by OID (L-066): hashes, keys, and what lets a certificate or a device log in.
const PASSWORDS: &[&str] = &[
    "1.2.840.113556.1.4.55",
    "1.2.840.113556.1.4.90",
    "1.2.840.113556.1.4.867",
    "1.2.840.113556.1.4.2328",
    "1.3.6.1.4.1.4203.1.3.4",
    "1.3.6.1.4.1.7165.2.1.24",
    "1.3.6.1.4.1.7165.2.1.25",
    "2.16.840.1.113719.1.301.4.39.1",
    "2.16.840.1.113730.3.8.11.3",
    "2.5.4.35",
    "altSecurityIdentities",
    "authPassword",
    "clearTextPassword",
    "dBCSPwd",
    "ipaNTHash",
    "krbPrincipalKey",
    "msDS-KeyCredentialLink",
    "sambaLMPassword",
    "sambaNTPassword",
    "unicodePwd",
    "userPassword",
];

/// Controls whose value is a filter, or several: assertion (RFC 4528), matched values (RFC 3876).
const CONTROLS_WITH_FILTERS: &[&str] = &["1.2.826.0.1.3344810.2.3", "1.3.6.1.1.12"];

/// Attributes that one search may ask for, and elements that its filter may have (L-043): more than any application needs, less than makes a directory sweat.
const ATTRIBUTES_MAX: usize = 2_000;
const FILTER_ELEMENTS_MAX: usize = 20_000;
/// The highest scope and the highest alias policy there are: `subordinateSubtree`, `derefAlways` (L-046).
const SCOPE_MAX: u32 = 3;
const ALIASES_MAX: u32 = 3;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Answered by us, with this code and text.
    Answer(Code, &'static str),
    /// To the directory.
    Pass,
    /// To the directory; it reads the root DSE, whose entry is filtered. `extensions`: it asks for `supportedExtension`.
    ReadRoot {
        /// Whether what we can do must stand in the answer.
        extensions: bool,
    },
    /// StartTLS, with a value or not.
    StartTls {
        /// Whether it came with a value.
        valued: bool,
    },
    /// Who am I?
    WhoAmI,
}

/// What a session may.
#[derive(Clone, Copy, Debug)]
pub(super) struct May {
    /// Why the bind was granted; `None` while anonymous.
    pub(super) bound: Option<Grant>,
    /// Nobody between us and the client can listen: TLS, or this machine.
    pub(super) unheard: bool,
}

impl May {
    /// What becomes of this request, as far as its controls say what it does; whether they are known is another question. Abandon, Bind and Unbind never come
    /// here.
    pub(super) fn judge(self, request: &Request<'_>, controls: &[Control<'_>]) -> Gate {
        match self.judge_bare(request) {
            Gate::Pass if controls.iter().any(tries_a_password) => self.password(),
            gate => gate,
        }
    }

    fn judge_bare(self, request: &Request<'_>) -> Gate {
        match request {
            Request::Extended { name, valued } => match *name {
                name if !is_oid(name) => Gate::Answer(Code::ProtocolError, "the name of this extended operation is no OID"),
                name if name == START_TLS.as_bytes() => Gate::StartTls { valued: *valued },
                name if name == WHO_AM_I.as_bytes() => Gate::WhoAmI,
                name if listed(EXTENSIONS_REFUSED, name) => Gate::Answer(Code::ProtocolError, "this extended operation is not supported"),
                name if listed(SETS_PASSWORDS, name) || name.starts_with(NMAS.as_bytes()) => self.password(),
                _ => self.bound(),
            },
            Request::Search(search) if search.scope > SCOPE_MAX || search.aliases > ALIASES_MAX => {
                Gate::Answer(Code::ProtocolError, "the scope or the alias policy is out of range")
            }
            Request::Search(search) if !search.asks_at_most(ATTRIBUTES_MAX, FILTER_ELEMENTS_MAX) => {
                Gate::Answer(Code::AdminLimitExceeded, "this search asks for too much at once")
            }
            Request::Search(search) if search.filters_by(is_password) => self.password(),
            // Whoever is nobody reads it plainly. To Active Directory a filter there is a question of its own (with `netlogon`: is there an account of this name?),
            // and no directory should work through filters of people who have shown nothing yet.
            Request::Search(search) if search.reads_root() && (self.bound.is_some() || search.asks_for_any()) => {
                Gate::ReadRoot { extensions: search.wants("supportedExtension") }
            }
            Request::Write(write) => match write.any_attribute(is_password) {
                Ok(true) => self.password(),
                Ok(false) => self.bound(),
                Err(_) => Gate::Answer(Code::ProtocolError, "the list of attributes cannot be read"),
            },
            Request::Other(_) | Request::Search(_) => self.bound(),
            Request::Abandon(_) | Request::Bind(_) | Request::Unbind => Gate::Answer(Code::OperationsError, "out of turn"),
        }
    }

    /// L-012, L-013: whoever has not bound sees the root DSE.
    fn bound(self) -> Gate {
        match self.bound {
            Some(_) => Gate::Pass,
            None => Gate::Answer(Code::InsufficientAccessRights, "bind first"),
        }
    }

    /// L-066: passwords are changed, and compared, by people whose second factor passed, and unheard. A comparison tells whether a password is right, and so does
    /// a filter that finds whose it is: for whoever may compare without a second factor it would be a bind without one.
    fn password(self) -> Gate {
        match (self.bound, self.unheard) {
            (None, _) => Gate::Answer(Code::InsufficientAccessRights, "bind first"),
            (Some(_), false) => Gate::Answer(Code::ConfidentialityRequired, "passwords are changed and compared over TLS alone"),
            (Some(Grant::Factor), true) => Gate::Pass,
            (Some(_), true) => Gate::Answer(Code::InsufficientAccessRights, "passwords are changed and compared after a second factor alone"),
        }
    }
}

/// Whether it carries a filter that names a password. One whose filter is not where it belongs may do so.
fn tries_a_password(control: &Control<'_>) -> bool {
    listed(CONTROLS_WITH_FILTERS, control.oid) && (control.value.is_empty() || any_named(control.value, is_password))
}

/// Whether these controls let the operation be done by a server that knows `known` (L-050, L-051, L-064).
pub(super) fn controls_pass(controls: &[Control<'_>], known: &HashSet<Vec<u8>>) -> bool {
    let passes = |control: &Control<'_>| is_oid(control.oid) && !listed(CONTROLS_REFUSED, control.oid) && (!control.critical || known.contains(control.oid));
    controls.iter().all(passes)
}

/// What is no name of RFC 4512 may be one to a directory: Samba reads up to the first NUL, others leave spaces out. So it counts as a password. The `OID.` of
/// RFC 1779 before a dotted name hides nothing.
fn is_password(attribute: &[u8]) -> bool {
    let name = attribute.split_at_checked(4).filter(|(prefix, _)| prefix.eq_ignore_ascii_case(b"OID.")).map_or(attribute, |(_, dotted)| dotted);
    let is_descriptor = name.first().is_some_and(u8::is_ascii_alphabetic) && name.iter().all(|sign| sign.is_ascii_alphanumeric() || b"-.".contains(sign));
    !(is_descriptor || is_oid(name)) || PASSWORDS.iter().any(|password| password.as_bytes().eq_ignore_ascii_case(name))
}

/// RFC 4512 §1.4, `numericoid`, in the one spelling it has: what is listed above is found in no other.
fn is_oid(name: &[u8]) -> bool {
    name.split(|sign| *sign == b'.').all(|arc| !arc.is_empty() && arc.iter().all(u8::is_ascii_digit) && (arc.len() == 1 || !arc.starts_with(b"0")))
}

fn listed(list: &[&str], oid: &[u8]) -> bool {
    list.iter().any(|listed| listed.as_bytes() == oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANONYMOUS: May = May { bound: None, unheard: true };
    const FACTORED: May = May { bound: Some(Grant::Factor), unheard: true };

    fn extended(name: &str) -> Request<'_> {
        Request::Extended { name: name.as_bytes(), valued: false }
    }

    #[test]
    fn l_012_l_013_whoever_has_not_bound_may_only_read_the_root() {
        for op in [crate::wire::ldap::Op::Delete, crate::wire::ldap::Op::Rename] {
            assert!(matches!(ANONYMOUS.judge(&Request::Other(op), &[]), Gate::Answer(Code::InsufficientAccessRights, _)));
            assert_eq!(FACTORED.judge(&Request::Other(op), &[]), Gate::Pass);
        }
        assert!(matches!(ANONYMOUS.judge(&extended("1.2.3"), &[]), Gate::Answer(Code::InsufficientAccessRights, _)));
        assert_eq!(FACTORED.judge(&extended("1.2.3"), &[]), Gate::Pass);
        assert_eq!(ANONYMOUS.judge(&extended(WHO_AM_I), &[]), Gate::WhoAmI);
        assert_eq!(ANONYMOUS.judge(&extended(START_TLS), &[]), Gate::StartTls { valued: false });
    }

    #[test]
    fn l_063_l_067_fast_bind_and_batch_are_unknown_to_everybody() {
        for name in EXTENSIONS_REFUSED {
            assert!(matches!(FACTORED.judge(&extended(name), &[]), Gate::Answer(Code::ProtocolError, _)), "{name}");
            assert!(matches!(ANONYMOUS.judge(&extended(name), &[]), Gate::Answer(Code::ProtocolError, _)), "{name}");
        }
    }

    #[test]
    fn l_066_passwords_change_after_a_second_factor_and_unheard() {
        assert_eq!(FACTORED.judge(&extended(PASSWORD_MODIFY), &[]), Gate::Pass);
        assert!(matches!(ANONYMOUS.judge(&extended(PASSWORD_MODIFY), &[]), Gate::Answer(Code::InsufficientAccessRights, _)));
        for key in ["2.16.840.1.113730.3.8.10.1", "2.16.840.1.113719.1.39.42.100.11"] {
            let may = May { bound: Some(Grant::Remembered), unheard: true };
            assert!(matches!(may.judge(&extended(key), &[]), Gate::Answer(Code::InsufficientAccessRights, _)), "{key}");
        }
        let heard = May { unheard: false, ..FACTORED };
        assert!(matches!(heard.judge(&extended(PASSWORD_MODIFY), &[]), Gate::Answer(Code::ConfidentialityRequired, _)));
        let others = [
            Grant::Bypass,
            Grant::Disabled,
            Grant::Exempt,
            Grant::FailOpen,
            Grant::Joined,
            Grant::ProviderBypass,
            Grant::Remembered,
            Grant::TrustedNetwork,
            Grant::Unenrolled,
        ];
        for why in others {
            let may = May { bound: Some(why), unheard: true };
            assert!(matches!(may.judge(&extended(PASSWORD_MODIFY), &[]), Gate::Answer(Code::InsufficientAccessRights, _)), "{why:?}");
        }
        assert!(is_password(b"UNICODEPWD") && is_password(b"2.5.4.35") && is_password(b" oid.1.2.840.113556.1.4.90 ") && is_password(b"ClearTextPassword"));
        assert!(!is_password(b"userPasswordHint") && !is_password(b"OID.2.5.4.3") && !is_password(b"msDS-cloudExtensionAttribute1"));
    }

    #[test]
    fn l_063_l_064_l_066_a_name_that_ends_at_a_nul_for_samba_is_none() {
        for name in [&b"unicodePwd\0x"[..], b"mail\0", b"\0", b"", b"mail ", b"2.5.4.035", b"2.5.4.", b"OID.", b"unicodePwd\xc2\xa0"] {
            assert!(is_password(name), "{name:?}");
        }
        for name in ["1.2.840.113556.1.4.1781\0x", "1.2.840.113556.1.4.01781", "1.2.840.113556.1.4.1781.", " 1.2.3", "who", ""] {
            assert!(matches!(FACTORED.judge(&extended(name), &[]), Gate::Answer(Code::ProtocolError, _)), "{name:?}");
        }
        for oid in ["2.16.840.1.113730.3.4.18\0", "2.16.840.1.113730.3.4.018", "2.16.840.1.113730.3.4.18 ", "", "proxy"] {
            let known: HashSet<Vec<u8>> = [oid.as_bytes().to_vec()].into();
            for critical in [true, false] {
                assert!(!controls_pass(&[Control { oid: oid.as_bytes(), critical, value: b"" }], &known), "{oid:?}");
            }
        }
    }

    #[test]
    fn l_050_l_064_a_critical_control_must_be_one_the_directory_knows() {
        let known: HashSet<Vec<u8>> = [b"1.1".to_vec(), b"2.16.840.1.113730.3.4.18".to_vec()].into();
        let control = |oid: &'static str, critical| Control { oid: oid.as_bytes(), critical, value: b"" };
        assert!(controls_pass(&[], &HashSet::new()));
        assert!(controls_pass(&[control("1.1", true), control("1.2", false)], &known));
        assert!(!controls_pass(&[control("1.1", true), control("1.2", true)], &known));
        assert!(!controls_pass(&[control("2.16.840.1.113730.3.4.18", true)], &known));
        assert!(!controls_pass(&[control("2.16.840.1.113730.3.4.18", false)], &known));
    }
}
