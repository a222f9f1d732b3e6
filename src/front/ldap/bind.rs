//! One bind: what is wrong with it at first sight, whom it is for, and the directory's answer held until the engine has decided.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio::time::sleep_until;

use super::upstream::Upstream;
use super::upstream::ask;
use super::upstream::away;
use super::upstream::controls;
use super::upstream::read;
use super::upstream::well;
use super::upstream::whole;
use crate::domain::Appended;
use crate::domain::AuthRequest;
use crate::domain::Checked;
use crate::domain::CodeEntry;
use crate::domain::Decision;
use crate::domain::Grant;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::Permit;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::engine::Login;
use crate::engine::Outcome;
use crate::ports::Aside;
use crate::ports::Directory;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::ports::Proof;
use crate::ports::groups_of;
use crate::wire::ldap::Bind;
use crate::wire::ldap::Choice;
use crate::wire::ldap::Code;
use crate::wire::ldap::Control;
use crate::wire::ldap::Entry as Found;
use crate::wire::ldap::bind_request;
use crate::wire::ldap::sid_text;

/// How a server ends a connection that was idle for too long.
const CLOSED: [io::ErrorKind; 3] = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
/// Bytes of a name.
const NAME_LEN_MAX: usize = 4_096;
/// The most that chance adds to the time of a refusal.
const JITTER_MAX_MS: u64 = 100;

/// What a bind asks for, seen without asking anybody.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To be nobody.
    Anonymous,
    /// What cannot be anybody's credentials: refused like a wrong password, and as late. The word is for the metric.
    Hopeless(&'static str),
    /// To log in.
    Login {
        /// The name as typed.
        name: String,
        /// The password, what was appended cut off.
        password: Secret,
        /// What came with it: a code, or the word of a method.
        appended: Option<Appended>,
    },
    /// What this door does not do, said at once; the word is for the metric.
    Refused(Code, &'static str, &'static str),
}

impl Wish {
    /// Sorts a bind. `heard`: others on the way can read it, and may not.
    pub(super) fn of(bind: &Bind<'_>, controls: &[Control<'_>], heard: bool, entry: &CodeEntry) -> Self {
        if bind.version != 3 {
            return Self::Refused(Code::ProtocolError, "LDAP version 3 alone is spoken here", "version");
        }
        // No control of a bind goes to the directory.
        if controls.iter().any(|control| control.critical) {
            return Self::Refused(Code::UnavailableCriticalExtension, "a critical control of this bind is not supported", "control");
        }
        let typed = match bind.choice {
            Choice::Simple(password) => password,
            Choice::Sasl(_) => return Self::Refused(Code::AuthMethodNotSupported, "simple binds alone are taken here", "sasl"),
            Choice::Other(_) => return Self::Refused(Code::AuthMethodNotSupported, "simple binds alone are taken here", "choice"),
        };
        match (bind.name, typed) {
            ([], []) => return Self::Anonymous,
            // RFC 4513 §5.1.2: an "unauthenticated bind" proves nothing, and applications take its success for a right password.
            (_, []) => return Self::Refused(Code::UnwillingToPerform, "a password is needed", "empty_password"),
            ([], _) => return Self::Hopeless("empty_name"),
            _ => {}
        }
        if heard {
            return Self::Refused(Code::ConfidentialityRequired, "use TLS: this password was sent in clear text", "clear_text");
        }
        let name = match std::str::from_utf8(bind.name) {
            Ok(name) if name.len() <= NAME_LEN_MAX && !name.chars().any(char::is_control) => name.to_owned(),
            _ => return Self::Refused(Code::InvalidDnSyntax, "the name is not one", "bad_name"),
        };
        if typed.contains(&0) {
            return Self::Hopeless("password_nul");
        }
        let (password, appended) = entry.split(&Secret::new(typed.to_vec()));
        Self::Login { name, password, appended }
    }
}

/// How a bind ends.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Refused; it is late enough to say so.
    Denied,
    /// Let in.
    Granted(Box<Granted>),
    /// It is we who cannot decide.
    Unavailable,
}

