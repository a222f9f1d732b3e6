//! What key files are encrypted with: AES in CBC with a MAC beside it, keys made of passwords.

use aes::Aes128;
use aes::Aes256;
use aes::cipher::BlockModeDecrypt;
use aes::cipher::KeyIvInit;
use aes::cipher::block_padding::Pkcs7;
use cbc::Decryptor;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use subtle::ConstantTimeEq;

use crate::domain::Secret;

/// Hash inside an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    /// The hash of an HMAC that is named by this URI.
    pub(super) fn of_mac(uri: &str) -> Option<Self> {
        match uri.rsplit('#').next()?.to_ascii_lowercase().as_str() {
            "hmac-sha1" => Some(Self::Sha1),
            "hmac-sha256" => Some(Self::Sha256),
            "hmac-sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn mac(self, key: &Secret, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Sha1 => mac_of(Hmac::<sha1::Sha1>::new_from_slice(key.expose()).ok()?, data),
            Self::Sha256 => mac_of(Hmac::<sha2::Sha256>::new_from_slice(key.expose()).ok()?, data),
            Self::Sha512 => mac_of(Hmac::<sha2::Sha512>::new_from_slice(key.expose()).ok()?, data),
        }
    }
}

fn mac_of<M: Mac>(mut mac: M, data: &[u8]) -> Option<Vec<u8>> {
    mac.update(data);
    Some(mac.finalize().into_bytes().to_vec())
}

/// What opens the secrets of a file.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) key: Secret,
    pub(super) mac: Hash,
    pub(super) mac_key: Secret,
}

impl Opener {
    /// The secret, if it is whole. The MAC, over what is encrypted, is looked at first: a wrong padding tells nobody anything.
    pub(super) fn open(&self, method: &str, sealed: &[u8], mac: &[u8]) -> Result<Secret, String> {
        let want = self.mac.mac(&self.mac_key, sealed).ok_or("its MAC cannot be made")?;
        if !bool::from(want.ct_eq(mac)) {
            return Err("its MAC is wrong: the key or password is not the one, or the file was changed".to_owned());
        }
        decrypt(method, &self.key, sealed)
    }
}

/// Decrypts what is behind its first sixteen bytes.
pub(super) fn decrypt(method: &str, key: &Secret, sealed: &[u8]) -> Result<Secret, String> {
    let (iv, body) = sealed.split_first_chunk::<16>().ok_or("is too short")?;
    let wrong_key = |_| format!("the key has {} bytes, which is not what {method:?} needs", key.len());
    let plain = match method.rsplit('#').next() {
        Some("aes128-cbc") => Decryptor::<Aes128>::new_from_slices(key.expose(), iv).map_err(wrong_key)?.decrypt_padded_vec::<Pkcs7>(body),
        Some("aes256-cbc") => Decryptor::<Aes256>::new_from_slices(key.expose(), iv).map_err(wrong_key)?.decrypt_padded_vec::<Pkcs7>(body),
        _ => return Err(format!("is encrypted in a way that is not known here: {method:?}")),
    };
    plain.map(Secret::new).map_err(|_| "does not open: the key or password is not the one".to_owned())
}

/// A key of a password; `None` for a length that no cipher has.
pub(super) fn stretched(hash: Hash, password: &Secret, salt: &[u8], rounds: u32, length: u32) -> Option<Secret> {
    let mut key = vec![0; usize::try_from(length).ok().filter(|length| [16, 32].contains(length))?];
    match hash {
        Hash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>(password.expose(), salt, rounds, &mut key),
        Hash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.expose(), salt, rounds, &mut key),
        Hash::Sha512 => pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password.expose(), salt, rounds, &mut key),
    }
    Some(Secret::new(key))
}
