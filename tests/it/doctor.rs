//! `vestibule check`: the real binary before lab directories and a lab cloud that are well, ill and wrong.

use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use vestibule::app::clock::WallClock;
use vestibule::demo::cloud::Cloud;
use vestibule::demo::directory::Domain;
use vestibule::demo::directory::Lab;
use vestibule::domain::Timestamp;
use vestibule::ports::Clock;

use crate::lab::House;
use crate::lab::furnish;
use crate::lab::people;
use crate::lab::vestibule;

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// An address where nobody listens, as good as one can know.
fn nobody() -> SocketAddr {
    TcpListener::bind(anywhere()).unwrap().local_addr().unwrap()
}

fn check(folder: &TempDir, words: &[&str]) -> Output {
    let config = folder.path().join("vestibule.toml");
    vestibule(&[&["check"], words, &["--config"]].concat(), &config).output().unwrap()
}

/// The exit code and the report.
fn report(folder: &TempDir) -> (i32, Value) {
    let said = check(folder, &["--json"]);
    let report = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    (said.status.code().unwrap(), report)
}

/// The findings of an area: outcome and message of each.
fn found(report: &Value, area: &str) -> Vec<(String, String)> {
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = report["findings"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    all.iter().filter(|finding| finding["area"] == area).map(|finding| (word(finding, "outcome"), word(finding, "message"))).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Changes the configuration.
fn alter(folder: &TempDir, from: &str, to: &str) {
    let path = folder.path().join("vestibule.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).unwrap();
}

/// Behind the real time by so many milliseconds.
#[derive(Debug)]
struct Late(u64);

impl Clock for Late {
    fn now(&self) -> Timestamp {
        Timestamp(WallClock.now().0 - self.0)
    }
}

#[test]
fn all_is_well_and_the_report_is_as_documented() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    let (code, report) = report(&folder);
    assert_eq!((code, &report["ok"], &report["errors"], &report["warnings"]), (0, &json!(true), &json!([]), &json!([])), "{report:#}");
    for finding in report["findings"].as_array().unwrap() {
        let keys: Vec<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["area", "hint", "message", "ms", "name", "outcome"]);
        assert_ne!(finding["outcome"], "failed", "{report:#}");
    }
    assert_eq!(found(&report, "directory"), [("ok".to_owned(), "bound, base found, clock right".to_owned())]);
    let lockout = found(&report, "lockout");
    assert!(lockout[0].0 == "ok" && lockout[0].1.contains("locks after 10 wrong passwords, we before: policy codes after 5"), "{lockout:?}");
    assert!(lockout[1].0 == "skipped" && lockout[1].1.contains("fine-grained password policies may not be read by svc-mfa@example.test"), "{lockout:?}");
    assert_eq!(found(&report, "provider"), [("ok".to_owned(), "our own: nobody is asked".to_owned())]);
    assert_eq!(found(&report, "listener").iter().map(|(outcome, _)| outcome.as_str()).collect::<Vec<_>>(), ["ok", "ok"]);
    assert!(report["findings"].as_array().unwrap().iter().find(|finding| finding["area"] == "directory").unwrap()["ms"].is_u64());

    let table = check(&folder, &[]);
    assert!(table.status.success());
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains("FOUND") && text.contains("bound, base found, clock right"), "{text}");
    let offline = check(&folder, &["--offline", "--json"]);
    let offline: Value = serde_json::from_slice(&offline.stdout).unwrap();
    assert_eq!(offline, json!({ "ok": true, "errors": [], "warnings": [] }));
}

#[test]
fn the_worst_stands_last_and_all_is_counted_and_the_least_time_to_spare_named() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    alter(&folder, "[\"ldap://", &format!("[\"ldap://{}\", \"ldap://", nobody()));
    write(folder.path(), "nas", "short");
    let (_, report) = report(&folder);
    let summary = &report["summary"];
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!((count("failed"), count("warning")), (1, 1), "{report:#}");
    assert_eq!(count("ok") + count("skipped") + 2, report["findings"].as_array().unwrap().len() as u64);
    assert!(summary["weakest_link"].as_str().unwrap().contains("when servers are away a login may take 2s"), "{summary}");

    let text = String::from_utf8(check(&folder, &[]).stdout).unwrap();
    let firsts: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let at = |word: &str| firsts.iter().rposition(|first| *first == word).unwrap_or_else(|| panic!("{text}"));
    assert!(at("ok") < at("skipped") && at("skipped") < at("warning") && at("warning") < at("failed"), "{text}");
    assert!(text.contains(" looked at: ") && text.contains("1 warning, 1 failed") && text.contains("weakest link: radius.client"), "{text}");
}

