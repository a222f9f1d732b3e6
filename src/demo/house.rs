//! The house of the demo: three people, a lab directory, a lab cloud, and the real server built from a real configuration file.

use std::fmt::Write;
use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Group;
use nix::unistd::getegid;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;

use super::DemoError;
use super::cloud;
use super::cloud::Cloud;
use super::cloud::Manner;
use super::directory;
use super::directory::Lab;
use crate::app::Ready;
use crate::app::Server;
use crate::app::Sites;
use crate::app::Watched;
use crate::app::config::Config;
use crate::domain::Secret;
use crate::domain::otp;
use crate::front::http::shapes::Account;
use crate::front::http::shapes::Enrolled;
use crate::ports::Clock;

/// The secret between the demo's NAS and the server.
pub(super) const RADIUS_SECRET: &str = "demo-secret-for-loopback-only";
/// Seconds that a code is shown.
const CODE_S: u32 = 30;
const RADIUS_PORT: u16 = 18_120;
const LDAP_PORT: u16 = 13_890;

/// Somebody who logs in.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    /// How the phone behaves, in words.
    pub(super) habit: &'static str,
    seed: Option<Seed>,
}

#[derive(Debug)]
struct Seed {
    base32: String,
    bytes: Secret,
}

/// Everything that is open while the demo runs.
#[derive(Debug)]
pub(super) struct House {
    folder: TempDir,
    server: Server,
    pub(super) directory: Lab,
    pub(super) cloud: Cloud,
    clock: Arc<dyn Clock>,
    people: Vec<Guest>,
}

impl Guest {
    /// What an authenticator app needs, in base32.
    pub(super) fn totp_secret(&self) -> Option<&str> {
        self.seed.as_ref().map(|seed| seed.base32.as_str())
    }
}

impl House {
    pub(super) async fn open(port_base: Option<u16>, clock: Arc<dyn Clock>) -> Result<Self, DemoError> {
        // The secrets in it are nobody else's, whatever the umask.
        let alone = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .prefix("vestibule-demo-")
            .permissions(alone)
            .tempdir()
            .map_err(|error| DemoError::new("making a temporary folder", error))?;
        let people = vec![
            Guest { name: "alice", password: "Wonder-Land-1", habit: "types codes from an app", seed: None },
            Guest { name: "bob", password: "Builder-Can-2", habit: "approves every push after a second", seed: None },
            Guest { name: "carol", password: "Singer-Says-3", habit: "denies every push", seed: None },
        ];
        let directory = open_directory(&people)?;
        let cloud = open_cloud(Arc::clone(&clock)).await?;
        let file = write_configuration(folder.path(), &directory, &cloud, port_base)?;
        let config = Config::load(&file).map_err(|problems| DemoError::new("the demo's configuration", said(&problems)))?;
        let server = Server::open(config, Arc::clone(&clock), Watched::default(), Sites::default())
            .await
            .map_err(|error| DemoError::new("opening the server", error))?;
        let mut house = Self { folder, server, directory, cloud, clock, people };
        house.enrol().await?;
        Ok(house)
    }

    pub(super) fn ready(&self) -> Ready {
        self.server.ready()
    }

    pub(super) fn people(&self) -> &[Guest] {
        &self.people
    }

    pub(super) fn guest(&self, name: &str) -> Result<&Guest, DemoError> {
        self.people.iter().find(|guest| guest.name == name).ok_or_else(|| DemoError::new("the demo's people", name))
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.path().join("vestibule.toml")
    }

    /// The code an app would show now.
    pub(super) fn code(&self, guest: &Guest) -> Option<String> {
        let seed = guest.seed.as_ref()?;
        Some(otp::code(otp::Algorithm::Sha1, &seed.bytes, otp::step_at(self.clock.now(), CODE_S), 6))
    }

    /// Seconds until that code gives way to the next.
    pub(super) fn next_code_s(&self) -> u64 {
        let into = self.clock.now().0 / 1_000 % u64::from(CODE_S);
        u64::from(CODE_S).saturating_sub(into)
    }

    pub(super) fn radius(&self) -> Result<SocketAddr, DemoError> {
        self.ready().radius.first().copied().ok_or_else(|| DemoError::new("the RADIUS door", "not open"))
    }

