//! The lab's objects: who has what name, which password opens what, and what a search finds.

use std::sync::Arc;

use rasn_ldap::Filter;
use rasn_ldap::MatchingRuleAssertion;
use rasn_ldap::PartialAttribute;
use rasn_ldap::ResultCode;
use rasn_ldap::SearchRequest;
use rasn_ldap::SearchRequestScope;
use rasn_ldap::SearchResultEntry;
use rasn_ldap::SubstringChoice;

use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::ports::Clock;

use super::Domain;
use super::Lab;
use super::Person;

/// Controls that a search here honours by nature: there are no referrals to hide.
pub(super) const CONTROLS: [&str; 2] = ["2.16.840.1.113730.3.4.2", "1.2.840.113556.1.4.1339"];

/// All objects, in a fixed order.
#[derive(Debug)]
pub(super) struct Tree {
    objects: Vec<Object>,
    clock: Arc<dyn Clock>,
}

/// What a search comes to.
#[derive(Debug)]
pub(super) enum Found {
    /// These, and how it ended.
    Entries(Vec<SearchResultEntry>, ResultCode),
    /// It was not done.
    Nothing(ResultCode, &'static str),
}

#[derive(Debug)]
struct Object {
    dn: String,
    /// The DN as it is compared.
    key: String,
    attributes: Vec<Attribute>,
    login: Option<Login>,
}

#[derive(Debug)]
struct Attribute {
    name: &'static str,
    values: Vec<Vec<u8>>,
    /// Sent only when asked for by name.
    operational: bool,
}

#[derive(Debug)]
struct Login {
    name: String,
    sid: [u8; 28],
    /// SIDs of their groups.
    groups: Vec<[u8; 28]>,
    password: Secret,
    sub_code: Option<&'static str>,
}

/// A group, while its members are found.
#[derive(Debug)]
struct Group {
    name: &'static str,
    dn: String,
    sid: [u8; 28],
    members: Vec<String>,
}

impl Tree {
    pub(super) fn new(people: Vec<Person>, domain: Domain) -> Self {
        let mut service = Person::new("svc-mfa", "MFA", "Service", Lab::SERVICE_PASSWORD);
        service.mail = None;
        let users = format!("CN=Users,{}", Lab::BASE);
        let mut objects = vec![
            Object::new(
                Lab::BASE,
                vec![
                    Attribute::text("objectClass", &["top", "domain", "domainDNS"]),
                    Attribute::text("dc", &["example"]),
                    Attribute::text("lockoutThreshold", &[&domain.lockout_threshold.to_string()]),
                    Attribute::text("lockOutObservationWindow", &[&format!("-{}0000000", domain.lockout_window_s)]),
                ],
            ),
            Object::new(&users, vec![Attribute::text("objectClass", &["top", "container"]), Attribute::text("cn", &["Users"])]),
        ];
        let mut groups: Vec<Group> = Vec::new();
        for (mut person, rid) in std::iter::once(service).chain(people).zip(1_100_u32..) {
            let names = std::iter::once("Lab People").chain(std::mem::take(&mut person.groups));
            let theirs: Vec<usize> = names.map(|name| Group::place(&mut groups, name, &users)).collect();
            let object = Object::person(person, rid, &users, theirs.iter().filter_map(|at| groups.get(*at)));
            for at in theirs {
                if let Some(group) = groups.get_mut(at) {
                    group.members.push(object.dn.clone());
                }
            }
            objects.push(object);
        }
        objects.extend(groups.into_iter().map(Group::into_object));
        Self { objects, clock: domain.clock }
    }

    pub(super) fn dn(&self, at: usize) -> Option<&str> {
        self.objects.get(at).map(|object| object.dn.as_str())
    }

    pub(super) fn dn_of(&self, name: &str) -> Option<&str> {
        self.logins().find(|(_, login)| login.name.eq_ignore_ascii_case(name)).map(|(object, _)| object.dn.as_str())
    }

