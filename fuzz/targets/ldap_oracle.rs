//! Two readers of LDAP, ours and `rasn-ldap`, get the same bytes: what both read they read alike, and what one of them alone reads has a reason that stands here.
#![no_main]

#[path = "ldap_oracle/plain.rs"]
mod plain;
#[path = "ldap_oracle/strict.rs"]
mod strict;

use rasn_ldap::AuthenticationChoice;
use rasn_ldap::LdapMessage;
use rasn_ldap::ProtocolOp;
use vestibule_fuzz::wire::ldap::Choice;
use vestibule_fuzz::wire::ldap::Frame;
use vestibule_fuzz::wire::ldap::Refusal;
use vestibule_fuzz::wire::ldap::Request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let marks = strict::Marks::of(bytes);
    // Another reader goes down as deep as it is led, and that is what ours is there to prevent.
    let theirs = || if marks.deep { None } else { rasn::ber::decode::<LdapMessage>(bytes).ok() };
    match Frame::split(bytes, 1 << 20) {
        Ok(None) => strict::tell(theirs().is_none(), "part of a message", bytes, &marks),
        Err(refusal) => {
            if theirs().is_some() {
                strict::explain(refusal, bytes, &marks);
            }
        }
        Ok(Some(frame)) => {
            let marks = strict::Marks::of(frame.bytes);
            match rasn::ber::decode::<LdapMessage>(frame.bytes) {
                Ok(theirs) => alike(&frame, &theirs, &marks),
                Err(_) => strict::tell(!plain::is(frame.bytes), "a plain message that is none to rasn-ldap", bytes, &marks),
            }
        }
    }
});

