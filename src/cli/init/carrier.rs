//! The second factor: whose codes or pushes, by which keys, tried at once.

use toml::Value;

use super::first_factor::shown;
use super::steps;
use super::terminal::Question;
use super::terminal::Terminal;
use super::terminal::ask;
use super::terminal::choose;
use super::terminal::yes;
use crate::app::init::Draft;
use crate::app::init::Ground;
use crate::app::init::Part;
use crate::app::init::Setting;
use crate::cli::output::Failure;
use crate::domain::Secret;

/// A key of a provider, as somebody is asked for it.
#[derive(Clone, Copy, Debug)]
struct Key {
    key: &'static str,
    text: &'static str,
    help: &'static str,
    form: Form,
}

/// What an answer becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    List,
    /// May be left out.
    Optional,
    Secret,
    Text,
}

/// Asks for the carriers of the second factor.
pub(super) async fn provider(ground: &Ground, draft: &mut Draft, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    terminal.say("\nThe second factor.")?;
    let cloud = |part: &&Part| part.text("kind").is_some_and(|kind| kind != OWN);
    let before = draft.providers.iter().find(cloud).cloned();
    let usual = before.as_ref().and_then(|part| part.text("kind")).unwrap_or(OWN);
    let question = Question { text: "Who carries it", usual: Some(usual), help: "Further ones can be added to the configuration later." };
    let kind = choose(terminal, question, KINDS)?;
    let own = Part::new("tokens").with_text("kind", OWN);
    let own = draft.providers.iter().find(|part| part.text("kind") == Some(OWN)).cloned().unwrap_or(own);
    if kind == OWN {
        draft.providers = vec![own];
        return Ok(());
    }
    let before = before.filter(|part| part.text("kind") == Some(kind));
    let mut part = before.unwrap_or_else(|| Part::new(kind.trim_end_matches("-verify"))).with_text("kind", kind);
    loop {
        keys(&mut part, kind, terminal)?;
        if works(ground, draft, &part, terminal).await? {
            break;
        }
        if yes(terminal, "Go on all the same?", false, "`vestibule check` asks it again, whenever you like.")? {
            break;
        }
    }
    let has_own = draft.providers.iter().any(|part| part.text("kind") == Some(OWN));
    let help = "Codes of an app, without any cloud: for people without a phone there, and for hours when it is away.";
    draft.providers = vec![part];
    if yes(terminal, "Codes of our own tokens beside it?", has_own || draft.directories.len() == 1, help)? {
        draft.providers.push(own);
    }
    Ok(())
}

fn keys(part: &mut Part, kind: &str, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    for key in KEYS.iter().filter(|(known, _)| *known == kind).flat_map(|(_, keys)| *keys) {
        match key.form {
            Form::Secret => secret(part, *key, terminal)?,
            form => plain(part, *key, form, terminal)?,
        }
    }
    Ok(())
}

