//! The crate `radius` reads what we write and writes what we read: an independent codec to hold ours against.

use proptest::prelude::*;
use radius::core::avp::AVP;
use radius::core::packet::Packet;
use radius::core::rfc2865;

use super::super::Code;
use super::super::Integrity;
use super::super::Request;
use super::super::carry::Carried;
use super::super::hide;
use super::super::reply;
use super::super::reply::Asked;
use super::super::upstream::AccessRequest;
use super::SALT;
use super::SECRET;

proptest! {
    #[test]
    fn the_oracle_reads_our_requests(name in "[a-z]{1,50}", password in "[ -~]{1,128}", authenticator: [u8; 16], identifier: u8) {
        let sent = AccessRequest::new(identifier, authenticator).with(1, name.as_bytes()).password(password.as_bytes()).with(5, &[0, 0, 0, 9]).signed(SECRET).unwrap();
        let theirs = Packet::decode(&sent, SECRET).unwrap();
        prop_assert_eq!(theirs.get_code(), radius::core::code::Code::AccessRequest);
        prop_assert_eq!(theirs.get_identifier(), identifier);
        prop_assert_eq!(&theirs.get_authenticator()[..], &authenticator[..]);
        prop_assert_eq!(rfc2865::lookup_user_name(&theirs).unwrap().unwrap(), name);
        prop_assert_eq!(rfc2865::lookup_user_password(&theirs).unwrap().unwrap(), password.into_bytes());
        prop_assert_eq!(rfc2865::lookup_nas_port(&theirs).unwrap().unwrap(), 9);
    }

    #[test]
    fn we_read_the_oracle_s_requests(name in "[a-z]{1,50}", password in "[ -~]{1,128}", state in proptest::collection::vec(any::<u8>(), 1..200)) {
        let mut theirs = Packet::new(radius::core::code::Code::AccessRequest, SECRET);
        rfc2865::add_user_name(&mut theirs, &name);
        rfc2865::add_user_password(&mut theirs, password.as_bytes()).unwrap();
        rfc2865::add_state(&mut theirs, &state);
        let bytes = theirs.encode().unwrap();
        let request = Request::verify(&bytes, SECRET, Integrity::Optional).unwrap();
        prop_assert_eq!((request.code(), request.identifier()), (Code::AccessRequest, theirs.get_identifier()));
        prop_assert_eq!(request.text(1), Some(&name[..]));
        prop_assert_eq!(request.state(), Some(&state[..]));
        prop_assert_eq!(&**request.user_password(SECRET).unwrap().unwrap(), password.as_bytes());
    }

    #[test]
    fn the_oracle_takes_our_replies_for_authentic(message in "[ -~]{1,253}", state in proptest::collection::vec(any::<u8>(), 1..=253)) {
        let sent = AccessRequest::new(4, [3; 16]).with(33, b"proxy").password(b"open").signed(SECRET).unwrap();
        let asked = Asked::of(&Request::verify(&sent, SECRET, Integrity::Require).unwrap());
        let challenge = reply::challenge(&asked, SECRET, &state, Some(&message), &Carried::default(), SALT).unwrap();
        let all = [reply::accept(&asked, SECRET, &Carried::default(), SALT).unwrap(), reply::reject(&asked, SECRET, Some(&message), &Carried::default()).unwrap(), challenge.clone()];
        for bytes in all {
            prop_assert!(Packet::is_authentic_response(&bytes, &sent, SECRET));
        }
        let theirs = Packet::decode(&challenge, SECRET).unwrap();
        prop_assert_eq!(rfc2865::lookup_reply_message(&theirs).unwrap().unwrap(), message);
        prop_assert_eq!(rfc2865::lookup_state(&theirs).unwrap(), state);
        prop_assert_eq!(rfc2865::lookup_proxy_state(&theirs).unwrap(), b"proxy".to_vec());
    }

    #[test]
    fn we_hide_passwords_as_the_oracle_does(password in proptest::collection::vec(1_u8.., 1..=128), authenticator: [u8; 16], secret in proptest::collection::vec(any::<u8>(), 1..100)) {
        let theirs = AVP::from_user_password(2, &password, &secret, &authenticator).unwrap();
        let ours = hide::hide(&password, &secret, &authenticator).unwrap();
        prop_assert_eq!(&ours, &theirs.encode_bytes());
        prop_assert_eq!(theirs.encode_user_password(&secret, &authenticator).unwrap(), hide::reveal(&ours, &secret, &authenticator).unwrap().to_vec());
    }
}
