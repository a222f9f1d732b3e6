//! Credentials other than a password, as requests carry them.

use super::super::Integrity;
use super::super::Request;
use super::super::credential::Scattered;
use super::MA;
use super::NAME;
use super::SECRET;
use super::signed;

fn with<T>(attributes: &[(u8, &[u8])], look: impl FnOnce(&Request<'_>) -> T) -> T {
    let datagram = signed(1, &[&[NAME, MA][..], attributes].concat(), SECRET);
    look(&Request::verify(&datagram, SECRET, Integrity::Require).unwrap())
}

fn microsoft(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[0, 0, 1, 55, kind, u8::try_from(value.len() + 2).unwrap()], value].concat()
}

#[test]
fn r_080_eap_messages_are_put_together_where_they_are_consecutive() {
    let eap = |attributes: &[(u8, &[u8])]| with(attributes, |request| request.eap());
    assert_eq!(eap(&[]), Ok(None));
    assert_eq!(eap(&[(79, b"")]), Ok(Some(Vec::new())));
    assert_eq!(eap(&[(79, &[1; 253]), (79, b"rest"), (4, &[127, 0, 0, 1])]), Ok(Some([&[1; 253][..], b"rest"].concat())));
    assert_eq!(eap(&[(79, &[1; 253]), (4, &[127, 0, 0, 1]), (79, b"rest")]), Err(Scattered));
    assert_eq!(eap(&[(79, b"a"), (4, &[127, 0, 0, 1]), (5, &[0; 4]), (79, b"b")]), Err(Scattered));
}

#[test]
fn r_091_ms_chap2_has_its_lengths_and_blank_octets() {
    let challenge = microsoft(11, &[1; 16]);
    let mut response = [2; 50];
    response[1] = 0;
    response[18..26].fill(0);
    let good = microsoft(25, &response);
    with(&[(26, &challenge), (26, &good)], |request| {
        let found = request.ms_chap2().unwrap();
        assert_eq!((found.challenge, found.bytes, found.response.ident, found.response.peer_challenge), (&[1; 16], &response, 2, [2; 16]));
        assert_eq!(request.attributes().typed_in_ms_chap2(), Some(&[2; 6][..]));
        assert!(request.has_other_credential());
    });
    for at in [1, 18, 25] {
        let mut bad = response;
        bad[at] = 1;
        with(&[(26, &challenge), (26, &microsoft(25, &bad))], |request| assert_eq!(request.ms_chap2(), None));
    }
    with(&[(26, &microsoft(11, &[1; 8])), (26, &good)], |request| assert_eq!(request.ms_chap2(), None));
    with(&[(26, &challenge), (26, &microsoft(25, &response[..49]))], |request| assert_eq!(request.ms_chap2(), None));
    with(&[(26, &good)], |request| assert_eq!(request.ms_chap2(), None));
}

/// MS-CHAP2-CPW of identifier 9.
fn cpw() -> Vec<u8> {
    microsoft(27, &[&[7, 9][..], &[1; 16], &[2; 16], &[0; 8], &[3; 24], &[0; 2]].concat())
}

/// The pieces of a new password, numbered from 1.
fn pieces() -> Vec<Vec<u8>> {
    let password: Vec<u8> = (0..=255).cycle().take(516).collect();
    password.chunks(243).zip(1..).map(|(piece, number)| microsoft(6, &[&[6, 9, 0, number], piece].concat())).collect()
}

#[test]
fn r_095_the_pieces_of_a_new_password_are_put_in_order() {
    let (challenge, cpw, pieces) = (microsoft(11, &[4; 16]), cpw(), pieces());
    let expected: Vec<u8> = (0..=255).cycle().take(516).collect();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let [a, b, c] = order.map(|at: usize| (26, &pieces[at][..]));
        with(&[(26, &cpw), a, (26, &challenge), b, c], |request| {
            let change = request.ms_chap2_cpw().unwrap();
            assert_eq!((change.identifier, change.encrypted_hash, change.peer_challenge, change.response), (9, &[1; 16], &[2; 16], &[3; 24]));
            assert_eq!(change.challenge, &[4; 16]);
            assert_eq!(*change.new_password, expected);
        });
    }
}

#[test]
fn r_095_a_piece_that_is_missing_there_twice_or_another_s_spoils_the_change() {
    let (challenge, cpw, pieces) = (microsoft(11, &[4; 16]), cpw(), pieces());
    let base: [(u8, &[u8]); 3] = [(26, &challenge), (26, &cpw), (26, &pieces[0])];
    let foreign = microsoft(6, &[&[6, 8, 0, 2], &[0; 243][..]].concat());
    let twice = microsoft(6, &[&[6, 9, 0, 1], &[0; 243][..]].concat());
    let long = microsoft(6, &[&[6, 9, 0, 3], &[0; 31][..]].concat());
    for rest in [[&pieces[1], &pieces[1]], [&foreign, &pieces[2]], [&twice, &pieces[2]], [&pieces[1], &long]] {
        let all: Vec<(u8, &[u8])> = base.iter().copied().chain(rest.map(|piece| (26, &piece[..]))).collect();
        with(&all, |request| assert!(request.ms_chap2_cpw().is_none()));
    }
    with(&base, |request| assert!(request.ms_chap2_cpw().is_none()));
}