/// A connection that speaks as the client from now on.
#[derive(Debug)]
pub(super) struct Granted {
    /// The connection, bound.
    pub(super) upstream: Box<Upstream>,
    /// The BindResponse, as it came, for the client's own message id.
    pub(super) response: Vec<u8>,
    /// Whom the directory took the client for.
    pub(super) dn: String,
    /// Whose it is ..
    pub(super) who: Identity,
    /// .. and in which directory.
    pub(super) directory: String,
    /// Why the client is let in.
    pub(super) why: Grant,
}

/// From when on no may be said: `delay` after now.
pub(super) fn denial_at(delay: Duration) -> Instant {
    Instant::now().checked_add(delay).unwrap_or_else(Instant::now)
}

/// Waits for what is hopeless as for what is wrong (L-011: one text, one time), and a little longer by chance.
pub(super) async fn deny(at: Instant) -> Verdict {
    let mut byte = [u8::MAX];
    // Without chance the longest wait is as good.
    let _ = getrandom::fill(&mut byte);
    let jitter_ms = byte.first().map_or(JITTER_MAX_MS, |byte| u64::from(*byte).saturating_mul(JITTER_MAX_MS) / 255);
    sleep_until(at.checked_add(Duration::from_millis(jitter_ms)).unwrap_or(at)).await;
    Verdict::Denied
}

/// Waits for the engine's decision. Dropped, it gives the login up.
pub(super) async fn decide(login: Login, check: Arc<Check>, denied_at: Instant) -> Verdict {
    let outcome = login.outcome().await;
    let held = check.release();
    match outcome {
        Outcome::Decided { decision, .. } => match (&*decision, held) {
            (Decision::Accept(permit), Some(held)) => (*held).grant(permit),
            (Decision::Accept(_), None) => {
                tracing::error!("a bind was accepted that no directory answered: refused");
                Verdict::Unavailable
            }
            (Decision::Drop(_), _) => Verdict::Unavailable,
            (Decision::Reject(_), held) => {
                // The directory has authenticated this connection already: it goes now, not after the wait.
                drop(held);
                deny(denied_at).await
            }
        },
        Outcome::Challenge { .. } | Outcome::Relayed { .. } | Outcome::Superseded => {
            drop(held);
            deny(denied_at).await
        }
    }
}

/// The first factor of this door: the client's own connection to the directory.
#[derive(Debug)]
pub(super) struct Check {
    directory: Arc<dyn Directory>,
    /// The client's message id: the answer that is held goes out as it came.
    id: u32,
    pdu_max: usize,
    /// The client's connection so far, if it may be bound again.
    kept: Mutex<Option<Box<Upstream>>>,
    /// In a box: it passes through several hands, and each would keep room for it.
    held: Mutex<Option<Box<Held>>>,
}

/// What the directory said, the connection it said it on, and of whom.
#[derive(Debug)]
struct Held {
    upstream: Box<Upstream>,
    response: Vec<u8>,
    dn: String,
    who: Identity,
    directory: String,
}

/// How the directory answered a bind.
struct Bound {
    /// Why not; `None`: it took us for somebody.
    refusal: Option<PrimaryError>,
    /// Its answer, as it came.
    response: Vec<u8>,
}

impl Held {
    fn of(upstream: Box<Upstream>, response: Vec<u8>, entry: &Entry) -> Self {
        Self { upstream, response, dn: entry.dn.clone(), who: entry.identity.clone(), directory: entry.directory.clone() }
    }

    /// Lets go of it, for a permit of that very identity.
    fn grant(self, permit: &Permit) -> Verdict {
        let Self { upstream, response, dn, who, directory } = self;
        if *permit.identity() != who {
            tracing::error!(proven = ?who, permitted = ?permit.identity(), "a permit is for another identity than the bind: refused");
            return Verdict::Unavailable;
        }
        Verdict::Granted(Box::new(Granted { upstream, response, dn, who, directory, why: permit.why() }))
    }
}

