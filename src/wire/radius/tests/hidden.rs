//! What replies hide, against answers that were worked out apart from this code.

use proptest::prelude::*;
use radius::core::avp::AVP;
use radius::core::tag::Tag;

use super::super::draft::TooLong;
use super::super::salt;
use super::super::salt::Unreadable;
use super::AUTHENTICATOR;
use super::SECRET;
use super::hex;

#[test]
fn r_096_a_salted_value_is_hidden_as_rfc_2868_has_it() {
    let known = hex("802a0b4747061f22171254d6998b7804b5add4b8e35e1ed5380e58fa75708c7ea022");
    assert_eq!(salt::hide(b"tunnel vision, 17", SECRET, &AUTHENTICATOR, [0x00, 0x2a]).unwrap(), known);
    assert_eq!(**salt::reveal(&known, SECRET, &AUTHENTICATOR).unwrap(), b"tunnel vision, 17"[..]);
}

#[test]
fn r_073_mppe_keys_of_ms_chap_are_hidden_as_a_password_is() {
    let known = hex("08541dc0c1e1bc02ff992b26cd819caef48ced67489830b12bd2d8963188cbf0");
    let keys = b"LM-KEY..NT-KEY of 16 oct";
    assert_eq!(salt::hide_chap_keys(keys, SECRET, &AUTHENTICATOR).unwrap(), known);
    assert_eq!(**salt::reveal_chap_keys(&known, SECRET, &AUTHENTICATOR).unwrap(), [&keys[..], &[0; 8]].concat());
    assert_eq!(salt::hide_chap_keys(&[1; 33], SECRET, &AUTHENTICATOR), Err(TooLong));
    for length in [0, 16, 31, 33, 48] {
        assert_eq!(salt::reveal_chap_keys(&vec![1; length], SECRET, &AUTHENTICATOR).err(), Some(Unreadable), "{length}");
    }
}

#[test]
fn r_073_an_ascend_secret_is_one_block_under_authenticator_and_secret() {
    let known = hex("d1fcc4ee9c2714cee83969458c8b6503");
    assert_eq!(**salt::mask_ascend(b"ascend", SECRET, &AUTHENTICATOR).unwrap(), known);
    assert_eq!(**salt::mask_ascend(&known, SECRET, &AUTHENTICATOR).unwrap(), b"ascend\0\0\0\0\0\0\0\0\0\0"[..]);
    assert_eq!(salt::mask_ascend(&[1; 17], SECRET, &AUTHENTICATOR).err(), Some(TooLong));
}

#[test]
fn r_096_every_length_up_to_239_octets_comes_back() {
    for length in 0..=239 {
        let value = vec![b'k'; length];
        let hidden = salt::hide(&value, SECRET, &AUTHENTICATOR, [0x80, 1]).unwrap();
        assert!(hidden[0] >= 0x80 && (hidden.len() - 2).is_multiple_of(16));
        assert_eq!(**salt::reveal(&hidden, SECRET, &AUTHENTICATOR).unwrap(), value[..]);
    }
    assert_eq!(salt::hide(&[b'k'; 240], SECRET, &AUTHENTICATOR, [0; 2]), Err(TooLong));
}

#[test]
fn r_073_impossible_lengths_cannot_be_read_and_padding_is_not_looked_at() {
    for length in [0, 1, 2, 3, 17, 19, 33] {
        assert_eq!(salt::reveal(&vec![0x80; length], SECRET, &AUTHENTICATOR).err(), Some(Unreadable), "{length}");
    }
    let mut hidden = salt::hide(b"key", SECRET, &AUTHENTICATOR, [0x80, 1]).unwrap();
    // The hiding is a mask: a flipped bit of the length octet or the padding comes out flipped. Some pad with noise, which RFC 2868 §3.5 allows.
    hidden[2] ^= 0xff;
    assert_eq!(salt::reveal(&hidden, SECRET, &AUTHENTICATOR).err(), Some(Unreadable));
    hidden[2] ^= 0xff;
    hidden[17] ^= 1;
    assert_eq!(salt::reveal(&hidden, SECRET, &AUTHENTICATOR).unwrap().as_slice(), b"key");
}

proptest! {
    // The oracle forgets the length octet of RFC 2868 §3.5, both ways; what it masks and chains is the same.
    #[test]
    fn we_hide_tunnel_passwords_as_the_oracle_does(password in "[ -~]{1,200}", authenticator: [u8; 16], salt: [u8; 2]) {
        let counted = [&[u8::try_from(password.len()).unwrap()][..], password.as_bytes()].concat();
        let hidden = salt::hide(password.as_bytes(), SECRET, &authenticator, salt).unwrap();
        let ours = AVP::from_bytes(69, &[&[0x1f][..], &hidden].concat());
        let (theirs, tag) = ours.encode_tunnel_password(SECRET, &authenticator).unwrap();
        prop_assert_eq!((tag.get_value(), &theirs), (0x1f, &counted));
        let made = AVP::from_tunnel_password(69, Some(&Tag::new(0x1f)), &counted, SECRET, &authenticator).unwrap().encode_bytes();
        prop_assert_eq!(&**salt::reveal(&made[1..], SECRET, &authenticator).unwrap(), password.as_bytes());
    }

    #[test]
    fn r_018_no_hidden_value_panics(hidden in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (salt::reveal(&hidden, SECRET, &AUTHENTICATOR), salt::reveal_chap_keys(&hidden, SECRET, &AUTHENTICATOR), salt::mask_ascend(&hidden, SECRET, &AUTHENTICATOR));
    }
}
