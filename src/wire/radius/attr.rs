//! Attributes: how they are framed, what their values mean (RFC 2865 §5, RFC 6929, RFC 8044), and their names.
//!
//! Framing is all or nothing: a broken length loses every attribute behind it, so the packet goes. A value of the wrong size or form is
//! one attribute's own trouble and counts as absent.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::Refusal;

/// The attributes of one packet, framed well. A view: nothing is copied.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Takes the bytes behind a packet's header, at most `count_max` attributes.
    ///
    /// # Errors
    /// [`Refusal::Attribute`] where the framing is lost, [`Refusal::TooMany`].
    pub(super) fn framed(bytes: &'a [u8], count_max: usize) -> Result<Self, Refusal> {
        let mut rest = bytes;
        let mut count = 0_usize;
        while !rest.is_empty() {
            let (attribute, behind) = split_tlv(rest).ok_or(Refusal::Attribute)?;
            if attribute.kind == 0 {
                return Err(Refusal::Attribute);
            }
            count = count.saturating_add(1);
            if count > count_max {
                return Err(Refusal::TooMany);
            }
            rest = behind;
        }
        Ok(Self(bytes))
    }

    /// Bytes that have been framed, or been written by us.
    pub(super) fn known(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// All of them, in order.
    pub fn iter(&self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The values of this type, in order, empty ones left out: those count as absent.
    pub fn all(&self, kind: u8) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.iter().filter(move |attribute| attribute.kind == kind && !attribute.value.is_empty())
    }

    /// The first of this type that is not empty.
    #[must_use]
    pub fn first(&self, kind: u8) -> Option<Attribute<'a>> {
        self.all(kind).next()
    }

    /// Whether there is one of this type, even an empty one.
    #[must_use]
    pub fn contains(&self, kind: u8) -> bool {
        self.iter().any(|attribute| attribute.kind == kind)
    }

    /// The values of this vendor's attribute, in order; vendor attributes that are broken inside are left out.
    pub fn vendor(&self, vendor: u32, kind: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.iter().filter_map(|attribute| attribute.vendor()).filter(move |found| found.id == vendor).flat_map(move |found| found.attributes.all(kind))
    }

    /// The extended attributes (types 241 to 246), fragments put together, invalid ones left out.
    #[must_use]
    pub fn extended(&self) -> Extended<'a> {
        Extended(self.iter())
    }
}

impl std::fmt::Debug for Attributes<'_> {
    /// The types alone: values are nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|attribute| attribute.kind)).finish()
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = Attribute<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Goes through [`Attributes`].
#[derive(Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (attribute, behind) = split_tlv(self.0)?;
        self.0 = behind;
        Some(attribute)
    }
}

impl std::fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Attributes(self.0).fmt(f)
    }
}

/// One attribute: a type and at most 253 octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u8,
    /// Its value, without header.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as text: UTF-8 and not empty, else nothing (RFC 8044 §3.4, R-016).
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        if self.value.is_empty() { None } else { std::str::from_utf8(self.value).ok() }
    }

    /// The value as a number, time or enumeration: four octets, else nothing (RFC 8044 §3.1).
    #[must_use]
    pub fn integer(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// The value as an IPv4 address: four octets, else nothing (RFC 8044 §3.8).
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.integer().map(Ipv4Addr::from)
    }

    /// The value as an IPv6 address: sixteen octets, else nothing (RFC 8044 §3.9).
    #[must_use]
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        <[u8; 16]>::try_from(self.value).ok().map(Ipv6Addr::from)
    }

    /// The vendor and its own attributes, where this is a Vendor-Specific one in the form that RFC 2865 §5.26 recommends.
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor<'a>> {
        if self.kind != VENDOR_SPECIFIC {
            return None;
        }
        let (id, inner) = self.value.split_first_chunk::<4>()?;
        let id = u32::from_be_bytes(*id);
        // The first octet of a vendor's number is 0 (RFC 2865 §5.26).
        if id > 0x00ff_ffff {
            return None;
        }
        Some(Vendor { id, attributes: Tlvs::filling(inner)? })
    }
}

