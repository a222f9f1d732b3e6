//! Groups: which of those somebody asks about a person is in (M-47).
//!
//! | kind | a group's name is its | a person is in it when |
//! |---|---|---|
//! | Active Directory | `sAMAccountName` | its SID is in the person's `tokenGroups`: nested groups and the primary one included; distribution groups have no part in that |
//! | other | `cn` | it is in the person's `memberOf`, or the person in its `member`, `uniqueMember` or `memberUid`; nested as far as `memberOf` is |
//!
//! A DN is understood for either. What a name means is kept for a while; whom a group holds is asked each time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;
use tracing::error;
use tracing::warn;

use crate::domain::Outage;
use crate::ports::Entry;
use crate::wire::ldap::Filter;
use crate::wire::ldap::Question;
use crate::wire::ldap::Scope;

use super::Kind;
use super::dn::Dn;
use super::pool::Pool;
use super::search::Found;

/// The groups of one directory that somebody has asked about.
#[derive(Debug)]
pub(super) struct Groups {
    directory: String,
    kind: Kind,
    /// The attribute that holds an object's unchangeable id.
    id: &'static str,
    /// Where groups are found by name: the whole domain, for they seldom lie where the people do.
    root: String,
    known: Mutex<HashMap<String, Known>>,
}

/// What a wanted name meant when we last looked.
#[derive(Clone, Debug)]
struct Known {
    group: Option<Group>,
    until: Instant,
}

/// A group that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    dn: String,
    /// The SID, or the name by which it is found again.
    id: Vec<u8>,
}

impl Groups {
    /// Asks nobody yet.
    pub(super) fn new(directory: &str, kind: Kind, id: &'static str, base: &Dn) -> Self {
        Self { directory: directory.to_owned(), kind, id, root: base.domain().to_string(), known: Mutex::default() }
    }

    /// Those of `wanted` that the person is in, as they were written.
    pub(super) async fn of(&self, pool: &Pool, entry: &Entry, wanted: &[String]) -> Result<Vec<String>, Outage> {
        let mut asked = Vec::new();
        for name in wanted {
            if let Some(group) = self.group(pool, name).await? {
                asked.push((name, group));
            }
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.held(pool, entry).await?;
        let members = match self.kind {
            Kind::Ad => Vec::new(),
            Kind::Ldap => self.holding(pool, entry, &asked).await?,
        };
        let is_in = |group: &Group| match self.kind {
            Kind::Ad => held.contains(&group.id),
            Kind::Ldap => {
                let mut dns = held.iter().filter_map(|value| std::str::from_utf8(value).ok()).chain(members.iter().map(String::as_str));
                dns.any(|dn| is_same(dn, &group.dn))
            }
        };
        Ok(asked.into_iter().filter(|(_, group)| is_in(group)).map(|(name, _)| name.clone()).collect())
    }

    /// Those of `names` that mean no group: gone, renamed, out of our sight, or for mail alone. Whoever is to be kept out may be in it for all we know.
    pub(super) async fn missing(&self, pool: &Pool, names: &[String]) -> Result<Vec<String>, Outage> {
        let mut missing = Vec::new();
        for name in names {
            if self.group(pool, name).await?.is_none() {
                error!(directory = self.directory, group = ?name, "a denied group is not to be found: nobody can tell who is in it, and nobody is let in");
                missing.push(name.clone());
            }
        }
        Ok(missing)
    }

    /// The group a name means; `None`: there is none.
    async fn group(&self, pool: &Pool, name: &str) -> Result<Option<Group>, Outage> {
        let before = self.known().get(name).cloned();
        if let Some(known) = before.as_ref().filter(|known| Instant::now() < known.until) {
            return Ok(known.group.clone());
        }
        let looked_up = self.look_up(pool, name).await?;
        if let Err(why) = looked_up
            && before.is_none_or(|known| known.group.is_some())
        {
            warn!(directory = self.directory, group = ?name, "{why}: nobody counts as in it");
        }
        let group = looked_up.ok();
        let mut known = self.known();
        if known.len() >= KNOWN_MAX && !known.contains_key(name) {
            known.clear();
        }
        known.insert(name.to_owned(), Known { group: group.clone(), until: Instant::now() + KNOWN_FOR });
        Ok(group)
    }

    /// The group a name means now, or why it is none that anybody could be in.
    async fn look_up(&self, pool: &Pool, name: &str) -> Result<Result<Group, &'static str>, Outage> {
        let (question, id) = named(self.kind, &self.root, name);
        let (found, answer) = pool.search(&question).await?;
        match (answer.code, found.as_slice()) {
            (0, []) => Ok(Err(NO_GROUP)),
            (0, [one]) if self.kind == Kind::Ad && is_distribution(one) => Ok(Err(DISTRIBUTION)),
            (0, [one]) => match one.values(id).first() {
                Some(value) => Ok(Ok(Group { dn: one.dn.clone(), id: value.clone() })),
                None => {
                    error!(directory = self.directory, group = ?name, "bind_name may not read {id} of this group");
                    Err(Outage::Fault)
                }
            },
            (0 | SIZE_LIMIT_EXCEEDED, _) => {
                error!(directory = self.directory, group = ?name, "more than one group has this name: write its DN");
                Err(Outage::Fault)
            }
            (REFERRAL | NO_SUCH_OBJECT | INVALID_DN_SYNTAX, _) if question.scope == Scope::Base => Ok(Err(NO_GROUP)),
            (code, _) => Err(self.refused(code, &answer.text)),
        }
    }

