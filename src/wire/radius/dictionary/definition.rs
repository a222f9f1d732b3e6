//! One attribute of the dictionary: its value from what an administrator writes, and back for people.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::wire::radius::attr::VALUE_LEN_MAX;
use crate::wire::radius::attr::VENDOR_SPECIFIC;

/// An attribute: its name, where it stands, and what its values look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    name: &'static str,
    vendor: Option<Vendor>,
    pub(super) number: u8,
    pub(super) form: Form,
    /// A tag tells which of several tunnels is meant (RFC 2868 §3).
    pub(super) is_tagged: bool,
    /// Never shown.
    pub(super) is_secret: bool,
    /// Stands in a reply once or not at all.
    pub(super) is_single: bool,
    pub(super) place: Place,
    pub(super) values: Vec<(&'static str, u32)>,
}

/// Whose attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vendor {
    pub(super) name: &'static str,
    /// Private enterprise number, 1 to 16777215.
    pub(super) id: u32,
}

/// What the octets mean (RFC 8044).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    InterfaceId,
    Integer,
    Ipv4,
    Ipv6,
    Ipv6Prefix,
    Octets,
    Text,
    Time,
}

impl Form {
    /// The word for it in a file.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "ifid" => Self::InterfaceId,
            "integer" => Self::Integer,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "ipv6prefix" => Self::Ipv6Prefix,
            "octets" => Self::Octets,
            "text" => Self::Text,
            "time" => Self::Time,
            _ => return None,
        })
    }
}

/// Where an attribute may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Encrypted for each packet anew: never a fixed value.
    Hidden,
    /// We write it ourselves, or not at all.
    Ours,
    /// An administrator may set it in a reply.
    Reply,
    /// Clients send it.
    Request,
}

impl Definition {
    pub(super) fn new(name: &'static str, vendor: Option<Vendor>, number: u8, form: Form) -> Self {
        Self { name, vendor, number, form, is_tagged: false, is_secret: false, is_single: false, place: Place::Reply, values: Vec::new() }
    }

    /// Its name as it is usually written.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The name of the vendor whose attribute it is.
    #[must_use]
    pub fn vendor(&self) -> Option<&str> {
        self.vendor.map(|vendor| vendor.name)
    }

    /// Whether an administrator may set it in a reply (RFC 2865 §5.44). Not: credentials and keys, what clients alone send, and what we write ourselves.
    #[must_use]
    pub fn may_be_reply(&self) -> bool {
        self.place == Place::Reply
    }

    /// The whole attribute in wire form for a reply, Vendor-Specific around it where it is a vendor's (RFC 2865 §5.26).
    ///
    /// # Errors
    /// What to write instead. An attribute that is not for replies has no value that could be written.
    pub fn encode(&self, value: &str) -> Result<Vec<u8>, ValueError> {
        let name = self.name;
        match self.place {
            Place::Reply => {}
            Place::Hidden => return Err(ValueError::Hidden { name }),
            Place::Ours => return Err(ValueError::Ours { name }),
            Place::Request => return Err(ValueError::Request { name }),
        }
        let (tag, value) = if self.is_tagged { self.tag(value)? } else { (0, value) };
        let mut octets = self.octets(value)?;
        match (self.is_tagged, self.form, octets.first_mut()) {
            // RFC 2868 §3.1: the tag takes the place of the number's highest octet.
            (true, Form::Integer, Some(first)) => {
                if *first != 0 {
                    return Err(ValueError::Number { name, max: 0x00ff_ffff });
                }
                *first = tag;
            }
            // RFC 2868 §3.3: no tag is written as none.
            (true, ..) if tag != 0 => octets.insert(0, tag),
            _ => {}
        }
        self.framed(&octets)
    }

    fn framed(&self, octets: &[u8]) -> Result<Vec<u8>, ValueError> {
        let max = VALUE_LEN_MAX.saturating_sub(if self.vendor.is_some() { VENDOR_HEAD_LEN } else { 0 });
        if octets.is_empty() {
            return Err(ValueError::Empty { name: self.name });
        }
        let too_long = || ValueError::TooLong { name: self.name, len: octets.len(), max };
        let len = u8::try_from(octets.len()).ok().filter(|len| usize::from(*len) <= max).ok_or_else(too_long)?;
        let own = [self.number, len.saturating_add(2)];
        Ok(match self.vendor {
            Some(vendor) => [&[VENDOR_SPECIFIC, len.saturating_add(8)], vendor.id.to_be_bytes().as_slice(), &own, octets].concat(),
            None => [&own, octets].concat(),
        })
    }

