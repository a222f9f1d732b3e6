//! Key files of hardware tokens: the Portable Symmetric Key Container (RFC 6030), plain, under a shared key or under a password.

mod crypt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;
use zeroize::Zeroizing;

use super::seeds;
use super::seeds::Found;
use super::seeds::TOKENS_MAX;
use super::seeds::Wrong;
use crate::domain::Secret;
use crate::domain::TokenKind;
use crate::domain::otp::Algorithm;
use crypt::Hash;
use crypt::Opener;

/// What opens a file that is encrypted.
#[derive(Debug, Default)]
pub(in crate::front::http) struct Unlock {
    /// A shared key: 16 or 32 bytes.
    pub(in crate::front::http) key: Option<Secret>,
    /// A password, from which the key is made as the file says.
    pub(in crate::front::http) password: Option<Secret>,
}

/// Reads a file. Takes as long as its password is stretched, so this blocks.
///
/// # Errors
/// All tokens that are wrong, with the lines they begin in; or why the file cannot be opened at all, with the line 0 where it is nowhere in particular.
pub(in crate::front::http) fn read(text: &str, unlock: &Unlock) -> Result<Vec<Found>, Vec<Wrong>> {
    let container = Container::read(text).map_err(|wrong| vec![wrong])?;
    let opener = container.opener(unlock).map_err(|error| vec![(0, error)])?;
    if container.keys.is_empty() {
        return Err(vec![(0, "there is no key in it".to_owned())]);
    }
    seeds::all(container.keys.into_iter().map(|key| {
        let line = key.line;
        key.found(opener.as_ref()).map_err(|error| (line, error))
    }))
}

/// What stands in a file, nothing of it decided.
#[derive(Default)]
struct Container {
    salt: Option<String>,
    rounds: Option<String>,
    key_bytes: Option<String>,
    prf: Option<String>,
    derived: bool,
    mac: Option<String>,
    mac_key: Option<Zeroizing<String>>,
    mac_key_method: Option<String>,
    keys: Vec<Key>,
}

/// A key in it.
#[derive(Default)]
struct Key {
    line: u64,
    id: String,
    serial: Option<String>,
    algorithm: String,
    length: Option<String>,
    encoding: Option<String>,
    suite: Option<String>,
    plain: Option<Zeroizing<String>>,
    method: Option<String>,
    cipher: Option<String>,
    mac: Option<String>,
    counter: Option<String>,
    interval: Option<String>,
    /// Something of it is encrypted that must be in the clear here.
    hidden: bool,
}