    /// What the person's own object says: SIDs of groups, or DNs. It must be the very object that was found before.
    async fn held(&self, pool: &Pool, entry: &Entry) -> Result<Vec<Vec<u8>>, Outage> {
        let groups = match self.kind {
            Kind::Ad => "tokenGroups",
            Kind::Ldap => "memberOf",
        };
        let id = self.id;
        let filter = Filter::Present("objectClass");
        let question = Question { base: Cow::Borrowed(&entry.dn), scope: Scope::Base, filter, attributes: &[id, groups], count_max: 2 };
        let (found, answer) = pool.search(&question).await?;
        if answer.code != 0 {
            return Err(self.refused(answer.code, &answer.text));
        }
        let ours = self.kind.identity_value(&entry.identity);
        let is_same = |found: &&Found| ours.as_ref().is_some_and(|ours| found.values(id).contains(ours));
        let Some(found) = found.iter().find(is_same) else {
            error!(directory = self.directory, dn = ?entry.dn, "this object is another one than a moment ago: its groups are not known");
            return Err(Outage::Fault);
        };
        let values = found.values(groups).to_vec();
        // Everybody is in the primary group at least: nothing there is nothing we may read.
        if self.kind == Kind::Ad && values.is_empty() {
            error!(
                directory = self.directory,
                dn = ?entry.dn,
                "bind_name may not read tokenGroups: make it a member of \"Windows Authorization Access Group\""
            );
            return Err(Outage::Fault);
        }
        Ok(values)
    }

    /// The DNs of those groups that name the person as a member themselves. Others of the same `cn` may be among them.
    async fn holding(&self, pool: &Pool, entry: &Entry, asked: &[(&String, Group)]) -> Result<Vec<String>, Outage> {
        let member = Filter::Or(vec![Filter::equal("member", &entry.dn), Filter::equal("uniqueMember", &entry.dn), Filter::equal("memberUid", &entry.name)]);
        let mut dns = Vec::new();
        for some in asked.chunks(ASKED_AT_ONCE) {
            let named = Filter::Or(some.iter().map(|(_, group)| Filter::Equal("cn", &group.id)).collect());
            let question = Question {
                base: Cow::Borrowed(&self.root),
                scope: Scope::Subtree,
                filter: Filter::And(vec![named, member.clone()]),
                attributes: &["cn"],
                count_max: HOLDING_MAX,
            };
            let (found, answer) = pool.search(&question).await?;
            if answer.code != 0 {
                return Err(self.refused(answer.code, &answer.text));
            }
            dns.extend(found.into_iter().map(|found| found.dn));
        }
        Ok(dns)
    }

    /// A read that failed is never "not in it": who must not be let in for a group would be.
    fn refused(&self, code: u32, text: &str) -> Outage {
        error!(directory = self.directory, code, text = ?text, "a look-up of groups was refused: check base and the rights of bind_name");
        Outage::Fault
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is asked to find the group of a name below `root`, and the attribute that then tells it apart.
pub(super) fn named<'a>(kind: Kind, root: &'a str, name: &'a str) -> (Question<'a>, &'static str) {
    let (kinds, id, by_name): (&[&str], _, _) = match kind {
        Kind::Ad => (&["group"], "objectSid", "sAMAccountName"),
        Kind::Ldap => (&["groupOfNames", "groupOfUniqueNames", "groupOfMembers", "groupOfEntries", "posixGroup", "group"], "cn", "cn"),
    };
    let is_group = Filter::Or(kinds.iter().map(|class| Filter::equal("objectClass", class)).collect());
    let (base, scope, filter) = match Dn::parse(name) {
        Some(dn) => (Cow::Owned(dn.to_string()), Scope::Base, is_group),
        None => (Cow::Borrowed(root), Scope::Subtree, Filter::And(vec![is_group, Filter::equal(by_name, name.trim())])),
    };
    (Question { base, scope, filter, attributes: if kind == Kind::Ad { &["objectSid", "groupType"] } else { &["cn", "groupType"] }, count_max: 2 }, id)
}

/// What is wrong with a name that was asked about so; `None`: it is one group's.
pub(super) fn complaint(kind: Kind, found: &[Found], code: u32) -> Option<&'static str> {
    match (code, found) {
        (0, [one]) => (kind == Kind::Ad && is_distribution(one)).then_some(DISTRIBUTION),
        (0 | SIZE_LIMIT_EXCEEDED, [_, _, ..]) => Some("more than one group has this name: write its DN"),
        _ => Some(NO_GROUP),
    }
}

/// Whether it is for mail alone: a security group has the highest bit, so its number is negative ([MS-ADTS] §2.2.12).
fn is_distribution(group: &Found) -> bool {
    group.text("groupType").and_then(|number| number.parse::<i32>().ok()).is_some_and(|number| number >= 0)
}

/// Whether two spellings are one DN.
fn is_same(one: &str, other: &str) -> bool {
    match (Dn::parse(one), Dn::parse(other)) {
        (Some(one), Some(other)) => one.is_under(&other) && other.is_under(&one),
        _ => one.eq_ignore_ascii_case(other),
    }
}

const NO_GROUP: &str = "there is no such group";
const DISTRIBUTION: &str = "this is a distribution group, which has no part in anybody's tokens (make it a security group)";
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const REFERRAL: u32 = 10;
const NO_SUCH_OBJECT: u32 = 32;
const INVALID_DN_SYNTAX: u32 = 34;
/// Names of groups we remember; the configuration has fewer.
const KNOWN_MAX: usize = 1_024;
/// How long a group may have another name, or be there without our knowing.
const KNOWN_FOR: Duration = Duration::from_secs(60);
const ASKED_AT_ONCE: usize = 24;
/// With references a server may add, within what a connection takes for one answer.
const HOLDING_MAX: u16 = 48;
