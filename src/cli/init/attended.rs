//! The dialogue: directory, provider, client, and then it is written, served and tried.

use std::net::SocketAddr;

use super::carrier;
use super::end;
use super::failed;
use super::first_factor;
use super::first_factor::shown;
use super::steps;
use super::steps::Serving;
use super::terminal::Question;
use super::terminal::Terminal;
use super::terminal::ask;
use super::terminal::choose;
use super::terminal::text;
use super::terminal::yes;
use crate::app::config;
use crate::app::init::Draft;
use crate::app::init::Ground;
use crate::app::init::Made;
use crate::app::init::Nas;
use crate::app::init::Present;
use crate::app::init::service;
use crate::app::shapes::Account;
use crate::app::shapes::Once;
use crate::cli::client;
use crate::cli::client::add;
use crate::cli::output::Failure;
use crate::cli::output::harmless;
use crate::cli::server::Server;
use crate::cli::token;

/// Asks, tries, writes.
///
/// # Errors
/// Nobody answers any more, or something cannot be written.
pub(super) async fn run(ground: &Ground, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let mut draft = ground.draft();
    terminal.say(WELCOME)?;
    if ground.present == Present::Ours {
        terminal.say("This machine was set up before: what stands in brackets is how it is now.\n")?;
    }
    first_factor::directory(ground, &mut draft, terminal).await?;
    carrier::provider(ground, &mut draft, terminal).await?;
    nas(&mut draft, terminal)?;
    let notes = steps::asked(&steps::checked(ground, &draft)?).await.notes;
    if !notes.is_empty() {
        terminal.say(&format!("\nWorth a second look:\n{}", shown(&notes)))?;
    }
    terminal.say(&outlook(ground, &draft))?;
    if !yes(terminal, &format!("\nWrite {} and its secrets?", ground.config.display()), true, "Nothing has been written so far.")? {
        return Err(Failure::failed("nothing was changed", ""));
    }
    let made = ground.make(&draft).map_err(|error| failed(&error))?;
    let mut lines: Vec<_> = made.files.iter().map(|file| format!("  written: {}", file.display())).collect();
    lines.extend(made.kept.iter().map(|kept| format!("  what was there before is in {}", kept.display())));
    lines.extend(made.warnings.iter().map(|warning| format!("  warning: {warning}")));
    if !made.changed {
        lines.push("  everything is so already".to_owned());
    }
    terminal.say(&lines.join("\n"))?;
    let (running, user) = serve(ground, &draft, &made, terminal).await?;
    finish(ground, &draft, running, user.as_deref(), terminal)
}

/// The first RADIUS client.
fn nas(draft: &mut Draft, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    terminal.say("\nThe first RADIUS client: a VPN gateway, a switch, a terminal server.")?;
    let before = draft.client.clone();
    let usual = before.as_ref().map_or("vpn", |client| client.name.as_str());
    let name = ask(terminal, Question { text: "Its name", usual: Some(usual), help: "As it is called in logs and questions on phones." }, add::name)?;
    let networks = before.as_ref().map(|client| client.networks.join(", "));
    let question = Question {
        text: "The addresses or networks that its packets come from",
        usual: networks.as_deref(),
        help: "192.0.2.10, or 192.0.2.0/24, or several with commas between them. Nobody else is answered.",
    };
    let networks = ask(terminal, question, |typed| typed.split(',').map(|network| add::network(network.trim())).collect::<Result<Vec<_>, _>>())?;
    let mut kinds: Vec<(&str, &str)> = config::profiles().map(|name| (name, "")).collect();
    kinds.push(("other", "none of these"));
    let usual = before.as_ref().and_then(|client| client.profile.as_deref()).unwrap_or("other");
    let question = Question { text: "What kind it is", usual: Some(usual), help: "How long it waits and whether it can ask for a code follow from that." };
    let profile = choose(terminal, question, &kinds)?;
    let question = Question {
        text: "The address of this machine that it sends them to",
        usual: Some(&draft.radius),
        help: "With the port, 1812 usually. 0.0.0.0 is every address that this machine has.",
    };
    let listens = ask(terminal, question, |typed| typed.parse::<SocketAddr>().map_err(|_| "an address with a port: 192.0.2.1:1812".to_owned()))?;
    draft.radius = listens.to_string();
    draft.client = Some(Nas { name, networks, profile: (profile != "other").then(|| profile.to_owned()), secret: None });
    Ok(())
}

/// What is going to be where.
fn outlook(ground: &Ground, draft: &Draft) -> String {
    let mut lines = vec![
        "\nThat makes:".to_owned(),
        format!("  RADIUS on {} (UDP), for {}", draft.radius, draft.client.as_ref().map_or("nobody yet", |client| client.name.as_str())),
        format!("  accounts, tokens and the audit in {}", ground.config.with_file_name("").join(&draft.data_dir).display()),
    ];
    lines.extend(draft.directories.iter().map(|part| format!("  passwords checked by [directory.{}]", part.name)));
    lines.extend(draft.providers.iter().map(|part| format!("  second factors by [provider.{}]", part.name)));
    lines.join("\n")
}