    pub(super) fn ldap(&self) -> Result<SocketAddr, DemoError> {
        self.ready().ldap.first().copied().ok_or_else(|| DemoError::new("the LDAP door", "not open"))
    }

    pub(super) async fn close(self) {
        self.server.drain().await;
    }

    /// Adds everybody through the admin socket, as an administrator would.
    async fn enrol(&mut self) -> Result<(), DemoError> {
        let socket = self.ready().admin;
        for guest in &mut self.people {
            let _: Account = ask(&socket, "/v1/accounts", &json!({ "name": guest.name })).await?;
            if guest.name == "alice" {
                let enrolled: Enrolled = ask(&socket, "/v1/accounts/alice/tokens", &json!({})).await?;
                guest.seed = Some(seed_of(enrolled.uri.expose())?);
            }
        }
        Ok(())
    }

    /// Who lives here and how to try it by hand.
    pub(super) fn welcome(&self) -> String {
        let (Ok(radius), Ok(ldap)) = (self.radius(), self.ldap()) else { return String::new() };
        let mut text = format!(
            "Vestibule {}: two-step verification in front of RADIUS and LDAP.\n\n\
             The house is open. Everything is in this process and on loopback: a lab directory that knows passwords,\n\
             a lab cloud that answers pushes, and the real server between them and you.\n\n\
             \x20 RADIUS  {radius}   shared secret {RADIUS_SECRET}\n\
             \x20 LDAP    {ldap}   base {}\n\
             \x20 admin   {}\n\
             \x20 file    {}\n\n\
             \x20 name    password        second factor\n",
            env!("CARGO_PKG_VERSION"),
            Lab::BASE,
            self.ready().admin.display(),
            self.config_file().display(),
        );
        for guest in &self.people {
            let secret = guest.totp_secret().map(|secret| format!(": {secret}")).unwrap_or_default();
            let _ = writeln!(text, "  {:<7} {:<15} {}{secret}", guest.name, guest.password, guest.habit);
        }
        let _ = write!(text, "\nTry it yourself, from another terminal:\n\n{}", self.lines(radius, ldap));
        text
    }

    fn lines(&self, radius: SocketAddr, ldap: SocketAddr) -> String {
        let mut text = String::new();
        if let (Ok(alice), Ok(bob)) = (self.guest("alice"), self.guest("bob")) {
            let request = format!("radclient -x -t 60 {radius} auth {RADIUS_SECRET}");
            let _ = writeln!(text, "  printf 'User-Name=alice\\nUser-Password={}\\nMessage-Authenticator=0x00\\n' | {request}", alice.password);
            let _ = writeln!(text, "    then, with the State of the Access-Challenge and a code; each code works once: wait for the next");
            let _ = writeln!(text, "  printf 'User-Name=alice\\nUser-Password=CODE\\nState=0xSTATE\\nMessage-Authenticator=0x00\\n' | {request}");
            if let Some(secret) = alice.totp_secret() {
                let _ = writeln!(text, "  oathtool --totp -b {secret}");
            }
            let _ = writeln!(text, "  ldapwhoami -x -H ldap://{ldap} -D bob@{} -w {}", Lab::DOMAIN, bob.password);
            let _ = writeln!(text, "  ldapwhoami -x -H ldap://{ldap} -D alice@{} -w {},CODE", Lab::DOMAIN, alice.password);
            let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("vestibule"));
            let _ = write!(text, "  {} user list --socket {}", own.display(), self.ready().admin.display());
        }
        text
    }
}

fn open_directory(people: &[Guest]) -> Result<Lab, DemoError> {
    let family = |name: &str| match name {
        "alice" => ("Alice", "Archer"),
        "bob" => ("Bob", "Baker"),
        _ => ("Carol", "Clark"),
    };
    let listed = people.iter().map(|guest| {
        let (given, family) = family(guest.name);
        directory::Person::new(guest.name, given, family, guest.password)
    });
    Lab::open(loopback(0), listed.collect()).map_err(|error| DemoError::new("opening the lab directory", error))
}

async fn open_cloud(clock: Arc<dyn Clock>) -> Result<Cloud, DemoError> {
    let people = vec![
        cloud::Person::new("bob", Manner::Approves(Duration::from_millis(1_000))),
        cloud::Person::new("carol", Manner::Denies(Duration::from_millis(700))),
    ];
    Cloud::open(loopback(0), people, clock).await.map_err(|error| DemoError::new("opening the lab cloud", error))
}

