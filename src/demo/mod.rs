//! The whole thing with no set-up: lab directory, lab cloud, the real server, a scripted tour.

mod clients;
pub mod cloud;
pub mod directory;
mod house;
mod tour;

use std::io::Write;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::app::clock::WallClock;
use house::House;
use tour::Tour;

/// How the demo is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Show the tour and end, instead of staying for you to try.
    pub once: bool,
    /// One ready line for machines; the tour goes to standard error.
    pub json: bool,
    /// RADIUS on this port and LDAP on the next; 0 picks free ones. `None`: 18120 and 13890.
    pub port_base: Option<u16>,
}

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(String);

impl DemoError {
    pub(crate) fn new(doing: &str, error: impl std::fmt::Display) -> Self {
        Self(format!("{doing}: {error}"))
    }
}

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Every login of the tour went as it must.
    AsItMust,
    /// One did not.
    Otherwise,
    /// Somebody ended it before the tour was over.
    Stopped,
}

/// Shows the demo until it is over or somebody ends it, and puts everything away.
///
/// # Errors
/// What kept the house from being opened.
pub async fn run(options: Options) -> Result<Shown, DemoError> {
    // Before there is anything to put away.
    let mut bell = Bell::new().map_err(|error| DemoError::new("waiting for signals", error))?;
    let house = House::open(options.port_base, Arc::new(WallClock)).await?;
    if options.json {
        say(&ready_line(&house))?;
    } else {
        say(&house.welcome())?;
    }
    let mut tour = Tour::new(options.json);
    let shown = tokio::select! {
        as_it_must = tour.walk(&house) => if as_it_must { Shown::AsItMust } else { Shown::Otherwise },
        () = bell.rings() => Shown::Stopped,
    };
    if !options.once && shown != Shown::Stopped {
        if !options.json {
            say("\nThe house stays open for you: paste a line from above, or press Ctrl-C to close it.")?;
        }
        bell.rings().await;
    }
    house.close().await;
    Ok(shown)
}

/// Ctrl-C and SIGTERM.
#[derive(Debug)]
struct Bell {
    interrupt: Signal,
    terminate: Signal,
}

impl Bell {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn rings(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The server's own ready line, and what one needs to log in.
fn ready_line(house: &House) -> String {
    let mut line = json!(house.ready());
    let people: Vec<_> =
        house.people().iter().map(|person| json!({ "name": person.name, "password": person.password, "totp_secret": person.totp_secret() })).collect();
    if let Some(line) = line.as_object_mut() {
        line.insert("demo".to_owned(), json!({ "people": people, "radius_secret": house::RADIUS_SECRET, "config": house.config_file() }));
    }
    line.to_string()
}

fn say(text: &str) -> Result<(), DemoError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| DemoError::new("writing", error))
}
