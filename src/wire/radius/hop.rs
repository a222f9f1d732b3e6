//! Between two hops: the attributes that RADIUS hides under the secret of each hop are taken out of one's hiding and put into the next one's.

use zeroize::Zeroizing;

use super::attr;
use super::attr::Attribute;
use super::attr::Vendor;
use super::draft::TooLong;
use super::draft::framed_len;
use super::salt;
use super::salt::Salts;
use super::salt::Unreadable;

/// How one hop hides.
#[derive(Clone, Copy)]
pub(super) enum Hop<'a> {
    /// Not at all: RADIUS/1.1 (RFC 9765 §5).
    Clear,
    /// Under the shared secret and the request's authenticator.
    Hidden { secret: &'a [u8], authenticator: &'a [u8; 16] },
}

/// The value of an attribute as a reply brought it, in clear; nothing where nothing in it is hidden.
///
/// # Errors
/// A hidden value in it cannot be read.
pub(super) fn clear(attribute: Attribute<'_>, hop: Hop<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, Unreadable> {
    changed(attribute, |hiding, value| hiding.reveal(value, hop))
}

/// The value of an attribute that is held in clear, as it is sent to whoever is behind this hop; nothing where nothing in it is hidden.
///
/// # Errors
/// It does not fit hidden.
pub(super) fn dressed(attribute: Attribute<'_>, hop: Hop<'_>, salts: &mut Salts) -> Result<Option<Zeroizing<Vec<u8>>>, TooLong> {
    changed(attribute, |hiding, value| hiding.hide(value, hop, salts))
}

/// Whether a vendor's attribute has something in it that is hidden.
pub(super) fn hides(vendor: Vendor<'_>) -> bool {
    vendor.attributes.iter().any(|inner| Hiding::of_vendor(vendor.id, inner.kind).is_some())
}

/// An attribute's value with what is hidden in it changed.
fn changed<E: From<TooLong>>(
    attribute: Attribute<'_>,
    mut change: impl FnMut(Hiding, &[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<Option<Zeroizing<Vec<u8>>>, E> {
    if let Some(hiding) = Hiding::of_plain(attribute.kind) {
        return change(hiding, attribute.value).map(Some);
    }
    attribute.vendor().filter(|vendor| hides(*vendor)).map(|vendor| rebuilt(vendor, change)).transpose()
}

/// A vendor's attribute with each hidden value in it changed.
fn rebuilt<E: From<TooLong>>(vendor: Vendor<'_>, mut change: impl FnMut(Hiding, &[u8]) -> Result<Zeroizing<Vec<u8>>, E>) -> Result<Zeroizing<Vec<u8>>, E> {
    // As long as the longest, for a vector that grows leaves its bytes behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(attr::VALUE_LEN_MAX));
    whole.extend_from_slice(&vendor.id.to_be_bytes());
    for inner in vendor.attributes.iter() {
        let changed;
        let value = match Hiding::of_vendor(vendor.id, inner.kind) {
            Some(hiding) => {
                changed = change(hiding, inner.value)?;
                &changed[..]
            }
            None => inner.value,
        };
        let length = u8::try_from(framed_len(value)).map_err(|_| TooLong)?;
        if whole.len().saturating_add(usize::from(length)) > attr::VALUE_LEN_MAX {
            return Err(TooLong.into());
        }
        whole.extend_from_slice(&[inner.kind, length]);
        whole.extend_from_slice(value);
    }
    Ok(whole)
}

/// The ways to hide.
#[derive(Clone, Copy)]
enum Hiding {
    Ascend,
    ChapKeys,
    Salted,
    /// Salted, behind a tag.
    Tunnel,
}

impl Hiding {
    fn of_plain(kind: u8) -> Option<Self> {
        match kind {
            attr::TUNNEL_PASSWORD => Some(Self::Tunnel),
            // Where old equipment has Ascend's attributes among the standard ones.
            attr::ASCEND_SEND_SECRET => Some(Self::Ascend),
            _ => None,
        }
    }

    fn of_vendor(vendor: u32, kind: u8) -> Option<Self> {
        match (vendor, kind) {
            (attr::VENDOR_ASCEND, attr::ASCEND_SEND_SECRET | attr::ASCEND_RECEIVE_SECRET) => Some(Self::Ascend),
            (attr::VENDOR_MICROSOFT, attr::MS_CHAP_MPPE_KEYS) => Some(Self::ChapKeys),
            (attr::VENDOR_MICROSOFT, attr::MS_MPPE_SEND_KEY | attr::MS_MPPE_RECV_KEY) => Some(Self::Salted),
            _ => None,
        }
    }

    fn reveal(self, value: &[u8], hop: Hop<'_>) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let Hop::Hidden { secret, authenticator } = hop else { return Ok(self.tagged(value)) };
        match self {
            Self::Ascend if value.len() == ASCEND_LEN => salt::mask_ascend(value, secret, authenticator).map_err(|_| Unreadable),
            Self::Ascend => Err(Unreadable),
            Self::ChapKeys => salt::reveal_chap_keys(value, secret, authenticator),
            Self::Salted => salt::reveal(value, secret, authenticator),
            Self::Tunnel => {
                let (tag, hidden) = value.split_first().ok_or(Unreadable)?;
                let password = salt::reveal(hidden, secret, authenticator)?;
                Ok(Zeroizing::new([std::slice::from_ref(tag), &password[..]].concat()))
            }
        }
    }

    fn hide(self, value: &[u8], hop: Hop<'_>, salts: &mut Salts) -> Result<Zeroizing<Vec<u8>>, TooLong> {
        let Hop::Hidden { secret, authenticator } = hop else { return Ok(self.without_stray_tag(value)) };
        match self {
            Self::Ascend => salt::mask_ascend(value, secret, authenticator),
            Self::ChapKeys => salt::hide_chap_keys(value, secret, authenticator).map(Zeroizing::new),
            Self::Salted => salt::hide(value, secret, authenticator, salts.next()).map(Zeroizing::new),
            Self::Tunnel => {
                let (tag, password) = value.split_first().ok_or(TooLong)?;
                let hidden = salt::hide(password, secret, authenticator, salts.next())?;
                Ok(Zeroizing::new([std::slice::from_ref(tag), &hidden[..]].concat()))
            }
        }
    }

    /// From RADIUS/1.1: there a tunnel's tag may be missing, as in every tagged text (RFC 2868 §3.3); here it never is.
    fn tagged(self, value: &[u8]) -> Zeroizing<Vec<u8>> {
        let untagged = matches!(self, Self::Tunnel) && value.first().is_none_or(|first| *first > TAG_MAX);
        let tag: &[u8] = if untagged { &[0] } else { &[] };
        Zeroizing::new([tag, value].concat())
    }

    /// For RADIUS/1.1: a tag that is to be ignored would be read as text.
    fn without_stray_tag(self, value: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut value = Zeroizing::new(value.to_vec());
        if let (Self::Tunnel, Some(tag)) = (self, value.first_mut().filter(|tag| **tag > TAG_MAX)) {
            *tag = 0;
        }
        value
    }
}

impl From<TooLong> for Unreadable {
    fn from(TooLong: TooLong) -> Self {
        Self
    }
}

/// The last tag of a tunnel (RFC 2868 §3.5).
const TAG_MAX: u8 = 0x1f;
const ASCEND_LEN: usize = 16;
