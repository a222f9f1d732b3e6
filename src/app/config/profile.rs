//! What is known about each kind of NAS: how long it waits, whether it can ask a person, how a code reaches us.
//!
//! A profile fills the keys that a `[[radius.client]]` leaves out; what is written there goes before it. Times are those of a NAS as it is shipped, so
//! that the first login works before anybody has changed a timer there; the page of the same name under `config/examples/` says what to change.

use std::time::Duration;

use crate::domain::Approval;
use crate::domain::CodeEntry;
use crate::wire::radius::Integrity;

use super::rooms::seconds;

/// The habits of one kind of NAS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// The word behind `profile =`, and the name of its page.
    pub(super) name: &'static str,
    /// From its first packet until it gives up, resends included; 5 s..10 min. Where the NAS is shipped with less than a person can use, what its page
    /// sets there.
    pub(super) patience: Duration,
    /// How a code is handed over.
    pub(super) code: Code,
    /// What the person waits in front of while the phone rings.
    pub(super) approval: Approval,
    /// How long an approval that came too late counts for the next try; zero is off.
    pub(super) late_approval: Duration,
    /// Whether a challenge lists the methods of the account.
    pub(super) menu: bool,
    /// Whether its requests must be signed.
    pub(super) integrity: Integrity,
    /// The attribute that tells where the person is, if it sends one.
    pub(super) source: Option<u8>,
    /// Whether its Calling-Station-Id is the same for all of its people, so that it tells nobody apart.
    pub(super) one_station: bool,
    /// Whether it asks about people without sending any credential of theirs.
    pub(super) without_credential: bool,
    /// Whether the answer to a challenge may come in an MS-CHAP2-Response: six ASCII digits behind its first two octets.
    pub(super) code_in_ms_chap2: bool,
    /// Whether it shows a challenge and sends the answer to it.
    pub(super) can_challenge: bool,
    /// After how long it sends a request again, as shipped; `None` where it sends each once.
    pub(super) retransmits: Option<Duration>,
    /// What an administrator should know before anything else.
    pub(super) note: &'static str,
}

/// How a code is handed over: a [`CodeEntry`] that can stand in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Behind the password, after this separator.
    Append(&'static str),
    /// Asked for, with the usual language's text.
    Challenge,
    /// Not at all.
    None,
}

impl Code {
    /// The same for a client whose people are asked with this text.
    pub(super) fn entry(self, prompt: &str) -> CodeEntry {
        match self {
            Self::Append(separator) => CodeEntry::Append(separator.to_owned()),
            Self::Challenge => CodeEntry::Challenge(prompt.to_owned()),
            Self::None => CodeEntry::None,
        }
    }
}

/// The profile of that name.
pub(super) fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// All names, for whoever mistyped one.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name)
}

/// A NAS nothing is known about, but that it may do what most do.
pub(super) const UNKNOWN: Profile = Profile { late_approval: seconds(0), source: None, ..PATIENT };

/// A NAS that holds a request for a minute, shows challenges and signs: the others say how they differ.
const PATIENT: Profile = Profile {
    name: "",
    patience: seconds(60),
    code: Code::Challenge,
    approval: Approval::Wait,
    late_approval: seconds(30),
    // A menu asks everybody each time, who has but one telephone too: it is for administrators to want.
    menu: false,
    integrity: Integrity::Require,
    source: Some(CALLING_STATION_ID),
    one_station: false,
    without_credential: false,
    code_in_ms_chap2: false,
    can_challenge: true,
    retransmits: None,
    note: "",
};

/// A NAS that can say yes and no, and nothing in between.
const MUTE: Profile = Profile { code: Code::Append(SEPARATOR), can_challenge: false, ..PATIENT };

