//! A new password in a directory: what may be sent, how Active Directory wants it, and what its answers mean.

use zeroize::Zeroizing;

use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Secret;

use super::search::Answer;
use super::session::Password;

/// Both passwords, where they may go to a directory at all.
///
/// # Errors
/// `WrongOld` for an old password that is nobody's; `Refused` for a new one that is empty, too long, the old one again, or holds signs one cannot see: nobody types
/// those on purpose, and the next login would fail.
pub(super) fn acceptable(old: &Secret, new: &Secret) -> Result<(Password, Password), PasswordError> {
    let old_fit = Password::of(old).ok_or(PasswordError::WrongOld)?;
    let new_fit = Password::of(new).filter(|_| new.len() <= PASSWORD_LEN_MAX && new != old).ok_or(PasswordError::Refused)?;
    if new_fit.text().contains(char::is_control) {
        return Err(PasswordError::Refused);
    }
    Ok((old_fit, new_fit))
}

/// A value of `unicodePwd`: the password in quotation marks, UTF-16, little end first ([MS-ADTS] §3.1.1.3.1.5).
pub(super) fn unicode_pwd(password: &Password) -> Zeroizing<Vec<u8>> {
    let mut value = Zeroizing::new(Vec::with_capacity(password.text().len().saturating_add(2).saturating_mul(2)));
    let mark = std::iter::once(u16::from(b'"'));
    for unit in mark.clone().chain(password.text().encode_utf16()).chain(mark) {
        value.extend_from_slice(&unit.to_le_bytes());
    }
    value
}

/// What Active Directory says to a modify of `unicodePwd`: the Windows error in front of its text tells more than the code.
pub(super) fn ad_verdict(answer: &Answer) -> Result<(), PasswordError> {
    let error = answer.text.split_once(':').and_then(|(front, _)| u32::from_str_radix(front, 16).ok());
    match (answer.code, error) {
        (0, _) => Ok(()),
        (CONSTRAINT_VIOLATION | INVALID_CREDENTIALS, Some(ERROR_INVALID_PASSWORD | ERROR_LOGON_FAILURE | ERROR_ACCOUNT_LOCKED_OUT)) => {
            Err(PasswordError::WrongOld)
        }
        (INVALID_CREDENTIALS, _) => Err(PasswordError::WrongOld),
        (CONSTRAINT_VIOLATION, _) | (UNWILLING_TO_PERFORM, Some(ERROR_PASSWORD_RESTRICTION)) => Err(PasswordError::Refused),
        (code, _) => Err(other(code)),
    }
}

/// What any other directory says to the operation of RFC 3062, asked for by the person's own connection.
pub(super) fn verdict(answer: &Answer) -> Result<(), PasswordError> {
    match answer.code {
        0 => Ok(()),
        CONSTRAINT_VIOLATION => Err(PasswordError::Refused),
        INVALID_CREDENTIALS => Err(PasswordError::WrongOld),
        code => Err(other(code)),
    }
}

/// A code that says nothing about either password.
fn other(code: u32) -> PasswordError {
    match code {
        PROTOCOL_ERROR | STRONGER_AUTH_REQUIRED | CONFIDENTIALITY_REQUIRED | INSUFFICIENT_ACCESS_RIGHTS | UNWILLING_TO_PERFORM => PasswordError::Unsupported,
        _ => PasswordError::Outage(Outage::Directory),
    }
}

/// RFC 4511 appendix A.
const PROTOCOL_ERROR: u32 = 2;
const STRONGER_AUTH_REQUIRED: u32 = 8;
const CONFIDENTIALITY_REQUIRED: u32 = 13;
const CONSTRAINT_VIOLATION: u32 = 19;
const INVALID_CREDENTIALS: u32 = 49;
const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
const UNWILLING_TO_PERFORM: u32 = 53;
/// [MS-ERREF] §2.2.
const ERROR_INVALID_PASSWORD: u32 = 0x56;
const ERROR_LOGON_FAILURE: u32 = 0x52e;
const ERROR_PASSWORD_RESTRICTION: u32 = 0x52d;
const ERROR_ACCOUNT_LOCKED_OUT: u32 = 0x775;
/// Octets of a new password: User-Password holds no longer one (RFC 2865 §5.2).
const PASSWORD_LEN_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::of(&Secret::from(text)).unwrap()
    }

    #[test]
    fn a_value_is_the_password_in_quotation_marks_in_utf_16() {
        assert_eq!(unicode_pwd(&password("aä")).as_slice(), [0x22, 0, 0x61, 0, 0xe4, 0, 0x22, 0]);
        assert_eq!(unicode_pwd(&password("\"😀")).as_slice(), [0x22, 0, 0x22, 0, 0x3d, 0xd8, 0x00, 0xde, 0x22, 0]);
    }

    #[test]
    fn l_010_what_cannot_be_a_password_never_leaves_us() {
        let tried = |old: &str, new: &str| acceptable(&Secret::from(old), &Secret::from(new)).map(|_| ());
        assert_eq!(tried("old", "N3w-Passw0rd!"), Ok(()));
        assert_eq!(tried("old", " "), Ok(()));
        for new in ["", "\0", "N3w\0", "N3w\n", "\u{7}N3w", "N3w\u{85}", "old", &"x".repeat(129)] {
            assert_eq!(tried("old", new), Err(PasswordError::Refused), "{new:?}");
        }
        for old in ["", "old\0"] {
            assert_eq!(tried(old, "N3w-Passw0rd!"), Err(PasswordError::WrongOld));
        }
        assert_eq!(acceptable(&Secret::from("old"), &Secret::new(vec![0xff])).err(), Some(PasswordError::Refused));
    }

    #[test]
    fn active_directory_tells_a_wrong_password_from_a_poor_one() {
        for (code, text, means) in [
            (0, "", Ok(())),
            (19, "00000056: AtrErr: DSID-03190FF4, #1: problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)", Err(PasswordError::WrongOld)),
            (19, "0000052D: AtrErr: DSID-03190F80, #1: problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)", Err(PasswordError::Refused)),
            (19, "0000052D: Constraint violation - check_password_restrictions: the password is too short.", Err(PasswordError::Refused)),
            (19, "00000775: locked", Err(PasswordError::WrongOld)),
            (19, "", Err(PasswordError::Refused)),
            (53, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0", Err(PasswordError::Refused)),
            (53, "0000001F: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0", Err(PasswordError::Unsupported)),
            (50, "00000005: SecErr: DSID-03152870, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0", Err(PasswordError::Unsupported)),
            (13, "", Err(PasswordError::Unsupported)),
            (1, "", Err(PasswordError::Outage(Outage::Directory))),
            (80, "", Err(PasswordError::Outage(Outage::Directory))),
            (u32::MAX, "x:", Err(PasswordError::Outage(Outage::Directory))),
        ] {
            assert_eq!(ad_verdict(&Answer { code, text: text.to_owned() }), means, "{code} {text}");
        }
    }

    #[test]
    fn another_directory_tells_by_its_code_alone() {
        for (code, means) in [
            (0, Ok(())),
            (2, Err(PasswordError::Unsupported)),
            (19, Err(PasswordError::Refused)),
            (49, Err(PasswordError::WrongOld)),
            (50, Err(PasswordError::Unsupported)),
            (53, Err(PasswordError::Unsupported)),
            (52, Err(PasswordError::Outage(Outage::Directory))),
        ] {
            assert_eq!(verdict(&Answer { code, text: "00000056: no".to_owned() }), means, "{code}");
        }
    }
}
