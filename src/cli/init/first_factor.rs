//! The directory: found by DNS, tried at once with our own account, and asked again for just what did not fit.

use std::path::Path;
use std::path::PathBuf;

use toml::Value;

use super::steps;
use super::terminal::Question;
use super::terminal::Terminal;
use super::terminal::ask;
use super::terminal::choose;
use super::terminal::text;
use super::terminal::yes;
use crate::app::init::Draft;
use crate::app::init::Ground;
use crate::app::init::Part;
use crate::app::init::Setting;
use crate::app::init::machine;
use crate::cli::output::Failure;
use crate::cli::output::harmless;
use crate::domain::Secret;

/// Asks for the directory until it takes our account.
pub(super) async fn directory(ground: &Ground, draft: &mut Draft, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    terminal.say("The directory, which knows who people are and their passwords.")?;
    let mut part = place(draft.directories.first(), terminal).await?;
    account(&mut part, terminal)?;
    loop {
        let tried = Draft { directories: vec![part.clone()], providers: Vec::new(), ..draft.without_client() };
        let Some(wrong) = tried_out(ground, &tried, terminal).await? else {
            terminal.say("  it takes the account, and what it is to be searched in is there")?;
            break;
        };
        if wrong.contains(STRANGER) {
            authority(&mut part, terminal)?;
        } else if wrong.contains("bind_password is refused") {
            part.keys.retain(|(key, _)| key != "bind_password");
            account(&mut part, terminal)?;
        } else if wrong.contains("base cannot be read") {
            base(&mut part, terminal)?;
        } else if yes(terminal, "Go on all the same?", false, "`vestibule check` asks the directory again, whenever you like.")? {
            break;
        } else {
            part = place(Some(&part), terminal).await?;
            account(&mut part, terminal)?;
        }
    }
    draft.directories = vec![part];
    Ok(())
}

/// What is wrong, which was told; `None`: nothing.
async fn tried_out(ground: &Ground, tried: &Draft, terminal: &mut dyn Terminal) -> Result<Option<String>, Failure> {
    let wrong = match steps::checked(ground, tried) {
        Ok(config) => {
            terminal.say("  asking ..")?;
            steps::asked(&config).await.wrong
        }
        Err(Failure::Config(problems)) => problems,
        Err(failure) => return Err(failure),
    };
    if wrong.is_empty() {
        return Ok(None);
    }
    terminal.say(&shown(&wrong))?;
    Ok(Some(wrong.join("\n")))
}

/// Lines of which a directory may have written a part, below the question that they belong to.
pub(super) fn shown(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {}", harmless(line))).collect::<Vec<_>>().join("\n")
}

/// Kind, servers, base.
async fn place(before: Option<&Part>, terminal: &mut dyn Terminal) -> Result<Part, Failure> {
    let known = |key: &str| before.and_then(|part| part.text(key)).map(str::to_owned);
    let usual = known("kind").unwrap_or_else(|| "ad".to_owned());
    let question = Question { text: "What kind it is", usual: Some(&usual), help: "Samba as a domain controller is Active Directory." };
    let kind = choose(terminal, question, &[("ad", "Active Directory"), ("ldap", "OpenLDAP, 389 Directory Server, FreeIPA ..")])?;
    let before = before.filter(|part| part.text("kind") == Some(kind));
    let domain = domain(before, terminal)?;
    let name = before.map_or_else(|| domain.split('.').next().unwrap_or("corp").to_owned(), |part| part.name.clone());
    let mut part = before.cloned().unwrap_or_else(|| Part::new(&name)).with_text("kind", kind);
    servers(&mut part, &domain, terminal).await?;
    if part.text("base").is_none() {
        part = part.with_text("base", &machine::base(&domain));
    }
    base(&mut part, terminal)?;
    if kind == "ad" {
        let usual = part.text("netbios").map_or_else(|| name.to_ascii_uppercase(), str::to_owned);
        let help = "What stands before the backslash in CORP\\alice; `echo %USERDOMAIN%` at a machine of the domain shows it.";
        let netbios = text(terminal, Question { text: "The domain's short (NetBIOS) name", usual: Some(&usual), help })?;
        part = part.with_text("netbios", &netbios);
    }
    Ok(part)
}

fn domain(before: Option<&Part>, terminal: &mut dyn Terminal) -> Result<String, Failure> {
    let of_base = before.and_then(|part| part.text("base")).map(|base| {
        let labels = base.split(',').filter_map(|step| step.trim().split_once('=')).filter(|(key, _)| key.eq_ignore_ascii_case("dc"));
        labels.map(|(_, label)| label).collect::<Vec<_>>().join(".")
    });
    let usual = of_base.filter(|domain| !domain.is_empty()).or_else(machine::domain);
    let question = Question { text: "Its DNS domain", usual: usual.as_deref(), help: "corp.example, as behind the @ of alice@corp.example." };
    ask(terminal, question, |typed| {
        let domain = typed.trim_end_matches('.').to_lowercase();
        let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if domain.split('.').all(label) { Ok(domain) } else { Err("letters, digits and `-`, with dots between".to_owned()) }
    })
}

