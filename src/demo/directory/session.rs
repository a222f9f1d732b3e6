//! One connection to the lab directory: PDUs in, answers out, and who is bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rasn_ldap::AuthenticationChoice;
use rasn_ldap::BindRequest;
use rasn_ldap::BindResponse;
use rasn_ldap::Control;
use rasn_ldap::ExtendedResponse;
use rasn_ldap::LdapMessage;
use rasn_ldap::LdapResult;
use rasn_ldap::ProtocolOp;
use rasn_ldap::ResultCode;
use rasn_ldap::SearchRequest;
use rasn_ldap::SearchResultDone;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Counts;
use super::tree::Found;
use super::tree::Tree;

/// Answers until the client unbinds, goes, says nothing for a long time or sends what cannot be read.
pub(super) async fn converse(mut stream: TcpStream, tree: Arc<Tree>, counts: Arc<Counts>) {
    let _ = stream.set_nodelay(true);
    let mut session = Session { tree, counts, bound: None };
    loop {
        let Ok(Ok(pdu)) = timeout(IDLE_MAX, pdu(&mut stream)).await else { return };
        let Ok(message) = rasn::ber::decode::<LdapMessage>(&pdu) else {
            let _ = send(&mut stream, &[disconnection()]).await;
            return;
        };
        let Some(answers) = session.answer(&message) else { return };
        if !matches!(timeout(SEND_MAX, send(&mut stream, &answers)).await, Ok(Ok(()))) {
            return;
        }
    }
}

struct Session {
    tree: Arc<Tree>,
    counts: Arc<Counts>,
    /// Position of the bound object in the tree.
    bound: Option<usize>,
}

impl Session {
    /// What goes back, in order; `None` ends the session.
    fn answer(&mut self, message: &LdapMessage) -> Option<Vec<LdapMessage>> {
        let id = message.message_id;
        let (code, text) = (ResultCode::UnwillingToPerform, "the lab directory can only be read");
        let op = match &message.protocol_op {
            ProtocolOp::BindRequest(request) => {
                let (code, text) = self.bind(request);
                ProtocolOp::BindResponse(BindResponse::new(code, "".into(), text.as_str().into(), None, None))
            }
            ProtocolOp::SearchRequest(request) => return Some(self.search(id, request, message.controls.as_deref().unwrap_or_default())),
            ProtocolOp::UnbindRequest(_) => return None,
            ProtocolOp::AbandonRequest(_) => return Some(Vec::new()),
            // As Samba: "Who am I?" is not there either.
            ProtocolOp::ExtendedReq(_) => extended(ResultCode::ProtocolError, "this extended operation is not supported", None),
            ProtocolOp::ModifyRequest(_) => ProtocolOp::ModifyResponse(rasn_ldap::ModifyResponse(result(code, text))),
            ProtocolOp::AddRequest(_) => ProtocolOp::AddResponse(rasn_ldap::AddResponse(result(code, text))),
            ProtocolOp::DelRequest(_) => ProtocolOp::DelResponse(rasn_ldap::DelResponse(result(code, text))),
            ProtocolOp::ModDnRequest(_) => ProtocolOp::ModDnResponse(rasn_ldap::ModifyDnResponse(result(code, text))),
            ProtocolOp::CompareRequest(_) => ProtocolOp::CompareResponse(rasn_ldap::CompareResponse(result(code, text))),
            _ => return None,
        };
        Some(vec![LdapMessage::new(id, op)])
    }

    fn bind(&mut self, request: &BindRequest) -> (ResultCode, String) {
        let AuthenticationChoice::Simple(password) = &request.authentication else {
            return (ResultCode::AuthMethodNotSupported, "the lab directory knows simple binds alone".to_owned());
        };
        let found = self.tree.named(&request.name);
        self.counts.bind(found.and_then(|at| self.tree.dn(at)));
        if password.is_empty() {
            // RFC 4513 §5.1.2: success without a password proves nothing. AD does it; whoever forwards one is caught by a test.
            self.bound = None;
            return (ResultCode::Success, String::new());
        }
        // A refused bind leaves the session as it was: not what RFC 4511 §4.2.1 says, but what Samba does.
        match self.tree.refusal(found, password) {
            None => {
                self.bound = found;
                (ResultCode::Success, String::new())
            }
            Some(data) => {
                (ResultCode::InvalidCredentials, format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1"))
            }
        }
    }

    fn search(&self, id: u32, request: &SearchRequest, controls: &[Control]) -> Vec<LdapMessage> {
        self.counts.search();
        if controls.iter().any(|control| control.criticality && !tree_knows(control)) {
            return vec![done(
                id,
                ResultCode::UnavailableCriticalExtension,
                "00000057: LdapErr: DSID-0C090795, comment: Error processing control, data 0, v1db1",
            )];
        }
        match self.tree.search(request, self.bound) {
            Found::Entries(entries, code) => {
                let mut answers: Vec<_> = entries.into_iter().map(|entry| LdapMessage::new(id, ProtocolOp::SearchResEntry(entry))).collect();
                answers.push(done(id, code, ""));
                answers
            }
            Found::Nothing(code, text) => vec![done(id, code, text)],
        }
    }
}

fn tree_knows(control: &Control) -> bool {
    super::tree::CONTROLS.iter().any(|oid| oid.as_bytes() == control.control_type.as_ref())
}

fn result(code: ResultCode, text: &str) -> LdapResult {
    LdapResult::new(code, "".into(), text.into())
}

fn done(id: u32, code: ResultCode, text: &str) -> LdapMessage {
    LdapMessage::new(id, ProtocolOp::SearchResDone(SearchResultDone(result(code, text))))
}

fn extended(code: ResultCode, text: &str, name: Option<&str>) -> ProtocolOp {
    ProtocolOp::ExtendedResp(ExtendedResponse {
        result_code: code,
        matched_dn: "".into(),
        diagnostic_message: text.into(),
        referral: None,
        response_name: name.map(|name| name.as_bytes().into()),
        response_value: None,
    })
}

/// RFC 4511 §4.4.1.
fn disconnection() -> LdapMessage {
    LdapMessage::new(0, extended(ResultCode::ProtocolError, "this is no LDAP message", Some("1.3.6.1.4.1.1466.20036")))
}

/// One PDU whole: definite length, at most [`PDU_MAX`] bytes.
async fn pdu(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![stream.read_u8().await?, stream.read_u8().await?];
    let len = match bytes.get(1).copied().unwrap_or_default() {
        short @ 0..=0x7f => usize::from(short),
        long @ 0x81..=0x84 => {
            let mut len = 0_usize;
            for _ in 0..(long & 0x0f) {
                let octet = stream.read_u8().await?;
                bytes.push(octet);
                len = len.saturating_mul(256).saturating_add(usize::from(octet));
            }
            len
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    if bytes.first() != Some(&0x30) || len > PDU_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let head = bytes.len();
    bytes.resize(head.saturating_add(len), 0);
    if let Some(body) = bytes.get_mut(head..) {
        stream.read_exact(body).await?;
    }
    Ok(bytes)
}

async fn send(stream: &mut TcpStream, answers: &[LdapMessage]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for answer in answers {
        bytes.extend(rasn::ber::encode(answer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?);
    }
    stream.write_all(&bytes).await
}

const PDU_MAX: usize = 262_144;
/// Active Directory's own MaxConnIdleTime.
const IDLE_MAX: Duration = Duration::from_secs(900);
const SEND_MAX: Duration = Duration::from_secs(30);