const PROFILES: &[Profile] = &[
    // `timeout` of the server and `remoteauthtimeout` of the whole box are 5 s, and nobody takes up a phone in 5 s. It shows challenges, so nobody must.
    Profile {
        name: "fortigate",
        patience: seconds(5),
        approval: Approval::Enter,
        code_in_ms_chap2: true,
        retransmits: Some(seconds(5)),
        note: "waits 5 s unless remoteauthtimeout and the server's timeout are raised",
        ..PATIENT
    },
    // The server's `timeout` is 10 s, and `retry-interval` cannot be longer than that. AnyConnect shows challenges.
    Profile {
        name: "cisco-asa",
        patience: seconds(10),
        approval: Approval::Enter,
        retransmits: Some(seconds(10)),
        note: "waits 10 s; speaks to port 1645 unless told otherwise",
        ..PATIENT
    },
    // 3 s, three times. GlobalProtect itself drops a login after some 25 s, so even a longer timer on the firewall leaves no time to hold anything.
    // The person's address comes in an attribute of the vendor alone.
    Profile {
        name: "globalprotect",
        patience: seconds(9),
        approval: Approval::Enter,
        source: None,
        retransmits: Some(seconds(3)),
        note: "drops a login after some 25 s whatever the firewall's timer says",
        ..PATIENT
    },
    // 30 s is what its form has. A challenge is shown only where a custom RADIUS rule says so, so a push may not need one.
    Profile { name: "ivanti", patience: seconds(30), source: None, note: "shows a challenge only with a custom RADIUS rule", ..PATIENT },
    // `authTimeout` is 3 s, and it tries three times.
    Profile {
        name: "netscaler",
        patience: seconds(9),
        approval: Approval::Enter,
        retransmits: Some(seconds(3)),
        note: "waits 3 s a try; tells where people are only with -callingstationid ENABLED",
        ..PATIENT
    },
    // 5 s, three times.
    Profile { name: "sonicwall", patience: seconds(15), source: None, retransmits: Some(seconds(5)), note: "waits 5 s a try", ..MUTE },
    // NPS gives a request up after 3 s and the gateway has no way to ask anything, so nothing works before the timer on NPS is raised: 60 s is what the
    // page sets. There is no password in the request, so there is none to append a code to. No address of the person either.
    Profile {
        name: "rd-gateway",
        patience: seconds(60),
        code: Code::None,
        source: None,
        without_credential: true,
        note: "NPS gives up after 3 s unless its load balancing timers are raised; push and call alone",
        ..MUTE
    },
    // Several programs: pfSense 5 s, OPNsense 10 s three times, the plug-in as its file says. The shortest total counts. The plug-in never signs; the
    // firewalls' library may, depending on its age.
    Profile {
        name: "openvpn",
        patience: seconds(15),
        integrity: Integrity::Observe,
        retransmits: Some(seconds(5)),
        note: "asks again at every renegotiation unless it hands out tokens",
        ..MUTE
    },
    // `radius_timeout` 10 s, `radius_retries` 3. A process of ocserv answers one login at a time, so a held one keeps others out: it asks instead.
    // radcli signs everything from 1.5.0 on and EAP alone before.
    Profile {
        name: "ocserv",
        patience: seconds(30),
        approval: Approval::Enter,
        integrity: Integrity::Observe,
        retransmits: Some(seconds(10)),
        note: "radcli signs requests from 1.5.0 on",
        ..PATIENT
    },
    // Four tries of 2 s, 2.8 s, 3.9 s and 5.5 s. What is asked is asked inside EAP, where we have no say.
    Profile {
        name: "strongswan",
        patience: seconds(14),
        code: Code::None,
        retransmits: Some(seconds(2)),
        note: "EAP needs an upstream that speaks it; push and call alone",
        ..MUTE
    },
    // 300 ms until it sends again, so nothing works before `timeout` is raised. The page sets 30 s: Windows gives up by then anyway.
    Profile {
        name: "mikrotik",
        patience: seconds(30),
        retransmits: Some(Duration::from_millis(300)),
        note: "waits 300 ms a try unless timeout is raised; signs from RouterOS 7.15 on",
        ..MUTE
    },
    // 5 s, three times. It sends one Calling-Station-Id for everybody, so nothing tells its people apart and no approval counts later.
    Profile {
        name: "meraki",
        patience: seconds(15),
        late_approval: seconds(0),
        source: None,
        one_station: true,
        retransmits: Some(seconds(5)),
        note: "waits 5 s a try; Windows stores what was typed, with the code in it",
        ..MUTE
    },
    // 3 s are compiled in, for one packet; 5 s is the least a client can have. Nothing tells its people apart, so no approval counts later. It never signs, no
    // release does, so there is nothing to observe. It knows no address but its own.
    Profile {
        name: "postgresql",
        patience: seconds(5),
        late_approval: seconds(0),
        integrity: Integrity::Optional,
        source: None,
        note: "waits 3 s, for ever; PostgreSQL 19 has no RADIUS any more",
        ..MUTE
    },
    // 3 s, which the line of a server may raise to 60; 5 s is the least a client can have. It signs from 3.0.0 on.
    Profile {
        name: "pam-radius",
        patience: seconds(5),
        approval: Approval::Enter,
        integrity: Integrity::Observe,
        note: "waits 3 s unless the line of the server says more; signs from 3.0.0 on",
        ..PATIENT
    },
];

/// RFC 2865 §5.31
const CALLING_STATION_ID: u8 = 31;

