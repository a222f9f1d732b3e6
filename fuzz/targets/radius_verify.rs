//! Any datagram is refused or understood, and what is understood is answered by a packet with Message-Authenticator first.
#![no_main]

use vestibule_fuzz::wire::radius::Code;
use vestibule_fuzz::wire::radius::Integrity;
use vestibule_fuzz::wire::radius::Refusal;
use vestibule_fuzz::wire::radius::Request;
use vestibule_fuzz::wire::radius::carry::Carried;
use vestibule_fuzz::wire::radius::forward::Forward;
use vestibule_fuzz::wire::radius::reply;

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| {
    let Ok(request) = Request::verify(datagram, b"secret", Integrity::Observe) else { return };
    let _ = (request.user_password(b"secret"), request.attributes().extended().count());
    let _ = (request.eap(), request.ms_chap2(), request.ms_chap2_cpw());
    request.attributes().iter().for_each(|attribute| drop(attribute.vendor()));
    if let Ok(Ok(sent)) = Forward::of(&request, b"secret").map(|forward| forward.signed(Code::AccessRequest, 1, &[7; 16], b"upstream")) {
        // Our signature may be one attribute more than there may be.
        assert!(matches!(Request::verify(&sent, b"upstream", Integrity::Require).err(), None | Some(Refusal::TooMany)));
    }
    if let Ok(answer) = reply::accept(&reply::Asked::of(&request), b"secret", &Carried::default(), [0; 2]) {
        assert!(answer.len() <= 4_096 && answer[20] == 80 && answer[1] == request.identifier());
    }
});
