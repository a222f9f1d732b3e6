//! The desk behind a datagram socket: what is no request is thrown away, the rest goes to the clerk.

use std::convert::Infallible;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Behind;
use super::Settings;
use super::clerk::Clerk;
use super::clerk::Ledger;
use super::clerk::Trade;
use super::clerk::Way;
use super::clients;
use super::clients::Client;
use super::socket::Inbox;
use super::socket::Path;
use super::socket::Socket;
use crate::metrics;
use crate::wire::radius::Code;
use crate::wire::radius::Refusal;
use crate::wire::radius::Request;

/// Reads one socket.
#[derive(Debug)]
pub(super) struct Desk {
    socket: Arc<Socket>,
    seen: Ledger,
    settings: watch::Receiver<Arc<Settings>>,
    clerk: Clerk,
    trade: Trade,
    /// Held by all who are at work.
    busy: mpsc::Sender<Infallible>,
}

impl Desk {
    pub(super) fn new(
        socket: Arc<Socket>,
        seen: Ledger,
        settings: watch::Receiver<Arc<Settings>>,
        behind: Behind,
        trade: Trade,
        busy: mpsc::Sender<Infallible>,
    ) -> Self {
        Self { socket, seen, settings, clerk: Clerk::new(behind, trade), trade, busy }
    }

    /// Reads until the other end of `stop` goes.
    pub(super) async fn read(mut self, mut stop: oneshot::Receiver<Infallible>) {
        let socket = Arc::clone(&self.socket);
        let post = socket.attend();
        let mut inbox = Inbox::new();
        let mut taken = 0_usize;
        loop {
            let received = tokio::select! {
                biased;
                _ = &mut stop => return,
                () = post.due() => {
                    // Others that are ready have their turn first, and what they say leaves with it.
                    tokio::task::yield_now().await;
                    post.send();
                    continue;
                }
                received = socket.receive(&mut inbox) => received,
            };
            match received {
                Ok(()) => {
                    let settings = Arc::clone(&self.settings.borrow());
                    let arrived = Instant::now();
                    post.gather();
                    for (datagram, path) in inbox.datagrams() {
                        // Whatever one datagram breaks, the next is read.
                        let taking = AssertUnwindSafe(|| self.take(datagram, path, &settings, arrived));
                        if catch_unwind(taking).is_err() {
                            tracing::error!(door = "radius", source = %path.peer, "a datagram was given up by a fault of ours");
                        }
                        taken = taken.saturating_add(1);
                    }
                    post.send();
                    // However many come, whoever waits for something else has a turn too.
                    if taken >= TAKEN_MAX {
                        taken = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) => {
                    if self.clerk.lines.allows(Instant::now(), "receive") {
                        tracing::warn!(door = "radius", %error, "a datagram could not be received");
                    }
                    // Whatever ails the socket, it is not asked in a tight loop.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    /// One datagram: cheap questions first, so that garbage costs little.
    fn take(&mut self, datagram: &[u8], path: Path, settings: &Arc<Settings>, arrived: Instant) {
        let candidates = settings.clients.at(path.peer.ip());
        let Some(secret_holder) = candidates.first() else {
            if self.clerk.warnings.allows(arrived, String::new()) {
                tracing::warn!(door = "radius", source = %path.peer, "a packet from nobody we know: no [[radius.client]] has this address in its networks");
            }
            return self.discard(arrived, path, None, "unknown_client", &"no [[radius.client]] has this address in its networks");
        };
        let secret = secret_holder.secret.expose();
        let verified = match self.trade {
            // The demand for a Message-Authenticator is none on accounting.
            Trade::Accounting => Request::verify_accounting(datagram, secret),
            Trade::Authentication | Trade::Both => Request::verify(datagram, secret, secret_holder.integrity),
        };
        let request = match verified {
            Ok(request) => request,
            Err(refusal) => return self.refuse(arrived, path, secret_holder, refusal),
        };
        let way = Way::Datagram { socket: Arc::clone(&self.socket), path, _busy: self.busy.clone() };
        // Whoever shares a network has one secret: any of them may answer a Status-Server.
        let client = if request.code() == Code::StatusServer { Some(secret_holder) } else { clients::among(candidates, &request) };
        let Some(client) = client else {
            return self.discard(arrived, path, None, "unknown_nas", &"no [[radius.client]] of this network has this NAS-Identifier, and none is without");
        };
        self.clerk.consider(&request, client, settings, &self.seen, way, arrived);
    }

    /// A packet that is no request. What an operator must put right is said aloud, once a minute for each client.
    fn refuse(&mut self, now: Instant, path: Path, client: &Client, refusal: Refusal) {
        let aloud = matches!(
            refusal,
            Refusal::WrongSignature | Refusal::Unsigned | Refusal::UnsignedProxyState | Refusal::UnsignedStatus | Refusal::WrongAuthenticator
        );
        if aloud && self.clerk.warnings.allows(now, format!("{} {}", client.name, refusal.as_str())) {
            tracing::warn!(door = "radius", client = client.name, source = %path.peer, why = refusal.as_str(), "{refusal} (client {})", client.name);
        }
        if matches!(refusal, Refusal::Unsigned | Refusal::UnsignedProxyState) {
            client.card.tally.dropped_unsigned();
        }
        self.discard(now, path, Some(client), refusal.as_str(), &refusal);
    }

    fn discard(&mut self, now: Instant, path: Path, client: Option<&Client>, why: &'static str, detail: &dyn Display) {
        metrics::discard("radius", why);
        if self.clerk.lines.allows(now, why) {
            let client = client.map(|client| client.name.as_str());
            tracing::debug!(door = "radius", client, source = %path.peer, why, %detail, "a datagram was dropped");
        }
    }
}

/// Datagrams in a row: about a millisecond.
const TAKEN_MAX: usize = 64;
