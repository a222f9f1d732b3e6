//! What an administrator is told about policies.

use super::*;

use vestibule::domain::Groups;
use vestibule::domain::Lock;
use vestibule::domain::Pushes;
use vestibule::domain::Rules;
use vestibule::domain::WeekMinute;

fn policy(keys: &str) -> String {
    with("[[radius.listen]]", &format!("{keys}\n[[radius.listen]]"))
}

fn rules(keys: &str) -> Rules {
    (*Etc::new().load(&policy(keys)).unwrap().policies["vpn"].rules).clone()
}

#[test]
fn m_10_people_are_rung_a_few_times_unless_told_otherwise() {
    assert_eq!(rules("").pushes, Pushes { count_max: 3, per_ms: 300_000, day_max: 10, backoff_ms: 30_000 });
    let written = "pushes = { count_max = 5, per = \"10m\", day_max = 20, backoff = \"1m\" }";
    assert_eq!(rules(written).pushes, Pushes { count_max: 5, per_ms: 600_000, day_max: 20, backoff_ms: 60_000 });
    let etc = Etc::new();
    assert_eq!(etc.warned(&policy("pushes = { count_max = 0 }")), [] as [&str; 0]);
    let without = policy("pushes = { count_max = 0, day_max = 0, backoff = \"0s\" }");
    assert!(only(&etc.warned(&without)).contains("ring its owner's phone without end"));
    assert!(only(&etc.told(&policy("pushes = { per = \"0s\" }"))).contains("policy.vpn.pushes.per: "));
    assert!(only(&etc.told(&policy("pushes = { count = 3 }"))).contains("count"));
}

#[test]
fn m_05_failures_count_for_half_an_hour_unless_told_otherwise() {
    let lock = |failures_max, wait_ms, window_ms| Lock { failures_max, wait_ms, window_ms };
    assert_eq!(rules("").lock, lock(5, 900_000, 1_800_000));
    assert_eq!(rules("lock = { failures_max = 10, wait = \"30m\", window = \"2h\" }").lock, lock(10, 1_800_000, 7_200_000));
    for wrong in ["0s", "25h"] {
        let written = policy(&format!("lock = {{ window = \"{wrong}\" }}"));
        assert!(only(&Etc::new().told(&written)).contains("policy.vpn.lock.window: "), "{wrong}: failures that are forgotten at once lock nobody");
    }
}

#[test]
fn a_fraud_blocks_for_ninety_days_unless_told_otherwise() {
    assert_eq!(rules("").block_ms, 90 * 86_400_000);
    assert_eq!((rules("block = \"0s\"").block_ms, rules("block = \"1h\"").block_ms), (0, 3_600_000));
    assert!(only(&Etc::new().told(&policy("block = \"366d\""))).contains("policy.vpn.block: "));
}

#[test]
fn m_47_groups_are_names_each_once_and_none_is_let_in_and_kept_out() {
    let etc = Etc::new();
    let written = "exempt_groups = [\"Robots\"]\nrequired_groups = [\"CN=Staff,DC=corp\", \"Guests\"]\ndenied_groups = [\"Leavers\"]";
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let groups = Groups { exempt: owned(&["Robots"]), required: owned(&["CN=Staff,DC=corp", "Guests"]), denied: owned(&["Leavers"]) };
    assert_eq!(rules(written).groups, groups);
    assert!(rules("").groups.is_empty());
    for (wrong, why) in [
        ("exempt_groups = [\"\"]", "is empty"),
        ("exempt_groups = [\" \"]", "no name of a group"),
        ("required_groups = [\"A\", \"A\"]", "listed twice"),
        ("required_groups = [\"A\"]\ndenied_groups = [\"A\"]", "`denied_groups` too"),
        ("denied_groups = \"A\"", "denied_groups"),
    ] {
        assert!(only(&etc.told(&policy(wrong))).contains(why), "{wrong}");
    }
}