    pub(super) fn sid_of(&self, name: &str) -> Option<String> {
        self.logins().find(|(_, login)| login.name.eq_ignore_ascii_case(name)).map(|(_, login)| sid_text(&login.sid))
    }

    fn logins(&self) -> impl Iterator<Item = (&Object, &Login)> {
        self.objects.iter().filter_map(|object| object.login.as_ref().map(|login| (object, login)))
    }

    /// Whom a bind name means. As forgiving as a domain controller: cut at a NUL, blanks around the parts, several forms.
    pub(super) fn named(&self, typed: &str) -> Option<usize> {
        let name = typed.split('\0').next().unwrap_or_default().trim().to_lowercase();
        let key = key(&name);
        self.objects.iter().position(|object| {
            object.login.as_ref().is_some_and(|login| {
                let short = login.name.to_lowercase();
                let is_upn = name.rsplit_once('@').is_some_and(|(before, behind)| before.trim() == short && [Lab::DOMAIN, "example"].contains(&behind));
                let is_netbios = name.split_once('\\').is_some_and(|(before, behind)| before == "example" && behind.trim() == short);
                is_upn || is_netbios || object.key == key || name == sid_text(&login.sid).to_lowercase()
            })
        })
    }

    /// AD's sub-code for a bind as this object with this password, or `None` when it is let in.
    pub(super) fn refusal(&self, found: Option<usize>, password: &[u8]) -> Option<&'static str> {
        let Some(login) = found.and_then(|at| self.objects.get(at)).and_then(|object| object.login.as_ref()) else { return Some("525") };
        match login.sub_code {
            Some("775") => Some("775"),
            _ if login.password != Secret::new(password.to_vec()) => Some("52e"),
            held => held,
        }
    }

    pub(super) fn search(&self, request: &SearchRequest, bound: Option<usize>) -> Found {
        if request.base_object.is_empty() && request.scope == SearchRequestScope::BaseObject {
            let root = self.root(bound);
            let entries = if matches(&request.filter, &root) == Some(true) { vec![root.entry(request)] } else { Vec::new() };
            return Found::Entries(entries, ResultCode::Success);
        }
        if bound.is_none() {
            return Found::Nothing(
                ResultCode::OperationsError,
                "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v4563",
            );
        }
        let base = key(&request.base_object.to_lowercase());
        if !self.objects.iter().any(|object| object.key == base) {
            return Found::Nothing(ResultCode::NoSuchObject, "0000208D: NameErr: DSID-03100288, problem 2001 (NO_OBJECT), data 0");
        }
        let within = self.objects.iter().filter(|object| object.within(&base, request.scope));
        let mut entries: Vec<_> = within.filter(|object| matches(&request.filter, object) == Some(true)).map(|object| object.entry(request)).collect();
        let count_max = if request.size_limit == 0 { ENTRIES_MAX } else { usize::try_from(request.size_limit).unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX) };
        let code = if entries.len() > count_max { ResultCode::SizeLimitExceeded } else { ResultCode::Success };
        entries.truncate(count_max);
        Found::Entries(entries, code)
    }

    /// The root DSE, as the bound one sees it.
    fn root(&self, bound: Option<usize>) -> Object {
        let mut attributes = vec![
            Attribute::text("currentTime", &[&generalized(self.clock.now())]),
            Attribute::text("defaultNamingContext", &[Lab::BASE]),
            Attribute::text("rootDomainNamingContext", &[Lab::BASE]),
            Attribute::text("namingContexts", &[Lab::BASE]),
            Attribute::text("dnsHostName", &["lab.example.test"]),
            Attribute::text("supportedCapabilities", &["1.2.840.113556.1.4.800"]),
            Attribute::text("supportedControl", &CONTROLS),
            Attribute::text("supportedLDAPVersion", &["3", "2"]),
            // Nobody gets in by these here, but a domain controller offers them: a proxy must not pass that on.
            Attribute::text("supportedSASLMechanisms", &["GSSAPI", "GSS-SPNEGO", "EXTERNAL", "DIGEST-MD5"]),
        ];
        if let Some(login) = bound.and_then(|at| self.objects.get(at)).and_then(|object| object.login.as_ref()) {
            attributes.push(Attribute { name: "tokenGroups", values: login.tokens(), operational: true });
        }
        // The root DSE has no objectClass of its own, yet `(objectClass=*)` reads it.
        attributes.push(Attribute { name: "objectClass", values: vec![b"top".to_vec()], operational: true });
        Object::new("", attributes)
    }
}

