//! A file that a recovery key alone opens: chunks sealed one behind the other, so that none can be changed, left out, put elsewhere or cut off unseen.
//!
//! ```text
//! "vestibule backup 1\n"   which form this is
//! 8 bytes                  which recovery key (a hash of it)
//! 32 bytes                 chance; with the recovery key it makes the key of this one file
//! chunk ..                 1 byte: 1 for the last, else 0 · 4 bytes: length, big endian · so many bytes: XChaCha20-Poly1305, the nonce is the chunk's
//!                          number, and its head and that of the file are bound to it
//! ```

use std::io;
use std::io::BufRead;
use std::io::Read;

use chacha20poly1305::KeyInit as _;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::aead::Payload;
use hmac::Hmac;
use hmac::Mac;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::Secret;

use super::seal;
use super::seal::KEY_BYTES;

const MAGIC: &[u8] = b"vestibule backup 1\n";
const KEY_ID_BYTES: usize = 8;
const SALT_BYTES: usize = 32;
const HEAD_BYTES: usize = MAGIC.len() + KEY_ID_BYTES + SALT_BYTES;
/// Plain bytes of a chunk.
const CHUNK_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;

/// Seals what is put in, chunk by chunk.
pub(super) struct Packer {
    cipher: XChaCha20Poly1305,
    head: Vec<u8>,
    number: u64,
    plain: Zeroizing<Vec<u8>>,
    out: Vec<u8>,
}

impl Packer {
    /// `None` for a key that has not 32 bytes, or when the machine has no random numbers to give.
    pub(super) fn new(key: &Secret) -> Option<Self> {
        let salt = seal::random::<SALT_BYTES>()?;
        let head = [MAGIC, &key_id(key)?, &salt].concat();
        let cipher = file_cipher(key, &salt)?;
        Some(Self { cipher, out: head.clone(), head, number: 0, plain: Zeroizing::new(Vec::with_capacity(2 * CHUNK_BYTES)) })
    }

    /// Takes more in. `None` where sealing fails, which it does for no input there is.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        for part in bytes.chunks(CHUNK_BYTES) {
            self.plain.extend_from_slice(part);
            // A full one waits for what is behind it: it may be the last.
            while self.plain.len() > CHUNK_BYTES {
                self.seal(CHUNK_BYTES, false)?;
            }
        }
        Some(())
    }

    /// Seals the rest: nothing can be put in any more.
    pub(super) fn finish(&mut self) -> Option<()> {
        self.seal(self.plain.len(), true)
    }

    /// What is sealed so far, once.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn seal(&mut self, count: usize, last: bool) -> Option<()> {
        let length = u32::try_from(count.checked_add(TAG_BYTES)?).ok()?;
        let frame = frame(last, length);
        let place = place(&self.head, &frame);
        let chunk = self.plain.get(..count)?;
        let sealed = self.cipher.encrypt(&nonce(self.number), Payload { msg: chunk, aad: &place }).ok()?;
        self.plain.drain(..count);
        self.number = self.number.checked_add(1)?;
        self.out.extend_from_slice(&frame);
        self.out.extend_from_slice(&sealed);
        Some(())
    }
}

/// Reads what was packed. The end is one only where the packer made it; bytes behind it are an error.
pub(super) struct Unpacker<R> {
    from: R,
    cipher: XChaCha20Poly1305,
    head: Vec<u8>,
    number: u64,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<R: Read> Unpacker<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// `Unsupported` for no backup, `PermissionDenied` for another recovery key, and those of `from`.
    pub(super) fn new(mut from: R, key: &Secret) -> io::Result<Self> {
        let mut head = vec![0; HEAD_BYTES];
        from.read_exact(&mut head).map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { no_backup() } else { error })?;
        let (id, salt) = head.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(KEY_ID_BYTES)).ok_or_else(no_backup)?;
        let cipher = file_cipher(key, salt).filter(|_| key_id(key).is_some_and(|own| own.as_slice() == id));
        let cipher = cipher.ok_or_else(|| io::Error::new(io::ErrorKind::PermissionDenied, "the recovery key is not the one that this backup was made with"))?;
        Ok(Self { from, cipher, head, number: 0, plain: Zeroizing::default(), at: 0, ended: false })
    }

    fn open(&mut self) -> io::Result<()> {
        let mut frame = [0; 5];
        self.from.read_exact(&mut frame).map_err(cut_off)?;
        let [last, length @ ..] = frame;
        let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| (TAG_BYTES..=CHUNK_BYTES + TAG_BYTES).contains(length));
        let mut sealed = vec![0; length.ok_or_else(changed)?];
        self.from.read_exact(&mut sealed).map_err(cut_off)?;
        let place = place(&self.head, &frame);
        let plain = self.cipher.decrypt(&nonce(self.number), Payload { msg: &sealed, aad: &place }).map_err(|_| changed())?;
        self.plain = Zeroizing::new(plain);
        self.at = 0;
        self.number = self.number.checked_add(1).ok_or_else(changed)?;
        self.ended = last == 1;
        if self.ended && self.from.read(&mut [0])? > 0 {
            return Err(changed());
        }
        Ok(())
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Unpacker<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.plain.len() && !self.ended {
            self.open()?;
        }
        Ok(self.plain.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }
}

