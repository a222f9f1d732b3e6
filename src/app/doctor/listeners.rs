//! Whether each address that we listen on is free, or held by ourselves, or by whom else.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use socket2::Domain;
use socket2::Protocol;
use socket2::Type;
use tokio::net::UnixStream;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;

/// The server that runs, as far as its admin socket tells.
#[derive(Debug)]
enum Ours {
    /// It runs as this user, and as this process.
    Runs { uid: u32, pid: Option<i32> },
    /// Nobody answers.
    Nobody,
    /// We may not ask.
    Unknown,
}

/// Each listener of the configuration, opened and closed again.
pub(super) fn listeners(config: &Config) -> Vec<Finding> {
    let ours = ours(&config.admin.socket);
    let radius = config.radius_listen.iter().map(|listen| match (&listen.tls, listen.accounting) {
        (Some(_), _) => ("radius (tls)", listen.address, false),
        (None, true) => ("radius accounting", listen.address, true),
        (None, false) => ("radius", listen.address, true),
    });
    let ldap = config.ldap_listen.iter().map(|listen| ("ldap", listen.address, false));
    let metrics = config.metrics.iter().map(|metrics| ("metrics", metrics.address, false));
    radius.chain(ldap).chain(metrics).map(|(kind, address, is_udp)| listener(kind, address, is_udp, &ours)).collect()
}

fn listener(kind: &str, address: SocketAddr, is_udp: bool, ours: &Ours) -> Finding {
    let finding = |outcome, message: String| Finding::new(Area::Listener, format!("{kind} {address}"), outcome, message);
    let Err(error) = open(address, is_udp) else { return finding(Outcome::Ok, "free".to_owned()) };
    match error.kind() {
        ErrorKind::AddrInUse => {
            let held = held(finding, holder(address, is_udp), ours);
            let listing = if is_udp { "ss -lunp" } else { "ss -ltnp" };
            if held.outcome == Outcome::Ok { held } else { held.hint(format!("as root, this tells which process: {listing}")) }
        }
        ErrorKind::PermissionDenied => finding(Outcome::Skipped, "this user may not open ports below 1024: the service may".to_owned())
            .hint("run this as root, and look whether vestibule.socket has the address"),
        ErrorKind::AddrNotAvailable => finding(Outcome::Failed, "that is not an address of this machine".to_owned()).hint("`ip address` lists them"),
        _ => finding(Outcome::Failed, error.to_string()),
    }
}

/// A socket tells whose it is; that the user is our server's, and our server runs, is as sure as one can be without looking into its memory.
fn held(finding: impl Fn(Outcome, String) -> Finding, holder: Option<u32>, ours: &Ours) -> Finding {
    match (ours, holder) {
        (Ours::Runs { uid, pid }, Some(holder)) if *uid == holder => {
            let pid = pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
            finding(Outcome::Ok, format!("held by the vestibule that runs{pid}"))
        }
        (Ours::Runs { .. }, Some(0)) => finding(Outcome::Skipped, "held by root: by systemd, if vestibule.socket has this address".to_owned()),
        (Ours::Runs { .. }, Some(holder)) => finding(Outcome::Failed, format!("held by a process of user {holder}, and not by the vestibule that runs")),
        (Ours::Nobody, Some(holder)) => finding(Outcome::Failed, format!("held by a process of user {holder}; no vestibule answers at admin.socket")),
        (Ours::Unknown, _) => finding(Outcome::Skipped, "held; whether by the vestibule that runs only root and its admin group may ask".to_owned()),
        (_, None) => finding(Outcome::Failed, "held by a process that is not seen from here".to_owned()),
    }
}

/// As the doors themselves do it.
fn open(address: SocketAddr, is_udp: bool) -> io::Result<()> {
    let (kind, protocol) = if is_udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if !is_udp {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    if is_udp { Ok(()) } else { socket.listen(1) }
}

/// Who answers at the admin socket.
fn ours(socket: &Path) -> Ours {
    let connected = std::os::unix::net::UnixStream::connect(socket).and_then(|stream| {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)?.peer_cred()
    });
    match connected {
        Ok(peer) => Ours::Runs { uid: peer.uid(), pid: peer.pid() },
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ours::Unknown,
        Err(_) => Ours::Nobody,
    }
}

/// The user whose socket has this port, by the kernel's own tables.
fn holder(address: SocketAddr, is_udp: bool) -> Option<u32> {
    let tables = if is_udp { ["/proc/net/udp", "/proc/net/udp6"] } else { ["/proc/net/tcp", "/proc/net/tcp6"] };
    tables.iter().find_map(|table| fs::read_to_string(table).ok()?.lines().find_map(|line| user_of(line, address.port(), is_udp)))
}

/// `sl local_address rem_address st queues tr:when retransmits uid ..` (proc(5)).
fn user_of(line: &str, port: u16, is_udp: bool) -> Option<u32> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (local, state, uid) = (columns.get(1)?, columns.get(3)?, columns.get(7)?);
    let (_, local_port) = local.rsplit_once(':')?;
    let is_listening = is_udp || *state == TCP_LISTEN;
    (is_listening && u16::from_str_radix(local_port, 16) == Ok(port)).then(|| uid.parse().ok()).flatten()
}

const TCP_LISTEN: &str = "0A";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_tells_whose_the_port_is() {
        let line = "  338: 0100007F:0714 00000000:0000 07 00000000:00000000 00:00000000 00000000   998        0 32121 2 0000000000000000 0";
        assert_eq!(user_of(line, 1812, true), Some(998));
        assert_eq!(user_of(line, 1813, true), None);
        assert_eq!(user_of(line, 1812, false), None, "a TCP connection that does not listen");
        assert_eq!(user_of(&line.replace(" 07 ", " 0A "), 1812, false), Some(998));
        assert_eq!(user_of("  sl  local_address rem_address   st", 1812, true), None);
    }

    #[test]
    fn who_holds_a_port_is_told_as_far_as_it_is_known() {
        let of = |ours, holder| held(|outcome, message: String| Finding::new(Area::Listener, "x", outcome, message), holder, &ours);
        assert_eq!(of(Ours::Runs { uid: 998, pid: Some(7) }, Some(998)).message, "held by the vestibule that runs, process 7");
        let outcomes = [
            of(Ours::Runs { uid: 998, pid: None }, Some(0)),
            of(Ours::Runs { uid: 998, pid: None }, Some(7)),
            of(Ours::Nobody, Some(998)),
            of(Ours::Unknown, Some(998)),
            of(Ours::Nobody, None),
        ]
        .map(|finding| finding.outcome);
        assert_eq!(outcomes, [Outcome::Skipped, Outcome::Failed, Outcome::Failed, Outcome::Skipped, Outcome::Failed]);
    }
}