impl Object {
    fn new(dn: &str, attributes: Vec<Attribute>) -> Self {
        Self { dn: dn.to_owned(), key: key(&dn.to_lowercase()), attributes, login: None }
    }

    fn person<'a>(person: Person, rid: u32, above: &str, groups: impl Iterator<Item = &'a Group>) -> Self {
        let (group_dns, groups): (Vec<&str>, Vec<_>) = groups.map(|group| (group.dn.as_str(), group.sid)).unzip();
        let tokens = groups.iter().map(|sid| sid.to_vec()).collect();
        let full = format!("{} {}", person.given, person.family);
        let full = full.trim();
        let guid = guid(rid);
        let control = if person.disabled { "514" } else { "512" };
        let category = format!("CN=Person,CN=Schema,CN=Configuration,{}", Lab::BASE);
        let mut attributes = vec![
            Attribute::text("objectClass", &["top", "person", "organizationalPerson", "user"]),
            Attribute::text("objectCategory", &[&category]),
            Attribute::text("cn", &[full]),
            Attribute::text("displayName", &[full]),
            Attribute::text("givenName", &[&person.given]),
            Attribute::text("sn", &[&person.family]),
            Attribute::text("sAMAccountName", &[&person.name]),
            Attribute::text("uid", &[&person.name]),
            Attribute::text("userPrincipalName", &[&format!("{}@{}", person.name, Lab::DOMAIN)]),
            Attribute::text("userAccountControl", &[control]),
            Attribute::text("memberOf", &group_dns),
            Attribute { name: "tokenGroups", values: tokens, operational: true },
            Attribute { name: "objectSid", values: vec![sid(rid).to_vec()], operational: false },
            Attribute { name: "objectGUID", values: vec![guid.to_vec()], operational: false },
            // Not AD's: so that the lab can stand in for other directories as well.
            Attribute { name: "entryUUID", values: vec![uuid_text(&guid).into_bytes()], operational: true },
        ];
        attributes.extend(person.mail.map(|mail| Attribute::text("mail", &[&mail])));
        attributes.extend(person.mobile.map(|mobile| Attribute::text("mobile", &[&mobile])));
        let sub_code = if person.disabled { Some("533") } else { person.sub_code };
        let dn = format!("CN={},{above}", escaped(full));
        attributes.push(Attribute::text("distinguishedName", &[&dn]));
        let login = Login { name: person.name, sid: sid(rid), groups, password: person.password, sub_code };
        Self { login: Some(login), ..Self::new(&dn, attributes) }
    }

    fn within(&self, base: &str, scope: SearchRequestScope) -> bool {
        let above = self.key.strip_suffix(base).and_then(|front| front.strip_suffix(','));
        match scope {
            SearchRequestScope::BaseObject => self.key == base,
            SearchRequestScope::SingleLevel => above.is_some_and(|front| parts(front).len() == 1),
            _ => self.key == base || above.is_some(),
        }
    }

    /// RFC 4511 §4.5.1.8: no list or `*` is everything of the user's, `1.1` nothing, `+` the operational ones.
    fn entry(&self, request: &SearchRequest) -> SearchResultEntry {
        let asked = |name: &str| request.attributes.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        let all = request.attributes.is_empty() || asked("*");
        let chosen = self.attributes.iter().filter(|held| asked(held.name) || if held.operational { asked("+") } else { all });
        let attributes = chosen.map(|held| {
            let values = if request.types_only { Vec::new() } else { held.values.iter().map(|value| value.as_slice().into()).collect() };
            PartialAttribute::new(held.name.into(), values.into())
        });
        SearchResultEntry::new(self.dn.as_str().into(), attributes.collect())
    }

    fn values(&self, name: &str) -> Option<&[Vec<u8>]> {
        self.attributes.iter().find(|held| held.name.eq_ignore_ascii_case(name)).map(|held| held.values.as_slice())
    }
}