/// Both have read it.
fn alike(frame: &Frame<'_>, theirs: &LdapMessage, marks: &strict::Marks) {
    assert_eq!(frame.id, theirs.message_id);
    let request = frame.request();
    match (&request, &theirs.protocol_op) {
        (Ok(Request::Bind(bind)), ProtocolOp::BindRequest(told)) => {
            assert_eq!((bind.version, bind.name), (u32::from(told.version), told.name.0.as_bytes()));
            match (&bind.choice, &told.authentication) {
                (Choice::Simple(password), AuthenticationChoice::Simple(told)) => assert_eq!(*password, &told[..]),
                (Choice::Sasl(mechanism), AuthenticationChoice::Sasl(told)) => assert_eq!(*mechanism, told.mechanism.0.as_bytes()),
                // A string in pieces is another choice to us, and refused as one.
                (Choice::Other(0xa0), AuthenticationChoice::Simple(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        (Ok(Request::Extended { name, valued }), ProtocolOp::ExtendedReq(told)) => {
            assert_eq!((*name, *valued), (&told.request_name[..], told.request_value.is_some()));
        }
        (Ok(Request::Abandon(target)), ProtocolOp::AbandonRequest(told)) => assert_eq!(*target, told.0),
        (Ok(Request::Unbind), ProtocolOp::UnbindRequest(_)) => {}
        (Ok(Request::Search(search)), ProtocolOp::SearchRequest(told)) => {
            assert_eq!((search.base, search.scope, search.aliases), (told.base_object.0.as_bytes(), told.scope as u32, told.deref_aliases as u32));
            assert_eq!(search.reads_root(), told.base_object.0.is_empty() && told.scope as u32 == 0);
            let wanted = |name: &str| !told.types_only && told.attributes.iter().any(|told| told.0 == "+" || told.0.eq_ignore_ascii_case(name));
            for name in ["cn", "supportedExtension"] {
                assert_eq!(search.wants(name), wanted(name));
            }
            assert!(
                search.asks_at_most(told.attributes.len(), usize::MAX - 1)
                    && (told.attributes.is_empty() || !search.asks_at_most(told.attributes.len() - 1, usize::MAX - 1))
            );
        }
        (Ok(Request::Write(write)), op) => {
            // A new name is attributes too.
            let new_name = match op {
                ProtocolOp::AddRequest(told) => told.entry.0.as_str(),
                ProtocolOp::ModDnRequest(told) => told.new_rdn.0.as_str(),
                _ => "",
            };
            let pieces = new_name.split([',', ';', '+']).filter_map(|piece| piece.split_once('='));
            let in_name = pieces.map(|(before, _)| before.as_bytes().trim_ascii().to_vec());
            let names: Vec<&str> = match op {
                ProtocolOp::ModDnRequest(_) => Vec::new(),
                ProtocolOp::AddRequest(told) => told.attributes.iter().map(|told| told.r#type.0.as_str()).collect(),
                ProtocolOp::CompareRequest(told) => vec![told.ava.attribute_desc.0.as_str()],
                ProtocolOp::ModifyRequest(told) => told.changes.iter().map(|told| told.modification.r#type.0.as_str()).collect(),
                other => panic!("{other:?}"),
            };
            let seen = std::cell::RefCell::new(Vec::new());
            let looked = write.any_attribute(|name| {
                seen.borrow_mut().push(name.to_vec());
                false
            });
            let cut: Vec<Vec<u8>> = in_name.chain(names.iter().map(|name| name.split(';').next().unwrap_or_default().as_bytes().to_vec())).collect();
            assert_eq!((looked, seen.into_inner()), (Ok(false), cut));
        }
        (Ok(Request::Other(_)), ProtocolOp::DelRequest(_)) => {}
        (Err(Refusal::Op), _) => answered(frame, &theirs.protocol_op, marks),
        (Err(refusal), _) => strict::explain(*refusal, frame.bytes, marks),
        other => panic!("{other:?}"),
    }
    match frame.controls() {
        Ok(controls) => {
            let ours: Vec<_> = controls.iter().map(|control| (control.oid.to_vec(), control.critical)).collect();
            let told = theirs.controls.iter().flatten().map(|control| (control.control_type.to_vec(), control.criticality)).collect::<Vec<_>>();
            strict::tell(ours == told || marks.strays, "other controls", frame.bytes, marks);
        }
        Err(refusal) => strict::explain(refusal, frame.bytes, marks),
    }
}

/// No request: an answer.
fn answered(frame: &Frame<'_>, theirs: &ProtocolOp, marks: &strict::Marks) {
    let told = match theirs {
        ProtocolOp::BindResponse(told) => Some((told.result_code as u32, told.diagnostic_message.0.as_bytes())),
        ProtocolOp::ExtendedResp(told) => Some((told.result_code as u32, told.diagnostic_message.0.as_bytes())),
        ProtocolOp::SearchResDone(told) => Some((told.0.result_code as u32, told.0.diagnostic_message.0.as_bytes())),
        ProtocolOp::ModifyResponse(told) => Some((told.0.result_code as u32, told.0.diagnostic_message.0.as_bytes())),
        ProtocolOp::AddResponse(told) => Some((told.0.result_code as u32, told.0.diagnostic_message.0.as_bytes())),
        ProtocolOp::DelResponse(told) => Some((told.0.result_code as u32, told.0.diagnostic_message.0.as_bytes())),
        ProtocolOp::ModDnResponse(told) => Some((told.0.result_code as u32, told.0.diagnostic_message.0.as_bytes())),
        ProtocolOp::CompareResponse(told) => Some((told.0.result_code as u32, told.0.diagnostic_message.0.as_bytes())),
        _ => None,
    };
    if let Some(told) = told {
        match frame.result() {
            Ok(ours) => assert_eq!((ours.code, ours.diagnostic), told),
            Err(refusal) => strict::explain(refusal, frame.bytes, marks),
        }
    }
    if let ProtocolOp::SearchResEntry(told) = theirs {
        let Some(ours) = frame.entry() else { return strict::explain(Refusal::Form, frame.bytes, marks) };
        assert_eq!((&ours.dn, ours.attributes.len()), (&told.object_name.0, told.attributes.len()));
        for ((name, values), told) in ours.attributes.iter().zip(told.attributes.iter()) {
            assert_eq!((name, values.len()), (&told.r#type.0, told.vals.len()));
            let mut told: Vec<Vec<u8>> = told.vals.to_vec().iter().map(|value| value.to_vec()).collect();
            let mut values = values.clone();
            told.sort();
            values.sort();
            assert_eq!(values, told);
        }
    }
}