    /// Takes `tag:` off. A text that begins with a number and a colon itself is written with `0:` before it.
    fn tag<'a>(&self, value: &'a str) -> Result<(u8, &'a str), ValueError> {
        match value.split_once(':') {
            Some((tag, behind)) if !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_digit()) => {
                let tag = tag.parse().ok().filter(|tag| *tag <= TAG_MAX).ok_or(ValueError::Tag { name: self.name })?;
                Ok((tag, behind))
            }
            _ => Ok((0, value)),
        }
    }

    fn octets(&self, value: &str) -> Result<Vec<u8>, ValueError> {
        let name = self.name;
        match self.form {
            Form::Integer => self.integer(value).map(|number| number.to_be_bytes().to_vec()),
            Form::Time => number(value).map(|number| number.to_be_bytes().to_vec()).ok_or(ValueError::Number { name, max: u32::MAX }),
            Form::Ipv4 => value.parse::<Ipv4Addr>().map(|address| address.octets().to_vec()).map_err(|_| ValueError::Ipv4 { name }),
            Form::Ipv6 => value.parse::<Ipv6Addr>().map(|address| address.octets().to_vec()).map_err(|_| ValueError::Ipv6 { name }),
            Form::Ipv6Prefix => prefix(value).ok_or(ValueError::Prefix { name }),
            Form::InterfaceId => interface_id(value).ok_or(ValueError::InterfaceId { name }),
            Form::Octets => match value.strip_prefix("0x") {
                Some(digits) => hex(digits).ok_or(ValueError::Hex { name }),
                None => Ok(value.as_bytes().to_vec()),
            },
            Form::Text if value.chars().any(|sign| sign.is_control() && !"\t\r\n".contains(sign)) => Err(ValueError::Control { name }),
            // Octets below 0x20 would be read as a tag (RFC 2868 §3.3).
            Form::Text if self.is_tagged && value.starts_with(char::is_control) => Err(ValueError::Control { name }),
            Form::Text => Ok(value.as_bytes().to_vec()),
        }
    }

    fn integer(&self, value: &str) -> Result<u32, ValueError> {
        let named = self.values.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|(_, number)| *number);
        named.or_else(|| number(value)).ok_or_else(|| match self.values.as_slice() {
            [] => ValueError::Number { name: self.name, max: if self.is_tagged { 0x00ff_ffff } else { u32::MAX } },
            values => {
                let mut names: Vec<_> = values.iter().take(CHOICES_SHOWN_MAX).map(|(name, _)| *name).collect();
                if values.len() > CHOICES_SHOWN_MAX {
                    names.push("..");
                }
                ValueError::Choice { name: self.name, names: names.join(", ") }
            }
        })
    }

    /// A value for people.
    pub(super) fn show(&self, value: &[u8]) -> String {
        if self.is_secret || self.place == Place::Hidden {
            return "(not shown)".to_owned();
        }
        let (tag, value) = match (self.is_tagged, self.form, value) {
            (true, Form::Integer, [tag, high, mid, low]) => (*tag, &[0, *high, *mid, *low][..]),
            (true, Form::Text, [tag @ 0..=TAG_MAX, text @ ..]) => (*tag, text),
            _ => (0, value),
        };
        let shown = self.shown(value).unwrap_or_else(|| unknown(value));
        if tag == 0 { shown } else { format!("{tag}:{shown}") }
    }

    fn shown(&self, value: &[u8]) -> Option<String> {
        let number = || value.try_into().ok().map(u32::from_be_bytes);
        match self.form {
            Form::Integer => {
                let number = number()?;
                Some(self.values.iter().find(|(_, held)| *held == number).map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned()))
            }
            Form::Time => jiff::Timestamp::from_second(number()?.into()).ok().map(|moment| moment.to_string()),
            Form::Ipv4 => Some(Ipv4Addr::from(number()?).to_string()),
            Form::Ipv6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string()),
            Form::Ipv6Prefix => {
                let [0, bits @ 0..=128, prefix @ ..] = value else { return None };
                let mut octets = [0; 16];
                octets.get_mut(..prefix.len())?.copy_from_slice(prefix);
                Some(format!("{}/{bits}", Ipv6Addr::from(octets)))
            }
            Form::InterfaceId => {
                let (groups, []) = <&[u8; 8]>::try_from(value).ok()?.as_chunks::<2>() else { return None };
                Some(groups.iter().map(|group| format!("{:x}", u16::from_be_bytes(*group))).collect::<Vec<_>>().join(":"))
            }
            Form::Text => std::str::from_utf8(value).ok().map(escaped),
            Form::Octets => Some(match std::str::from_utf8(value) {
                Ok(text) if !text.is_empty() && text.chars().all(|sign| sign.is_ascii_graphic() || sign == ' ') => escaped(text),
                _ => value.iter().fold("0x".to_owned(), |mut text, octet| {
                    let _ = write!(text, "{octet:02x}");
                    text
                }),
            }),
        }
    }
}