const SEPARATOR: &str = ",";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn pages() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/examples")
    }

    /// What a page is called, and what it says.
    fn radius_pages() -> Vec<(String, String)> {
        let entries = fs::read_dir(pages()).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        let read = files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
        read.filter(|(_, text)| text.contains("[[radius.client]]")).collect()
    }

    #[test]
    fn each_name_leads_to_its_own_profile() {
        let unique: BTreeSet<&str> = names().collect();
        assert_eq!(unique.len(), PROFILES.len());
        assert!(names().all(|name| find(name).is_some_and(|profile| profile.name == name)));
        assert_eq!(find("fortigat"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn each_profile_has_a_page_and_each_page_names_its_profile() {
        let pages = radius_pages();
        let written: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(written, names().collect());
        for (name, text) in &pages {
            assert!(text.lines().any(|line| line == format!("profile = {name:?}")), "{name}");
            assert!(text.starts_with("# "), "{name} begins with what it is for");
            assert!(text.contains("radclient"), "{name} says how to try it");
        }
    }

    #[test]
    fn the_commented_file_names_every_profile_and_no_other() {
        let file = fs::read_to_string(pages().join("../vestibule.toml")).unwrap();
        let line = file.lines().find_map(|line| line.trim().strip_prefix("#   cisco-asa ")).unwrap();
        let named: BTreeSet<&str> = line.split_whitespace().chain(["cisco-asa"]).collect();
        assert_eq!(named, names().collect());
    }

    #[test]
    fn every_patience_is_one_that_a_client_may_have() {
        for profile in PROFILES {
            assert!((seconds(5)..=seconds(600)).contains(&profile.patience), "{}", profile.name);
            assert!(profile.retransmits.is_none_or(|every| every <= profile.patience), "{}", profile.name);
        }
    }

    #[test]
    fn who_cannot_be_challenged_is_never_challenged() {
        for profile in PROFILES.iter().filter(|profile| !profile.can_challenge) {
            assert!(!matches!(profile.code, Code::Challenge), "{}", profile.name);
            assert_eq!((profile.approval, profile.menu), (Approval::Wait, false), "{}", profile.name);
        }
    }

    /// Nobody takes up a phone, reads and taps within ten seconds.
    #[test]
    fn who_gives_up_soon_and_can_be_challenged_is_not_kept_waiting() {
        for profile in PROFILES.iter().filter(|profile| profile.can_challenge && profile.patience <= seconds(10)) {
            assert_eq!(profile.approval, Approval::Enter, "{}", profile.name);
        }
    }

    #[test]
    fn r_055_who_has_one_station_for_all_has_no_address_and_no_late_approval_by_it() {
        let shared: Vec<&Profile> = PROFILES.iter().filter(|profile| profile.one_station).collect();
        assert_eq!(shared.iter().map(|profile| profile.name).collect::<Vec<_>>(), ["meraki"]);
        assert!(shared.iter().all(|profile| profile.source.is_none() && profile.late_approval.is_zero()));
    }

    /// An unsigned request without a credential is dropped whatever the profile says, so a softer word would promise too much.
    #[test]
    fn r_037_who_sends_no_credential_must_sign() {
        for profile in PROFILES.iter().filter(|profile| profile.without_credential) {
            assert_eq!(profile.integrity, Integrity::Require, "{}", profile.name);
        }
    }

    #[test]
    fn a_code_is_handed_over_as_the_profile_says() {
        let entry = |name: &str| find(name).unwrap().code.entry("Code?");
        assert_eq!(entry("fortigate"), CodeEntry::Challenge("Code?".to_owned()));
        assert_eq!(entry("postgresql"), CodeEntry::Append(",".to_owned()));
        assert_eq!(entry("rd-gateway"), CodeEntry::None);
    }

    #[test]
    fn the_table_for_looking_things_up_says_what_the_profiles_say() {
        let table = fs::read_to_string(pages().join("README.md")).unwrap();
        for profile in PROFILES {
            let start = format!("| `{}` |", profile.name);
            let row = table.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {start}"));
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let asks = if profile.can_challenge { "yes" } else { "no" };
            let push = if profile.approval == Approval::Enter { "Enter" } else { "held" };
            let code = match profile.code {
                Code::Append(_) => "`password,123456`",
                Code::Challenge => "asked for",
                Code::None => "none",
            };
            let integrity = format!("`{:?}`", profile.integrity).to_lowercase();
            let page = format!("[{0}.toml]({0}.toml)", profile.name);
            let patience = format!("{} s", profile.patience.as_secs());
            assert_eq!(cells[1..7], [patience.as_str(), asks, push, code, integrity.as_str(), page.as_str()], "{}", profile.name);
        }
    }
}