#[test]
fn a_name_that_the_directory_does_not_know_is_a_mistake() {
    let directory = people(anywhere());
    let listen = |who: &str| {
        format!(
            "[[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\ncert_file = \"tls.pem\"\nkey = {{ file = \"tls-key\" }}\n\
             directory = \"lab\"\ncode = {{ append = \",\" }}\npolicy = \"grouped\"\nexempt = [{{ name = \"{who}\", from = [\"127.0.0.1\"], until = \"2027-01-31\" }}]\n"
        )
    };
    let grouped = |groups: &str| format!("[policy.grouped]\nmethods = [{{ oath = \"tokens\" }}]\n{groups}\n");
    for (who, groups, code, wrong) in [
        (directory.dn("bob").unwrap(), "required_groups = [\"Lab People\"]", 0, vec![]),
        (
            "CN=Robot,DC=example,DC=test".to_owned(),
            "exempt_groups = [\"Gone\"]",
            1,
            vec![("exemption", "failed", "CN=Robot"), ("group", "warning", "Gone: there is no such group in lab")],
        ),
        (directory.dn("bob").unwrap(), "denied_groups = [\"Gone\"]", 1, vec![("group", "failed", "nobody is let in")]),
    ] {
        let folder = furnish(directory.address(), &(grouped(groups) + &listen(&who)));
        let (certificate, key) = good_for(90);
        write(folder.path(), "tls.pem", &certificate);
        write(folder.path(), "tls-key", &key);
        let (came, report) = report(&folder);
        assert_eq!(came, code, "{report:#}");
        assert_eq!(found(&report, "group").len() + usize::from(who.contains("Robot")), wrong.len(), "{report:#}");
        for (area, outcome, words) in wrong {
            assert!(found(&report, area).iter().any(|found| found.0 == outcome && found.1.contains(words)), "{area} {words}: {report:#}");
        }
    }
}

/// Alerts alone need a mail server too, and nobody would notice before one should have gone out.
#[test]
fn the_mail_server_and_who_is_sent_the_audit_are_asked_too() {
    let directory = people(anywhere());
    let collector = TcpListener::bind(anywhere()).unwrap();
    let more = |mail: SocketAddr, audit: SocketAddr| {
        format!(
            "[mail]\nserver = \"smtp+plain://{mail}\"\nfrom = \"mfa@example.test\"\nalerts = [\"security@example.test\"]\n\
             [audit.syslog]\nserver = \"tcp://{audit}\"\n[audit.http]\nurl = \"http://{}/in\"\n",
            nobody()
        )
    };
    let (code, report) = report(&furnish(directory.address(), &more(nobody(), collector.local_addr().unwrap())));
    assert_eq!((code, found(&report, "mail")[0].0.as_str()), (1, "failed"), "{report:#}");
    let [syslog, http] = found(&report, "audit").try_into().unwrap();
    assert_eq!((syslog, http.0.as_str()), (("ok".to_owned(), "takes connections".to_owned()), "failed"));
}

#[test]
fn the_name_of_a_server_that_has_no_address_is_told_as_such() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    alter(&folder, "[\"ldap://", "[\"ldaps://dc1.corp.invalid\", \"ldap://");
    let (code, report) = report(&folder);
    let [(outcome, message)] = found(&report, "dns").try_into().unwrap();
    assert!(code == 1 && outcome == "failed" && message.starts_with("has no address"), "{report:#}");
}

#[test]
fn a_wrong_configuration_is_three_and_nobody_is_asked() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    alter(&folder, "timeout = \"1s\"", "timeuot = \"1s\"");
    let (code, report) = report(&folder);
    assert_eq!((code, &report["ok"], report.get("findings")), (3, &json!(false), None), "{report:#}");
    assert_eq!((directory.binds(), report["errors"][0]["path"].as_str()), (0, Some("directory.lab.timeuot")));
}

