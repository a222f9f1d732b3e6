//! What an upstream's reply says about a person, on its way to the client.

use zeroize::Zeroizing;

use super::Refusal;
use super::Version;
use super::attr;
use super::attr::Attribute;
use super::attr::Attributes;
use super::draft::TooLong;
use super::draft::framed_len;
use super::hop;
use super::hop::Hop;
use super::upstream::Reply;

/// Attributes of an upstream's reply on their way to the client: in order, byte for byte; those that RADIUS hides on each hop are held in clear.
#[derive(Clone, Default)]
pub struct Carried {
    bytes: Clear,
    unreadable: usize,
}

impl Carried {
    /// All that a reply carries but Message-Authenticator, Proxy-State and State. An attribute whose hidden value cannot be read is left out.
    ///
    /// `sent_authenticator` is the one of the request that was sent; it and the secret are not looked at in RADIUS/1.1.
    #[must_use]
    pub fn of(reply: &Reply<'_>, sent_authenticator: &[u8; 16], secret: &[u8]) -> Self {
        let hop = match reply.version() {
            Version::V10 => Hop::Hidden { secret, authenticator: sent_authenticator },
            Version::V11 => Hop::Clear,
        };
        let mut carried = Self::default();
        for attribute in reply.attributes() {
            if FRAME.contains(&attribute.kind) {
                continue;
            }
            let value = hop::clear(attribute, hop).ok();
            let kept = value.and_then(|cleared| carried.bytes.push(attribute.kind, cleared.as_ref().map_or(attribute.value, |value| value)).ok());
            if kept.is_none() {
                carried.unreadable = carried.unreadable.saturating_add(1);
            }
        }
        carried
    }

    /// What [`Self::as_bytes`] gave.
    ///
    /// # Errors
    /// The bytes are no attributes, or too many.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        Ok(Self { bytes: Clear::framed(bytes)?, unreadable: 0 })
    }

    /// The attributes one behind the other as in RADIUS/1.1, hidden values in clear: to be kept as a secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }

    /// How many attributes were left out because their hidden value could not be read.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// One attribute more, at the end; an empty one is left out. A value that is hidden on the wire is given in clear, Tunnel-Password behind its tag.
    ///
    /// # Errors
    /// More than 253 octets, or all together more than any packet holds.
    pub fn push(&mut self, kind: u8, value: &[u8]) -> Result<(), TooLong> {
        if value.is_empty() { Ok(()) } else { self.bytes.push(kind, value) }
    }

    /// One attribute of a vendor more, in a Vendor-Specific of its own, at most 247 octets; hidden ones are given in clear.
    ///
    /// # Errors
    /// It is too long.
    pub fn push_vendor(&mut self, vendor: u32, kind: u8, value: &[u8]) -> Result<(), TooLong> {
        if value.is_empty() {
            return Ok(());
        }
        let length = u8::try_from(framed_len(value)).map_err(|_| TooLong)?;
        let whole = Zeroizing::new([&vendor.to_be_bytes()[..], &[kind, length], value].concat());
        self.bytes.push(attr::VENDOR_SPECIFIC, &whole)
    }

    /// Attributes that are framed already, at the end.
    ///
    /// # Errors
    /// They are not framed well, or too much together.
    pub fn push_raw(&mut self, attributes: &[u8]) -> Result<(), TooLong> {
        let more = Clear::framed(attributes).map_err(|_| TooLong)?;
        self.bytes.extend(more.as_bytes())
    }

    /// MS-MPPE-Send-Key and MS-MPPE-Recv-Key, as the authenticator's side uses them (RFC 2548 §2.4.2-3): in clear, at most 239 octets each.
    ///
    /// # Errors
    /// One is too long.
    pub fn push_mppe_keys(&mut self, send: &[u8], recv: &[u8]) -> Result<(), TooLong> {
        self.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_MPPE_SEND_KEY, send)?;
        self.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_MPPE_RECV_KEY, recv)
    }

    /// An EAP packet, in pieces that fit.
    ///
    /// # Errors
    /// It does not fit into any packet.
    pub fn push_eap(&mut self, packet: &[u8]) -> Result<(), TooLong> {
        packet.chunks(attr::VALUE_LEN_MAX).try_for_each(|piece| self.bytes.push(attr::EAP_MESSAGE, piece))
    }

    /// All of them, in order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        self.bytes.attributes()
    }

    /// The first of this type that is not empty.
    #[must_use]
    pub fn first(&self, kind: u8) -> Option<Attribute<'_>> {
        self.attributes().first(kind)
    }

    /// The values of this vendor's attribute, in order.
    pub fn vendor(&self, vendor: u32, kind: u8) -> impl Iterator<Item = &[u8]> {
        self.attributes().vendor(vendor, kind)
    }

    /// The EAP packet: all EAP-Messages put together.
    #[must_use]
    pub fn eap(&self) -> Option<Vec<u8>> {
        let attributes = self.attributes();
        attributes.contains(attr::EAP_MESSAGE).then(|| attributes.all(attr::EAP_MESSAGE).flat_map(|piece| piece.value).copied().collect())
    }

    /// The same without the attributes of these types.
    #[must_use]
    pub fn without(&self, kinds: &[u8]) -> Self {
        Self { bytes: self.bytes.filtered(|attribute| !kinds.contains(&attribute.kind)), unreadable: self.unreadable }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl std::fmt::Debug for Carried {
    /// The types alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.attributes().fmt(f)
    }
}

/// Well-framed attributes with secrets among them; grown without leaving copies behind.
#[derive(Clone, Default)]
pub(super) struct Clear(Zeroizing<Vec<u8>>);

impl Clear {
    pub(super) fn framed(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > CARRIED_LEN_MAX {
            return Err(Refusal::Length);
        }
        Attributes::framed(bytes, usize::MAX)?;
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes::known(&self.0)
    }

    /// One more, even an empty one.
    pub(super) fn push(&mut self, kind: u8, value: &[u8]) -> Result<(), TooLong> {
        let length = u8::try_from(framed_len(value)).map_err(|_| TooLong)?;
        if kind == 0 {
            return Err(TooLong);
        }
        self.room(usize::from(length))?;
        self.0.extend_from_slice(&[kind, length]);
        self.0.extend_from_slice(value);
        Ok(())
    }

    pub(super) fn filtered(&self, keep: impl Fn(Attribute<'_>) -> bool) -> Self {
        let mut kept = Self(Zeroizing::new(Vec::with_capacity(self.0.len())));
        for attribute in self.attributes().iter().filter(|attribute| keep(*attribute)) {
            // It came out of as much room.
            let _ = kept.push(attribute.kind, attribute.value);
        }
        kept
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.room(bytes.len())?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes room. A vector that grows by itself leaves its old bytes in memory.
    fn room(&mut self, more: usize) -> Result<(), TooLong> {
        let wanted = self.0.len().saturating_add(more);
        if wanted > CARRIED_LEN_MAX {
            return Err(TooLong);
        }
        if wanted > self.0.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(wanted.saturating_mul(2)));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        Ok(())
    }
}

/// What belongs to one hop alone.
const FRAME: [u8; 3] = [attr::MESSAGE_AUTHENTICATOR, attr::PROXY_STATE, attr::STATE];
/// Octets of attributes in the largest packet there can be.
const CARRIED_LEN_MAX: usize = 65_515;