impl std::fmt::Debug for Attribute<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attribute({}, {} octets)", self.kind, self.value.len())
    }
}

/// What a Vendor-Specific attribute holds.
#[derive(Clone, Copy, Debug)]
pub struct Vendor<'a> {
    /// The vendor's private enterprise number.
    pub id: u32,
    /// Its attributes.
    pub attributes: Tlvs<'a>,
}

/// Type, length and value, one behind the other, that fill their container exactly.
#[derive(Clone, Copy)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// Takes a container's bytes; nothing where they are empty or not filled exactly: then the container is invalid.
    #[must_use]
    pub fn filling(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        loop {
            rest = split_tlv(rest)?.1;
            if rest.is_empty() {
                return Some(Self(bytes));
            }
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The values of this type, in order.
    pub fn all(&self, kind: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.iter().filter(move |attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// The value at the end of a path of types through nested containers: at most [`DEPTH_MAX`] deep, and nothing where one on the way is invalid.
    #[must_use]
    pub fn at(&self, path: &[u8]) -> Option<&'a [u8]> {
        let (kind, deeper) = path.split_first()?;
        if path.len() > DEPTH_MAX {
            return None;
        }
        deeper.iter().try_fold(self.all(*kind).next()?, |value, kind| Self::filling(value)?.all(*kind).next())
    }
}

impl std::fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(Iter(self.0).map(|attribute| attribute.kind)).finish()
    }
}

/// Goes through the extended attributes (RFC 6929 §2).
#[derive(Clone, Debug)]
pub struct Extended<'a>(Iter<'a>);

