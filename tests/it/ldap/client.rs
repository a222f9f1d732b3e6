//! An LDAP application, and the requests it makes.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use vestibule::ports::Stream;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Frame;

/// What is waited for comes within this time or not at all.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// An LDAP application.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next frame; `None` when the door has closed.
    pub(super) async fn frame(&mut self) -> Option<Vec<u8>> {
        let buffer = &mut self.buffer;
        loop {
            if let Some(frame) = Frame::split(buffer, 1 << 24).unwrap() {
                let bytes = frame.bytes.to_vec();
                buffer.drain(..bytes.len());
                return Some(bytes);
            }
            match tokio::time::timeout(SOON, self.stream.read_buf(buffer)).await.expect("the door says nothing") {
                Ok(len) if len > 0 => {}
                _ => return None,
            }
        }
    }

    /// Message id, operation and result code of the next frame, which must be a result.
    pub(super) async fn result(&mut self) -> (u32, u8, u32) {
        let bytes = self.frame().await.expect("the door has closed");
        let frame = ldap_frame(&bytes);
        (frame.id, frame.op, frame.result().unwrap().code)
    }

    /// The next frame, which must be an entry.
    pub(super) async fn entry(&mut self) -> ldap::Entry {
        let bytes = self.frame().await.expect("the door has closed");
        ldap_frame(&bytes).entry().expect("no entry")
    }

    /// A Notice of Disconnection with this code, then the end.
    pub(super) async fn is_dismissed(&mut self, code: u32) {
        assert_eq!(self.result().await, (0, 0x78, code));
        self.is_closed().await;
    }

    /// The door closes without a word of LDAP.
    pub(super) async fn is_not_ldap(&mut self) {
        let mut told = Vec::new();
        let read = tokio::time::timeout(SOON, self.stream.read_to_end(&mut told)).await.expect("the door stays open");
        assert!(read.is_err() || told.first() != Some(&0x30), "{told:?}");
    }

    pub(super) async fn is_closed(&mut self) {
        assert_eq!(self.frame().await, None);
    }
}

pub(super) fn ldap_frame(bytes: &[u8]) -> Frame<'_> {
    Frame::split(bytes, 1 << 24).unwrap().unwrap()
}

pub(super) fn bind(id: u32, name: &str, password: &str) -> Vec<u8> {
    ldap::bind_request(id, name, password.as_bytes()).to_vec()
}

pub(super) fn read(id: u32, dn: &str) -> Vec<u8> {
    ldap::read_request(id, dn, &["*", "+"])
}

pub(super) fn extended(id: u32, name: &str, value: Option<&[u8]>) -> Vec<u8> {
    let value = value.map(|value| element(0x81, value)).unwrap_or_default();
    message(id, 0x77, &[element(0x80, name.as_bytes()), value].concat(), &[])
}

/// A message of any kind.
pub(super) fn message(id: u32, op: u8, body: &[u8], rest: &[u8]) -> Vec<u8> {
    element(0x30, &[element(0x02, &id.to_be_bytes()), element(op, body), rest.to_vec()].concat())
}

/// One control.
pub(super) fn control(oid: &str, critical: bool) -> Vec<u8> {
    let critical = if critical { vec![0x01, 0x01, 0xff] } else { Vec::new() };
    element(0xa0, &element(0x30, &[element(0x04, oid.as_bytes()), critical].concat()))
}

/// A request with controls behind it.
pub(super) fn with(request: &[u8], controls: &[u8]) -> Vec<u8> {
    let head_len = if request[1] < 0x80 { 2 } else { 2 + usize::from(request[1] & 0x7f) };
    element(0x30, &[&request[head_len..], controls].concat())
}

pub(super) fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag, 0x84][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}
