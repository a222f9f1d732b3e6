//! Who calls: the other end of a connection, where it says it comes from, and what vouches for it.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio_rustls::server::TlsStream;

use super::application::Callers;
use super::named::Named;
use crate::domain::Grant;
use crate::domain::Identity;
use crate::domain::Network;
use crate::domain::Timestamp;
use crate::front::certificate;
use crate::front::certificate::Names;
use crate::wire::ldap::Control;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Refusal;
use crate::wire::ldap::SESSION_TRACKING;
use crate::wire::ldap::Tracked;
use crate::wire::proxy;
use crate::wire::proxy::Told;

/// One connection's other end.
#[derive(Debug)]
pub(super) struct Caller {
    peer: SocketAddr,
    /// What a listed balancer said at the beginning; `None` where none is between.
    told: Option<Told>,
    /// The certificate that was shown and verified.
    shown: Option<Shown>,
    /// The service account of an application that has bound on this connection: whose the connection is.
    service: Option<Identity>,
}

/// A certificate that was verified.
#[derive(Debug)]
struct Shown {
    /// The caller's own and those between it and its authority.
    chain: Vec<CertificateDer<'static>>,
    names: Names,
}

/// Why a balancer's connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unclear {
    #[error(transparent)]
    Header(#[from] proxy::Refusal),
    #[error("the PROXY header did not come: {0}")]
    Io(#[from] std::io::Error),
}

impl Caller {
    /// Somebody who speaks for himself.
    pub(super) fn direct(peer: SocketAddr) -> Self {
        Self { peer, told: None, shown: None, service: None }
    }

    /// Reads the PROXY header of a listed balancer, and not an octet more. Of everybody else nothing is read: from them a header is what it looks like, no LDAP (M-43).
    ///
    /// # Errors
    /// A listed balancer did not begin with a good header.
    pub(super) async fn meet(stream: &mut (impl AsyncRead + Unpin), peer: SocketAddr, balancers: &[Network]) -> Result<Self, Unclear> {
        let mut caller = Self::direct(peer);
        if is_in(balancers, Some(peer.ip())) {
            let mut head = [0; proxy::HEAD_LEN];
            stream.read_exact(&mut head).await?;
            let mut rest = vec![0; proxy::rest_len(&head)?];
            stream.read_exact(&mut rest).await?;
            caller.told = Some(proxy::read(&head, &rest)?);
        }
        Ok(caller)
    }

    /// TLS is up. What was said before TLS was up counts for nothing, so nobody's service has bound yet.
    pub(super) fn certify<S>(&mut self, stream: &TlsStream<S>) {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = |own| Shown { chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(), names: Names::of(own) };
        self.shown = chain.first().map(shown);
        self.service = None;
    }

    /// Whether this connection would be let in now: by a configuration that is read again, or by one whose certificates run out. Else the word for the metric.
    /// `secure`: TLS is up.
    ///
    /// # Errors
    /// It would not.
    pub(super) fn look_again(&mut self, callers: &Callers, secure: bool, now: Timestamp) -> Result<(), &'static str> {
        // What a balancer told counts while it is one, and one that has become one should have told (M-43).
        if is_in(&callers.proxy_from, Some(self.peer.ip())) != self.told.is_some() {
            tracing::warn!(caller = %self, "the balancers of this listener are others now: the connection is closed");
            return Err("balancer");
        }
        let Some(verifier) = &callers.verifier else {
            // Nobody is asked for a certificate any more, and none counts.
            self.shown = None;
            return Ok(());
        };
        let moment = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        match &self.shown {
            Some(shown) => certificate::still_takes(verifier.as_ref(), &shown.chain, moment).map_err(|error| {
                tracing::warn!(caller = %self, names = %shown.names, %error, "the certificate of this connection would not be taken now: it is closed");
                "certificate_gone"
            }),
            None if secure && verifier.client_auth_mandatory() => Err("certificate"),
            None => Ok(()),
        }
    }

    /// Somebody was let in: what of that counts for those who bind here later, and what is counted.
    pub(super) fn settle(&mut self, callers: &Callers, who: &Identity, why: Grant, now: Timestamp) {
        if why == Grant::Exempt {
            callers.used(who, now);
        }
        if callers.is_service(who) {
            self.service = Some(who.clone());
        }
    }

    /// Whether this is the account that has bound for the application.
    pub(super) fn is_served_by(&self, service: &Named) -> bool {
        self.service.as_ref().is_some_and(|bound| service.is(bound))
    }

    /// The application's address; `None` where a balancer is between that does not tell it. Then nothing holds that asks for an address.
    pub(super) fn from(&self) -> Option<IpAddr> {
        match self.told {
            None => Some(self.peer.ip().to_canonical()),
            Some(Told::From(address)) => Some(address),
            Some(Told::Nobody) => None,
        }
    }

    /// Whose places it takes: its own address, or that of the balancer which does not tell it.
    pub(super) fn source(&self) -> IpAddr {
        self.from().unwrap_or_else(|| self.peer.ip())
    }

    /// Whether all of the way that we know of is inside this machine.
    pub(super) fn is_here(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback() && self.from().is_some_and(|from| from.is_loopback())
    }

    /// Whether this name is in its certificate; one that is not demanded always is.
    pub(super) fn has(&self, certificate: Option<&str>) -> bool {
        certificate.is_none_or(|wanted| self.shown.as_ref().is_some_and(|shown| shown.names.has(wanted)))
    }

    /// The controls of a request, and where its person is: where the caller is, or, where the caller is listed for that, where it says. The control that says so is
    /// ours and goes no further. From everybody else it says nothing (M-43): it is one that we do not know, passed over unless it is critical (L-051).
    ///
    /// # Errors
    /// The controls cannot be read, or those of a listed caller not as what they are: then nobody knows where the person is.
    pub(super) fn person<'f>(&self, frame: &Frame<'f>, callers: &Callers) -> Result<(Vec<Control<'f>>, Option<IpAddr>), Refusal> {
        let mut controls = frame.controls()?;
        if !is_in(&callers.trust_session_tracking, self.from()) {
            controls.retain(|control| control.oid != SESSION_TRACKING.as_bytes() || control.critical);
            return Ok((controls, self.from()));
        }
        let person = match frame.tracked()? {
            // The application knows where people are and does not say it of this one: its own address is nobody's.
            Tracked::No | Tracked::Nowhere => None,
            Tracked::At(address) => Some(address),
        };
        controls.retain(|control| control.oid != SESSION_TRACKING.as_bytes());
        Ok((controls, person))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told {
            None => write!(f, "{}", self.peer),
            Some(Told::From(address)) => write!(f, "{address} through {}", self.peer),
            Some(Told::Nobody) => write!(f, "somebody through {}", self.peer),
        }
    }
}

