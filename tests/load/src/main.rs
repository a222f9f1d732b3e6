//! Load for RADIUS and LDAP servers: logins by the hundred thousand, each answer checked, and what the server spent on it.
//!
//! `vestibule-load --help` tells the flags. It talks to loopback addresses alone.

mod batch;
mod duo;
mod flags;
mod garbage;
mod ldap;
mod ldap_link;
mod ldap_message;
mod line;
mod null;
mod packet;
mod run;
mod source;
mod tally;
mod totp;
mod webhook;

use std::error::Error;
use std::process::ExitCode;

use flags::Flags;

/// What goes wrong here ends the program with a sentence.
type Fault = Box<dyn Error>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    if rest.iter().any(|word| word == "--help") || !["radius", "ldap", "null", "duo", "webhook"].contains(&command.as_str()) {
        eprint!("{HELP}");
        return ExitCode::from(2);
    }
    let done = Flags::read(&rest).and_then(|flags| match command.as_str() {
        "ldap" => ldap::run(flags),
        "null" => null::serve(flags),
        "duo" => duo::serve(flags),
        "webhook" => webhook::serve(flags),
        _ => run::run(flags),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("vestibule-load: {fault}");
            ExitCode::FAILURE
        }
    }
}

const HELP: &str = "\
vestibule-load radius --server 127.0.0.1:1812 --secret TEXT ..   loads a RADIUS server and prints one JSON line
  --inflight N          closed loop: so many logins at once (64)
  --rate N              open loop: so many logins a second, latency from the moment each was due; --poisson 1 makes the gaps random
  --warmup S            load before the window that is measured (1)
  --duration S          the window (3); with --total it is as long as that takes
  --total N             so many logins and no more
  --timeout S           patience before a request is sent again from the same socket (3)
  --retries N           how often (2)
  --users N             u000000 .. with the passwords p000000 .. (1000)
  --first-user N        begins with this one (0)
  --user-prefix, --password-prefix TEXT
  --order cycle|random  whose turn it is (cycle)
  --from ADDRESS        source address (127.0.0.1)
  --calling ADDRESS     Calling-Station-Id; none by default
  --expect accept|reject|challenge   what each login must end with (accept)
  --keys FILE           each login is challenged and answers with its TOTP code (RFC 6238, SHA-1, 6 digits, 30 s); line N is user N's key in hex.
                        A code is good once, so each user serves at most three times in a row: with the code before, of and after the current step
  --codes once|current  current: for servers that take a code as often as it is told, and no other than the current one (once)
  --again PERCENT       so many answered requests are sent once more, and must get the same bytes
  --unsigned-ok 1       takes answers without Message-Authenticator too
  --canary RATE         ordinary logins beside: --canary-from ADDRESS --canary-first-user N --canary-users N --canary-calling ADDRESS
  --garbage RATE        datagrams a second that are no requests beside: --garbage-from ADDRESS
  --pid PID[,PID]       whose CPU time and memory count
  --name TEXT           goes into the report
vestibule-load ldap --server 127.0.0.1:389 ..   loads an LDAP server and prints one JSON line
  --work rebind|connect|search|hold   one bind after another on kept connections; connect, bind, unbind; one search after another on kept connections;
                        --total binds, --rate a second, each on a connection that stays open (rebind)
  --connections N       at once (32)
  --base DN             where uid=u000000 .. are, and what is searched (ou=people,dc=example,dc=com)
  --entries N           so many each search must find; any number by default
  --ca FILE             LDAPS, a full handshake each time, with a certificate for localhost from this authority (PEM)
  --warmup, --duration, --total, --timeout, --users, --first-user, --pid, --name   as above
vestibule-load null --listen 127.0.0.1:1812 --secret TEXT       checks each request's signature and accepts: the least a server can do
  --hold S              answers so late
vestibule-load duo --listen 127.0.0.1:8443 --approve-after S     answers as Duo's Auth API does; everybody approves so late
  --poll hold|wait      a poll is held until there is news (hold) or told at once that there is none (wait)
vestibule-load webhook --listen 127.0.0.1:8443 --key TEXT         answers as a webhook service does; everybody approves
  --start allowed|pending   at once, or at the first poll (allowed)
";
