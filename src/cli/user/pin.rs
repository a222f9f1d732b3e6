//! `vestibule user set NAME --pin`: a PIN is typed without being shown, or comes from standard input; it never stands on the command line.

use reqwest::Method;

use super::super::output::Failure;
use super::super::server::Reach;
use super::super::server::Server;
use super::super::server::Whom;
use super::super::typed;
use crate::app::shapes::Account;
use crate::app::shapes::NewPin;
use crate::app::shapes::Once;

/// Asks for a PIN and sets it.
///
/// # Errors
/// Nothing is typed, or two different ones, or the server says no.
pub(super) async fn set(whom: &Whom, reach: &Reach) -> Result<Account, Failure> {
    let server = Server::new(reach)?;
    let pin = Once::new(typed::secret("PIN")?.to_string());
    server.ask(Method::PUT, &whom.path(&["pin"]), &whom.query(), Some(&NewPin { pin })).await
}
