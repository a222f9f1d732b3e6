//! Attributes by name: what an administrator writes for a reply, and what people read instead of numbers.
//!
//! The names are those that other RADIUS servers use as well. They are data: one file for the standard attributes and one per vendor, in the folder
//! `dictionary`, compiled in and read once. The head of `standard.txt` tells how a line is written.
//!
//! | form | written as | on the wire |
//! |---|---|---|
//! | text | `staff` | UTF-8, 1 to 253 octets (to 247 for a vendor) |
//! | octets | `0x0a1b`, or text as it is | 1 to 253 octets (to 247 for a vendor) |
//! | integer | `3600`, `0xe10`, or the name of a value, case ignored | 4 octets |
//! | ipv4, ipv6 | `10.0.0.5`, `2001:db8::5` | 4 or 16 octets |
//! | ipv6prefix | `2001:db8::/32` | 2 to 18 octets (RFC 3162 §2.3) |
//! | ifid | `0:0:0:1` | 8 octets (RFC 3162 §2.2) |
//! | time | seconds since 1970 | 4 octets |
//! | tagged | `1:VLAN`, tag 0 to 31; no tag is tag 0 | one octet before the text, or the first of the integer's four (RFC 2868 §3) |

mod definition;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::OnceLock;

pub use self::definition::Definition;
use self::definition::Form;
use self::definition::Place;
pub use self::definition::ValueError;
use self::definition::Vendor;
use super::attr;
use super::attr::Attribute;

/// Attributes by name and by number.
#[derive(Debug, Default)]
pub struct Dictionary {
    definitions: Vec<Definition>,
    /// Names in lower case.
    by_name: HashMap<String, usize>,
    /// Vendor (0: none) and number.
    by_number: HashMap<(u32, u8), usize>,
}

impl Dictionary {
    /// The one that is compiled in.
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<Dictionary> = OnceLock::new();
        // A test reads the files; were they broken all the same, no name would be known, and no configuration that uses one would be taken.
        SHIPPED.get_or_init(|| Self::read(&FILES).unwrap_or_default())
    }

    /// The attribute of that name, case ignored.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(&name.to_ascii_lowercase()).and_then(|at| self.definitions.get(*at))
    }

    /// The names of all attributes that an administrator may set in a reply: for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().filter(|definition| definition.may_be_reply()).map(Definition::name)
    }

    /// Whether a reply may hold no second attribute of this type (RFC 2865 §5.44, RFC 2869 §5.19); vendors say nothing about theirs.
    #[must_use]
    pub fn is_single(&self, kind: u8) -> bool {
        self.by_number.get(&(0, kind)).and_then(|at| self.definitions.get(*at)).is_some_and(|definition| definition.is_single)
    }

    /// Names and values of an attribute for people: more than one for a Vendor-Specific one with several inside.
    ///
    /// Passwords, keys and what a password could be guessed by are never shown, nor is a value nobody knows the meaning of. Control characters are escaped.
    #[must_use]
    pub fn describe(&self, attribute: Attribute<'_>) -> Vec<(String, String)> {
        match (attribute.kind, attribute.value) {
            (attr::VENDOR_SPECIFIC, _) => match attribute.vendor() {
                Some(vendor) => vendor.attributes.iter().map(|inner| self.one(vendor.id, inner)).collect(),
                None => vec![("Vendor-Specific".to_owned(), definition::unknown(attribute.value))],
            },
            (kind @ attr::EXTENDED_1..=attr::LONG_EXTENDED_2, [extended, value @ ..]) => vec![(format!("Attr-{kind}.{extended}"), definition::unknown(value))],
            _ => vec![self.one(0, attribute)],
        }
    }

    fn one(&self, vendor: u32, attribute: Attribute<'_>) -> (String, String) {
        match self.by_number.get(&(vendor, attribute.kind)).and_then(|at| self.definitions.get(*at)) {
            Some(definition) => (definition.name().to_owned(), definition.show(attribute.value)),
            None => {
                let mut name = String::from("Attr-");
                if vendor != 0 {
                    let _ = write!(name, "26.{vendor}.");
                }
                let _ = write!(name, "{}", attribute.kind);
                (name, definition::unknown(attribute.value))
            }
        }
    }

    /// Reads files of our own form, each with its name.
    fn read(files: &[(&'static str, &'static str)]) -> Result<Self, Misfit> {
        let mut all = Self::default();
        for (file, text) in files {
            all.add(text).map_err(|(line, why)| Misfit { file, line, why })?;
        }
        Ok(all)
    }

    /// Adds one file; the error is its line and what is wrong there.
    fn add(&mut self, text: &'static str) -> Result<(), (usize, &'static str)> {
        let mut of: Option<Option<Vendor>> = None;
        for (line, text) in (1_usize..).zip(text.lines()) {
            let read = match (text.split_once('#').map_or(text, |(before, _)| before).trim_end(), of) {
                ("", _) => Ok(()),
                (head, None) => vendor(head).map(|vendor| of = Some(vendor)),
                (values, Some(_)) if values.starts_with(' ') => self.add_values(values),
                (attribute, Some(vendor)) => self.add_attribute(attribute, vendor),
            };
            read.map_err(|why| (line, why))?;
        }
        Ok(())
    }

    /// `NUMBER NAME FORM [MARK ..]`.
    fn add_attribute(&mut self, line: &'static str, vendor: Option<Vendor>) -> Result<(), &'static str> {
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|word| word.parse().ok()).filter(|number| *number != 0).ok_or("the number is none of 1 to 255")?;
        let name = words.next().ok_or("the name is missing")?;
        let form = words.next().and_then(Form::of).ok_or("this form is unknown")?;
        let mut definition = Definition::new(name, vendor, number, form);
        let at = self.definitions.len();
        for mark in words {
            match mark {
                "tagged" if matches!(form, Form::Integer | Form::Text) => definition.is_tagged = true,
                "secret" => definition.is_secret = true,
                "once" => definition.is_single = true,
                "hidden" => definition.place = Place::Hidden,
                "ours" => definition.place = Place::Ours,
                "request" => definition.place = Place::Request,
                _ => {
                    let other = mark.strip_prefix("also=").ok_or("this mark is unknown")?;
                    self.add_name(other, at)?;
                }
            }
        }
        self.add_name(name, at)?;
        if self.by_number.insert((vendor.map_or(0, |vendor| vendor.id), number), at).is_some() {
            return Err("this number is there twice");
        }
        self.definitions.push(definition);
        Ok(())
    }

    fn add_name(&mut self, name: &str, at: usize) -> Result<(), &'static str> {
        self.by_name.insert(name.to_ascii_lowercase(), at).map_or(Ok(()), |_| Err("this name is there twice"))
    }

    /// `NAME=NUMBER ..`, of the attribute above. Of several names of a number the first is shown.
    fn add_values(&mut self, line: &'static str) -> Result<(), &'static str> {
        let definition = self.definitions.last_mut().filter(|last| last.form == Form::Integer).ok_or("values belong to an integer")?;
        for word in line.split_whitespace() {
            let (name, number) = word.split_once('=').and_then(|(name, number)| Some((name, number.parse().ok()?))).ok_or("a value is NAME=NUMBER")?;
            // A name that is a number could not be told from one.
            if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) || definition.values.iter().any(|(held, _)| held.eq_ignore_ascii_case(name)) {
                return Err("this value's name is a number, empty or there twice");
            }
            definition.values.push((name, number));
        }
        Ok(())
    }
}

