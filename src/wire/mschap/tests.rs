//! MS-CHAP-V2 against the RFCs' own examples, and a client to answer with.

use des::Des;
use des::cipher::Array;
use des::cipher::BlockCipherEncrypt;
use des::cipher::KeyInit;
use md4::Md4;
use proptest::prelude::*;

use super::*;

/// What a client answers to a challenge of 8 octets (RFC 2759 §8.5).
pub(crate) fn respond(challenge: &[u8; 8], password: &str) -> [u8; 24] {
    let mut keys = [0; 21];
    keys[..16].copy_from_slice(&password_hash(password));
    let mut response = [0; 24];
    for (key, out) in keys.chunks(7).zip(response.chunks_mut(8)) {
        // 56 bits become 8 octets of 7 bits and a parity that nobody looks at.
        let bits = key.iter().fold(0_u64, |sum, octet| (sum << 8) | u64::from(*octet));
        let spread: [u8; 8] = std::array::from_fn(|at| u8::try_from((bits >> (49 - 7 * at)) & 0x7f).unwrap() << 1);
        let mut block = Array::from(*challenge);
        Des::new(&Array::from(spread)).encrypt_block(&mut block);
        out.copy_from_slice(&block);
    }
    response
}

/// RFC 2759 §8.3.
pub(crate) fn password_hash(password: &str) -> [u8; 16] {
    let wide: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Md4::digest(wide).into()
}

/// RFC 2759 §8.4: what a domain controller hands back.
pub(crate) fn hash_hash(password: &str) -> HashHash {
    Zeroizing::new(Md4::digest(password_hash(password)).into())
}

fn bytes<const LEN: usize>(hex: &str) -> [u8; LEN] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// The exchange that both RFCs show: RFC 2759 §9.2, RFC 3079 §3.5.3.
struct Example {
    authenticator_challenge: [u8; 16],
    response: Response,
    hash_hash: HashHash,
}

fn example() -> Example {
    let peer_challenge = bytes("21402324255E262A28295F2B3A337C7E");
    let nt_response = bytes("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
    Example {
        authenticator_challenge: bytes("5B5D7C7D7B3F2F3E3C2C602132262628"),
        response: Response { ident: 7, peer_challenge, nt_response },
        hash_hash: Zeroizing::new(bytes("41C00C584BD2D91C4017A2A12FA59F3F")),
    }
}

fn response_value() -> Vec<u8> {
    let response = example().response;
    [&[7, 0][..], &response.peer_challenge, &[0; 8], &response.nt_response].concat()
}

#[test]
fn r_091_the_challenge_of_the_rfc_and_its_response() {
    let Example { authenticator_challenge, response, hash_hash: expected } = example();
    let challenge = challenge_hash(&response.peer_challenge, &authenticator_challenge, b"User");
    assert_eq!(challenge, bytes("D02E4386BCE91226"));
    assert_eq!(respond(&challenge, "clientPass"), response.nt_response);
    assert_eq!(password_hash("clientPass"), bytes("44EBBA8D5312B8D611474411F56989AE"));
    assert_eq!(hash_hash("clientPass"), expected);
}

#[test]
fn r_091_a_domain_before_the_name_is_not_in_the_hash() {
    let hash = |typed: &[u8]| challenge_hash(&[1; 16], &[2; 16], typed);
    assert_eq!(hash(br"CORP\User"), hash(b"User"));
    assert_ne!(hash(b"User@corp.example"), hash(b"User"));
    for (typed, name) in [(&br"CORP\User"[..], &b"User"[..]), (b"User", b"User"), (b"u@x", b"u@x"), (br"\User", b"User"), (br"CORP\", b""), (b"", b"")] {
        assert_eq!(user_name(typed), name);
    }
}

#[test]
fn r_091_a_response_of_another_form_is_none() {
    let whole = response_value();
    assert_eq!(Response::read(&whole), Ok(example().response));
    for end in 0..whole.len() {
        assert_eq!(Response::read(&whole[..end]), Err(Refusal::Length));
    }
    assert_eq!(Response::read(&[&whole[..], &[0]].concat()), Err(Refusal::Length));
    for at in std::iter::once(1).chain(18..26) {
        let mut broken = whole.clone();
        broken[at] = 1;
        assert_eq!(Response::read(&broken), Err(Refusal::Form), "octet {at}");
    }
}

#[test]
fn r_092_success_is_the_one_of_the_rfc() {
    let Example { authenticator_challenge, response, hash_hash } = example();
    let value = success(&response, &authenticator_challenge, br"CORP\User", &hash_hash);
    assert_eq!(value.len(), 43);
    assert_eq!(value[0], 7);
    assert_eq!(&value[1..], b"S=407A5589115FD0D6209F510FE9C04566932CDA56");
}

#[test]
fn r_096_the_keys_are_those_of_the_rfc() {
    let Example { response, hash_hash, .. } = example();
    let keys = MppeKeys::derive(&hash_hash, &response.nt_response);
    assert_eq!(*keys.send, bytes("8B7CDC149B993A1BA118CB153F56DCCB"));
    assert_ne!(keys.send, keys.recv);
    // What the server receives with is what a client sends with.
    let master: [u8; 16] = bytes("FDECE3717A8C838CB388E527AE3CDD31");
    let client = Sha1::new().chain_update(master).chain_update([0; 40]).chain_update(SERVER_RECEIVES).chain_update([0xf2; 40]).finalize();
    assert_eq!(keys.recv.as_slice(), &client[..16]);
}

#[test]
fn r_093_r_094_an_error_says_its_code_a_challenge_and_never_a_retry() {
    let challenge = bytes("00112233445566778899AABBCCDDEEFF");
    let text = |failure: Failure| String::from_utf8(failure.attribute(b'!', &challenge, "No.").clone()).unwrap();
    for (failure, code) in [
        (Failure::Hours, 646),
        (Failure::Disabled, 647),
        (Failure::Expired, 648),
        (Failure::NoDialIn, 649),
        (Failure::Authentication, 691),
        (Failure::Change, 709),
    ] {
        assert_eq!(text(failure), format!("!E={code} R=0 C=00112233445566778899AABBCCDDEEFF V=3 M=No."));
    }
}

#[test]
fn r_093_an_error_fits_into_one_attribute_whatever_its_text() {
    let value = Failure::Authentication.attribute(0, &[0; 16], &"é".repeat(300));
    assert!(value.len() <= 253 - 6, "{}", value.len());
    assert!(std::str::from_utf8(&value[1..]).unwrap().ends_with('é'));
    let value = Failure::Authentication.attribute(0, &[0; 16], "a\r\nE=648\0");
    assert!(value.ends_with(b"M=aE=648"));
}

#[test]
fn r_067_nothing_one_could_guess_a_password_against_is_printed() {
    let Example { response, hash_hash, .. } = example();
    assert_eq!(format!("{response:?}"), "Response { ident: 7, .. }");
    assert_eq!(format!("{:?}", MppeKeys::derive(&hash_hash, &response.nt_response)), "MppeKeys(..)");
}

proptest! {
    #[test]
    fn r_091_no_bytes_upset_a_reader(value in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Response::read(&value);
    }
}
