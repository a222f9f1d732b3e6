//! What is known of a person, checked before it is written: addresses, telephone numbers, names, devices.

use super::refusal::Refusal;
use super::shapes::Device;
use super::shapes::Fields;
use crate::domain;
use crate::domain::Account;
use crate::domain::phone::Numbers;

/// Bytes of a mail address (RFC 5321 §4.5.3.1.3, without the brackets).
const MAIL_LEN_MAX: usize = 254;
/// Bytes of a name, a group, a device's id and label.
const NAME_LEN_MAX: usize = 256;
/// Bytes of notes.
const NOTES_LEN_MAX: usize = 2_000;
/// Bytes of a language (RFC 5646 §4.4.1).
const LANGUAGE_LEN_MAX: usize = 35;

/// The account with these fields in place of its own; one that is empty is taken away. A new device is of a provider that is `known` to the configuration.
///
/// # Errors
/// The first that cannot be, and why.
pub(super) fn put(account: &Account, fields: Fields, numbers: Numbers, known: impl Fn(&str) -> bool) -> Result<Account, Refusal> {
    let Fields { method, no_method, mail, phone, backup_phone, given_name, family_name, language, group, notes, devices } = fields;
    let old = account.clone();
    let line = |what: &'static str| move |text: &str| name(what, text);
    if let Some(strange) = devices.iter().flatten().find(|device| !known(&device.provider) && !old.devices.iter().any(|old| old.provider == device.provider)) {
        let told = format!("no provider is called {:?}: its device would never be asked", strange.provider);
        return Err(Refusal::wrong(told, "write PROVIDER as in [provider.PROVIDER] of the configuration"));
    }
    Ok(Account {
        method: method.or_else(|| old.method.filter(|_| !no_method)),
        mail: changed(mail, old.mail, self::mail)?,
        phone: changed(phone, old.phone, |text| number("telephone number", text, numbers))?,
        backup_phone: changed(backup_phone, old.backup_phone, |text| number("backup telephone number", text, numbers))?,
        given_name: changed(given_name, old.given_name, line("given name"))?,
        family_name: changed(family_name, old.family_name, line("family name"))?,
        language: changed(language, old.language, self::language)?,
        group: changed(group, old.group, line("group"))?,
        notes: changed(notes, old.notes, self::notes)?,
        devices: devices.map_or(Ok(old.devices), self::devices)?,
        ..account.clone()
    })
}

fn changed(new: Option<String>, old: Option<String>, check: impl Fn(&str) -> Result<String, Refusal>) -> Result<Option<String>, Refusal> {
    match new {
        None => Ok(old),
        Some(text) if text.trim().is_empty() => Ok(None),
        Some(text) => check(text.trim()).map(Some),
    }
}

fn mail(text: &str) -> Result<String, Refusal> {
    let fine = text.len() <= MAIL_LEN_MAX && text.contains('@') && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    if fine { Ok(text.to_owned()) } else { Err(Refusal::wrong(format!("{text:?} is no mail address"), "write it as name@example.org")) }
}

fn number(what: &str, text: &str, numbers: Numbers) -> Result<String, Refusal> {
    numbers.read(text).map_err(|error| Refusal::wrong(format!("the {what} {text:?}: {error}"), "write it as +49 30 12345678, an extension behind it as x12"))
}

fn name(what: &str, text: &str) -> Result<String, Refusal> {
    if text.len() > NAME_LEN_MAX || text.contains(char::is_control) {
        return Err(Refusal::wrong(format!("{text:?} cannot be a {what}"), "at most 256 bytes in one line"));
    }
    Ok(text.to_owned())
}

fn notes(text: &str) -> Result<String, Refusal> {
    if text.len() > NOTES_LEN_MAX || text.contains(|c: char| c.is_control() && c != '\n') {
        return Err(Refusal::wrong("the notes are too long or hold control characters", "at most 2,000 bytes"));
    }
    Ok(text.to_owned())
}

