//! How a connection waits: for either side to move, for its time to be over, for other settings, and for the end of the server.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::Instant;

use super::Connection;
use super::End;
use super::stay;
use super::unreadable;
use crate::wire::ldap::Code;

const CLOSING: End = End::Notice(Code::Unavailable, "the server stops", "closing");

impl Connection {
    /// Waits until either side has moved. The sides come first, for mostly one has moved already; what else would end the wait is looked at before, so that
    /// sides which always move do not keep it out of sight.
    pub(super) async fn wait(&mut self) -> Result<(), End> {
        let client_reads = self.client.frame(self.pdu_max()).map_err(unreadable)?.is_none();
        if client_reads && self.client.ended() {
            return Err(End::Gone);
        }
        if *self.house.closing.borrow() {
            return Err(CLOSING);
        }
        let (over_at, over) = self.over();
        let now = Instant::now();
        if over_at <= now {
            return Err(over);
        }
        if self.must_look(now) {
            return self.look_again();
        }
        // It may ring too early, for what it waits for is put off again and again; then it is set anew.
        let wake_at = over_at.min(self.look_at);
        if self.alarm.is_elapsed() || wake_at < self.alarm.deadline() {
            self.alarm.as_mut().reset(wake_at);
        }
        let pdu_max = self.settings().pdu_bytes_max;
        let Self { client, upstream, house, alarm, .. } = self;
        let upstream_reads = upstream.as_ref().is_some_and(|upstream| matches!(upstream.side.frame(pdu_max), Ok(None)));
        let moved = poll_fn(|context| {
            let client_moved = client.poll_moved(context, client_reads).map_err(|_| End::Gone)?.is_ready();
            match upstream.as_mut().map(|upstream| upstream.side.poll_moved(context, upstream_reads)) {
                Some(Poll::Ready(moved)) => Poll::Ready(Ok(moved.is_ok())),
                _ if client_moved => Poll::Ready(Ok(true)),
                _ => Poll::Pending,
            }
        });
        let is_whole = tokio::select! {
            biased;
            moved = moved => Some(moved?),
            _ = house.closing.wait_for(|closing| *closing) => return Err(CLOSING),
            () = stay::changed(&mut house.settings) => None,
            () = alarm.as_mut() => Some(true),
        };
        match is_whole {
            Some(true) => Ok(()),
            Some(false) => self.upstream_left(),
            None => self.look_again(),
        }
    }
}
