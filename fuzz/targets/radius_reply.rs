//! Whatever an upstream says becomes a reply that its reader takes, Message-Authenticator first, and no key gets into a Challenge or a Reject.
#![no_main]

use vestibule_fuzz::wire::radius::Code;
use vestibule_fuzz::wire::radius::Integrity;
use vestibule_fuzz::wire::radius::Request;
use vestibule_fuzz::wire::radius::attr;
use vestibule_fuzz::wire::radius::carry::Carried;
use vestibule_fuzz::wire::radius::forward::Forward;
use vestibule_fuzz::wire::radius::reply;
use vestibule_fuzz::wire::radius::upstream::AccessRequest;
use vestibule_fuzz::wire::radius::upstream::verify_reply;
use vestibule_fuzz::wire::radius::upstream::verify_reply_over_tls_11;

libfuzzer_sys::fuzz_target!(|packet: &[u8]| {
    // In RADIUS/1.1 the token alone makes a reply one, so every mutation gets behind the door.
    let sent = Forward::default().over_tls_11(Code::AccessRequest, 0, 4096).unwrap();
    let mut packet = packet.to_vec();
    if let Some(token) = packet.get_mut(4..20) {
        token.fill(0);
    }
    let Ok(told) = verify_reply_over_tls_11(&packet, &sent, 4096) else { return };
    let carried = Carried::of(&told, &[7; 16], b"upstream");
    let question = AccessRequest::new(1, [9; 16]).with(attr::USER_NAME, b"alice").password(b"open sesame").signed(b"secret").unwrap();
    let asked = reply::Asked::of(&Request::verify(&question, b"secret", Integrity::Require).unwrap());
    let answers = [
        reply::accept(&asked, b"secret", &carried, [0; 2]),
        reply::challenge(&asked, b"secret", b"state", Some("Code:"), &carried, [0; 2]),
        reply::reject(&asked, b"secret", Some("No."), &carried),
    ];
    for answer in answers.into_iter().flatten() {
        assert!(answer.len() <= 4096 && answer[20] == attr::MESSAGE_AUTHENTICATOR && answer[1] == 1);
        // More attributes than there may be, or EAP from who sent none, is all that may be wrong with it.
        let Ok(read) = verify_reply(&answer, &question, b"secret", Integrity::Require) else { continue };
        let again = Carried::of(&read, &[9; 16], b"secret");
        assert_eq!(again.unreadable(), 0);
        if read.code() != Code::AccessAccept {
            assert!(!read.attributes().contains(attr::TUNNEL_PASSWORD));
            let keys = [attr::MS_MPPE_SEND_KEY, attr::MS_MPPE_RECV_KEY];
            assert!(keys.into_iter().all(|key| read.attributes().vendor(attr::VENDOR_MICROSOFT, key).next().is_none()));
        }
    }
});