impl Iterator for Extended<'_> {
    type Item = Long;

    fn next(&mut self) -> Option<Long> {
        loop {
            let first = self.0.next()?;
            match first.kind {
                // One octet of extended type and at least one of value: Length 2 and 3 are invalid (RFC 6929 §2.1).
                EXTENDED_1..=EXTENDED_4 => match first.value {
                    [extended, value @ ..] if !value.is_empty() => {
                        return Some(Long { kind: first.kind, extended: *extended, value: value.to_vec() });
                    }
                    _ => {}
                },
                LONG_EXTENDED_1 | LONG_EXTENDED_2 => {
                    if let Some(long) = self.reassemble(first) {
                        return Some(long);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Extended<'_> {
    /// Puts the fragments that begin with `first` together (RFC 6929 §2.2). Nothing where one is invalid or the last is missing.
    fn reassemble(&mut self, first: Attribute<'_>) -> Option<Long> {
        let (extended, mut more, value) = fragment(first)?;
        let mut long = Long { kind: first.kind, extended, value: value.to_vec() };
        while more {
            // Look before taking: what does not belong here may be an attribute of its own.
            let mut ahead = self.0.clone();
            let (extended, goes_on, value) = ahead.next().filter(|next| next.kind == long.kind).and_then(fragment)?;
            if extended != long.extended {
                return None;
            }
            self.0 = ahead;
            long.value.extend_from_slice(value);
            more = goes_on;
        }
        Some(long)
    }
}

/// An extended attribute, put together.
#[derive(Clone, PartialEq, Eq)]
pub struct Long {
    /// 241 to 246.
    pub kind: u8,
    /// The type within that.
    pub extended: u8,
    /// The whole value.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for Long {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Long({}.{}, {} octets)", self.kind, self.extended, self.value.len())
    }
}

/// Extended type, More bit and value of a long extended attribute; reserved bits are ignored, and More stands only in a full one (RFC 6929 §2.2).
fn fragment(attribute: Attribute<'_>) -> Option<(u8, bool, &[u8])> {
    let [extended, flags, value @ ..] = attribute.value else { return None };
    let more = flags & 0x80 != 0;
    let valid = !value.is_empty() && (!more || attribute.value.len() == VALUE_LEN_MAX);
    valid.then_some((*extended, more, value))
}

/// The first type, length, value; and what is behind it. Length counts its own two octets.
fn split_tlv(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let [kind, length, ..] = bytes else { return None };
    let (attribute, behind) = bytes.split_at_checked(usize::from(*length))?;
    Some((Attribute { kind: *kind, value: attribute.get(2..)? }, behind))
}

/// Attributes of one packet of 4096 octets.
pub const COUNT_MAX: usize = 200;
/// Octets of one value.
pub const VALUE_LEN_MAX: usize = 253;
/// Containers within containers.
pub const DEPTH_MAX: usize = 4;

/// User-Name (RFC 2865 §5.1).
pub const USER_NAME: u8 = 1;
/// User-Password, hidden (RFC 2865 §5.2).
pub const USER_PASSWORD: u8 = 2;
/// CHAP-Password (RFC 2865 §5.3).
pub const CHAP_PASSWORD: u8 = 3;
/// NAS-IP-Address (RFC 2865 §5.4).
pub const NAS_IP_ADDRESS: u8 = 4;
/// NAS-Port (RFC 2865 §5.5).
pub const NAS_PORT: u8 = 5;
/// Service-Type (RFC 2865 §5.6).
pub const SERVICE_TYPE: u8 = 6;
/// Framed-IP-Address (RFC 2865 §5.8).
pub const FRAMED_IP_ADDRESS: u8 = 8;
/// Reply-Message (RFC 2865 §5.18).
pub const REPLY_MESSAGE: u8 = 18;
/// State (RFC 2865 §5.24).
pub const STATE: u8 = 24;
/// Vendor-Specific (RFC 2865 §5.26).
pub const VENDOR_SPECIFIC: u8 = 26;
/// Session-Timeout: in an Access-Challenge the seconds there are to answer (RFC 2865 §5.27).
pub const SESSION_TIMEOUT: u8 = 27;
/// Idle-Timeout (RFC 2865 §5.28).
pub const IDLE_TIMEOUT: u8 = 28;
/// Called-Station-Id (RFC 2865 §5.30).
pub const CALLED_STATION_ID: u8 = 30;
/// Calling-Station-Id (RFC 2865 §5.31).
pub const CALLING_STATION_ID: u8 = 31;
/// NAS-Identifier (RFC 2865 §5.32).
pub const NAS_IDENTIFIER: u8 = 32;
/// Acct-Status-Type (RFC 2866 §5.1).
pub const ACCT_STATUS_TYPE: u8 = 40;
/// Acct-Delay-Time, in seconds (RFC 2866 §5.2).
pub const ACCT_DELAY_TIME: u8 = 41;
/// Acct-Input-Octets (RFC 2866 §5.3).
pub const ACCT_INPUT_OCTETS: u8 = 42;
/// Acct-Output-Octets (RFC 2866 §5.4).
pub const ACCT_OUTPUT_OCTETS: u8 = 43;
/// Acct-Session-Id (RFC 2866 §5.5).
pub const ACCT_SESSION_ID: u8 = 44;
/// Acct-Session-Time, in seconds (RFC 2866 §5.7).
pub const ACCT_SESSION_TIME: u8 = 46;
/// Acct-Input-Gigawords (RFC 2869 §5.1).
pub const ACCT_INPUT_GIGAWORDS: u8 = 52;
/// Acct-Output-Gigawords (RFC 2869 §5.2).
pub const ACCT_OUTPUT_GIGAWORDS: u8 = 53;
/// Proxy-State (RFC 2865 §5.33).
pub const PROXY_STATE: u8 = 33;
/// CHAP-Challenge (RFC 2865 §5.40).
pub const CHAP_CHALLENGE: u8 = 60;
/// Framed-MTU (RFC 2865 §5.12).
pub const FRAMED_MTU: u8 = 12;
/// Tunnel-Client-Endpoint, text behind an optional tag (RFC 2868 §3.3).
pub const TUNNEL_CLIENT_ENDPOINT: u8 = 66;
/// Tunnel-Password, a tag and what is hidden with a salt (RFC 2868 §3.5).
pub const TUNNEL_PASSWORD: u8 = 69;
/// ARAP-Password (RFC 2869 §5.4).
pub const ARAP_PASSWORD: u8 = 70;
/// Prompt: whether what is typed may be shown (RFC 2869 §5.10).
pub const PROMPT: u8 = 76;
/// EAP-Message (RFC 3579 §3.1).
pub const EAP_MESSAGE: u8 = 79;
/// Message-Authenticator (RFC 3579 §3.2).
pub const MESSAGE_AUTHENTICATOR: u8 = 80;
/// NAS-IPv6-Address (RFC 3162 §2.1).
pub const NAS_IPV6_ADDRESS: u8 = 95;
/// Error-Cause (RFC 5176 §3.6).
pub const ERROR_CAUSE: u8 = 101;
/// Framed-IPv6-Address (RFC 6911 §3.1).
pub const FRAMED_IPV6_ADDRESS: u8 = 168;
/// Ascend-Send-Secret, both as that vendor's attribute and, from old equipment, among the standard ones.
pub const ASCEND_SEND_SECRET: u8 = 214;
/// Ascend-Receive-Secret of that vendor.
pub const ASCEND_RECEIVE_SECRET: u8 = 215;
/// Extended-Type-1 (RFC 6929 §3.1).
pub const EXTENDED_1: u8 = 241;
/// Extended-Type-4 (RFC 6929 §3.4).
pub const EXTENDED_4: u8 = 244;
/// Long-Extended-Type-1 (RFC 6929 §3.5).
pub const LONG_EXTENDED_1: u8 = 245;
/// Long-Extended-Type-2 (RFC 6929 §3.6).
pub const LONG_EXTENDED_2: u8 = 246;

/// Ascend's enterprise number.
pub const VENDOR_ASCEND: u32 = 529;
/// Microsoft's enterprise number (RFC 2548).
pub const VENDOR_MICROSOFT: u32 = 311;
/// MS-CHAP-Response of that vendor (RFC 2548 §2.1.3).
pub const MS_CHAP_RESPONSE: u8 = 1;
/// MS-CHAP-Error of that vendor (RFC 2548 §2.1.5).
pub const MS_CHAP_ERROR: u8 = 2;
/// MS-CHAP-NT-Enc-PW of that vendor: a piece of a new password (RFC 2548 §2.1.6).
pub const MS_CHAP_NT_ENC_PW: u8 = 6;
/// MS-MPPE-Encryption-Policy of that vendor (RFC 2548 §2.4.4).
pub const MS_MPPE_ENCRYPTION_POLICY: u8 = 7;
/// MS-MPPE-Encryption-Types of that vendor (RFC 2548 §2.4.5).
pub const MS_MPPE_ENCRYPTION_TYPES: u8 = 8;
/// MS-CHAP-Challenge of that vendor (RFC 2548 §2.1.2).
pub const MS_CHAP_CHALLENGE: u8 = 11;
/// MS-CHAP-MPPE-Keys of that vendor (RFC 2548 §2.4.1).
pub const MS_CHAP_MPPE_KEYS: u8 = 12;
/// MS-MPPE-Send-Key of that vendor (RFC 2548 §2.4.2).
pub const MS_MPPE_SEND_KEY: u8 = 16;
/// MS-MPPE-Recv-Key of that vendor (RFC 2548 §2.4.3).
pub const MS_MPPE_RECV_KEY: u8 = 17;
/// MS-CHAP2-Response of that vendor (RFC 2548 §2.3.2).
pub const MS_CHAP2_RESPONSE: u8 = 25;
/// MS-CHAP2-Success of that vendor (RFC 2548 §2.3.3).
pub const MS_CHAP2_SUCCESS: u8 = 26;
/// MS-CHAP2-CPW of that vendor: a password is changed (RFC 2548 §2.3.4).
pub const MS_CHAP2_CPW: u8 = 27;
