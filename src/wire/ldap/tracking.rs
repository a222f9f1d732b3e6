//! The session-tracking control: for whom an application asks (draft-wahl-ldap-session-03 §2).

use std::net::IpAddr;

use super::ber::Cursor;
use super::ber::truth;
use super::frame::Frame;
use super::frame::Refusal;

/// Its OID, dotted.
pub const SESSION_TRACKING: &str = "1.3.6.1.4.1.21008.108.63.1";
/// Octets of an address as text (§2.1).
const SOURCE_LEN_MAX: usize = 128;

/// What a request says of whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// There is no such control.
    No,
    /// There is one, which leaves the address out.
    Nowhere,
    /// The person is here.
    At(IpAddr),
}

impl Frame<'_> {
    /// Where the person of this request is, by the application's own word: only whoever trusts the application may use it. The format of the identifier, be it one
    /// of RADIUS accounting or a name, makes no difference to the address.
    ///
    /// # Errors
    /// `Form` where the control is there and is none, or is there twice.
    pub fn tracked(&self) -> Result<Tracked, Refusal> {
        let mut found = Tracked::No;
        let Some(list) = self.control_list()? else { return Ok(found) };
        let mut cursor = Cursor::new(list);
        while !cursor.rest().is_empty() {
            let mut control = Cursor::new(cursor.expect(0x30)?);
            if control.expect(0x04)? != SESSION_TRACKING.as_bytes() {
                continue;
            }
            if found != Tracked::No {
                return Err(Refusal::Form);
            }
            control.optional(0x01)?.map(truth).transpose()?;
            found = source(control.expect(0x04)?)?;
        }
        Ok(found)
    }
}

/// The address in the control's value: `SEQUENCE { source address, source name, format, identifier }`, all of them octet strings.
fn source(value: &[u8]) -> Result<Tracked, Refusal> {
    let mut parts = Cursor::new(Cursor::new(value).expect(0x30)?);
    let address = parts.expect(0x04)?;
    for _ in 0..3 {
        parts.expect(0x04)?;
    }
    if address.len() > SOURCE_LEN_MAX {
        return Err(Refusal::Form);
    }
    if address.is_empty() {
        return Ok(Tracked::Nowhere);
    }
    let text = std::str::from_utf8(address).map_err(|_| Refusal::Form)?;
    text.parse().map(|address: IpAddr| Tracked::At(address.to_canonical())).map_err(|_| Refusal::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, 0x81, u8::try_from(value.len()).unwrap()][..], value].concat()
    }

    fn value(address: &[u8]) -> Vec<u8> {
        let parts = [element(0x04, address), element(0x04, b"host"), element(0x04, b"1.3.6.1.4.1.21008.108.63.1.3"), element(0x04, b"alice")];
        element(0x30, &parts.concat())
    }

    fn control(value: Option<&[u8]>) -> Vec<u8> {
        let value = value.map(|value| element(0x04, value)).unwrap_or_default();
        element(0x30, &[element(0x04, SESSION_TRACKING.as_bytes()), value].concat())
    }

    fn tracked(controls: &[Vec<u8>]) -> Result<Tracked, Refusal> {
        let other = element(0x30, &[element(0x04, b"1.1"), element(0x01, &[0xff]), element(0x04, b"x")].concat());
        let list = element(0xa0, &[vec![other], controls.to_vec()].concat().concat());
        let bytes = element(0x30, &[element(0x02, &[1]), element(0x42, &[]), list].concat());
        Frame::split(&bytes, 1_000).unwrap().unwrap().tracked()
    }

    #[test]
    fn m_43_an_application_tells_where_the_person_is() {
        assert_eq!(tracked(&[]), Ok(Tracked::No));
        assert_eq!(tracked(&[control(Some(&value(b"192.0.2.7")))]), Ok(Tracked::At("192.0.2.7".parse().unwrap())));
        assert_eq!(tracked(&[control(Some(&value(b"2001:db8::7")))]), Ok(Tracked::At("2001:db8::7".parse().unwrap())));
        assert_eq!(tracked(&[control(Some(&value(b"::ffff:192.0.2.7")))]), Ok(Tracked::At("192.0.2.7".parse().unwrap())));
        assert_eq!(tracked(&[control(Some(&value(b"")))]), Ok(Tracked::Nowhere));
    }

    #[test]
    fn m_43_what_cannot_be_read_is_no_address() {
        for address in [&b"192.0.2.7 "[..], b"host.example", b"192.0.2.7/24", b"[::1]", b"192.0.2.7\0", b"\xff", &[b'1'; 100]] {
            assert_eq!(tracked(&[control(Some(&value(address)))]), Err(Refusal::Form), "{address:?}");
        }
        assert_eq!(tracked(&[control(None)]), Err(Refusal::Form));
        assert_eq!(tracked(&[control(Some(b""))]), Err(Refusal::Form));
        assert_eq!(tracked(&[control(Some(&element(0x30, &element(0x04, b"192.0.2.7"))))]), Err(Refusal::Form));
        let one = control(Some(&value(b"192.0.2.7")));
        assert_eq!(tracked(&[one.clone(), one]), Err(Refusal::Form), "which of the two would count?");
    }
}
