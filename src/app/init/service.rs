//! The server that is to run by the configuration: the package's service where systemd is there, else one in this process for as long as it is needed.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;

use super::ground::Ground;
use super::write::Made;
use crate::app::Server;
use crate::app::Sites;
use crate::app::Watched;
use crate::app::clock::ClockOf;
use crate::app::config;
use crate::app::config::Config;
use crate::app::tool;

/// Whether systemd is there, may be told what to do, and knows the service that reads this configuration.
#[must_use]
pub fn is_managed(ground: &Ground) -> bool {
    ground.is_packaged() && geteuid().is_root() && Path::new("/run/systemd/system").is_dir() && systemctl(&["cat", "vestibule.service"]).is_ok()
}

/// Whether a server of this configuration answers.
#[must_use]
pub fn runs(config: &Path) -> bool {
    config::admin_socket(config).is_ok_and(|socket| UnixStream::connect(socket).is_ok())
}

/// Has systemd start the service, now and with the machine; one that runs is restarted if anything it was started with has changed. Waits until it is ready.
///
/// # Errors
/// What systemctl says.
pub fn start(made: &Made) -> Result<(), String> {
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", "vestibule.service"])?;
    // One that gave up on an older configuration would not be tried again.
    let _ = systemctl(&["reset-failed", "vestibule.service"]);
    systemctl(&[if made.changed { "restart" } else { "start" }, "vestibule.service"])
}

fn systemctl(words: &[&str]) -> Result<(), String> {
    let output = tool::ask(Command::new("systemctl").args(words), b"", START_MAX).map_err(|error| format!("systemctl: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("systemctl {}: {}", words.join(" "), said.lines().next().unwrap_or("it failed")))
}

/// A server in this process.
#[derive(Debug)]
pub struct Inside(Server);

impl Inside {
    /// Opens every door of the configuration at `path`, as `vestibule serve` does.
    ///
    /// # Errors
    /// What kept it from that.
    pub async fn open(path: &Path) -> Result<Self, String> {
        let config = Config::load(path).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let clock = Arc::new(ClockOf(config.time_zone.clone()));
        let server = Server::open(config, clock, Watched::default(), Sites::default()).await;
        server.map(Self).map_err(|error| format!("{error} {}", error.hint()).trim_end().to_owned())
    }

    /// Closes them again.
    pub async fn close(self) {
        self.0.drain().await;
    }
}

/// Whether a server in this process would leave the data to the user that is to serve: as root it would not, where the service has a user of its own.
#[must_use]
pub fn may_be_inside(ground: &Ground, data_dir: &str) -> bool {
    !geteuid().is_root() || ground.owner(data_dir).uid.is_none_or(|uid| uid == 0)
}

/// The unit's own time to become ready, and some.
const START_MAX: Duration = Duration::from_secs(200);