impl Container {
    fn read(text: &str) -> Result<Self, Wrong> {
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut container = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut held = Zeroizing::new(String::new());
        let (mut line, mut counted) = (1, 0);
        loop {
            let event = reader.read_event();
            let place = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(text.len());
            let fresh = text.as_bytes().get(counted..place).unwrap_or_default();
            line = u64::try_from(fresh.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(0).saturating_add(line);
            counted = place;
            let wrong = |error: &str| (line, error.to_owned());
            match event.map_err(|error| (line, format!("is no XML: {error}")))? {
                Event::Start(start) => {
                    held.clear();
                    container.open(&mut path, &start, line).map_err(|error| wrong(&error))?;
                }
                Event::Empty(start) => {
                    held.clear();
                    container.open(&mut path, &start, line).map_err(|error| wrong(&error))?;
                    container.close(&path, &held);
                    path.pop();
                }
                Event::End(_) => {
                    container.close(&path, &held);
                    held.clear();
                    path.pop();
                }
                Event::Text(text) => held.push_str(&text.decode().map_err(|error| (line, error.to_string()))?),
                Event::CData(text) => held.push_str(&text.decode().map_err(|error| (line, error.to_string()))?),
                // Whoever can declare entities can make a small file large, and have us read others.
                Event::DocType(_) => return Err(wrong("a document type is not allowed here")),
                Event::GeneralRef(name) if !known(&name) => return Err(wrong("an entity is not allowed here")),
                Event::GeneralRef(_) => held.push('?'),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if path.is_empty() => break,
                Event::Eof => return Err(wrong("ends in the middle")),
            }
        }
        if container.keys.len() > TOKENS_MAX {
            return Err((0, format!("{} keys are too many at once: at most {TOKENS_MAX}", container.keys.len())));
        }
        Ok(container)
    }

    fn open(&mut self, path: &mut Vec<String>, start: &BytesStart<'_>, line: u64) -> Result<(), String> {
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        if path.len() >= DEPTH_MAX {
            return Err("is nested too deeply".to_owned());
        }
        if path.is_empty() && name != "KeyContainer" {
            return Err(format!("is no key container but {name:?}"));
        }
        path.push(name);
        let attribute = |name: &str| {
            let found = start.try_get_attribute(name).ok().flatten();
            found.map(|found| String::from_utf8_lossy(&found.value).into_owned())
        };
        let at: Vec<&str> = path.iter().map(String::as_str).collect();
        match (at.as_slice(), self.keys.last_mut()) {
            ([_, "KeyPackage"], _) => self.keys.push(Key { line, ..Key::default() }),
            ([_, "EncryptionKey", "DerivedKey"], _) => self.derived = true,
            ([_, "EncryptionKey", .., "PRF"], _) => self.prf = attribute("Algorithm"),
            ([_, "MACMethod"], _) => self.mac = attribute("Algorithm"),
            ([_, "MACMethod", "MACKey", "EncryptionMethod"], _) => self.mac_key_method = attribute("Algorithm"),
            ([_, "KeyPackage", "Key"], Some(key)) => {
                key.id = attribute("Id").unwrap_or_default();
                key.algorithm = attribute("Algorithm").unwrap_or_default();
            }
            ([.., "Key", "AlgorithmParameters", "ResponseFormat"], Some(key)) => {
                key.length = attribute("Length");
                key.encoding = attribute("Encoding");
            }
            ([.., "Data", "Secret", "EncryptedValue", "EncryptionMethod"], Some(key)) => key.method = attribute("Algorithm"),
            ([.., "Data", "Counter" | "Time" | "TimeInterval", "EncryptedValue"], Some(key)) => key.hidden = true,
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, path: &[String], held: &str) {
        let text = || Some(held.trim().to_owned());
        let at: Vec<&str> = path.iter().map(String::as_str).collect();
        match (at.as_slice(), self.keys.last_mut()) {
            ([_, "EncryptionKey", .., "Salt", "Specified"], _) => self.salt = text(),
            ([_, "EncryptionKey", .., "IterationCount"], _) => self.rounds = text(),
            ([_, "EncryptionKey", .., "KeyLength"], _) => self.key_bytes = text(),
            ([_, "MACMethod", "MACKey", "CipherData", "CipherValue"], _) => self.mac_key = text().map(Zeroizing::new),
            ([_, "KeyPackage", "DeviceInfo", "SerialNo"], Some(key)) => key.serial = text(),
            ([.., "Key", "AlgorithmParameters", "Suite"], Some(key)) => key.suite = text(),
            ([.., "Data", "Secret", "PlainValue"], Some(key)) => key.plain = text().map(Zeroizing::new),
            ([.., "Data", "Secret", "EncryptedValue", "CipherData", "CipherValue"], Some(key)) => key.cipher = text(),
            ([.., "Data", "Secret", "ValueMAC"], Some(key)) => key.mac = text(),
            ([.., "Data", "Counter", "PlainValue"], Some(key)) => key.counter = text(),
            ([.., "Data", "TimeInterval", "PlainValue"], Some(key)) => key.interval = text(),
            _ => {}
        }
    }

    /// What opens the keys; `None` where none is encrypted.
    fn opener(&self, unlock: &Unlock) -> Result<Option<Opener>, String> {
        if !self.keys.iter().any(|key| key.cipher.is_some()) {
            return Ok(None);
        }
        let key =
            if self.derived { self.derived_key(unlock)? } else { unlock.key.clone().ok_or("is encrypted under a shared key: name it with --key-file")? };
        let mac = self.mac.as_deref().ok_or("has encrypted keys and no MAC: nobody can tell whether they are whole")?;
        let mac = Hash::of_mac(mac).ok_or_else(|| format!("has a MAC of a kind that is not known here: {mac:?}"))?;
        let mac_key = match &self.mac_key {
            // RFC 6030 §6.1.1.
            None => key.clone(),
            Some(sealed) => {
                let method = self.mac_key_method.as_deref().unwrap_or_default();
                crypt::decrypt(method, &key, &decoded(sealed)?).map_err(|error| format!("the key of the MAC: {error}"))?
            }
        };
        Ok(Some(Opener { key, mac, mac_key }))
    }

    /// PBKDF2 (RFC 6030 §6.2).
    fn derived_key(&self, unlock: &Unlock) -> Result<Secret, String> {
        let password = unlock.password.as_ref().ok_or("is encrypted under a password: name the file it stands in with --password-file")?;
        let salt = decoded(self.salt.as_deref().ok_or("has no salt")?)?;
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u32>().ok());
        let rounds = number(&self.rounds).filter(|rounds| (1..=ROUNDS_MAX).contains(rounds));
        let rounds = rounds.ok_or_else(|| format!("has no number of rounds between 1 and {ROUNDS_MAX}"))?;
        let length = number(&self.key_bytes).unwrap_or(16);
        let hash = match self.prf.as_deref() {
            None => Hash::Sha1,
            Some(prf) => Hash::of_mac(prf).ok_or_else(|| format!("stretches its password in a way that is not known here: {prf:?}"))?,
        };
        crypt::stretched(hash, password, &salt, rounds, length).ok_or_else(|| format!("has a key of {length} bytes: 16 or 32 are possible"))
    }
}

impl Key {
    fn found(self, opener: Option<&Opener>) -> Result<Found, String> {
        if self.hidden {
            return Err("its counter or interval is encrypted: only secrets may be".to_owned());
        }
        let number = |what: &str, text: &Option<String>, usual: u64| match text {
            Some(text) => text.parse::<u64>().map_err(|_| format!("its {what} {text:?} is no number")),
            None => Ok(usual),
        };
        let kind = match self.algorithm.rsplit(':').next() {
            Some("hotp") => TokenKind::Hotp,
            Some("totp") => TokenKind::Totp { period_s: u32::try_from(number("interval", &self.interval, 30)?).unwrap_or(u32::MAX) },
            _ => return Err(format!("{:?} is no algorithm of codes that is known here: hotp or totp", self.algorithm)),
        };
        if let Some(encoding) = self.encoding.as_deref().filter(|encoding| *encoding != "DECIMAL") {
            return Err(format!("its codes are {encoding:?}: only DECIMAL ones can be checked"));
        }
        let algorithm = match self.suite.as_deref() {
            None => Algorithm::Sha1,
            Some(suite) => seeds::algorithm(suite).ok_or_else(|| format!("{suite:?} is no hash that is known here"))?,
        };
        let seed = match (&self.plain, &self.cipher, opener) {
            (Some(plain), None, _) => STANDARD.decode(packed(plain)).map(Secret::new).map_err(|_| "its secret is no Base64".to_owned())?,
            (None, Some(sealed), Some(opener)) => {
                let mac = decoded(self.mac.as_deref().ok_or("its secret has no MAC: nobody can tell whether it is whole")?)?;
                opener.open(self.method.as_deref().unwrap_or_default(), &decoded(sealed)?, &mac)?
            }
            _ => return Err("it has no secret".to_owned()),
        };
        seeds::checked(Found {
            line: self.line,
            serial: self.serial.filter(|serial| !serial.is_empty()).unwrap_or(self.id),
            seed,
            kind,
            algorithm,
            digits: u8::try_from(number("number of digits", &self.length, 6)?).unwrap_or(u8::MAX),
            next_step: if kind == TokenKind::Hotp { number("counter", &self.counter, 0)? } else { 0 },
            owner: None,
        })
    }
}

/// The five that XML itself has, and characters by their number.
fn known(name: &[u8]) -> bool {
    matches!(name, b"amp" | b"lt" | b"gt" | b"quot" | b"apos") || name.starts_with(b"#")
}

fn packed(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.split_whitespace().collect())
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(packed(text)).map_err(|_| "a value is no Base64".to_owned())
}

const DEPTH_MAX: usize = 32;
/// Some seconds.
const ROUNDS_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests;
