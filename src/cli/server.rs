//! The other end of the admin socket: finds it, asks, and says clearly why it cannot.

use std::error::Error;
use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use reqwest::StatusCode;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::output::Failure;
use crate::app::config;
use crate::app::shapes::Problem;

/// Where the package puts the socket.
const SOCKET: &str = "/run/vestibule/admin.sock";
/// Longer than the server takes at most.
const TIMEOUT: Duration = Duration::from_secs(45);
/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a command finds the server, and how it answers.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Reach {
    /// The server's admin socket; else the one in the configuration, else /run/vestibule/admin.sock
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// The server's configuration: it says where the admin socket is
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Reach {
    /// By these.
    pub(super) fn of(socket: Option<PathBuf>, config: Option<PathBuf>) -> Self {
        Self { socket, config, json: false }
    }
}

/// Whom a command is about.
#[derive(Clone, Debug, Args)]
pub(super) struct Whom {
    /// The account's name or identity, or DOMAIN\name, or name@domain
    pub name: String,
    /// The directory it is in, where more than one has that name
    #[arg(long, value_name = "NAME")]
    pub directory: Option<String>,
}

impl Whom {
    /// `/v1/accounts/NAME` and what is behind it.
    pub(super) fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["accounts", self.name.as_str()], rest].concat()
    }

    /// `?directory=..`
    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        self.directory.iter().map(|directory| ("directory", directory.as_str())).collect()
    }
}

/// Nothing to send along.
pub(super) const NOTHING: Option<&()> = None;

/// A way to the server.
#[derive(Debug)]
pub(super) struct Server {
    http: reqwest::Client,
    socket: PathBuf,
}

impl Server {
    /// Finds the socket; nothing is asked yet.
    ///
    /// # Errors
    /// The configuration that should name it is wrong.
    pub(super) fn new(reach: &Reach) -> Result<Self, Failure> {
        let socket = match (&reach.socket, &reach.config) {
            (Some(socket), _) => socket.clone(),
            (None, Some(config)) => config::admin_socket(config).map_err(|problems| {
                let told = problems.iter().map(ToString::to_string);
                Failure::Config(told.chain(["  a server that runs is found without its configuration, too: --socket PATH".to_owned()]).collect())
            })?,
            (None, None) => PathBuf::from(SOCKET),
        };
        let http = reqwest::Client::builder().unix_socket(socket.as_path()).no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT).build();
        let http = http.map_err(|error| Failure::failed(format!("no HTTP client: {error}"), ""))?;
        Ok(Self { http, socket })
    }

    /// Asks.
    ///
    /// # Errors
    /// Nobody answers, or the answer is no.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Failure> {
        let mut request = self.http.request(method, url(path, query)?);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| unreachable(&self.socket, &error))?;
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&self.socket, &error))? {
            if answer.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
                return Err(Failure::failed("the server's answer is too long", ""));
            }
            answer.extend_from_slice(&piece);
        }
        read(response.status(), &answer)
    }

    /// Asks for something to look at.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Failure> {
        self.ask(Method::GET, path, query, NOTHING).await
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, answer: &[u8]) -> Result<T, Failure> {
    if status.is_success() {
        return serde_json::from_slice(answer)
            .map_err(|error| Failure::failed(format!("the server's answer is not understood: {error}"), "is it as old as this command?"));
    }
    match serde_json::from_slice::<Problem>(answer) {
        // The server understands what is asked, and cannot go by the configuration that it finds.
        Ok(Problem { error, hint }) if status == StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Failure::Config(error.lines().map(str::to_owned).chain([format!("  {hint}")]).collect()))
        }
        Ok(Problem { error, hint }) => Err(Failure::Failed { error, hint }),
        Err(_) => Err(Failure::failed(format!("the server answers {status}"), "is it a vestibule?")),
    }
}

/// Every segment is escaped. The two that would climb in the path, and an empty one, are no names.
fn url(path: &[&str], query: &[(&str, &str)]) -> Result<Url, Failure> {
    if path.iter().any(|segment| ["", ".", ".."].contains(segment)) {
        return Err(Failure::Usage("that is no name".to_owned()));
    }
    let none = || Failure::failed("no address can be made of that", "");
    let mut url = Url::parse("http://vestibule/v1").map_err(|_| none())?;
    url.path_segments_mut().map_err(|()| none())?.extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Says why nobody answers, in words that tell what to do.
fn unreachable(socket: &Path, error: &reqwest::Error) -> Failure {
    let path = socket.display();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut kind = None;
    while let Some(found) = cause {
        kind = found.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        cause = found.source();
    }
    match kind {
        Some(ErrorKind::PermissionDenied) => Failure::failed(
            format!("you may not speak to the vestibule at {path}"),
            "only root and its admin group may (admin.group, usually vestibule): sudo, or `usermod -aG GROUP NAME` and log in again",
        ),
        Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Failure::failed(
            format!("no vestibule answers at {path}: is it running?"),
            "see `systemctl status vestibule`, or say where it is with --socket or --config",
        ),
        _ if error.is_timeout() => Failure::failed(format!("the vestibule at {path} does not answer in time"), "its log may say why"),
        _ => Failure::failed(format!("the vestibule at {path} cannot be asked: {error}"), "its log may say why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_whatever_is_in_it() {
        let url = url(&["accounts", r"CORP\al/ice?x=1#%2e", "enable"], &[("directory", "a&b")]).unwrap();
        assert_eq!(url.as_str(), "http://vestibule/v1/accounts/CORP%5Cal%2Fice%3Fx=1%23%252e/enable?directory=a%26b");
    }

    #[test]
    fn a_name_cannot_climb_to_another_account() {
        for name in ["..", ".", ""] {
            assert!(matches!(url(&["accounts", name, "bypass"], &[]), Err(Failure::Usage(_))), "{name:?}");
        }
    }

    #[test]
    fn the_servers_own_words_are_passed_on() {
        let answer = br#"{"error":"no account goes by \"x\"","hint":"add one"}"#;
        assert_eq!(read::<()>(StatusCode::NOT_FOUND, answer), Err(Failure::failed("no account goes by \"x\"", "add one")));
        assert!(matches!(read::<()>(StatusCode::BAD_GATEWAY, b"<html>"), Err(Failure::Failed { .. })));
    }
}