/// Those that DNS names, or those that somebody types.
async fn servers(part: &mut Part, domain: &str, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let help = "Both keep passwords from others. LDAPS is port 636, StartTLS port 389.";
    let starttls = written(part).iter().any(|server| server.starts_with("ldap+starttls"));
    let usual = if starttls { "starttls" } else { "ldaps" };
    let question = Question { text: "How its servers are reached", usual: Some(usual), help };
    let way = choose(terminal, question, &[("ldaps", "TLS from the first byte"), ("starttls", "TLS behind a first question")])?;
    let mut usual = written(part);
    if usual.is_empty() {
        match machine::servers(domain, way == "starttls").await {
            Ok(found) => {
                terminal.say(&format!("  DNS names {}", harmless(&found.join(", "))))?;
                usual = found;
            }
            Err(why) => terminal.say(&format!("  DNS names none: {}", harmless(&why)))?,
        }
    }
    let usual = usual.join(", ");
    let question = Question {
        text: "Its servers, the preferred one first",
        usual: Some(usual.as_str()).filter(|usual| !usual.is_empty()),
        help: "dc1.corp.example, dc2.corp.example: by the names that their certificates have. The next is asked when one is away.",
    };
    let scheme = if way == "starttls" { "ldap+starttls://" } else { "" };
    let typed = ask(terminal, question, |typed| {
        let whole = |one: &str| if one.contains("://") { one.to_owned() } else { format!("{scheme}{one}") };
        typed.split(',').map(|one| machine::server(&whole(one.trim()))).collect::<Result<Vec<_>, _>>()
    })?;
    part.keys.retain(|(key, _)| !["srv", "srv_transport"].contains(&key.as_str()));
    part.set("servers", Setting::Plain(Value::Array(typed.into_iter().map(Value::String).collect())));
    Ok(())
}

fn written(part: &Part) -> Vec<String> {
    let Some(Setting::Plain(Value::Array(servers))) = part.setting("servers") else { return Vec::new() };
    servers.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn base(part: &mut Part, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let usual = part.text("base").map(str::to_owned);
    let help = "The DN under which everybody is found: DC=corp,DC=example, or a part of it such as OU=Staff,DC=corp,DC=example.";
    let typed = ask(terminal, Question { text: "Where people are found below", usual: usual.as_deref(), help }, |typed| {
        if typed.contains('=') { Ok(typed.to_owned()) } else { Err("a distinguished name: DC=corp,DC=example".to_owned()) }
    })?;
    part.set("base", Setting::Plain(Value::String(typed)));
    Ok(())
}

/// The account that may search.
fn account(part: &mut Part, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let is_ad = part.text("kind") == Some("ad");
    let usual = part.text("bind_name").map(str::to_owned);
    let help = if is_ad {
        "An ordinary account of the domain, svc-mfa@corp.example, that may do nothing but read. Its password should not expire."
    } else {
        "A DN, cn=vestibule,dc=corp,dc=example, that may read people and groups, and nothing else."
    };
    let name = text(terminal, Question { text: "The account that we look people up with", usual: usual.as_deref(), help })?;
    let is_same = usual.as_deref() == Some(name.as_str());
    part.set("bind_name", Setting::Plain(Value::String(name)));
    let stored = is_same && matches!(part.setting("bind_password"), Some(Setting::Secret(_)));
    let prompt = if stored { "Its password (not shown) [the stored one]: " } else { "Its password (not shown): " };
    loop {
        let typed = terminal.unseen(prompt)?;
        if !typed.is_empty() {
            part.set("bind_password", Setting::Secret(Secret::from(typed.as_str())));
            return Ok(());
        }
        if stored {
            return Ok(());
        }
        terminal.say("  a directory calls an empty password a success without looking: type one")?;
    }
}

/// Who vouches for the server, where this machine does not know.
fn authority(part: &mut Part, terminal: &mut dyn Terminal) -> Result<(), Failure> {
    let help = "A PEM file with the certificate of the authority; on a domain controller: certutil -ca.cert ca.cer, then openssl x509 -in ca.cer -out ca.pem.";
    let path = ask(terminal, Question { text: "The file with the authority that vouches for it", usual: None, help }, readable)?;
    part.set("ca_file", Setting::File(path));
    Ok(())
}

fn readable(typed: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(Path::new(typed)).map_err(|error| error.to_string())?;
    match std::fs::read(&path) {
        Ok(bytes) if bytes.windows(PEM.len()).any(|window| window == PEM) => Ok(path),
        Ok(_) => Err("there is no certificate in it: it must be PEM, -----BEGIN CERTIFICATE-----".to_owned()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// What rustls says of a certificate that nobody vouches for here.
const STRANGER: &str = "UnknownIssuer";
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";
