//! Tests of the configuration: what an administrator is told, and that what we ship loads.

mod carriers;
mod directories;
mod duo;
mod keys;
mod ldap;
mod pin;
mod policy;
mod providers;
mod radius;
mod secrets;
mod texts;
mod tls;
mod watched;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use vestibule::app::config::Config;
use vestibule::app::config::LogFormat;
use vestibule::app::config::Problem;
use vestibule::app::config::ProviderSettings;
use vestibule::app::config::admin_socket;
use vestibule::directory::Kind;
use vestibule::directory::Security;
use vestibule::domain::CodeEntry;
use vestibule::domain::FirstAlone;
use vestibule::domain::Method;
use vestibule::domain::OnOutage;
use vestibule::domain::Secret;
use vestibule::front::ldap::Transport;
use vestibule::wire::radius::Integrity;

/// A folder with a configuration, and one with all the secrets that the shipped files name.
struct Etc {
    folder: TempDir,
}

impl Etc {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["secrets", "texts"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let etc = Self { folder };
        let made = rcgen::generate_simple_self_signed(["mfa1.corp.example".to_owned()]).unwrap();
        for certificate in ["apps-ca.pem", "tls.pem", "corp-ca.pem", "proxy-ca.pem", "radsec-ca.pem"] {
            fs::write(etc.path(certificate), made.cert.pem()).unwrap();
        }
        for list in ["apps-crl.pem", "radsec-crl.pem"] {
            fs::write(etc.path(list), secrets::revocations().pem().unwrap()).unwrap();
        }
        for name in ["bridge-key", "bridge-key-old"] {
            etc.secret(name, &"0f1e2d3c".repeat(8));
        }
        etc.secret("tls-key", &made.signing_key.serialize_pem());
        etc.secret("master-key", &format!("{}\n", "0123456789abcdef".repeat(4)));
        let clients = [
            "cisco-asa",
            "fortigate",
            "globalprotect",
            "ivanti",
            "meraki",
            "mikrotik",
            "netscaler",
            "nps",
            "nps-secret",
            "ocserv",
            "openvpn",
            "pam-radius",
            "postgresql",
            "rd-gateway",
            "sonicwall",
            "strongswan",
            "switch",
        ];
        let keys = [
            "corp-bind",
            "branch-bind",
            "emea-bind",
            "ldap-bind",
            "duo-key",
            "entra-secret",
            "mail-password",
            "okta-token",
            "pi-key",
            "pi-password",
            "siem-token",
            "sms-key",
            "twilio-key",
        ];
        for name in keys.iter().chain(&clients) {
            etc.secret(name, &format!("{name}-5f0c1d7e9a2b\n"));
        }
        etc
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.path("secrets").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self, text: &str) -> Result<Config, Vec<Problem>> {
        let path = self.path("vestibule.toml");
        fs::write(&path, text.replace("/etc/vestibule/", &format!("{}/", self.folder.path().display()))).unwrap();
        Config::load_with(&path, Some(self.path("secrets")))
    }

    /// The problems, each as it is told, without the folder in front.
    fn told(&self, text: &str) -> Vec<String> {
        self.load(text).err().unwrap_or_default().iter().map(|problem| self.without_folder(problem)).collect()
    }

    fn warned(&self, text: &str) -> Vec<String> {
        self.load(text).unwrap().warnings.iter().map(|problem| self.without_folder(problem)).collect()
    }

