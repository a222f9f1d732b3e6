//! What an administrator is told about those who watch: monitoring, and receivers of the audit.

use super::*;

use vestibule::audit::Receiver;
use vestibule::audit::Transport;

fn also(more: &str) -> String {
    format!("{SMALL}\n{more}\n")
}

#[test]
fn an_address_that_others_can_reach_needs_the_networks_of_those_who_may_ask() {
    let etc = Etc::new();
    let near = etc.load(&also("[metrics]\naddress = \"127.0.0.1:9464\"")).unwrap().metrics.unwrap();
    assert!(near.networks.iter().any(|network| network.contains("127.0.0.1".parse().unwrap())));
    assert!(!near.networks.iter().any(|network| network.contains("192.0.2.1".parse().unwrap())));
    for far in ["0.0.0.0:9464", "[::]:9464", "192.0.2.9:9464"] {
        let section = format!("[metrics]\naddress = \"{far}\"");
        let told = etc.told(&also(&section));
        assert!(only(&told).contains("metrics.address") && only(&told).contains("can be reached from other machines"), "{told:?}");
        let open = etc.load(&also(&format!("{section}\nnetworks = [\"192.0.2.20\"]"))).unwrap().metrics.unwrap();
        assert_eq!(open.networks.len(), 1);
    }
    let told = etc.told(&also("[metrics]\naddress = \"127.0.0.1:9464\"\nnetworks = []"));
    assert!(only(&told).contains("names no network"), "{told:?}");
    let warned = etc.warned(&also("[metrics]\naddress = \"0.0.0.0:9464\"\nnetworks = [\"0.0.0.0/0\"]"));
    assert!(only(&warned).contains("every address read what is counted"), "{warned:?}");
    assert!(etc.load(SMALL).unwrap().metrics.is_none());
}

#[test]
fn receivers_of_the_audit_are_told_apart_by_how_they_are_reached() {
    let etc = Etc::new();
    let receivers = |more: &str| etc.load(&also(more)).unwrap().audit.receivers;
    assert_eq!(receivers(""), []);
    let [Receiver::Syslog { transport: Transport::Tls, host, port: 6514, ca_file: None }] =
        &receivers("[audit.syslog]\nserver = \"tls://siem.corp.example\"")[..]
    else {
        panic!("not TLS at its usual port")
    };
    assert_eq!(host, "siem.corp.example");
    let [Receiver::Syslog { transport: Transport::Udp, port: 1514, .. }, Receiver::Http { url, token: None, .. }] =
        &receivers("[audit.syslog]\nserver = \"udp://[::1]:1514\"\n[audit.http]\nurl = \"http://127.0.0.1:8080/in?x=1\"")[..]
    else {
        panic!("not both")
    };
    assert_eq!(url, "http://127.0.0.1:8080/in?x=1");
    let warned = etc.warned(&also("[audit.syslog]\nserver = \"tcp://siem.corp.example\""));
    assert!(only(&warned).contains("in clear text who logs in"), "{warned:?}");
    for (wrong, what) in [
        ("[audit.syslog]\nserver = \"siem.corp.example\"", "is not the address of a syslog server"),
        ("[audit.syslog]\nserver = \"tls://siem.corp.example/path\"", "is not the address of a syslog server"),
        ("[audit.syslog]\nserver = \"udp://127.0.0.1\"\nca_file = \"radsec-ca.pem\"", "behind tls:// alone"),
        ("[audit.http]\nurl = \"http://siem.corp.example/\"", "would send in clear text"),
        ("[audit.http]\nurl = \"ftp://siem.corp.example/\"", "is not a URL that takes posts"),
        ("[audit.http]\nurl = \"https://user:word@siem.corp.example/\"", "is not a URL that takes posts"),
    ] {
        let told = etc.told(&also(wrong));
        assert!(only(&told).contains(what), "{wrong}: {told:?}");
    }
}