#[test]
fn m_47_groups_need_a_directory_that_knows_them() {
    let etc = Etc::new();
    let upstream = "[upstream.nps]\nservers = [\"10.0.0.11\"]\nsecret = { file = \"secrets/nps\" }\n[policy.vpn]";
    let text = policy("required_groups = [\"Staff\"]").replace("first = { directory = \"corp\" }", "first = { upstream = \"nps\" }");
    let text = text.replace("[policy.vpn]", upstream);
    assert_eq!(etc.told(&text), [] as [&str; 0], "the only directory knows them");
    let second = "[directory.branch]\nkind = \"ldap\"\nservers = [\"ldaps://ldap\"]\nbase = \"DC=b\"\nbind_name = \"CN=x\"\nbind_password = { file = \"secrets/branch-bind\" }\n[provider.duo]";
    assert!(only(&etc.told(&text.replace("[provider.duo]", second))).contains("no directory that knows groups"));
}

#[test]
fn hours_are_read_and_by_which_clock_they_count_is_asked_for() {
    let etc = Etc::new();
    let zoned = |zone: &str, keys: &str| policy(keys).replace("[directory.corp]", &format!("time_zone = {zone:?}\n[directory.corp]"));
    let hours = "hours = [\"mon-fri 07:00-19:00\", \"sat 22:00-04:00\"]";
    let read = etc.load(&zoned("Europe/Berlin", hours)).unwrap();
    let rules = &read.policies["vpn"].rules;
    let open = |day, hour| rules.hours.contain(WeekMinute::new(day, hour, 0).unwrap());
    assert_eq!([open(0, 7), open(0, 19), open(5, 23), open(6, 3), open(6, 4)], [true, false, true, true, false]);
    assert_eq!(read.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(etc.warned(&zoned("Europe/Berlin", hours)), [] as [&str; 0]);
    assert!(only(&etc.warned(&policy(hours))).contains("by UTC"));
    assert!(only(&etc.told(&zoned("Europe/Berlni", ""))).contains("node.time_zone: \"Europe/Berlni\" is no time zone"));
    assert!(only(&etc.told(&policy("hours = [\"mon-fri 7-19\"]"))).contains("is no opening"));
}

#[test]
fn m_14_an_outage_that_opens_doors_has_an_end_unless_told_otherwise() {
    let etc = Etc::new();
    assert_eq!(rules("outage = \"open\"").outage_max_ms, 3_600_000);
    assert_eq!(rules("outage = \"open\"\noutage_max = \"4h\"").outage_max_ms, 14_400_000);
    assert!(only(&etc.warned(&policy("outage = \"open\"\noutage_max = \"0s\""))).contains("has no end"));
    assert!(only(&etc.warned(&policy("outage_max = \"4h\""))).contains("does nothing"));
    assert!(only(&etc.told(&policy("outage_max = \"32d\""))).contains("policy.vpn.outage_max: "));
}

#[test]
fn m_43_an_address_that_the_device_asks_for_is_warned_of_where_networks_are_trusted() {
    let etc = Etc::new();
    let trusting = policy("trusted = [\"10.20.0.0/16\"]");
    let by = |source: &str| trusting.replace("first = { directory", &format!("source = {source:?}\nfirst = {{ directory"));
    assert!(only(&etc.warned(&by("Framed-IP-Address"))).contains("whoever asks for an address in them"));
    assert_eq!(etc.warned(&by("Calling-Station-Id")), [] as [&str; 0]);
    assert_eq!(etc.warned(&by("Framed-IP-Address").replace("trusted = [\"10.20.0.0/16\"]", "")), [] as [&str; 0]);
}

#[test]
fn an_exempt_group_is_a_way_in_and_nothing_at_all_is_not() {
    let etc = Etc::new();
    let bare = |keys: &str| SMALL.lines().map(|line| if line.starts_with("methods") { keys } else { line }).collect::<Vec<_>>().join("\n");
    assert_eq!(etc.told(&bare("exempt_groups = [\"Robots\"]")), [] as [&str; 0]);
    assert!(only(&etc.told(&bare(""))).contains("lets nobody in"));
}
