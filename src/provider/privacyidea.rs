//! privacyIDEA, the server for second factors that people run themselves: codes of its tokens, codes that it sends by text and mail, and its push.

mod answer;
mod caller;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method as Verb;
use tracing::error;
use tracing::warn;

use self::answer::Envelope;
use self::answer::Stand;
use self::answer::Transaction;
use self::answer::Whose;
use self::answer::Word;
use self::answer::kinds;
use self::answer::token;
pub use self::caller::Caller;
use self::wire::Params;
use self::wire::Wire;
use super::http::OpenError;
use super::line::Line;
use super::login::source;
use super::object::Object;
use super::watch::a_little_later;
use super::watch::watch;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::ports::Clock;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "privacyidea"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is: `https://HOST`; `http://` to a loopback address alone.
    pub url: String,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
    /// The realm of our people there; `None`: its default one.
    pub realm: Option<String>,
    /// Who we are to it.
    pub caller: Caller,
    /// Whether it is told where the person is.
    pub send_source: bool,
}

/// A privacyIDEA server.
#[derive(Debug)]
pub struct PrivacyIdea {
    wire: Wire,
    line: Arc<Line>,
    settings: Settings,
}

impl PrivacyIdea {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(Self { wire: Wire::open(&settings, clock)?, line: Line::new(), settings })
    }

    /// Whose factor it is: all that goes out about a person, but for where they are.
    fn person<'a>(&'a self, user: &'a str, source: Option<&'a str>) -> Params<'a> {
        let mut params = Params::from([("user", user)]);
        params.extend(self.settings.realm.as_deref().map(|realm| ("realm", realm)));
        params.extend(source.map(|source| ("client", source)));
        params
    }

    fn whose<'a>(&'a self, user: &'a str) -> Whose<'a> {
        Whose { user, realm: self.settings.realm.as_deref() }
    }

    /// Has the person's tokens of this method ask. Once: a text is never sent twice.
    async fn trigger(&self, asking: &Asking) -> Result<Ticket, FactorError> {
        let (user, kinds) = (asking.account.name.as_str(), kinds(asking.choice.method));
        let source = source(asking, self.settings.send_source);
        let mut params = self.person(user, source.as_deref());
        params.extend(kinds.first().map(|kind| ("type", *kind)));
        let answer: Envelope<u64> = self.wire.ask_as_ourselves("/validate/triggerchallenge", &params).await?;
        let Object(detail) = answer.detail.unwrap_or_default();
        if !detail.is_of(self.whose(user), None, None) {
            return Err(self.wire.garbled("challenges of somebody else"));
        }
        if detail.strays(kinds) {
            // Texts that nobody asked for go out with each push; that is not ours to stop.
            warn!(provider = %self.settings.name, "it asks all tokens of a person, not those of one type: allow application_tokentype in its authorization policies");
        }
        detail.question(user, kinds).map_err(|what| self.wire.garbled(what))?.ok_or(FactorError::NotEnrolled)
    }

    async fn look(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let asked = Transaction::of(ticket).ok_or(FactorError::Misconfigured)?;
        match self.wire.ask::<bool>(Verb::GET, &format!("/validate/polltransaction/{}", asked.id), &Params::new()).await {
            Ok(answer) => match answer.stand() {
                Stand::Approved => self.finish(&asked).await,
                Stand::Open => Ok(Progress::Pending(ticket.clone())),
                Stand::Refused => Ok(Progress::Denied { fraud: false }),
            },
            // A look that was lost says nothing of the question, which is still out.
            Err(FactorError::Faltering) => Ok(Progress::Pending(ticket.clone())),
            Err(FactorError::Throttled) => a_little_later(Progress::Pending(ticket.clone())).await,
            Err(error) => Err(error),
        }
    }

    /// The phone has approved: now the server is to say so of this person and this question, which is used up by that.
    async fn finish(&self, asked: &Transaction<'_>) -> Result<Progress, FactorError> {
        let mut params = self.person(asked.user, None);
        params.extend([("pass", ""), ("transaction_id", asked.id)]);
        let answer = self.wire.ask(Verb::POST, CHECK, &params).await?;
        match self.word(&answer, asked.user, Some(asked), None)? {
            Word::Accepted => Ok(Progress::Allowed { spend: None }),
            Word::Asks | Word::Declined | Word::Rejected => Ok(Progress::Denied { fraud: false }),
        }
    }

    fn word(&self, answer: &Envelope<bool>, user: &str, asked: Option<&Transaction<'_>>, token: Option<&str>) -> Result<Word, FactorError> {
        let word = answer.word().ok_or_else(|| self.wire.garbled("a value and an authentication that do not go together"))?;
        if word != Word::Accepted {
            return Ok(word);
        }
        // M-13: a password that is taken, or remembered, instead of a token is one factor used twice.
        let named = answer.detail.as_ref().map(|Object(detail)| detail).filter(|detail| detail.names_a_token());
        let detail = named.ok_or_else(|| self.wire.garbled(NO_TOKEN))?;
        if detail.is_of(self.whose(user), asked, token) {
            Ok(word)
        } else {
            Err(self.wire.garbled("it accepts somebody else, or another question, or another token"))
        }
    }
}

