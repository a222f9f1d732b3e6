//! Tests of the server as a whole: the real binary, its ready line, signals, outages and counters.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use vestibule::app::clock::WallClock;
use vestibule::demo::cloud;
use vestibule::demo::cloud::Cloud;
use vestibule::demo::cloud::Manner;
use vestibule::demo::directory::Lab;
use vestibule::domain::Secret;
use vestibule::domain::otp;
use vestibule::ports::Clock;
use vestibule::wire::radius::Code;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::upstream::AccessRequest;

use crate::lab;
use crate::lab::House;
use crate::lab::ask;
use crate::lab::furnish;
use crate::lab::people;

const PATIENCE: Duration = Duration::from_secs(10);
const PASSWORD: &str = "Wonder-Land-1";

fn anywhere() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// The code that an app would show for this `otpauth://` line.
pub(crate) fn code_of(uri: &str) -> String {
    let secret = uri.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).unwrap();
    let seed = totp_rs::Secret::try_from_base32(secret).unwrap();
    otp::code(otp::Algorithm::Sha1, &Secret::new(seed.as_bytes().to_vec()), otp::step_at(WallClock.now(), 30), 6)
}

pub(crate) fn counted(house: &House, what: &str) -> bool {
    let client = reqwest::Client::builder().unix_socket(house.folder.path().join("admin.sock")).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async { client.get("http://vestibule/metrics").send().await.unwrap().text().await.unwrap() });
    text.lines().any(|line| line.starts_with(what))
}

#[test]
fn the_ready_line_is_as_the_contract_says() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let ready = house.ready.as_object().unwrap();
    let keys: Vec<&str> = ready.keys().map(String::as_str).collect();
    assert_eq!(keys, ["admin", "ldap", "metrics", "portal", "radius", "radius_accounting", "ready"]);
    assert_eq!(ready["ready"], json!(true));
    assert!(ready["radius"][0].as_str().unwrap().starts_with("127.0.0.1:") && ready["radius"][1].as_str().unwrap().starts_with("[::1]:"));
    assert_eq!([&ready["ldap"], &ready["radius_accounting"], &ready["portal"], &ready["metrics"]], [&json!([]), &json!([]), &json!(null), &json!(null)]);
    assert!(ready["admin"].as_str().unwrap().ends_with("/admin.sock"));
}

#[test]
fn the_ready_line_leads_to_the_admin_socket_from_everywhere() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["serve", "--config", "vestibule.toml"]).current_dir(folder.path());
    let house = House::of(command, folder);
    let admin = std::path::Path::new(house.ready["admin"].as_str().unwrap());
    assert!(admin.is_absolute() && admin.exists(), "{admin:?}");
}

