//! The examples of RFC 2865 §7, which are older than Message-Authenticator.

use md5::Digest;

use super::super::Code;
use super::super::Integrity;
use super::super::Refusal;
use super::super::Request;
use super::super::hide;
use super::super::sign;
use super::super::upstream::verify_reply;
use super::hex;

const SECRET: &[u8] = b"xyzzy5461";

fn telnet() -> Vec<u8> {
    hex(
        "01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d 93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03",
    )
}

#[test]
fn rfc_2865_7_1_user_telnets_to_a_host() {
    let datagram = telnet();
    let request = Request::verify(&datagram, SECRET, Integrity::Optional).unwrap();
    assert_eq!((request.code(), request.identifier(), request.signed()), (Code::AccessRequest, 0, false));
    assert_eq!(request.text(1), Some("nemo"));
    assert_eq!(**request.user_password(SECRET).unwrap().unwrap(), b"arctangent"[..]);
    assert_eq!(request.first(4).unwrap().ipv4().unwrap().to_string(), "192.168.1.16");
    assert_eq!(request.first(5).unwrap().integer(), Some(3));
    assert_eq!(hide::hide(b"arctangent", SECRET, request.authenticator()).unwrap(), request.first(2).unwrap().value);

    let reply = hex("02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00 0e 06 c0 a8 01 03");
    assert_eq!(sign::response_authenticator(&reply, request.authenticator(), SECRET).unwrap(), reply[4..20]);
    assert_eq!(verify_reply(&reply, &datagram, SECRET, Integrity::Require).err(), Some(Refusal::Unsigned));
}

#[test]
fn rfc_2865_7_2_framed_user_with_chap() {
    let datagram = hex(
        "01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e 0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13 16 e9 75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04 06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00 02 07 06 00 00 00 01",
    );
    let request = Request::verify(&datagram, SECRET, Integrity::Optional).unwrap();
    assert_eq!(request.text(1), Some("flopsy"));
    assert!(request.has_other_credential());
    assert!(request.user_password(SECRET).unwrap().is_none());
    let chap = request.first(3).unwrap().value;
    let digest = md5::Md5::new().chain_update(&chap[..1]).chain_update(b"arctangent").chain_update(request.authenticator()).finalize();
    assert_eq!(chap[1..], digest[..]);
}

#[test]
fn rfc_2865_7_3_user_with_a_challenge_response_card() {
    let datagram = hex(
        "01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9 30 41 a0 39 01 07 6d 6f 70 73 79 02 12 33 65 75 73 77 82 89 b5 70 88 5e 15 08 48 25 c5 04 06 c0 a8 01 10 05 06 00 00 00 07",
    );
    let request = Request::verify(&datagram, SECRET, Integrity::Optional).unwrap();
    assert_eq!(**request.user_password(SECRET).unwrap().unwrap(), b"challenge"[..]);
    let reply = hex(
        "0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c 71 ff 9c 45 12 30 43 68 61 6c 6c 65 6e 67 65 20 33 32 37 36 39 34 33 30 2e 20 20 45 6e 74 65 72 20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f 6d 70 74 2e 18 0a 33 32 37 36 39 34 33 30",
    );
    assert_eq!(sign::response_authenticator(&reply, request.authenticator(), SECRET).unwrap(), reply[4..20]);

    let answer = hex(
        "01 03 00 43 b1 22 55 6d 42 8a 13 d0 d6 25 38 07 c4 57 ec f0 01 07 6d 6f 70 73 79 02 12 69 2c 1f 20 5f c0 81 b9 19 b9 51 95 f5 61 a5 81 04 06 c0 a8 01 10 05 06 00 00 00 07 18 0a 33 32 37 36 39 34 33 30",
    );
    let request = Request::verify(&answer, SECRET, Integrity::Optional).unwrap();
    assert_eq!(**request.user_password(SECRET).unwrap().unwrap(), b"99101462"[..]);
    assert_eq!(request.state(), Some(&b"32769430"[..]));
}