/// A file's head: `standard` or `vendor NAME NUMBER`.
fn vendor(line: &'static str) -> Result<Option<Vendor>, &'static str> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["standard"] => Ok(None),
        ["vendor", name, id] => {
            let id = id.parse().ok().filter(|id| (1..=0x00ff_ffff).contains(id)).ok_or("the vendor's number is none of 1 to 16777215")?;
            Ok(Some(Vendor { name, id }))
        }
        _ => Err("a file begins with `standard` or `vendor NAME NUMBER`"),
    }
}

/// A line of a dictionary file that is not of our form.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {why}")]
struct Misfit {
    file: &'static str,
    line: usize,
    why: &'static str,
}

const FILES: [(&str, &str); 16] = [
    ("standard", include_str!("dictionary/standard.txt")),
    ("aruba", include_str!("dictionary/aruba.txt")),
    ("checkpoint", include_str!("dictionary/checkpoint.txt")),
    ("cisco", include_str!("dictionary/cisco.txt")),
    ("cisco_asa", include_str!("dictionary/cisco_asa.txt")),
    ("citrix", include_str!("dictionary/citrix.txt")),
    ("citrix_systems", include_str!("dictionary/citrix_systems.txt")),
    ("f5", include_str!("dictionary/f5.txt")),
    ("fortinet", include_str!("dictionary/fortinet.txt")),
    ("juniper", include_str!("dictionary/juniper.txt")),
    ("meraki", include_str!("dictionary/meraki.txt")),
    ("microsoft", include_str!("dictionary/microsoft.txt")),
    ("mikrotik", include_str!("dictionary/mikrotik.txt")),
    ("netscreen", include_str!("dictionary/netscreen.txt")),
    ("paloalto", include_str!("dictionary/paloalto.txt")),
    ("sonicwall", include_str!("dictionary/sonicwall.txt")),
];
