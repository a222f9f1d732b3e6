//! Datagrams that are no requests: a server must throw all of them away and answer none.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::UdpSocket;

use crate::Fault;
use crate::batch::BATCH_MAX;
use crate::batch::Inbox;
use crate::batch::Outbox;
use crate::packet;
use crate::packet::Ask;
use crate::packet::Secret;
use crate::run::Chance;

/// Kinds of garbage, in turn.
const KINDS: usize = 6;
/// Made ahead: making must cost nothing while the load runs.
const MADE: usize = 768;

pub struct Garbage {
    socket: UdpSocket,
    gap_ns: f64,
    next_ns: f64,
    made: Vec<Vec<u8>>,
    pub sent: u64,
    /// Answers: there must be none.
    pub answered: u64,
}

impl Garbage {
    pub fn new(rate: f64, from: Ipv4Addr, server: SocketAddrV4, secret: &Secret, chance: &mut Chance) -> Result<Self, Fault> {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let made = (0..MADE).map(|number| make(number % KINDS, secret, chance)).collect();
        Ok(Self { socket, gap_ns: 1e9 / rate, next_ns: 0.0, made, sent: 0, answered: 0 })
    }

    pub fn next_ns(&self) -> u64 {
        self.next_ns as u64
    }

    /// Sends what is due.
    pub fn send(&mut self, now: u64, outbox: &mut Outbox) -> Result<(), Fault> {
        let due = ((now as f64 - self.next_ns) / self.gap_ns).floor();
        if due < 0.0 {
            return Ok(());
        }
        let count = (due as usize + 1).min(BATCH_MAX);
        let first = self.sent as usize;
        let datagrams: Vec<&[u8]> = (first..first + count).map(|at| self.made[at % MADE].as_slice()).collect();
        self.sent += outbox.send(&self.socket, &datagrams, &[None; BATCH_MAX])? as u64;
        self.next_ns += count as f64 * self.gap_ns;
        Ok(())
    }

    pub fn listen(&mut self, inbox: &mut Inbox) -> Result<(), Fault> {
        self.answered += inbox.receive(&self.socket)? as u64;
        Ok(())
    }
}

fn make(kind: usize, secret: &Secret, chance: &mut Chance) -> Vec<u8> {
    let ask = Ask { name: "u000000", password: "p000000", state: None, calling: None, nas: Ipv4Addr::LOCALHOST };
    let authenticator = chance.authenticator();
    let good = |secret: &Secret| packet::request(secret, authenticator[0], &authenticator, &ask);
    match kind {
        // Noise of any length.
        0 => (0..chance.next() % 300).map(|_| chance.next() as u8).collect(),
        // Of somebody who has the wrong secret.
        1 => good(&Secret::new(b"not this one")),
        // Cut off.
        2 => {
            let mut packet = good(secret);
            packet.truncate(20 + (chance.next() % (packet.len() as u64 - 20)) as usize);
            packet
        }
        // One bit changed behind the header.
        3 => {
            let mut packet = good(secret);
            let at = 20 + (chance.next() % (packet.len() as u64 - 20)) as usize;
            packet[at] ^= 1;
            packet
        }
        // Unsigned: the signature and its attribute's header taken out.
        4 => {
            let mut packet = good(secret);
            packet.drain(20..38);
            let length = packet.len() as u16;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            packet
        }
        // An attribute that says it is of no length, where loops go on for ever.
        _ => {
            let mut packet = good(secret);
            packet[39] = 0;
            packet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_garbage_passes_for_a_request() {
        let (secret, mut chance) = (Secret::new(b"testing123"), Chance::new(1));
        for number in 0..MADE {
            let datagram = make(number % KINDS, &secret, &mut chance);
            assert!(packet::check_request(&secret, &datagram).is_err(), "{datagram:02x?}");
        }
    }
}