#[async_trait]
impl Provider for PrivacyIdea {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        match asking.choice.method {
            Method::Call => {
                error!(provider = %self.settings.name, "privacyIDEA makes no calls: name another provider for this method");
                Err(FactorError::Misconfigured)
            }
            Method::Email | Method::Text => Ok(Progress::CodeNeeded { ticket: Some(self.trigger(asking).await?) }),
            Method::Oath => Ok(Progress::CodeNeeded { ticket: None }),
            Method::Push => self.trigger(asking).await.map(Progress::Pending),
        }
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        watch(&self.line, WAIT_MAX, |turn| {
            Box::pin(async move {
                let _turn = turn;
                self.look(ticket).await
            })
        })
        .await
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        // A PIN may stand before the code, so more than digits; but no spaces and nothing that only looks like a digit (M-02). Never nothing: that would trigger a
        // challenge (M-17).
        let typed = code.expose_text().filter(|text| (1..=CODE_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()));
        let typed = typed.ok_or(FactorError::BadCode)?;
        let asked = match ticket {
            Some(ticket) => Some(Transaction::of(ticket).ok_or(FactorError::Misconfigured)?),
            None => None,
        };
        let user = asking.account.name.as_str();
        let token = token(&asking.account, &self.settings.name).filter(|_| asked.is_none());
        let source = source(asking, self.settings.send_source);
        let mut params = self.person(user, source.as_deref());
        params.insert("pass", typed);
        params.extend(asked.map(|asked| ("transaction_id", asked.id)));
        params.extend(token.into_iter().flat_map(|token| [("otponly", "1"), ("serial", token)]));
        let answer = self.wire.ask(Verb::POST, CHECK, &params).await?;
        match self.word(&answer, user, asked.as_ref(), token)? {
            Word::Accepted => Ok(Progress::Allowed { spend: None }),
            Word::Declined => Ok(Progress::Denied { fraud: false }),
            // A PIN without its code is no code.
            Word::Asks | Word::Rejected => Err(FactorError::BadCode),
        }
    }

    async fn probe(&self) -> Probed {
        self.wire.check().await.map_or_else(Probed::from, |()| Probed::Well { clock: self.wire.date() })
    }

    /// It has no such thing: a question runs out there by itself, and an approval that comes late opens nothing, since nobody asks for it any more.
    async fn cancel(&self, _ticket: &Ticket) {}
}

const NO_TOKEN: &str =
    "it accepts without naming a token: no_detail_on_success must be off, and passthru, passOnNoToken and auth_cache policies must not apply here";
const CHECK: &str = "/validate/check";
/// Longer than its questions are open.
const WAIT_MAX: Duration = Duration::from_secs(120);
const CODE_LEN_MAX: usize = 128;