impl Login {
    /// Whom a domain controller takes them for: themselves, and their groups.
    fn tokens(&self) -> Vec<Vec<u8>> {
        std::iter::once(&self.sid).chain(&self.groups).map(|sid| sid.to_vec()).collect()
    }
}

impl Group {
    /// The place of the group of that name; it is made where there is none.
    fn place(groups: &mut Vec<Self>, name: &'static str, above: &str) -> usize {
        let place = groups.iter().position(|group| group.name == name).unwrap_or(groups.len());
        if place == groups.len() {
            let rid = u32::try_from(place).ok().and_then(|place| GROUP_RID.checked_sub(place)).unwrap_or(GROUP_RID);
            groups.push(Self { name, dn: format!("CN={},{above}", escaped(name)), sid: sid(rid), members: Vec::new() });
        }
        place
    }

    fn into_object(self) -> Object {
        let members: Vec<&str> = self.members.iter().map(String::as_str).collect();
        let attributes = vec![
            Attribute::text("objectClass", &["top", "group"]),
            Attribute::text("cn", &[self.name]),
            Attribute::text("sAMAccountName", &[self.name]),
            Attribute::text("member", &members),
            Attribute { name: "objectSid", values: vec![self.sid.to_vec()], operational: false },
        ];
        Object::new(&self.dn, attributes)
    }
}

impl Attribute {
    fn text(name: &'static str, values: &[&str]) -> Self {
        Self { name, values: values.iter().map(|value| value.as_bytes().to_vec()).collect(), operational: false }
    }
}