    fn without_folder(&self, problem: &Problem) -> String {
        problem.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// The smallest configuration with everything in it.
const SMALL: &str = r#"
[node]
name = "mfa1"
data_dir = "data"
master_key = { file = "secrets/master-key" }
[directory.corp]
kind = "ad"
servers = ["ldaps://dc1.corp.example"]
base = "DC=corp,DC=example"
netbios = "CORP"
bind_name = "svc-mfa@corp.example"
bind_password = { file = "secrets/corp-bind" }
[provider.duo]
kind = "duo"
host = "api-xxxxxxxx.duosecurity.com"
key_id = "DIXXXXXXXXXXXXXXXXXX"
key = { file = "secrets/duo-key" }
[provider.tokens]
kind = "oath"
[policy.vpn]
methods = [{ push = "duo" }, { oath = "tokens" }]
[[radius.listen]]
address = "127.0.0.1:0"
[[radius.client]]
name = "fortigate"
networks = ["192.0.2.10"]
secret = { file = "secrets/fortigate" }
first = { directory = "corp" }
policy = "vpn"
[[ldap.listen]]
name = "wiki"
address = "127.0.0.1:0"
cert_file = "tls.pem"
key = { file = "secrets/tls-key" }
directory = "corp"
policy = "vpn"
"#;

/// `SMALL` with one line written in another way.
fn with(line: &str, other: &str) -> String {
    assert_eq!(SMALL.matches(line).count(), 1, "{line}");
    SMALL.replace(line, other)
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

fn only(told: &[String]) -> &str {
    assert_eq!(told.len(), 1, "{told:#?}");
    &told[0]
}

/// Each of another kind.
const TWENTY_MISTAKES: &str = r#"[node]
nmae = "mfa1"
data_dir = "data"
master_key = { credential = "duo-key" }
[limits]
reject_delay = "0s"
radius_inflight_max = "many"
[directory.corp]
kind = "ad"
servers = ["ldaps://dc1.corp.example", "dc2.corp.example"]
base = "corp.example"
netbios = "CORP"
bind_name = "svc-mfa@corp.example"
bind_password = { file = "secrets/corp-bind" }
[provider.tokens]
kind = "oath"
[policy.vpn]
methods = [
  { push = "tokens" },
  { oath = "tokns" },
]
outage = "opne"
[[radius.listen]]
address = "0.0.0.0"
[[radius.client]]
name = "fortigate"
networks = ["192.0.2.7/24"]
secret = "hunter2"
first = { directory = "crop" }
policy = "vnp"
[[ldap.listen]]
name = "fortigate"
address = "0.0.0.0:389"
transport = "plain"
directory = "corp"
code = { challenge = "Code:" }
policy = "vpn"
[portal]
address = "0.0.0.0:443"
"#;

#[test]
fn every_mistake_of_a_file_is_told_at_once_with_path_line_and_hint() {
    let etc = Etc::new();
    fs::set_permissions(etc.path("secrets/corp-bind"), fs::Permissions::from_mode(0o640)).unwrap();
    let told = etc.told(TWENTY_MISTAKES);
    let expected = [
        "vestibule.toml:1: node.name: is missing (write name = \"mfa1\")",
        "vestibule.toml:2: node.nmae: is an unknown key (did you mean `name`?)",
        "vestibule.toml:4: node.master_key: the master key is not 64 hexadecimal digits (type: openssl rand -hex 32 > FILE)",
        "vestibule.toml:6: limits.reject_delay: \"0s\" is out of bounds (1s to 10s)",
        "vestibule.toml:7: limits.radius_inflight_max: is a string (expected a whole number without quotes)",
        "vestibule.toml:10: directory.corp.servers[1]: ",
        "vestibule.toml:11: directory.corp.base: \"corp.example\" is no distinguished name (write \"DC=corp,DC=example\")",
        "vestibule.toml:14: directory.corp.bind_password.file: secrets/corp-bind can be read or changed by others than its owner (mode 0640) (type: chmod 600 secrets/corp-bind)",
        "vestibule.toml:19: policy.vpn.methods[0].push: `tokens` is of kind \"oath\": it cannot do push (write { oath = \"tokens\" })",
        "vestibule.toml:20: policy.vpn.methods[1].oath: there is no provider \"tokns\" (did you mean `tokens`?)",
        "vestibule.toml:22: policy.vpn.outage: \"opne\" is unknown here (did you mean `open`?)",
        "vestibule.toml:24: radius.listen[0].address: \"0.0.0.0\" is not an address with a port (write \"0.0.0.0:1812\", \"[::]:1812\" or \"127.0.0.1:1812\")",
        "vestibule.toml:27: radius.client[0].networks[0]: `192.0.2.7/24` has bits set behind its prefix: write 192.0.2.0/24, or 192.0.2.7/32",
        "vestibule.toml:28: radius.client[0].secret: a secret is never written here (put it in a file",
        "vestibule.toml:29: radius.client[0].first.directory: there is no directory \"crop\" (did you mean `corp`?)",
        "vestibule.toml:30: radius.client[0].policy: there is no policy \"vnp\" (did you mean `vpn`?)",
        "vestibule.toml:31: ldap.listen[0]: would take passwords in clear text from other machines (use transport = \"tls\"",
        "vestibule.toml:32: ldap.listen[0].name: radius.client[0] has the name \"fortigate\" already (",
        "vestibule.toml:36: ldap.listen[0].code.challenge: an LDAP bind cannot ask back (write { append",
        "vestibule.toml:38: portal: is an unknown key (there are ",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    assert!(!told.iter().any(|told| told.contains("hunter2")), "a secret in the wrong place is not repeated");
}

#[test]
fn what_is_left_out_is_as_the_commented_file_says() {
    let config = Etc::new().load(SMALL).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.name, "mfa1");
    assert_eq!(config.store.master_key.expose(), [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4));
    assert_eq!((config.log.level, config.log.format), (tracing::Level::INFO, LogFormat::Text));
    assert_eq!(config.limits.radius_inflight_max, 100_000);
    assert_eq!(config.limits.radius_answer_keep, Duration::from_secs(30));
    assert_eq!(config.limits.ldap_connections_max, 9_500);
    assert_eq!(config.limits.ldap_pdu_bytes_max, 4_194_304);
    assert_eq!(config.limits.login_deadline, Duration::from_secs(55));
    assert_eq!(config.limits.challenge_keep, Duration::from_secs(120));
    assert_eq!(config.limits.reject_delay, Duration::from_secs(1));
    assert_eq!((config.admin.socket.as_path(), config.admin.group.as_str()), (Path::new("/run/vestibule/admin.sock"), "vestibule"));

    let directory = &config.directories[0];
    assert_eq!((directory.kind, directory.netbios.as_deref(), directory.pool_max, directory.timeout), (Kind::Ad, Some("CORP"), 16, Duration::from_secs(5)));
    let server = &directory.servers[0];
    assert_eq!((server.host.as_str(), server.port, server.security), ("dc1.corp.example", 636, Security::Tls));
    assert_eq!(directory.bind_password, Secret::from("corp-bind-5f0c1d7e9a2b"), "without the newline at its end");

    let rules = &config.policies["vpn"].rules;
    let methods: Vec<(Method, &str)> = rules.methods.iter().map(|choice| (choice.method, &*choice.provider)).collect();
    assert_eq!(methods, [(Method::Push, "duo"), (Method::Oath, "tokens")]);
    assert_eq!((rules.unenrolled, rules.disabled, rules.outage), (FirstAlone::Reject, FirstAlone::Reject, OnOutage::Closed));
    assert_eq!((rules.lock.failures_max, rules.lock.wait_ms), (5, 900_000));

    let client = &config.radius_clients[0];
    assert_eq!((client.integrity, client.patience, client.source), (Integrity::Require, Duration::from_secs(60), None));
    assert_eq!(client.code, CodeEntry::Challenge("Enter your code:".into()));
    let listen = &config.ldap_listen[0];
    assert_eq!(listen.code, CodeEntry::Append(",".into()));
    assert!(matches!(listen.transport, Transport::Tls(_)));
    let ProviderSettings::Oath(oath) = &config.providers[1] else { panic!("{:?}", config.providers) };
    assert_eq!((oath.steps_around, oath.look_ahead), (1, 10));
}

#[test]
fn what_we_ship_loads_without_a_warning() {
    let etc = Etc::new();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let pages = fs::read_dir(config.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = pages.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    assert!(pages.len() >= 15, "{pages:#?}");
    for shipped in pages.iter().chain([&config.join("vestibule.toml")]) {
        let loaded = etc.load(&fs::read_to_string(shipped).unwrap()).unwrap_or_else(|problems| panic!("{}: {problems:#?}", shipped.display()));
        assert_eq!(loaded.warnings, [], "{}", shipped.display());
    }
}

/// Each optional key of the commented file, uncommented by itself, is one that can be used.
#[test]
fn every_commented_key_can_be_uncommented() {
    let etc = Etc::new();
    let shipped = include_str!("../../config/vestibule.toml");
    let optional = |line: &&str| line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")).is_some_and(|(key, _)| !key.contains(' '));
    let found: Vec<&str> = shipped.lines().filter(optional).collect();
    assert!(found.len() > 20, "{found:#?}");
    for line in found {
        let told = etc.told(&shipped.replace(line, &line[2..]));
        assert_eq!(told, Vec::<String>::new(), "{line}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let etc = Etc::new();
    let text = with("[[ldap.listen]]", "patiance = \"60s\"\n[[ldap.listen]]");
    assert!(only(&etc.told(&text)).ends_with("radius.client[0].patiance: is an unknown key (did you mean `patience`?)"));
}

#[test]
fn keys_that_are_not_there_yet_are_unknown_and_not_ignored() {
    let etc = Etc::new();
    for (line, other) in
        [("kind = \"oath\"", "kind = \"oath\"\nsend = [\"name\"]"), ("[[radius.listen]]", "[cluster]\nlisten = \"10.0.0.5:7443\"\n[[radius.listen]]")]
    {
        let told = etc.told(&with(line, other));
        assert!(told.iter().any(|told| told.contains("is an unknown key")), "{other}: {told:#?}");
    }
}

#[test]
fn r_021_two_clients_in_the_very_same_network_are_refused_and_one_inside_another_is_not() {
    let etc = Etc::new();
    let second = |network: &str| {
        format!(
            "{SMALL}[[radius.client]]\nname = \"asa\"\nnetworks = [\"{network}\"]\nsecret = {{ file = \"secrets/fortigate\" }}\nfirst = {{ directory = \"corp\" }}\npolicy = \"vpn\"\n"
        )
    };
    for same in ["192.0.2.10", "192.0.2.10/32", "::ffff:192.0.2.10"] {
        assert!(only(&etc.told(&second(same))).contains("radius.client[1].networks[0]: 192.0.2.10/32 is in radius.client[0] already"), "{same}");
    }
    assert_eq!(etc.told(&second("192.0.2.0/24")), Vec::<String>::new());
    let named = second("192.0.2.10").replace("name = \"asa\"", "name = \"asa\"\nnas_identifier = \"asa\"");
    assert_eq!(etc.told(&named), Vec::<String>::new(), "told apart after the secret");
    let (first, rest) = named.rsplit_once("secrets/fortigate").unwrap();
    assert!(only(&etc.told(&format!("{first}secrets/ivanti{rest}"))).contains("with another secret"));
    assert!(only(&etc.told(&format!("{named}integrity = \"optional\"\n"))).contains("with another integrity"));
}

#[test]
fn l_086_clear_text_from_other_machines_needs_a_word() {
    let etc = Etc::new();
    let plain = |address: &str, word: &str| {
        let text = with("cert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }", &format!("transport = \"plain\"\n{word}"));
        text.replace("name = \"wiki\"\naddress = \"127.0.0.1:0\"", &format!("name = \"wiki\"\naddress = \"{address}\""))
    };
    assert_eq!(etc.warned(&plain("127.0.0.1:389", "")), Vec::<String>::new());
    assert_eq!(etc.warned(&plain("[::1]:389", "")), Vec::<String>::new());
    assert_eq!(etc.warned(&plain("[::ffff:127.0.0.1]:389", "")), Vec::<String>::new());
    for open in ["0.0.0.0:389", "[::]:389", "192.0.2.1:389", "[::ffff:192.0.2.1]:389"] {
        assert!(only(&etc.told(&plain(open, ""))).contains("clear text"), "{open}");
        assert!(only(&etc.told(&plain(open, "allow_plain = false"))).contains("clear text"), "{open}");
        assert!(only(&etc.warned(&plain(open, "allow_plain = true"))).contains("clear text"), "{open}");
    }
}

#[test]
fn a_code_that_nobody_can_hand_over_is_no_policy() {
    let etc = Etc::new();
    let codes_alone = with("methods = [{ push = \"duo\" }, { oath = \"tokens\" }]", "methods = [{ oath = \"duo\" }, { oath = \"tokens\" }]");
    for (door, key) in [("[[ldap.listen]]", "radius.client[0].policy"), ("directory = \"corp\"\npolicy", "ldap.listen[0].policy")] {
        let text = codes_alone.replacen(door, &format!("code = \"none\"\n{door}"), 1);
        assert!(only(&etc.told(&text)).contains(&format!("{key}: \"vpn\" asks for codes alone")), "{door}");
    }
    let with_push = with("[[ldap.listen]]", "code = \"none\"\n[[ldap.listen]]");
    assert_eq!(etc.load(&with_push).unwrap().radius_clients[0].code, CodeEntry::None);
}

#[test]
fn r_066_codes_are_cut_off_in_ways_that_can_be_told_apart_from_them() {
    let etc = Etc::new();
    let code = |way: &str| with("[[ldap.listen]]", &format!("code = {way}\n[[ldap.listen]]"));
    let read = |way: &str| etc.load(&code(way)).unwrap().radius_clients[0].code.clone();
    assert_eq!(read("{ append = \"::\" }"), CodeEntry::Append("::".into()));
    assert_eq!(read("{ append_digits = 8 }"), CodeEntry::AppendDigits(8));
    assert_eq!(read("{ challenge = \"Kode?\" }"), CodeEntry::Challenge("Kode?".into()));
    for bad in [
        "{ append = \"\" }",
        "{ append = \"1\" }",
        "{ append = \"a9\" }",
        "{ append_digits = 5 }",
        "{ append_digits = 9 }",
        "\"never\"",
        "{}",
        "6",
        "{ append = \",\", append_digits = 6 }",
    ] {
        assert!(only(&etc.told(&code(bad))).contains("radius.client[0].code"), "{bad}");
    }
    let long = format!("{{ challenge = \"{}\" }}", "x".repeat(254));
    assert!(only(&etc.told(&code(&long))).contains("253"));
}

#[test]
fn bounds_hold_at_both_ends() {
    let etc = Etc::new();
    let limit = |key: &str, value: &str| with("[directory.corp]", &format!("[limits]\n{key} = {value}\n[directory.corp]"));
    for (key, fine, bad) in [
        ("reject_delay", ["\"1s\"", "\"10s\""], ["\"999ms\"", "\"11s\""]),
        ("radius_answer_keep", ["\"5s\"", "\"30s\""], ["\"4s\"", "\"31s\""]),
        ("challenge_keep", ["\"1s\"", "\"5m\""], ["\"0s\"", "\"301s\""]),
        ("login_deadline", ["\"1s\"", "\"5m\""], ["\"0s\"", "\"6m\""]),
        ("radius_inflight_max", ["1", "10_000_000"], ["0", "-1"]),
        ("ldap_connections_max", ["1", "1_000_000"], ["0", "99999999999999999999"]),
        ("ldap_pdu_bytes_max", ["65_536", "0x1000_0000"], ["65_535", "4194304.0"]),
    ] {
        for value in fine {
            assert_eq!(etc.told(&limit(key, value)), Vec::<String>::new(), "{key} = {value}");
        }
        for value in bad {
            assert!(only(&etc.told(&limit(key, value))).contains(&format!("limits.{key}: ")), "{key} = {value}");
        }
    }
}

#[test]
fn what_is_allowed_but_dangerous_or_idle_is_warned_of() {
    let etc = Etc::new();
    let cases = [
        (with("[[radius.listen]]", "lock = { failures_max = 0 }\n[[radius.listen]]"), "policy.vpn.lock.failures_max: never locks"),
        (
            with("[[radius.listen]]", "trusted = [\"0.0.0.0/0\"]\n[[radius.listen]]")
                .replace("[[ldap.listen]]", "source = \"Calling-Station-Id\"\n[[ldap.listen]]"),
            "policy.vpn.trusted[0]: trusts every address",
        ),
        (with("networks = [\"192.0.2.10\"]", "networks = [\"::/0\"]"), "radius.client[0].networks[0]: lets every address speak"),
        (with("netbios = \"CORP\"\n", ""), "directory.corp: has no `netbios`"),
        (with("[policy.vpn]", "[policy.old]\nmethods = [{ call = \"duo\" }]\n[policy.vpn]"), "policy.old: no client and no listener uses this policy"),
        (with("[provider.tokens]", "[provider.other]\nkind = \"oath\"\n[provider.tokens]"), "provider.other: no policy uses this provider"),
        (with("[[radius.listen]]\naddress = \"127.0.0.1:0\"\n", ""), "has RADIUS clients and no RADIUS listener"),
        (
            with("[[ldap.listen]]", "patience = \"5s\"\n[[ldap.listen]]").replace("[directory.corp]", "[limits]\nreject_delay = \"3s\"\n[directory.corp]"),
            "radius.client[0].patience: ",
        ),
    ];
    for (text, expected) in cases {
        let warned = etc.warned(&text);
        assert!(only(&warned).contains(expected), "{warned:?}\n{expected}");
    }
    let doorless = SMALL.split("[[radius.listen]]").next().unwrap();
    assert!(etc.warned(doorless).iter().any(|told| told.contains("opens no door")));
}

#[test]
fn a_policy_that_lets_nobody_in_is_refused() {
    let etc = Etc::new();
    let policy = |rest: &str| with("methods = [{ push = \"duo\" }, { oath = \"tokens\" }]", rest);
    for nobody in ["", "methods = []", "methods = []\ntrusted = []"] {
        assert!(only(&etc.told(&policy(nobody))).contains("policy.vpn: lets nobody in"), "{nobody}");
    }
    assert_eq!(etc.told(&policy("trusted = [\"10.0.0.0/8\"]")), Vec::<String>::new());
    assert!(only(&etc.told(&policy("methods = [{ push = \"duo\" }, { push = \"duo\" }]"))).contains("methods[1]: is listed twice"));
    assert!(only(&etc.told(&policy("methods = [{ call = \"tokens\" }, { oath = \"tokens\" }]"))).contains("it cannot do call"));
}

#[test]
fn listeners_that_the_kernel_would_refuse_are_told_before() {
    let etc = Etc::new();
    let two = |one: &str, other: &str| {
        with("[[radius.listen]]\naddress = \"127.0.0.1:0\"", &format!("[[radius.listen]]\naddress = \"{one}\"\n[[radius.listen]]\naddress = \"{other}\""))
    };
    for (one, other) in [("127.0.0.1:1812", "127.0.0.1:1812"), ("0.0.0.0:1812", "127.0.0.1:1812"), ("[::1]:1812", "[::]:1812")] {
        assert!(only(&etc.told(&two(one, other))).contains("radius.listen[1].address: another listener is at"), "{one} {other}");
    }
    for (one, other) in
        [("127.0.0.1:0", "127.0.0.1:0"), ("127.0.0.1:1812", "127.0.0.1:1813"), ("127.0.0.1:1812", "127.0.0.2:1812"), ("0.0.0.0:1812", "[::1]:1812")]
    {
        let read: Vec<SocketAddr> = etc.load(&two(one, other)).unwrap().radius_listen.iter().map(|listen| listen.address).collect();
        assert_eq!(read, [one, other].map(|text| text.parse::<SocketAddr>().unwrap()), "in the order of the file");
    }
}

#[test]
fn questions_about_people_do_not_travel_in_clear_text() {
    let etc = Etc::new();
    let url = |url: &str| with("key_id = \"DIXXXXXXXXXXXXXXXXXX\"", &format!("key_id = \"DI\"\nurl = \"{url}\""));
    for fine in ["https://proxy.corp.example:8443", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:1/"] {
        assert_eq!(etc.told(&url(fine)), Vec::<String>::new(), "{fine}");
    }
    for bad in [
        "http://proxy.corp.example",
        "http://127.0.0.1.example:80",
        "ftp://127.0.0.1",
        "proxy:8443",
        "https://a/path",
        "https://user:word@proxy",
        "https://a/?q",
    ] {
        assert!(only(&etc.told(&url(bad))).contains("provider.duo.url"), "{bad}");
    }
    let server = |server: &str| with("\"ldaps://dc1.corp.example\"", &format!("\"{server}\""));
    assert_eq!(etc.told(&server("ldap://127.0.0.1:3890")), Vec::<String>::new());
    assert!(only(&etc.told(&server("ldap://dc1.corp.example"))).contains("directory.corp.servers[0]"));
}

/// The parser's own words quote the line, and on it may stand a secret.
#[test]
fn text_that_is_no_toml_is_told_with_its_lines_and_without_what_stands_there() {
    let etc = Etc::new();
    let text = with("base = \"DC=corp,DC=example\"", "base = DC=corp hunter2").replace("patience", "").replace("name = \"wiki\"", "name = \"wiki");
    let told = etc.told(&text);
    for broken in ["base = DC", "name = \"wiki"] {
        let place = format!("vestibule.toml:{}: this is no TOML", line_of(&text, broken));
        assert!(told.iter().any(|told| told.starts_with(&place)), "{place}\n{told:#?}");
    }
    assert!(!told.iter().any(|told| told.contains("hunter2")), "{told:#?}");
    assert!(!told.iter().any(|told| told.contains("is missing") || told.contains("there is no ")), "guesses about what was torn: {told:#?}");
}

/// What cannot be read may hold what seems to be missing; only what is certainly wrong is told beside it.
#[test]
fn what_broken_toml_hides_is_not_called_missing() {
    let etc = Etc::new();
    for (line, torn) in [
        ("name = \"mfa1\"", "name \"mfa1\""),
        ("name = \"mfa1\"", "name : \"mfa1\""),
        ("name = \"mfa1\"", "name = mfa1"),
        ("netbios = \"CORP\"", "netbios = \"CORP\"\npool_max = many"),
        ("[provider.tokens]", "[provider.tokens"),
        ("[provider.tokens]", "provider.tokens]"),
        ("[directory.corp]", "[directory corp]"),
        ("key_id = \"DIXXXXXXXXXXXXXXXXXX\"", "key id = \"DI\""),
    ] {
        let told = etc.told(&with(line, torn));
        assert!(!told.is_empty() && told.iter().all(|told| told.contains("this is no TOML")), "{torn}: {told:#?}");
    }
}

#[test]
fn mistakes_beside_broken_toml_are_told_with_it() {
    let text = with("netbios = \"CORP\"", "netbios = CORP").replace("policy = \"vpn\"\n[[ldap", "patiance = \"1m\"\npolicy = \"vpn\"\n[[ldap");
    let told = Etc::new().told(&text);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("this is no TOML") && told[1].contains("radius.client[0].patiance"), "{told:#?}");
}

#[test]
fn a_file_that_is_away_is_told_by_its_path() {
    let problems = Config::load_with(Path::new("/nowhere/vestibule.toml"), None).unwrap_err();
    assert!(problems[0].to_string().starts_with("/nowhere/vestibule.toml: cannot be read"), "{problems:?}");
    let etc = Etc::new();
    fs::write(etc.path("vestibule.toml"), [0xff, 0xfe]).unwrap();
    assert!(Config::load_with(&etc.path("vestibule.toml"), None).unwrap_err()[0].message.contains("UTF-8"));
    assert!(etc.told("").iter().any(|told| told == "vestibule.toml: node: is missing (write [node] with name, data_dir and master_key)"));
}

#[test]
fn problems_are_json_for_machines() {
    let problems = Etc::new().load(&with("kind = \"oath\"", "kind = \"oaht\"")).unwrap_err();
    let json = serde_json::to_value(&problems).unwrap();
    assert_eq!(json[0]["path"], "provider.tokens.kind");
    assert_eq!(json[0]["line"], line_of(SMALL, "kind = \"oath\""));
    assert!(json[0]["message"].is_string() && json[0]["hint"].is_string() && json[0]["file"].is_string());
}

/// A command that only wants to reach the server may not read secrets and must not need to.
#[test]
fn the_admin_socket_is_found_without_any_secret() {
    let etc = Etc::new();
    let path = etc.path("vestibule.toml");
    fs::write(&path, with("{ file = \"secrets/fortigate\" }", "{ file = \"secrets/away\" }")).unwrap();
    assert_eq!(admin_socket(&path).unwrap(), Path::new("/run/vestibule/admin.sock"));
    fs::write(&path, "[admin]\nsocket = \"admin.sock\"\n").unwrap();
    assert_eq!(admin_socket(&path).unwrap(), etc.path("admin.sock"));
    fs::write(&path, format!("[admin]\nsocket = \"/{}\"\n", "x".repeat(107))).unwrap();
    assert!(admin_socket(&path).unwrap_err()[0].message.contains("too long for a socket"));
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["user", "list", "--config"]).arg(&path).output().unwrap();
    assert!(output.status.code() == Some(3) && String::from_utf8_lossy(&output.stderr).contains("--socket PATH"), "{output:?}");
}