#[test]
fn m_21_a_lock_of_ours_that_comes_too_late_is_a_warning_with_both_numbers() {
    let domain = Domain { lockout_threshold: 5, ..Domain::default() };
    let directory = Lab::open_as(domain, anywhere(), Vec::new()).unwrap();
    let (code, report) = report(&furnish(directory.address(), ""));
    let lockout = found(&report, "lockout");
    assert_eq!((code, lockout[0].0.as_str()), (0, "warning"), "{report:#}");
    assert!(lockout[0].1.contains("locks after 5 wrong passwords, and we not before: policy codes after 5"), "{lockout:?}");
}

#[test]
fn a_clock_that_is_apart_is_named() {
    for (late_s, code, outcome) in [(20, 0, "warning"), (400, 1, "failed")] {
        let domain = Domain { clock: Arc::new(Late(late_s * 1_000)), ..Domain::default() };
        let directory = Lab::open_as(domain, anywhere(), Vec::new()).unwrap();
        let (came, report) = report(&furnish(directory.address(), ""));
        let found = found(&report, "directory");
        assert_eq!((came, found[0].0.as_str()), (code, outcome), "{report:#}");
        assert!(found[0].1.contains("s behind ours"), "{found:?}");
    }
}

#[test]
fn a_refused_password_is_tried_at_one_server_alone() {
    let (first, second) = (people(anywhere()), people(anywhere()));
    let folder = furnish(first.address(), "");
    alter(
        &folder,
        &format!("[\"ldap://{}\"]", first.address()),
        &format!("[\"ldap://{}\", \"ldap://{}\", \"ldap://{}\"]", nobody(), first.address(), second.address()),
    );
    write(folder.path(), "bind", "not-the-password");
    let (code, report) = report(&folder);
    let [away, refused, spared] = found(&report, "directory").try_into().unwrap();
    assert_eq!((code, [away.0.as_str(), refused.0.as_str(), spared.0.as_str()]), (1, ["failed", "failed", "skipped"]), "{report:#}");
    assert!(away.1.contains("cannot connect") && refused.1.contains("bind_password is refused (code 49)") && refused.1.contains("data 52e"), "{report:#}");
    assert_eq!((first.binds(), second.binds()), (1, 0));

    write(folder.path(), "bind", Lab::SERVICE_PASSWORD);
    let (code, report) = self::report(&folder);
    assert_eq!(
        (code, found(&report, "directory").iter().map(|(outcome, _)| outcome.as_str()).collect::<Vec<_>>()),
        (1, vec!["failed", "ok", "ok"]),
        "{report:#}"
    );
    let told = String::from_utf8(check(&folder, &[]).stderr).unwrap();
    assert!(told.contains("the firewall") && told.contains("1 thing of what"), "{told}");
}

#[test]
fn a_cloud_is_asked_about_nobody_and_the_weakest_link_is_named() {
    let directory = people(anywhere());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cloud = runtime.block_on(Cloud::open(anywhere(), Vec::new(), Arc::new(WallClock))).unwrap();
    let more = format!(
        "[provider.cloud]\nkind = \"duo\"\nhost = \"{}\"\nurl = \"{}\"\nkey_id = \"{}\"\nkey = {{ file = \"duo\" }}\n\
         [policy.push]\nmethods = [{{ push = \"cloud\" }}]\n\
         [[radius.client]]\nname = \"vpn\"\nnetworks = [\"127.0.0.2/32\"]\nsecret = {{ file = \"nas\" }}\npatience = \"10s\"\nfirst = {{ directory = \"lab\" }}\npolicy = \"push\"\n",
        cloud.host(),
        cloud.url(),
        cloud.key_id(),
    );
    let folder = furnish(directory.address(), &more);
    write(folder.path(), "duo", cloud.key().expose_text().unwrap());
    let (code, report) = report(&folder);
    assert_eq!((code, found(&report, "provider")[0].1.as_str()), (0, "answers and takes our key, clock right"), "{report:#}");
    let times = found(&report, "timeouts");
    assert!(
        times.iter().any(|(outcome, message)| {
            outcome == "warning"
                && message.starts_with("client 10s → login 55s → directory lab 1s → provider cloud")
                && message.ends_with("people 30s: it will give up first")
        }),
        "{times:?}"
    );
    assert!(times.iter().any(|(outcome, message)| outcome == "ok" && message.contains("directory lab 1s")), "{times:?}");

    write(folder.path(), "duo", "deadbeef");
    let (code, report) = self::report(&folder);
    let [provider, _] = found(&report, "provider").try_into().unwrap();
    assert_eq!((code, provider.0.as_str()), (1, "failed"), "{report:#}");
    assert!(provider.1.contains("our signature is wrong: check `key` and `host`"), "{provider:?}");
}