/// RFC 4511 §4.5.1.7: true, false, or `None` for undefined. Depth is bounded by the decoder.
fn matches(filter: &Filter, object: &Object) -> Option<bool> {
    match filter {
        Filter::And(all) => decided(all.iter().map(|one| matches(one, object)), false),
        Filter::Or(any) => decided(any.iter().map(|one| matches(one, object)), true),
        Filter::Not(one) => matches(one, object).map(|truth| !truth),
        Filter::EqualityMatch(asked) | Filter::ApproxMatch(asked) => {
            let wanted = folded(asked.assertion_value.trim_ascii());
            let is_category = asked.attribute_desc.eq_ignore_ascii_case("objectCategory");
            let equal = |held: &Vec<u8>| folded(held) == wanted || is_category && folded(held).starts_with(&[b"cn=", wanted.as_slice(), b","].concat());
            object.values(&asked.attribute_desc).map(|values| values.iter().any(equal))
        }
        Filter::Present(name) => Some(object.values(name).is_some()),
        Filter::Substrings(asked) => {
            object.values(&asked.r#type).map(|values| values.iter().any(|held| has_substrings(&folded(held), asked.substrings.as_slice())))
        }
        Filter::ExtensibleMatch(rule) => has_bits(rule, object),
        _ => None,
    }
}

/// One `deciding` truth decides the whole; else one undefined leaves it undefined.
fn decided(truths: impl Iterator<Item = Option<bool>>, deciding: bool) -> Option<bool> {
    let truths: Vec<_> = truths.collect();
    if truths.contains(&Some(deciding)) { Some(deciding) } else { truths.iter().all(Option::is_some).then_some(!deciding) }
}

fn has_substrings(held: &[u8], wanted: &[SubstringChoice]) -> bool {
    let mut rest = held;
    for choice in wanted {
        let behind = match choice {
            SubstringChoice::Initial(piece) => rest.strip_prefix(folded(piece).as_slice()),
            SubstringChoice::Any(piece) => {
                let piece = folded(piece);
                let at = if piece.is_empty() { Some(0) } else { rest.windows(piece.len()).position(|window| window == piece) };
                at.and_then(|at| rest.get(at.saturating_add(piece.len())..))
            }
            SubstringChoice::Final(piece) => rest.ends_with(&folded(piece)).then_some([].as_slice()),
            _ => None,
        };
        let Some(behind) = behind else { return false };
        rest = behind;
    }
    true
}

/// AD's bitwise AND, which applications use to find accounts that are not disabled.
fn has_bits(rule: &MatchingRuleAssertion, object: &Object) -> Option<bool> {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok();
    if rule.matching_rule.as_ref()?.as_str() != "1.2.840.113556.1.4.803" {
        return None;
    }
    let wanted = number(&rule.match_value)?;
    let held = object.values(rule.r#type.as_ref()?)?;
    Some(held.iter().filter_map(|value| number(value)).any(|value| value & wanted == wanted))
}

/// Values are compared without regard to case; what is no text, byte for byte.
fn folded(value: &[u8]) -> Vec<u8> {
    std::str::from_utf8(value).map_or_else(|_| value.to_vec(), |text| text.to_lowercase().into_bytes())
}

/// A DN in the form that two spellings of it share, as far as the lab needs: no hexadecimal escapes.
fn key(dn: &str) -> String {
    parts(dn)
        .iter()
        .map(|part| part.split_once('=').map_or_else(|| part.trim().to_owned(), |(name, value)| format!("{}={}", name.trim(), value.trim())))
        .collect::<Vec<_>>()
        .join(",")
}

/// Cuts at commas that no backslash stands before.
fn parts(dn: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for letter in dn.chars() {
        match (letter, parts.last_mut()) {
            (',', _) if !is_escaped => parts.push(String::new()),
            (_, Some(part)) => part.push(letter),
            _ => {}
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    parts
}

/// RFC 4514 §2.4, for the signs that names have in them.
fn escaped(name: &str) -> String {
    name.chars().flat_map(|letter| ",+\"\\<>;#=".contains(letter).then_some('\\').into_iter().chain(std::iter::once(letter))).collect()
}

/// `S-1-5-21-..-rid`, in the bytes of MS-DTYP §2.4.2.2.
fn sid(rid: u32) -> [u8; 28] {
    let mut bytes = [0; 28];
    let numbers = [21_u32, 1_004_336_348, 1_177_238_915, 682_003_330, rid];
    let head = [1, 5, 0, 0, 0, 0, 0, 5];
    let all = head.into_iter().chain(numbers.into_iter().flat_map(u32::to_le_bytes));
    bytes.iter_mut().zip(all).for_each(|(byte, value)| *byte = value);
    bytes
}

fn sid_text(sid: &[u8; 28]) -> String {
    let (_, numbers) = sid.split_at(8);
    let numbers = numbers.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(|four| u32::from_le_bytes(four).to_string());
    std::iter::once("S-1-5".to_owned()).chain(numbers).collect::<Vec<_>>().join("-")
}

/// A moment as a domain controller writes it (RFC 4517 §3.3.13).
fn generalized(now: Timestamp) -> String {
    let now = i64::try_from(now.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or(jiff::Timestamp::MAX);
    now.strftime("%Y%m%d%H%M%S.0Z").to_string()
}

/// Any sixteen bytes that are a person's own.
fn guid(rid: u32) -> [u8; 16] {
    (u128::from(rid) << 96 | 0x4c41_4280_0000_0000_0000_0000).to_be_bytes()
}

fn uuid_text(guid: &[u8; 16]) -> String {
    let number = u128::from_be_bytes(*guid);
    let hex = format!("{number:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().filter_map(|range| hex.get(range)).collect::<Vec<_>>().join("-")
}

/// The highest there is: the encoder sorts the values of a set, and a domain controller names the bound one's own SID first.
const GROUP_RID: u32 = 0x3fff_ffff;
/// Active Directory's own MaxPageSize.
const ENTRIES_MAX: usize = 1_000;