/// Whether the address is known and in one of the networks.
pub(super) fn is_in(networks: &[Network], address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
}

#[cfg(test)]
impl Caller {
    /// Somebody whose certificate has these names.
    pub(super) fn with_names(self, names: Names) -> Self {
        Self { shown: Some(Shown { chain: Vec::new(), names }), ..self }
    }

    /// Somebody behind whose service account this one comes.
    pub(super) fn served_by(self, who: Identity) -> Self {
        Self { service: Some(who), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x30\x39\x02\x7c";

    async fn meet(peer: &str, bytes: &[u8]) -> (Result<Caller, Unclear>, usize) {
        let balancers = ["10.0.0.0/24".parse().unwrap()];
        let mut stream = bytes;
        let met = Caller::meet(&mut stream, peer.parse().unwrap(), &balancers).await;
        (met, stream.len())
    }

    #[tokio::test]
    async fn m_43_a_header_counts_from_a_listed_balancer_alone() {
        let (met, left) = meet("10.0.0.5:777", &[HEADER, b"0"].concat()).await;
        let met = met.unwrap();
        assert_eq!((met.from(), left, met.to_string().as_str()), (Some("192.0.2.7".parse().unwrap()), 1, "192.0.2.7 through 10.0.0.5:777"));
        let (met, left) = meet("10.0.1.5:777", HEADER).await;
        assert_eq!((met.unwrap().from(), left), (Some("10.0.1.5".parse().unwrap()), HEADER.len()), "nothing of it is read");
    }

    #[tokio::test]
    async fn m_43_a_listed_balancer_must_begin_with_a_header() {
        for bytes in [&b"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\0\x80\0...."[..], b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", &HEADER[..20], b""] {
            assert!(meet("10.0.0.5:777", bytes).await.0.is_err(), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn m_43_l_086_a_balancer_here_does_not_bring_others_here() {
        let balancers = ["127.0.0.1".parse().unwrap()];
        let met = Caller::meet(&mut &*HEADER, "127.0.0.1:777".parse().unwrap(), &balancers).await.unwrap();
        assert!(!met.is_here());
        let local = [&HEADER[..12], b"\x20\0\0\0"].concat();
        let met = Caller::meet(&mut &*local, "127.0.0.1:777".parse().unwrap(), &balancers).await.unwrap();
        assert_eq!((met.from(), met.is_here()), (None, false));
        assert!(Caller::direct("127.0.0.1:777".parse().unwrap()).is_here());
    }
}