#[test]
fn a_code_opens_once_whatever_the_spelling_of_the_name() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let code = code_of(&house.enrol("alice"));
    let challenge = ask(house.radius(), 1, "alice", PASSWORD, b"", PATIENCE).unwrap();
    assert_eq!(challenge.code, Code::AccessChallenge);
    assert_eq!(ask(house.radius(), 2, "alice", &code, &challenge.state, PATIENCE).unwrap().code, Code::AccessAccept);
    for name in ["ALICE@example.test", "EXAMPLE\\alice", "alice "] {
        let challenge = ask(house.radius(), 3, name, PASSWORD, b"", PATIENCE).unwrap();
        assert_eq!(ask(house.radius(), 4, name, &code, &challenge.state, PATIENCE).unwrap().code, Code::AccessReject, "{name}");
    }
    assert_eq!(house.json(&["user", "show", "alice"])["failures"], json!(3));
    assert!(counted(&house, r#"vestibule_logins_total{door="radius",client="nas",decision="reject",why="bad_code"} 3"#));
}

#[test]
fn o_05_the_memory_of_the_server_is_nobody_elses_to_read() {
    let directory = people(anywhere());
    // Of one user, and none with a power that the other has not: root would look anyway.
    let bare = |words: &[&str]| {
        let root = nix::unistd::geteuid().is_root();
        let words = [if root { &["setpriv", "--bounding-set=-all", "--inh-caps=-all"][..] } else { &["env"] }, words].concat();
        let mut command = std::process::Command::new(words[0]);
        command.args(&words[1..]);
        command
    };
    let folder = furnish(directory.address(), "");
    let config = folder.path().join("vestibule.toml").display().to_string();
    let house = House::of(bare(&[env!("CARGO_BIN_EXE_vestibule"), "serve", "--config", &config]), folder);
    let limits = fs::read_to_string(format!("/proc/{}/limits", house.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    let look = |pid: &str| bare(&["sh", "-c", &format!("cat /proc/{pid}/maps; true")]).output().unwrap();
    assert!(!look("$$").stdout.is_empty(), "what is looked with sees its like");
    let refused = look(&house.pid().to_string());
    assert!(refused.stdout.is_empty() && String::from_utf8_lossy(&refused.stderr).contains("Permission denied"), "the memory can be read: {refused:?}");
}

#[test]
fn r_017_r_020_r_025_strangers_and_wrong_secrets_hear_nothing_and_are_counted_and_logged() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let forged = {
        let mut forged = lab::request(1, "alice", PASSWORD, b"");
        *forged.last_mut().unwrap() ^= 1;
        forged
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&forged, house.radius()).unwrap();
    let stranger = UdpSocket::bind("127.0.0.9:0").unwrap();
    stranger.send_to(&lab::request(2, "alice", PASSWORD, b""), house.radius()).unwrap();
    // The next good request is answered after both were read.
    assert_eq!(ask(house.radius(), 3, "nobody", PASSWORD, b"", PATIENCE).unwrap().code, Code::AccessReject);
    for why in ["wrong_signature", "unknown_client"] {
        assert!(counted(&house, &format!(r#"vestibule_discards_total{{door="radius",why="{why}"}} 1"#)), "{why}");
    }
    let told = house.until("no [[radius.client]] has this address").join("\n");
    assert!(told.contains("check the shared secret") && told.contains("127.0.0.9"), "{told}");
    for silent in [socket, stranger] {
        silent.set_nonblocking(true).unwrap();
        assert!(silent.recv(&mut [0; 4096]).is_err());
    }
}

#[test]
fn r_031_a_client_that_says_nothing_about_it_must_sign() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let unsigned = [&[1, 7, 0, 45][..], &[9; 16], &[1, 7], b"alice", &[2, 18], &[5; 16]].concat();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&unsigned, house.radius()).unwrap();
    assert_eq!(ask(house.radius(), 3, "nobody", PASSWORD, b"", PATIENCE).unwrap().code, Code::AccessReject);
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 4096]).is_err());
    assert!(counted(&house, r#"vestibule_discards_total{door="radius",why="unsigned"} 1"#));
}

#[test]
fn r_061_a_password_that_is_no_utf8_is_refused_and_never_guessed_at() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let request = AccessRequest::new(1, *b"random, no doubt").with(attr::USER_NAME, b"alice").password(b"Stra\xdfe-1");
    let sent = request.signed(lab::SECRET.as_bytes()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(house.radius()).unwrap();
    socket.send(&sent).unwrap();
    assert_eq!(lab::heard(&socket, &sent, PATIENCE).unwrap().code, Code::AccessReject);
    assert_eq!(directory.binds_of("alice"), 0);
}

#[test]
fn r_055_a_login_resent_with_a_new_identifier_is_one_push() {
    let directory = people(anywhere());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let people = vec![cloud::Person::new("bob", Manner::Told)];
    let cloud = runtime.block_on(Cloud::open(anywhere(), people, Arc::new(WallClock))).unwrap();
    let more = format!(
        "[provider.cloud]\nkind = \"duo\"\nhost = \"{}\"\nurl = \"{}\"\nkey_id = \"{}\"\nkey = {{ file = \"duo\" }}\n\
         [policy.push]\nmethods = [{{ push = \"cloud\" }}]\n\
         [[radius.client]]\nname = \"vpn\"\nnetworks = [\"127.0.0.2/32\"]\nsecret = {{ file = \"nas\" }}\nfirst = {{ directory = \"lab\" }}\npolicy = \"push\"\n",
        cloud.host(),
        cloud.url(),
        cloud.key_id(),
    );
    let folder = furnish(directory.address(), &more);
    fs::write(folder.path().join("duo"), cloud.key().expose()).unwrap();
    let house = House::open(folder);
    assert!(house.say(&["user", "add", "bob"]).status.success());
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.connect(house.radius()).unwrap();
    socket.send(&lab::request(1, "bob", "Builder-Can-2", b"")).unwrap();
    runtime.block_on(cloud.pushed("bob", 1));
    let resent = lab::request(2, "bob", "Builder-Can-2", b"");
    socket.send(&resent).unwrap();
    // A request of somebody else is answered after the resent one was read.
    ask(house.radius(), 3, "nobody", PASSWORD, b"", PATIENCE).unwrap();
    assert_eq!(cloud.approve("bob"), 1);
    assert_eq!(lab::heard(&socket, &resent, PATIENCE).unwrap().code, Code::AccessAccept);
    assert_eq!(cloud.pushes("bob"), 1);
    assert_eq!(directory.binds_of("bob"), 1);
}

#[test]
fn o_21_a_directory_away_is_silence_and_one_line_and_comes_back_by_itself() {
    let mut directory = people(anywhere());
    let address = directory.address();
    let house = House::open(furnish(address, ""));
    house.enrol("alice");
    drop(directory);
    for identifier in 1..=3 {
        assert!(ask(house.radius(), identifier, "alice", PASSWORD, b"", Duration::from_millis(1_500)).is_none());
    }
    directory = people(address);
    let login = || ask(house.radius(), 9, "alice", PASSWORD, b"", Duration::from_millis(700));
    let back = std::iter::repeat_with(login).take(60).flatten().next().expect("an answer once the directory is back");
    assert_eq!(back.code, Code::AccessChallenge);
    let warnings = house.until("decision=\"drop\"").into_iter().filter(|line| line.contains(" WARN ") && line.contains("directory")).count();
    assert_eq!(warnings, 1, "one line a change of state");
    drop(directory);
}

#[test]
fn a_reload_takes_a_new_client_and_a_wrong_file_changes_nothing() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let good = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), good.replace("networks", "network")).unwrap();
    house.signal(Signal::SIGHUP);
    let told = house.until("not reloaded").join("\n");
    assert!(told.contains("did you mean `networks`") || told.contains("networks"), "{told}");
    assert_eq!(ask(house.radius(), 1, "nobody", PASSWORD, b"", PATIENCE).unwrap().code, Code::AccessReject);
    let client =
        "[[radius.client]]\nname = \"new\"\nnetworks = [\"127.0.0.7/32\"]\nsecret = { file = \"nas\" }\nfirst = { directory = \"lab\" }\npolicy = \"codes\"\n";
    fs::write(house.config(), format!("{good}{client}")).unwrap();
    house.signal(Signal::SIGHUP);
    house.until("reloaded");
    let socket = UdpSocket::bind("127.0.0.7:0").unwrap();
    socket.connect(house.radius()).unwrap();
    let sent = lab::request(2, "nobody", PASSWORD, b"");
    socket.send(&sent).unwrap();
    assert_eq!(lab::heard(&socket, &sent, PATIENCE).unwrap().code, Code::AccessReject);
}

