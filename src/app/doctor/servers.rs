//! Providers, RADIUS servers behind us and winbind: whether each answers and takes our word.

use std::sync::Arc;

use tokio::time::Instant;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::RoomError;
use crate::audit;
use crate::audit::Receiver;
use crate::audit::Transport;
use crate::directory::upstream;
use crate::directory::upstream::ProbeError;
use crate::directory::upstream::Upstream;
use crate::directory::winbind;
use crate::directory::winbind::Winbind;
use crate::mail;
use crate::mail::Smtp;
use crate::ports::Clock;
use crate::ports::Mailer;
use crate::ports::Probed;
use crate::ports::Provider;

/// Asks a provider about nobody.
pub(super) async fn provider(name: String, provider: Result<Arc<dyn Provider>, RoomError>, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let finding = |outcome, message: String| Finding::new(Area::Provider, &name, outcome, message);
    let provider = match provider {
        Ok(provider) => provider,
        Err(error) => return vec![finding(Outcome::Failed, error.to_string())],
    };
    if provider.asks_nobody() {
        return vec![finding(Outcome::Ok, "our own: nobody is asked".to_owned())];
    }
    let begun = Instant::now();
    let probed = provider.probe().await;
    let found = match probed {
        Probed::Failed(why) => finding(Outcome::Failed, why),
        Probed::There => finding(Outcome::Ok, "answers; whether it takes our key is seen when somebody is asked".to_owned()),
        Probed::Unasked => return vec![finding(Outcome::Skipped, "not probed: it cannot be asked without asking a person".to_owned())],
        Probed::Well { clock: None } => finding(Outcome::Ok, "answers and takes our key".to_owned()),
        Probed::Well { clock: Some(theirs) } => {
            let apart_s = theirs.0.abs_diff(clock.now().0) / 1_000;
            let message = "answers and takes our key";
            if apart_s < CLOCK_WARNED_S {
                finding(Outcome::Ok, format!("{message}, clock right"))
            } else {
                finding(Outcome::Warning, format!("{message}, but its clock and ours are {apart_s} s apart"))
                    .hint("let this machine follow a time server: `timedatectl`")
            }
        }
    };
    vec![found.took(begun.elapsed())]
}

/// Asks each server of an upstream by Status-Server.
pub(super) async fn upstream(settings: upstream::Settings) -> Vec<Finding> {
    let name = settings.name.clone();
    let upstream = match Upstream::open(settings) {
        Ok(upstream) => upstream,
        Err(error) => return vec![Finding::new(Area::Upstream, name, Outcome::Failed, error.to_string())],
    };
    let of = |probed: upstream::Probed| {
        let finding = |outcome, message: String| Finding::new(Area::Upstream, format!("{name} {}", probed.server), outcome, message).took(probed.took);
        match &probed.said {
            Ok(()) => finding(Outcome::Ok, "answers Status-Server".to_owned()),
            Err(error @ ProbeError::Silent) => finding(Outcome::Warning, error.to_string())
                .hint("it is away, does not know this machine, or is one (NPS) that never answers that: `vestibule client simulate` tries a login"),
            Err(error @ ProbeError::Unbelievable(_)) => {
                finding(Outcome::Failed, error.to_string()).hint("is the shared secret the same on both sides, and does the server sign its replies?")
            }
            Err(error @ ProbeError::Unreachable(_)) => {
                finding(Outcome::Failed, error.to_string()).hint("look at the name, the port, the firewall and the certificates")
            }
        }
    };
    upstream.probe().await.into_iter().map(of).collect()
}

/// Asks a domain controller through winbind about a name that nobody has.
pub(super) async fn winbind(domain: String, settings: winbind::Settings) -> Vec<Finding> {
    let begun = Instant::now();
    let said = Winbind::new(settings).probe(&domain).await;
    let finding = match said {
        Ok(()) => Finding::new(Area::Winbind, domain, Outcome::Ok, "a domain controller decides"),
        Err(why) => Finding::new(Area::Winbind, domain, Outcome::Failed, why)
            .hint("does winbindd run, is this machine joined (wbinfo -t), may our user use its privileged pipe (group winbindd_priv)?"),
    };
    vec![finding.took(begun.elapsed())]
}

/// Logs in at the mail server, and sends nothing.
pub(super) async fn mail(settings: mail::Settings) -> Vec<Finding> {
    let name = format!("{}:{}", settings.host, settings.port);
    let finding = |outcome, message: String| Finding::new(Area::Mail, &name, outcome, message);
    let takes = if settings.login.is_some() { "answers and takes our name and password" } else { "answers" };
    let smtp = match Smtp::open(&settings) {
        Ok(smtp) => smtp,
        Err(error) => return vec![finding(Outcome::Failed, error.to_string())],
    };
    let begun = Instant::now();
    let found = match smtp.probe().await {
        Ok(()) => finding(Outcome::Ok, takes.to_owned()),
        Err(error) => {
            finding(Outcome::Failed, error.to_string()).hint("look at the name, the port, the firewall and [mail]: no alert and no code goes out by mail")
        }
    };
    vec![found.took(begun.elapsed())]
}

/// Connects to one who is sent the audit, and sends nothing.
pub(super) async fn receiver(receiver: Receiver) -> Vec<Finding> {
    let (name, well) = match &receiver {
        Receiver::Http { url, .. } => (url.split('?').next().unwrap_or_default().to_owned(), "answers; whether it takes lines is seen when one is sent"),
        Receiver::Syslog { transport: Transport::Udp, host, port, .. } => (format!("udp://{host}:{port}"), "has an address; nobody answers over UDP"),
        Receiver::Syslog { transport: Transport::Tcp, host, port, .. } => (format!("tcp://{host}:{port}"), "takes connections"),
        Receiver::Syslog { transport: Transport::Tls, host, port, .. } => (format!("tls://{host}:{port}"), "takes connections, certificate right"),
    };
    let begun = Instant::now();
    let found = match audit::probe(&receiver).await {
        Ok(()) => Finding::new(Area::Audit, name, Outcome::Ok, well),
        Err(error) => Finding::new(Area::Audit, name, Outcome::Failed, error.to_string())
            .hint("look at the name, the port, the firewall, its certificate and ca_file; lines wait in the files meanwhile"),
    };
    vec![found.took(begun.elapsed())]
}

/// Clocks that are apart by so much are told; Duo refuses from five minutes on.
const CLOCK_WARNED_S: u64 = 5;