#[test]
fn a_listener_is_free_or_held_by_us_or_by_somebody_else() {
    let directory = people(anywhere());
    let port = UdpSocket::bind(anywhere()).unwrap().local_addr().unwrap();
    let folder = furnish(directory.address(), "");
    alter(&folder, "address = \"127.0.0.1:0\"", &format!("address = \"{port}\""));
    let listener = |folder: &TempDir| {
        let (code, report) = report(folder);
        let [first, _] = found(&report, "listener").try_into().unwrap();
        (code, first.0, first.1)
    };
    assert_eq!(listener(&folder), (0, "ok".to_owned(), "free".to_owned()));
    let stranger = UdpSocket::bind(port).unwrap();
    let (code, outcome, message) = listener(&folder);
    assert!(code == 1 && outcome == "failed" && message.contains("no vestibule answers"), "{message}");
    drop(stranger);
    let house = House::open(folder);
    let (code, outcome, message) = listener(&house.folder);
    assert_eq!((code, outcome.as_str(), message), (0, "ok", format!("held by the vestibule that runs, process {}", house.pid())));
}

#[test]
fn r_023_a_secret_of_few_signs_is_worth_little_however_long_it_is() {
    let directory = people(anywhere());
    let folder = furnish(directory.address(), "");
    for (secret, message) in [("abababababababababab", "20 bytes, 2 different ones"), ("Sh0rt-but-Zq", "12 bytes, 10 different ones")] {
        write(folder.path(), "nas", secret);
        let (code, report) = report(&folder);
        let secrets = found(&report, "secret");
        assert!(code == 0 && secrets[0].0 == "warning" && secrets[0].1.contains(message), "{secrets:?}");
        assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report:#}");
        assert!(!report.to_string().contains(secret));
    }
}

/// A certificate and its key, good until so many days from now.
fn good_for(days: i32) -> (String, String) {
    let mut wanted = rcgen::CertificateParams::new(vec!["mfa1.example.test".to_owned()]).unwrap();
    let end = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24) * days).to_zoned(jiff::tz::TimeZone::UTC);
    wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(end.year().into(), end.month().try_into().unwrap(), end.day().try_into().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    (wanted.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn days_left_of_certificates_and_exemptions_are_told() {
    let directory = people(anywhere());
    let last_day = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24) * 10).strftime("%Y-%m-%d").to_string();
    let more = format!(
        "[[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\ncert_file = \"tls.pem\"\nkey = {{ file = \"tls-key\" }}\ndirectory = \"lab\"\n\
         code = {{ append = \",\" }}\npolicy = \"codes\"\nexempt = [{{ name = \"{}\", from = [\"127.0.0.1\"], until = \"{last_day}\" }}]\n",
        directory.dn("bob").unwrap(),
    );
    let folder = furnish(directory.address(), &more);
    alter(&folder, "timeout = \"1s\"", "timeout = \"1s\"\nca_file = \"ca.pem\"");
    write(folder.path(), "ca.pem", &good_for(-3).0);
    for (days, outcome) in [(90, "ok"), (20, "warning")] {
        let (certificate, key) = good_for(days);
        write(folder.path(), "tls.pem", &certificate);
        write(folder.path(), "tls-key", &key);
        let (code, report) = report(&folder);
        let [authority, ours] = found(&report, "certificate").try_into().unwrap();
        assert_eq!((code, authority.0.as_str(), ours.0.as_str()), (0, "warning", outcome), "{report:#}");
        assert!(authority.1.contains("has expired") && ours.1.contains(&format!("{} days left", days - 1)), "{report:#}");
        let [exemption] = found(&report, "exemption").try_into().unwrap();
        assert_eq!(exemption, ("warning".to_owned(), format!("holds until {last_day}, for 10 days")));
    }
}