#[test]
fn a_client_is_added_with_a_secret_of_its_own_and_taken_at_once() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let out = house.say(&["client", "add", "branch", "--network", "127.0.0.8", "--profile", "fortigate", "--policy", "codes"]);
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let secret = told.lines().find_map(|line| line.strip_prefix("secret: ")).unwrap();
    assert!(told.contains("set server \"192.0.2.1\""), "what to set on the other side: {told}");
    let socket = UdpSocket::bind("127.0.0.8:0").unwrap();
    socket.connect(house.radius()).unwrap();
    let sent = lab::request_with(secret.as_bytes(), 2, "nobody", PASSWORD, b"");
    socket.send(&sent).unwrap();
    assert_eq!(lab::heard_with(secret.as_bytes(), &socket, &sent, PATIENCE).unwrap().code, Code::AccessReject);
    let again = house.say(&["client", "add", "branch", "--network", "127.0.0.9", "--policy", "codes"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"), "{again:?}");
    let clash = house.say(&["client", "add", "other", "--network", "127.0.0.8", "--policy", "codes"]);
    let clash_told = String::from_utf8_lossy(&clash.stderr).into_owned();
    assert!(clash.status.code() == Some(3) && clash_told.contains("conf.d/other.toml") && clash_told.contains("everything stays as it was"), "{clash_told}");
    assert!(!house.config().with_file_name("conf.d").join("other.toml").exists());
    assert!(house.say(&["reload"]).status.success(), "nothing wrong was left behind");
}

#[test]
fn o_03_a_client_is_added_while_no_server_runs_and_a_wrong_one_leaves_nothing_behind() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    let at = |name: &str| folder.path().join(name);
    let serves = if nix::unistd::geteuid().is_root() { 65_534 } else { nix::unistd::geteuid().as_raw() };
    fs::create_dir(at("data")).unwrap();
    std::os::unix::fs::chown(at("data"), Some(serves), None).unwrap();
    let add = |name: &str, network: &str| {
        let words = ["client", "add", name, "--network", network, "--policy", "codes", "--config", "vestibule.toml"];
        std::process::Command::new(env!("CARGO_BIN_EXE_vestibule")).current_dir(folder.path()).args(words).output().unwrap()
    };
    let added = add("branch", "127.0.0.8");
    assert!(added.status.success() && String::from_utf8_lossy(&added.stderr).contains("takes it when it starts"), "{added:?}");
    let secret = fs::metadata(at("secrets/branch.radius")).unwrap();
    assert_eq!((secret.uid(), secret.mode() & 0o777), (serves, 0o400));
    assert_eq!(add("other", "127.0.0.8").status.code(), Some(3), "two of one address");
    fs::write(at("conf.d/vpn.toml"), "# by hand\n").unwrap();
    assert_eq!(add("vpn", "127.0.0.9").status.code(), Some(1));
    assert_eq!(fs::read_to_string(at("conf.d/vpn.toml")).unwrap(), "# by hand\n");
    for gone in ["conf.d/other.toml", "secrets/other.radius", "secrets/vpn.radius"] {
        assert!(!at(gone).exists(), "{gone}");
    }
}

