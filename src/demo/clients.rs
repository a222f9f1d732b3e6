//! The clients of the tour: a NAS that speaks RADIUS and an application that speaks LDAP, over real sockets.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

use ldap3::LdapConnAsync;
use ldap3::LdapConnSettings;
use ldap3::Scope;
use ldap3::SearchEntry;
use ldap3::exop::WhoAmI;
use ldap3::exop::WhoAmIResp;
use tokio::net::UdpSocket;

use super::DemoError;
use super::directory::Lab;
use super::house::RADIUS_SECRET;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;
use crate::wire::radius::upstream::AccessRequest;
use crate::wire::radius::upstream::verify_reply;

/// How long the clients wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the NAS heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) state: Option<Vec<u8>>,
    pub(super) signed_first: bool,
}

/// A NAS: sends one Access-Request and waits for the reply that is authentic.
pub(super) async fn nas(server: SocketAddr, name: &str, password: &str, state: Option<&[u8]>) -> Result<Heard, DemoError> {
    let failed = |error: &dyn std::fmt::Display| DemoError::new("the demo's NAS", error);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| failed(&error))?;
    socket.connect(server).await.map_err(|error| failed(&error))?;
    let mut random = [0; 17];
    getrandom::fill(&mut random).map_err(|error| failed(&error))?;
    let [identifier, authenticator @ ..] = random;
    let request = AccessRequest::new(identifier, authenticator)
        .with(attr::USER_NAME, name.as_bytes())
        .with(attr::NAS_IDENTIFIER, b"demo-vpn")
        .with(attr::STATE, state.unwrap_or_default())
        .password(password.as_bytes());
    let sent = request.signed(RADIUS_SECRET.as_bytes()).map_err(|error| failed(&error))?;
    socket.send(&sent).await.map_err(|error| failed(&error))?;
    let mut buffer = vec![0; 4096];
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|error| failed(&error))?;
            let datagram = buffer.get(..length).unwrap_or_default();
            if let Ok(reply) = verify_reply(datagram, &sent, RADIUS_SECRET.as_bytes(), Integrity::Require) {
                let signed_first = reply.attributes().into_iter().next().is_some_and(|first| first.kind == attr::MESSAGE_AUTHENTICATOR);
                return Ok(Heard { code: reply.code(), message: reply.message(), state: reply.state().map(<[u8]>::to_vec), signed_first });
            }
        }
    });
    heard.await.map_err(|_| failed(&"no reply"))?
}

/// What the application heard to its bind, and what it could then see.
#[derive(Debug)]
pub(super) struct Bound {
    /// The bind's result code (RFC 4511 §4.1.9).
    pub(super) code: u32,
    /// Who the server says one is, after a bind that went well.
    pub(super) whoami: Option<String>,
    /// A search as oneself, after a bind that went well.
    pub(super) found: Option<String>,
}

/// An application: binds, and if that goes well asks who it is and looks itself up.
pub(super) async fn application(server: SocketAddr, name: &str, password: &str) -> Result<Bound, DemoError> {
    let failed = |error: ldap3::LdapError| DemoError::new("the demo's application", error);
    let settings = LdapConnSettings::new().set_conn_timeout(PATIENCE);
    let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &format!("ldap://{server}")).await.map_err(failed)?;
    let driver = tokio::spawn(connection.drive());
    let bind = ldap.with_timeout(PATIENCE).simple_bind(name, password).await.map_err(failed)?;
    let mut bound = Bound { code: bind.rc, whoami: None, found: None };
    if bind.rc == 0 {
        let (said, answer) = {
            let result = ldap.with_timeout(PATIENCE).extended(WhoAmI).await.map_err(failed)?;
            (result.0, result.1)
        };
        bound.whoami = said.val.is_some().then(|| said.parse::<WhoAmIResp>().authzid).filter(|_| answer.rc == 0);
        let short = name.split('@').next().unwrap_or(name);
        let filter = format!("(sAMAccountName={})", ldap3::ldap_escape(short));
        let found = ldap.with_timeout(PATIENCE).search(Lab::BASE, Scope::Subtree, &filter, vec!["displayName"]).await.map_err(failed)?;
        bound.found = found.0.into_iter().next().and_then(|entry| SearchEntry::construct(entry).attrs.remove("displayName")?.into_iter().next());
    }
    let _ = ldap.unbind().await;
    driver.abort();
    Ok(bound)
}