/// What is shown of a value without a known meaning, or of the wrong size for the one it should have.
pub(super) fn unknown(value: &[u8]) -> String {
    format!("({} octets)", value.len())
}

/// Whatever would move a cursor or turn the direction of writing is shown as `\u{..}`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '"' | '\'' => out.push(sign),
            _ => out.extend(sign.escape_debug()),
        }
    }
    out
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Reserved octet, length in bits, and no more octets than that needs (RFC 8044 §3.11). Bits behind the prefix must be 0 (RFC 3162 §2.3).
fn prefix(text: &str) -> Option<Vec<u8>> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (Ipv6Addr, u8) = (address.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 128)?);
    let behind = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
    if address.to_bits() & behind != 0 {
        return None;
    }
    Some([&[0, bits], address.octets().get(..usize::from(bits.div_ceil(8)))?].concat())
}

fn interface_id(text: &str) -> Option<Vec<u8>> {
    let groups = text.split(':').map(|group| u16::from_str_radix(group, 16).ok().filter(|_| !group.starts_with('+'))).collect::<Option<Vec<_>>>()?;
    (groups.len() == 4).then(|| groups.into_iter().flat_map(u16::to_be_bytes).collect())
}

/// Why a value cannot be written, and what could.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// None of the names it has for its numbers.
    #[error("{name} has no such value: write one of {names}, or its number")]
    Choice {
        /// The attribute.
        name: &'static str,
        /// Some of what may be written.
        names: String,
    },
    /// A character that nobody can see.
    #[error("{name} is text: write it without control characters")]
    Control {
        /// The attribute.
        name: &'static str,
    },
    /// Empty attributes are never sent.
    #[error("{name} would be empty: write a value, or take the line out")]
    Empty {
        /// The attribute.
        name: &'static str,
    },
    /// Not octets.
    #[error("{name} holds octets: behind 0x write two hexadecimal digits for each, as in 0x0a1b")]
    Hex {
        /// The attribute.
        name: &'static str,
    },
    /// A credential or key.
    #[error("{name} is encrypted for each packet anew and cannot be given a fixed value: take the line out")]
    Hidden {
        /// The attribute.
        name: &'static str,
    },
    /// Not four groups.
    #[error("{name} is an interface id: write four groups of hexadecimal digits, as in 0:0:0:1")]
    InterfaceId {
        /// The attribute.
        name: &'static str,
    },
    /// Not an IPv4 address.
    #[error("{name} is an IPv4 address: write one, as in 10.0.0.5")]
    Ipv4 {
        /// The attribute.
        name: &'static str,
    },
    /// Not an IPv6 address.
    #[error("{name} is an IPv6 address: write one, as in 2001:db8::5")]
    Ipv6 {
        /// The attribute.
        name: &'static str,
    },
    /// Not a number, or too large a one.
    #[error("{name} is a number: write 0 to {max}")]
    Number {
        /// The attribute.
        name: &'static str,
        /// The largest.
        max: u32,
    },
    /// A reply's own business.
    #[error("{name} is not for an administrator to set, Vestibule writes it where it is needed: take the line out")]
    Ours {
        /// The attribute.
        name: &'static str,
    },
    /// Not a prefix, or one with bits behind it.
    #[error("{name} is an IPv6 prefix: write address and length with nothing behind the prefix, as in 2001:db8::/32")]
    Prefix {
        /// The attribute.
        name: &'static str,
    },
    /// Not for replies.
    #[error("{name} is what clients send and has no place in a reply: take the line out")]
    Request {
        /// The attribute.
        name: &'static str,
    },
    /// No tag can be that.
    #[error("{name} takes a tag from 0 to 31 before a colon, as in 1:value (for a value that begins with a number and a colon itself write 0: before it)")]
    Tag {
        /// The attribute.
        name: &'static str,
    },
    /// It would need a second attribute.
    #[error("{name} holds at most {max} octets and this is {len}: shorten it")]
    TooLong {
        /// The attribute.
        name: &'static str,
        /// Octets of the value.
        len: usize,
        /// Octets that fit.
        max: usize,
    },
}

/// Vendor's number, type and length, within a Vendor-Specific attribute.
const VENDOR_HEAD_LEN: usize = 6;
/// RFC 2868 §3.1.
const TAG_MAX: u8 = 0x1f;
const CHOICES_SHOWN_MAX: usize = 20;