/// Has a server run, and brings the first person to it; whether it goes on, and who was enrolled.
async fn serve(ground: &Ground, draft: &Draft, made: &Made, terminal: &mut dyn Terminal) -> Result<(bool, Option<String>), Failure> {
    let how = if service::is_managed(ground) {
        "\nStart the server now, and with the machine?"
    } else if service::runs(&ground.config) {
        "\nA server runs by this configuration. Have it take the new one?"
    } else {
        "\nOpen the server here for a moment, to enrol the first person and try a login?"
    };
    if !yes(terminal, how, true, "Accounts are kept by the server, so one must run to enrol somebody.")? {
        return Ok((service::runs(&ground.config), None));
    }
    let serving = match Serving::begin(ground, draft, made, true).await {
        Ok(serving) => serving,
        Err(why) => {
            terminal.say(&format!("  it does not start: {}\n  what it says itself: journalctl -u vestibule", harmless(&why)))?;
            return Ok((false, None));
        }
    };
    let stays = serving.stays();
    let user = person(ground, draft, terminal).await;
    serving.end().await;
    Ok((stays, user?))
}

/// Adds the first person, and tries a login.
async fn person(ground: &Ground, draft: &Draft, terminal: &mut dyn Terminal) -> Result<Option<String>, Failure> {
    let server = Server::new(&steps::reach(ground)?)?;
    loop {
        let help = "Looked up in the directory; nothing is changed there. `none` leaves it for later.";
        let name = text(terminal, Question { text: "\nThe first person, by the name in the directory", usual: Some("none"), help })?;
        if name == "none" {
            return Ok(None);
        }
        let (account, is_new, tokens) = match steps::account(&server, draft, &name).await {
            Ok(found) => found,
            Err(failure) => {
                terminal.say(&format!("  {}", told(&failure)))?;
                continue;
            }
        };
        terminal.say(&format!("  {} {}", harmless(&account.name), if is_new { "is added" } else { "has an account already" }))?;
        if draft.has_tokens() && (tokens == 0 || yes(terminal, "There is a token already. Make another one?", false, "Both are good then.")?) {
            enrol(&server, &account, terminal).await?;
        }
        try_logins(&server, draft, &account.name, terminal).await?;
        return Ok(Some(account.name));
    }
}

async fn enrol(server: &Server, account: &Account, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let enrolled = steps::token(server, account).await?;
    terminal.say("\nScan this with an authenticator app; it is shown this once:\n")?;
    if terminal.draws() {
        token::show(&enrolled.uri)?;
    }
    terminal.say(enrolled.uri.expose())
}

/// Logins in earnest, until one goes well or nobody wants another.
async fn try_logins(server: &Server, draft: &Draft, name: &str, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let mut wanted = yes(terminal, "\nTry a login now?", true, "As the client would hand it over, by the real server; a wrong password or code counts.")?;
    while wanted {
        let password = terminal.unseen(&format!("The password of {}: ", harmless(name)))?;
        let help = "Six digits of the app. Nothing: the phone rings, where a provider does that.";
        let code = text(terminal, Question { text: "The code", usual: Some(""), help })?;
        let code = (!code.is_empty()).then(|| Once::new(code));
        match steps::login(server, draft, name, Once::new(password.to_string()), code).await {
            Ok(simulation) => {
                terminal.say(&client::told_in_rows(&simulation))?;
                if simulation.verdict == "accept" {
                    return terminal.say("\nThat works.");
                }
            }
            Err(failure) => terminal.say(&format!("  {}", told(&failure)))?,
        }
        wanted = yes(terminal, "\nTry another one?", true, "A code is good once: wait for the next.")?;
    }
    Ok(())
}

fn finish(ground: &Ground, draft: &Draft, running: bool, user: Option<&str>, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let secret = ground.client_secret(draft).and_then(|secret| secret.expose_text().map(str::to_owned));
    let name = draft.client.as_ref().map(|client| client.name.as_str()).unwrap_or_default();
    let secret = secret.map_or_else(|| format!("Its secret: {}", ground.how_to_read(name)), |secret| format!("Its secret, which both sides share: {secret}"));
    terminal.say(&end::nas(draft, &secret))?;
    terminal.say(&end::next(&steps::next(ground, running, if user.is_none() { Some("NAME") } else { None })))
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Failed { error, hint } if !hint.is_empty() => format!("{error} ({hint})"),
        other => other.words(),
    }
}

const WELCOME: &str = "Vestibule asks for a second factor behind the password. A few questions, and the first login works.
`?` tells more about a question; Enter takes what stands in brackets; nothing is written before the end.
";