/// Two listeners on port 0, told apart by name alone: one refuses who has no account, the other lets them in by their password.
fn two_ldap_doors(policy: &str) -> String {
    let door = |name: &str, policy: &str| {
        format!(
            "[[ldap.listen]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\ndirectory = \"lab\"\ncode = \"none\"\npolicy = \"{policy}\"\n"
        )
    };
    let [strict, lenient] = ["strict", "lenient"].map(|name| format!("[policy.{name}]\nmethods = [{{ push = \"cloud\" }}]\n"));
    let provider = "[provider.cloud]\nkind = \"duo\"\nhost = \"api-lab.duosecurity.com\"\nkey_id = \"DI\"\nkey = { file = \"duo\" }\n";
    format!("{provider}{strict}{lenient}unenrolled = \"accept\"\n{}{}", door("one", "strict"), door("two", policy))
}

/// What a simple bind as bob is answered; `None` where nobody listens.
fn bind(door: std::net::SocketAddr) -> Option<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, mut ldap) = ldap3::LdapConnAsync::new(&format!("ldap://{door}")).await.ok()?;
        ldap3::drive!(connection);
        Some(ldap.simple_bind("bob@example.test", "Builder-Can-2").await.unwrap().rc)
    })
}

#[test]
fn a_reload_that_removes_one_of_two_ldap_doors_at_port_0_leaves_the_other_its_settings() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), &two_ldap_doors("lenient")));
    let [one, two] = [0, 1].map(|at: usize| house.ready["ldap"][at].as_str().unwrap().parse().unwrap());
    assert_eq!((bind(one), bind(two)), (Some(49), Some(0)));
    let whole = fs::read_to_string(house.config()).unwrap();
    let (before, doors) = whole.split_once("[[ldap.listen]]").unwrap();
    let (_, second) = doors.split_once("[[ldap.listen]]").unwrap();
    let rest = format!("{before}[[ldap.listen]]{second}");
    fs::write(house.config(), &rest).unwrap();
    house.signal(Signal::SIGHUP);
    house.until("reloaded");
    assert_eq!(bind(two), Some(0));
    assert!((0..1_000).any(|_| std::net::TcpStream::connect(one).is_err()), "the door that is not in the file is closed");
    // And what the file says of it from now on is said to this door.
    fs::write(house.config(), rest.replace("policy = \"lenient\"", "policy = \"strict\"")).unwrap();
    house.signal(Signal::SIGHUP);
    house.until("reloaded");
    assert_eq!(bind(two), Some(49));
}