fn frame(last: bool, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [u8::from(last), a, b, c, d]
}

fn place(head: &[u8], frame: &[u8]) -> Vec<u8> {
    [head, frame].concat()
}

/// The key is this one file's, so a number is a nonce that never comes again.
fn nonce(number: u64) -> XNonce {
    let mut nonce = [0; NONCE_BYTES];
    if let Some(end) = nonce.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    XNonce::from(nonce)
}

fn file_cipher(key: &Secret, salt: &[u8]) -> Option<XChaCha20Poly1305> {
    let made = Zeroizing::new(keyed(key, &[b"vestibule backup file\0", salt].concat())?);
    XChaCha20Poly1305::new_from_slice(&*made).ok()
}

/// Tells keys apart without telling anything of them.
fn key_id(key: &Secret) -> Option<[u8; KEY_ID_BYTES]> {
    keyed(key, b"vestibule backup key")?.first_chunk().copied()
}

fn keyed(key: &Secret, text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let key = key.expose();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok().filter(|_| key.len() == KEY_BYTES)?;
    mac.update(text);
    Some(mac.finalize().into_bytes().into())
}

fn no_backup() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this is no backup of a vestibule, or one of a later version")
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the backup was changed after it was made")
}

fn cut_off(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { io::Error::new(io::ErrorKind::UnexpectedEof, "the end of the backup is missing") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::new(vec![byte; KEY_BYTES])
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut packer = Packer::new(&key(1)).unwrap();
        packer.put(plain).unwrap();
        packer.finish().unwrap();
        packer.take()
    }

    fn unpacked(bytes: &[u8], with: u8) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Unpacker::new(bytes, &key(with))?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn o_04_what_was_packed_comes_out_with_its_key_alone() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain = plain(length);
            let packed = packed(&plain);
            assert_eq!(unpacked(&packed, 1).unwrap(), plain);
            assert_eq!(unpacked(&packed, 2).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert!(length < 16 || !packed.windows(16).any(|window| window == &plain[..16]));
        }
        assert!(Packer::new(&Secret::new(vec![1; 31])).is_none());
        assert_eq!(unpacked(b"PK", 1).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn o_04_every_flipped_bit_is_seen() {
        let good = packed(b"precious");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unpacked(&bad, 1).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn o_04_a_file_that_is_cut_reordered_repeated_or_goes_on_is_refused() {
        let good = packed(&plain(3 * CHUNK_BYTES));
        let chunk = CHUNK_BYTES + TAG_BYTES + 5;
        for length in [HEAD_BYTES, HEAD_BYTES + 3, HEAD_BYTES + chunk, HEAD_BYTES + 2 * chunk, good.len() - 1] {
            assert_eq!(unpacked(&good[..length], 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
        let (head, chunks) = good.split_at(HEAD_BYTES);
        let (first, rest) = chunks.split_at(chunk);
        let (second, last) = rest.split_at(chunk);
        for order in [vec![second, first, last], vec![first, first, second, last], vec![first, last], vec![first, second, last, last], vec![last]] {
            assert!(unpacked(&[head, &order.concat()].concat(), 1).is_err());
        }
        let other = packed(&plain(3 * CHUNK_BYTES));
        assert!(unpacked(&[head, first, &other[HEAD_BYTES + chunk..]].concat(), 1).is_err(), "a chunk of another file");
    }
}