/// What looks like a language: nothing here knows all there are.
fn language(text: &str) -> Result<String, Refusal> {
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|letter| letter.is_ascii_alphanumeric());
    let first = text.split('-').next().unwrap_or_default();
    let fine = text.len() <= LANGUAGE_LEN_MAX && (2..=3).contains(&first.len()) && first.bytes().all(|letter| letter.is_ascii_alphabetic());
    if !fine || !text.split('-').all(part) {
        return Err(Refusal::wrong(format!("{text:?} is no language"), "write it as de, en or pt-BR"));
    }
    Ok(text.to_owned())
}

fn devices(devices: Vec<Device>) -> Result<Vec<domain::Device>, Refusal> {
    if devices.len() > Account::DEVICES_MAX {
        return Err(Refusal::wrong(format!("{} devices are too many", devices.len()), "at most 10"));
    }
    devices.into_iter().map(device).collect()
}

fn device(device: Device) -> Result<domain::Device, Refusal> {
    let Device { provider, id, label } = device;
    if provider.is_empty() || id.is_empty() {
        return Err(Refusal::wrong("a device lacks its provider or its id", "write PROVIDER=ID or PROVIDER=ID:LABEL"));
    }
    Ok(domain::Device { provider: name("provider", &provider)?, id: name("device's id", &id)?, label: name("device's label", &label)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Identity;
    use crate::domain::Timestamp;

    fn alice() -> Account {
        Account { mail: Some("a@b.example".into()), ..Account::new(Identity("S-1".into()), "alice", None, Timestamp(0)) }
    }

    fn with(fields: Fields) -> Result<Account, Refusal> {
        put(&alice(), fields, Numbers::default(), |provider| provider == "duo")
    }

    #[test]
    fn what_is_left_out_stays_and_what_is_empty_goes() {
        let same = with(Fields { given_name: Some(" Alice ".into()), ..Fields::default() }).unwrap();
        assert_eq!((same.mail.as_deref(), same.given_name.as_deref()), (Some("a@b.example"), Some("Alice")));
        let gone = with(Fields { mail: Some(String::new()), ..Fields::default() }).unwrap();
        assert_eq!(gone.mail, None);
    }

    #[test]
    fn a_device_that_is_there_stays_though_its_provider_is_gone() {
        let device = |id: &str| Device { provider: "gone".into(), id: id.into(), label: String::new() };
        let kept = domain::Device { provider: "gone".into(), id: "1".into(), label: String::new() };
        let account = Account { devices: vec![kept], ..alice() };
        let both = Fields { devices: Some(vec![device("1")]), ..Fields::default() };
        assert_eq!(put(&account, both, Numbers::default(), |_| false).unwrap().devices.len(), 1);
        let new = Fields { devices: Some(vec![device("1")]), ..Fields::default() };
        let refused = put(&alice(), new, Numbers::default(), |_| false).unwrap_err();
        assert!(format!("{refused:?}").contains("no provider is called"), "{refused:?}");
    }

    #[test]
    fn numbers_are_kept_as_e_164_and_strange_texts_are_refused() {
        let called = with(Fields { phone: Some("+49 (30) 1234-5678 x 9".into()), ..Fields::default() }).unwrap();
        assert_eq!(called.phone.as_deref(), Some("+493012345678x9"));
        let text = |text: &str| Some(text.to_owned());
        for fields in [
            Fields { phone: text("030 12345678"), ..Fields::default() },
            Fields { backup_phone: text("+49 1"), ..Fields::default() },
            Fields { language: text("german!"), ..Fields::default() },
            Fields { family_name: text("a\u{1b}[2J"), ..Fields::default() },
            Fields { notes: text(&"n".repeat(2_001)), ..Fields::default() },
            Fields { devices: Some(vec![Device { provider: "duo".into(), id: String::new(), label: String::new() }]), ..Fields::default() },
            Fields { devices: Some(vec![Device { provider: "doo".into(), id: "1".into(), label: String::new() }]), ..Fields::default() },
            Fields { devices: Some(vec![Device { provider: "duo".into(), id: "1".into(), label: String::new() }; 11]), ..Fields::default() },
        ] {
            assert!(with(fields.clone()).is_err(), "{fields:?}");
        }
    }
}