/// The same file an administrator would write, with the same checks.
fn write_configuration(folder: &Path, directory: &Lab, cloud: &Cloud, port_base: Option<u16>) -> Result<PathBuf, DemoError> {
    let (radius, ldap) = match port_base {
        None => (RADIUS_PORT, LDAP_PORT),
        Some(0) => (0, 0),
        Some(base) => (base, base.checked_add(1).ok_or_else(|| DemoError::new("--port-base", "65534 at most"))?),
    };
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|error| DemoError::new("making a master key", error))?;
    let key = key.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let duo_key = cloud.key().expose_text().unwrap_or_default();
    for (name, secret) in [("master-key", key.as_str()), ("bind", Lab::SERVICE_PASSWORD), ("nas", RADIUS_SECRET), ("duo", duo_key)] {
        write_private(&folder.join(name), secret)?;
    }
    let text = format!(
        r#"[node]
name = "demo"
data_dir = "data"
master_key = {{ file = "master-key" }}

[directory.lab]
kind = "ad"
servers = ["ldap://{directory}"]
base = "{base}"
netbios = "{netbios}"
bind_name = "{service}"
bind_password = {{ file = "bind" }}

[provider.cloud]
kind = "duo"
host = "{host}"
url = "{url}"
key_id = "{key_id}"
key = {{ file = "duo" }}

[provider.tokens]
kind = "oath"

[policy.demo]
methods = [{{ push = "cloud" }}, {{ oath = "tokens" }}]

[[radius.listen]]
address = "127.0.0.1:{radius}"

[[radius.client]]
name = "vpn"
networks = ["127.0.0.0/8"]
secret = {{ file = "nas" }}
first = {{ directory = "lab" }}
code = {{ challenge = "Enter the code from your app:" }}
policy = "demo"

[[ldap.listen]]
name = "wiki"
address = "127.0.0.1:{ldap}"
transport = "plain"
directory = "lab"
code = {{ append = "," }}
policy = "demo"

[admin]
socket = "admin.sock"
group = "{group}"
"#,
        group = own_group(),
        directory = directory.address(),
        base = Lab::BASE,
        netbios = Lab::NETBIOS,
        service = Lab::SERVICE_NAME,
        host = cloud.host(),
        url = cloud.url(),
        key_id = cloud.key_id(),
    );
    let file = folder.join("vestibule.toml");
    write_private(&file, &text)?;
    Ok(file)
}

/// A group that is there; the folder is closed to it anyway.
fn own_group() -> String {
    let group = Group::from_gid(getegid()).ok().flatten();
    group.map_or_else(|| "root".to_owned(), |group| group.name)
}

fn write_private(path: &Path, text: &str) -> Result<(), DemoError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).map_err(|error| DemoError::new(&path.display().to_string(), error))
}

/// One request over the admin socket.
async fn ask<T: DeserializeOwned>(socket: &Path, page: &str, body: &serde_json::Value) -> Result<T, DemoError> {
    let doing = |error: reqwest::Error| DemoError::new(&format!("asking the admin socket for {page}"), error);
    let client = reqwest::Client::builder().unix_socket(socket).build().map_err(doing)?;
    let answer = client.post(format!("http://vestibule{page}")).json(body).send().await.map_err(doing)?;
    answer.error_for_status().map_err(doing)?.json().await.map_err(doing)
}

/// The seed out of an `otpauth://` line.
fn seed_of(uri: &str) -> Result<Seed, DemoError> {
    let base32 = uri.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).ok_or_else(|| DemoError::new("enrolling alice", "no secret came back"))?;
    let bytes = from_base32(base32).ok_or_else(|| DemoError::new("enrolling alice", "the secret is no base32"))?;
    Ok(Seed { base32: base32.to_owned(), bytes: Secret::new(bytes) })
}

/// RFC 4648 §6, without padding.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter.wrapping_sub(b'A'),
            b'2'..=b'7' => letter.wrapping_sub(b'2').wrapping_add(26),
            _ => return None,
        };
        held = (held << 5 | u32::from(value)) & 0xffff;
        bits = bits.wrapping_add(5);
        if bits >= 8 {
            bits = bits.wrapping_sub(8);
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn said<P: std::fmt::Display>(problems: &[P]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