fn plain(part: &mut Part, key: Key, form: Form, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let before = match part.setting(key.key) {
        Some(Setting::Plain(Value::String(text))) => Some(text.clone()),
        Some(Setting::Plain(Value::Array(entries))) => Some(entries.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        _ => (form == Form::Optional).then(String::new),
    };
    let typed = ask(terminal, Question { text: key.text, usual: before.as_deref(), help: key.help }, |typed| {
        if typed.chars().any(char::is_control) { Err("no control characters".to_owned()) } else { Ok(typed.to_owned()) }
    })?;
    let value = match form {
        Form::List => Value::Array(typed.split(',').map(|one| Value::String(one.trim().to_uppercase())).collect()),
        _ => Value::String(typed),
    };
    if value.as_str() == Some("") {
        part.keys.retain(|(known, _)| known != key.key);
    } else {
        part.set(key.key, Setting::Plain(value));
    }
    Ok(())
}

fn secret(part: &mut Part, key: Key, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let stored = matches!(part.setting(key.key), Some(Setting::Secret(_)));
    let prompt = if stored { format!("{} (not shown) [the stored one]: ", key.text) } else { format!("{} (not shown): ", key.text) };
    loop {
        let typed = terminal.unseen(&prompt)?;
        if !typed.is_empty() {
            part.set(key.key, Setting::Secret(Secret::from(typed.as_str())));
            return Ok(());
        }
        if stored {
            return Ok(());
        }
        terminal.say(&format!("  {}", key.help))?;
    }
}

/// Whether it answers by these keys; what is wrong is told.
async fn works(ground: &Ground, draft: &Draft, part: &Part, terminal: &mut dyn Terminal) -> Result<bool, Failure> {
    let tried = Draft { directories: Vec::new(), providers: vec![part.clone()], ..draft.without_client() };
    let wrong = match steps::checked(ground, &tried) {
        Ok(config) => {
            terminal.say("  asking ..")?;
            steps::asked(&config).await.wrong
        }
        Err(Failure::Config(problems)) => problems,
        Err(failure) => return Err(failure),
    };
    match wrong.as_slice() {
        [] => terminal.say("  nothing speaks against it")?,
        wrong => terminal.say(&shown(wrong))?,
    }
    Ok(wrong.is_empty())
}

/// Our own tokens.
const OWN: &str = "oath";

const KINDS: &[(&str, &str)] = &[
    (OWN, "codes of an app or a hardware token, without any cloud"),
    ("duo", "Duo: push"),
    ("entra", "Microsoft Entra: push, by a connector that Microsoft may close any day"),
    ("okta", "Okta: push"),
    ("twilio-verify", "Twilio Verify: codes by text message"),
    ("privacyidea", "privacyIDEA: codes of its tokens"),
    ("webhook", "a service of your own: push"),
];

const fn text(key: &'static str, text: &'static str, help: &'static str) -> Key {
    Key { key, text, help, form: Form::Text }
}

const fn unseen(key: &'static str, text: &'static str, help: &'static str) -> Key {
    Key { key, text, help, form: Form::Secret }
}

const KEYS: &[(&str, &[Key])] = &[
    (
        "duo",
        &[
            text("host", "The API hostname", "Of the \"Auth API\" application in Duo's panel: api-xxxxxxxx.duosecurity.com"),
            text("key_id", "The client ID (integration key)", "Of the same application: DI and 18 more signs."),
            unseen("key", "The client secret (secret key)", "Of the same application: 40 signs."),
        ],
    ),
    (
        "entra",
        &[
            text("tenant", "The tenant's id", "A GUID, as the Entra admin center's overview shows it."),
            unseen("secret", "The secret of its principal \"Azure Multi-Factor Auth Client\"", "A client secret that was added to that principal."),
            Key {
                key: "domain",
                text: "The domain behind names without @",
                help: "corp.example, where user principal names end in @corp.example.",
                form: Form::Optional,
            },
        ],
    ),
    (
        "okta",
        &[
            text("host", "The organisation's host", "corp.okta.com"),
            unseen("token", "An API token", "Security > API > Tokens in the admin console; it dies after 30 days without a login."),
            Key { key: "domain", text: "The domain behind names without @", help: "corp.example, where logins end in @corp.example.", form: Form::Optional },
        ],
    ),
    (
        "twilio-verify",
        &[
            text("service", "The Verify service", "VA and 32 hexadecimal digits, in the console under Verify > Services."),
            text("key_id", "The API key's SID", "SK and 32 hexadecimal digits, under Account > API keys."),
            unseen("key", "The API key's secret", "It was shown when the key was made."),
            Key {
                key: "countries",
                text: "Countries whose numbers are texted",
                help: "Two letters each: DE, AT. All others are not: who sends texts pays for them.",
                form: Form::List,
            },
        ],
    ),
    ("privacyidea", &[text("url", "Where it is", "https://mfa.corp.example, without a path.")]),
    (
        "webhook",
        &[
            text("url", "Where the service is", "https://mfa-bridge.corp.example/vestibule; it speaks the protocol of docs/webhook.md."),
            unseen("key", "The key that both sides sign with", "At least 32 bytes: openssl rand -hex 32"),
        ],
    ),
];