impl Check {
    /// `kept`: what this client was bound on, nothing being under way there.
    pub(super) fn new(directory: Arc<dyn Directory>, id: u32, pdu_max: usize, kept: Option<Box<Upstream>>) -> Arc<Self> {
        Arc::new(Self { directory, id, pdu_max, kept: Mutex::new(kept), held: Mutex::default() })
    }

    /// Hands out what the directory said, once; a connection that was not bound again is closed.
    fn release(&self) -> Option<Box<Held>> {
        drop(self.kept());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn kept(&self) -> Option<Box<Upstream>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A connection to bind on, and whether it was used before: then its end tells nothing about the server, which may close who is idle.
    async fn upstream(&self, directory: &dyn Directory) -> Result<(Box<Upstream>, bool), PrimaryError> {
        if let Some(mut upstream) = self.kept()
            && upstream.may_bind(&self.directory, directory).await
        {
            upstream.bound_at = Instant::now();
            return Ok((upstream, true));
        }
        Ok((Upstream::connect(&self.directory, directory).await?, false))
    }

    /// Reads on the bound connection whom the directory took us for (L-073). Returns the controls it knows.
    async fn prove(&self, directory: &dyn Directory, mut upstream: Box<Upstream>, entry: &Entry) -> Result<Box<Upstream>, PrimaryError> {
        let (mine, root) = match directory.proof() {
            Proof::TokenGroups(attribute) => {
                let [root] = self.read(directory, &mut upstream, [("", &[attribute, "supportedControl"])]).await?;
                let mine = root.as_ref().is_some_and(|root| root.values(attribute).filter_map(sid_text).any(|sid| sid == entry.identity.id()));
                (mine, root)
            }
            Proof::OwnEntry(attribute) => {
                let own_question: (&str, &[&str]) = (&entry.dn, &[attribute]);
                let (own, root) = if upstream.controls.is_empty() {
                    let [own, root] = self.read(directory, &mut upstream, [own_question, ("", &["supportedControl"])]).await?;
                    (own, root)
                } else {
                    let [own] = self.read(directory, &mut upstream, [own_question]).await?;
                    (own, None)
                };
                (own.is_some_and(|own| own.values(attribute).any(|value| value == entry.identity.id().as_bytes())), root)
            }
        };
        if !mine {
            tracing::error!(directory = directory.name(), dn = ?entry.dn, identity = ?entry.identity, "the directory took a bind for somebody else than was looked up: refused");
            return Err(PrimaryError::Refused { who: None, why: Refused::UnknownName });
        }
        if let Some(root) = root {
            upstream.controls = controls(&root);
        }
        Ok(upstream)
    }

    async fn read<const N: usize>(
        &self,
        directory: &dyn Directory,
        upstream: &mut Upstream,
        questions: [(&str, &[&str]); N],
    ) -> Result<[Option<Found>; N], PrimaryError> {
        read(&mut upstream.side, questions, self.pdu_max).await.map_err(|error| away(directory, upstream.server, &error))
    }

    /// Binds. From here on no other server is asked: a second bind would count as a second wrong password.
    async fn bind(&self, directory: &dyn Directory, upstream: &mut Upstream, entry: &Entry, password: &Secret) -> io::Result<Bound> {
        let response = ask(&mut upstream.side, &bind_request(self.id, &entry.dn, password.expose()), self.pdu_max).await?;
        let frame = whole(&response)?;
        if (frame.id, frame.op) != (self.id, 0x61) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let result = well(&frame)?;
        let refusal = (result.code != 0).then(|| directory.refusal(result.code, &String::from_utf8_lossy(result.diagnostic)));
        Ok(Bound { refusal, response })
    }
}

#[async_trait]
impl PrimaryCheck for Check {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        let entry = self.directory.resolve(&request.login).await?;
        // An id may stand in two directories, as copies have them: the exemption is of one.
        if request.exempt.iter().any(|exempt| exempt.who == entry.identity && exempt.directory != entry.directory) {
            return Err(PrimaryError::Refused { who: None, why: Refused::UnclearName });
        }
        Ok(Some(entry))
    }

    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, _aside: &mut Aside) -> Result<Checked, PrimaryError> {
        let (Primary::Password(password), Some(entry)) = (&request.primary, entry) else {
            return Err(PrimaryError::Outage(Outage::Fault));
        };
        if password.is_empty() || entry.dn.is_empty() {
            return Err(PrimaryError::Refused { who: None, why: Refused::WrongPassword });
        }
        let directory = self.directory.realm(entry).unwrap_or_else(|| self.directory.as_ref());
        let (mut upstream, is_used) = self.upstream(directory).await?;
        let bound = self.bind(directory, &mut upstream, entry, password).await;
        let Bound { refusal, response } = bound.map_err(|error| match is_used {
            true if CLOSED.contains(&error.kind()) => PrimaryError::Outage(Outage::Directory),
            _ => away(directory, upstream.server, &error),
        })?;
        if let Some(refusal) = refusal {
            return Err(owned(refusal, entry));
        }
        let mut upstream = self.prove(directory, upstream, entry).await?;
        upstream.side.rest();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(Held::of(upstream, response, entry)));
        Ok(Checked::Passed(entry.identity.clone()))
    }

    async fn groups(&self, entry: Option<&Entry>, who: &Identity, wanted: &[String], needed: &[String], aside: &Aside) -> Result<Option<Vec<String>>, Outage> {
        groups_of(self.directory.as_ref(), entry, who, wanted, needed, aside).await
    }
}