#[test]
fn what_a_reload_cannot_change_is_said_and_not_ignored() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let good = fs::read_to_string(house.config()).unwrap();
    for (more, what) in [("[log]\nformat = \"json\"\n", "log.format"), ("[limits]\nchallenge_keep = \"60s\"\n", "limits.challenge_keep")] {
        fs::write(house.config(), format!("{good}{more}")).unwrap();
        house.signal(Signal::SIGHUP);
        let told = house.until("not reloaded").pop().unwrap();
        assert!(told.contains(what) && told.contains("restart"), "{told}");
    }
}

#[test]
fn sigterm_lets_a_login_finish_and_ends_with_0() {
    let directory = people(anywhere());
    let house = House::open(furnish(directory.address(), ""));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(house.radius()).unwrap();
    let sent = lab::request(1, "alice", "wrong", b"");
    socket.send(&sent).unwrap();
    house.until("decision=\"reject\"");
    house.signal(Signal::SIGTERM);
    assert_eq!(lab::heard(&socket, &sent, PATIENCE).unwrap().code, Code::AccessReject, "the refusal was under way");
    assert_eq!(house.ended().code(), Some(0));
}

#[test]
fn a_wrong_configuration_is_3_with_every_mistake() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "[nonsense]\n");
    let file = folder.path().join("vestibule.toml");
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"x = 1\n[policy.empty]\n").unwrap();
    for words in [&["serve", "--config"][..], &["check", "--offline", "--config"]] {
        let output = lab::vestibule(words, &file).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("nonsense") && told.contains("policy.empty"), "{told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_door_that_cannot_be_opened_says_once_which_and_what_to_do() {
    let directory = people(anywhere());
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap().to_string();
    for (from, to, wanted) in [
        ("127.0.0.1:0", taken_at.as_str(), "ss -lunp"),
        ("127.0.0.1:0", "192.0.2.1:1812", "not an address of this machine"),
        ("admin.sock", "away/admin.sock", "install -d -m 750"),
    ] {
        let folder = furnish(directory.address(), "");
        let file = folder.path().join("vestibule.toml");
        fs::write(&file, fs::read_to_string(&file).unwrap().replace(from, to)).unwrap();
        let output = lab::vestibule(&["serve", "--config"], &file).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.matches("admin.sock: ").count()), (Some(1), usize::from(to.contains("away"))), "{told}");
        assert!(told.contains(wanted), "{told}");
    }
}

#[test]
fn the_demo_goes_as_it_must_and_prints_lines_to_paste() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["demo", "--once", "--port-base", "0"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for word in ["Access-Challenge", "Access-Accept", "Access-Reject", "success (0)", "invalidCredentials (49)", "radclient", "ldapwhoami", Lab::BASE] {
        assert!(text.contains(word), "no {word} in {text}");
    }
}

#[test]
fn the_demo_puts_everything_away_at_sigterm_and_shows_its_folder_to_nobody_else() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["demo", "--json", "--port-base", "0"]);
    let house = House::of(command, tempfile::tempdir().unwrap());
    let file = std::path::PathBuf::from(house.ready["demo"]["config"].as_str().unwrap());
    let folder = file.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    house.signal(Signal::SIGTERM);
    assert_eq!(house.ended().code(), Some(0));
    assert!(!folder.exists());
}

#[test]
fn the_demo_for_machines_is_one_line() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["demo", "--once", "--json", "--port-base", "0"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().count() == 1, "{text}");
    let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ready["ready"], json!(true));
    assert_eq!(ready["demo"]["people"].as_array().unwrap().len(), 3);
}
