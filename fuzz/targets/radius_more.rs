//! RADIUS/1.1 and accounting: any packet is refused or understood, and what is understood is answered and handed on.
#![no_main]

use vestibule_fuzz::wire::radius::Code;
use vestibule_fuzz::wire::radius::Request;
use vestibule_fuzz::wire::radius::carry::Carried;
use vestibule_fuzz::wire::radius::forward::Forward;
use vestibule_fuzz::wire::radius::reply;

libfuzzer_sys::fuzz_target!(|packet: &[u8]| {
    if let Ok(request) = Request::over_tls_11(packet, 4096) {
        let _ = (request.user_password(b""), request.eap(), request.ms_chap2(), request.ms_chap2_cpw(), request.attributes().typed_in_ms_chap2());
        if let Ok(forward) = Forward::of(&request, b"") {
            let _ = (forward.over_tls_11(request.code(), 1, 4096), forward.signed(Code::AccessRequest, 1, &[7; 16], b"upstream"));
        }
        if let Ok(answer) = reply::accept(&reply::Asked::of(&request), b"", &Carried::default(), [0; 2]) {
            assert_eq!(answer.get(4..8), packet.get(4..8), "the token comes back");
        }
    }
    let _ = Request::verify_accounting(packet, b"secret");
    // With the right seal on them, all attributes get in.
    let Ok(told) = Forward::from_bytes(packet) else { return };
    let Ok(sealed) = told.signed(Code::AccountingRequest, 1, &[0; 16], b"secret") else { return };
    if let Ok(request) = Request::verify_accounting(&sealed, b"secret") {
        let answer = reply::accounting_response(&reply::Asked::of(&request), b"secret").unwrap();
        assert!(answer.len() <= 4096 && answer[0] == 5 && answer[1] == 1);
    }
});