/// A refusal counts against whose object it was.
fn owned(error: PrimaryError, entry: &Entry) -> PrimaryError {
    match error {
        PrimaryError::Refused { who: None, why } => PrimaryError::Refused { who: Some(entry.identity.clone()), why },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::side::Side;
    use super::super::tests::Void;
    use super::*;
    use crate::domain::Action;
    use crate::domain::Dialogue;
    use crate::domain::Door;
    use crate::domain::Event;
    use crate::domain::FirstAlone;
    use crate::domain::Flow;
    use crate::domain::Lock;
    use crate::domain::Rules;
    use crate::domain::Standing;
    use crate::domain::Timestamp;
    use crate::domain::Trace;

    /// A permit as the domain gives it to whoever passed the first factor under a policy that asks for no more.
    fn permit(who: &str) -> Arc<Decision> {
        let request = AuthRequest {
            door: Door::Ldap,
            client: "wiki".into(),
            login: "alice".into(),
            primary: Primary::Password(Secret::from("pass")),
            appended: None,
            dialogue: Dialogue::default(),
            source: None,
            exempt: Vec::new(),
            seat: Vec::new(),
            asker: Vec::new(),
        };
        let rules = Rules { unenrolled: FirstAlone::Accept, lock: Lock { failures_max: 5, wait_ms: 1_000, window_ms: 0 }, ..Rules::bare("staff", Vec::new()) };
        let mut flow = Flow::new(request, Arc::new(rules), Trace::default());
        let events = [Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Ok(Checked::Passed(Identity(who.into())))), Event::Found(Ok(Standing::default()))];
        let last = events.into_iter().map(|event| flow.next(Timestamp(1), event)).last();
        let Some(Action::Finish(decision)) = last else { panic!("{last:?}") };
        Arc::new(decision)
    }

    #[tokio::test]
    async fn l_073_a_held_bind_is_let_go_for_a_permit_of_that_very_identity() {
        for (who, lets_go) in [("S-1-5-18", true), ("S-1-5-19", false), ("s-1-5-18", false), ("", false)] {
            let side = Side::new(Box::new(tokio::io::empty()));
            let upstream =
                Upstream { side, home: Arc::new(Void), realm: "void".into(), server: 0, controls: Arc::default(), owes: false, bound_at: Instant::now() };
            let identity = Identity("S-1-5-18".into());
            let entry = Entry { directory: "corp".into(), identity, dn: "CN=alice".into(), name: "alice".into(), mail: None, phone: None, password_set: None };
            let held = Held::of(Box::new(upstream), Vec::new(), &entry);
            let decision = permit(who);
            let Decision::Accept(permit) = &*decision else { panic!("{decision:?}") };
            assert_eq!(matches!(held.grant(permit), Verdict::Granted(_)), lets_go, "{who:?}");
        }
    }
}
