//! Any stream falls into whole PDUs, byte for byte, or is refused; what lies in a PDU is refused or understood.
#![no_main]

use vestibule_fuzz::wire::ldap::Frame;

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    let mut rest = stream;
    while let Ok(Some(frame)) = Frame::split(rest, 4_096) {
        assert!(frame.bytes.len() >= 2 && rest.starts_with(frame.bytes));
        let _ = (frame.request(), frame.controls(), frame.result(), frame.reply(), frame.entry());
        rest = &rest[frame.bytes.len()..];
    }
});
