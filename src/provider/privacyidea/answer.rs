//! Shapes of privacyIDEA's answers, and what they are worth. What is not exactly of these shapes is no answer.

use serde::Deserialize;

use crate::domain::Account;
use crate::domain::Method;
use crate::domain::Ticket;
use crate::provider::object::Object;

/// Every answer: to `/validate/check` and `/validate/polltransaction` the value is a bool, to `/validate/triggerchallenge` a number, to `/auth` a [`Session`].
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) result: Object<Outcome<T>>,
    pub(super) detail: Option<Object<Detail>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Outcome<T> {
    pub(super) status: bool,
    pub(super) value: Option<T>,
    authentication: Option<String>,
    pub(super) error: Option<Object<Fault>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fault {
    pub(super) code: i64,
}

/// `/auth`.
#[derive(Deserialize)]
pub(super) struct Session {
    pub(super) token: String,
}

/// Whoever has the token is us.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(..)")
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Detail {
    serial: Option<String>,
    transaction_id: Option<String>,
    #[serde(default)]
    multi_challenge: Vec<Object<Challenge>>,
    challenge_status: Option<String>,
    user: Option<Object<Person>>,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    serial: String,
    transaction_id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Whose answer it is; there where its administrator wants it told.
#[derive(Debug, Deserialize)]
struct Person {
    username: Option<String>,
    realm: Option<String>,
}

/// Whose answer it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    pub(super) user: &'a str,
    /// `None`: any realm.
    pub(super) realm: Option<&'a str>,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Accepted,
    /// It has a question of its own.
    Asks,
    Declined,
    Rejected,
}

/// How a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Approved,
    Open,
    /// No, or a word that is not known here.
    Refused,
}

impl Envelope<bool> {
    /// Both words must say so: a contradiction is no approval, and neither is half an answer. `None`: nothing we understand.
    pub(super) fn word(&self) -> Option<Word> {
        match (self.result.0.value?, self.result.0.authentication.as_deref()?) {
            (true, "ACCEPT") => Some(Word::Accepted),
            (false, "CHALLENGE") => Some(Word::Asks),
            (false, "DECLINED") => Some(Word::Declined),
            (false, "REJECT") => Some(Word::Rejected),
            _ => None,
        }
    }

    pub(super) fn stand(&self) -> Stand {
        let told = self.detail.as_ref().and_then(|Object(detail)| detail.challenge_status.as_deref());
        match (self.result.0.value, told) {
            (Some(true), Some("accept")) => Stand::Approved,
            (Some(false), Some("pending")) => Stand::Open,
            _ => Stand::Refused,
        }
    }
}

impl Detail {
    /// Whether nothing in it speaks of somebody else, of another question or of another token than these (M-12).
    pub(super) fn is_of(&self, whose: Whose<'_>, asked: Option<&Transaction<'_>>, token: Option<&str>) -> bool {
        let person = self.user.as_ref().map(|Object(user)| user);
        let same = |told: &Option<String>, ours: &dyn Fn(&str) -> bool| told.as_deref().is_none_or(ours);
        let named = person.and_then(|person| person.username.as_deref()).is_none_or(|told| told.eq_ignore_ascii_case(whose.user));
        let at_home = person.and_then(|person| person.realm.as_deref()).is_none_or(|told| whose.realm.is_none_or(|ours| told.eq_ignore_ascii_case(ours)));
        named
            && at_home
            && same(&self.transaction_id, &|id| asked.is_none_or(|asked| asked.id == id))
            && same(&self.serial, &|serial| asked.is_none_or(|asked| asked.has(serial)) && token.is_none_or(|token| token == serial))
    }

    /// Whether it names the token that it is about. An approval without one is the word of a policy (passthru, passOnNoToken, `auth_cache`) and no second factor.
    pub(super) fn names_a_token(&self) -> bool {
        self.serial.as_deref().is_some_and(|serial| !serial.is_empty())
    }

    /// The question that was asked of this person's tokens of these types; `Ok(None)`: they have none. Of other types are those that the server asked because
    /// it did not heed ours.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn question(&self, user: &str, kinds: &[&str]) -> Result<Option<Ticket>, &'static str> {
        let Some(Object(first)) = self.multi_challenge.first() else { return Ok(None) };
        let id = first.transaction_id.as_str();
        if self.multi_challenge.iter().any(|Object(one)| one.transaction_id != id) || self.transaction_id.as_ref().is_some_and(|told| told != id) {
            return Err("challenges of more than one transaction");
        }
        if !is_word(id) || self.multi_challenge.iter().any(|Object(one)| !is_word(&one.serial)) {
            return Err("a transaction or a serial of an impossible form");
        }
        let serials: Vec<&str> =
            self.multi_challenge.iter().filter(|Object(one)| kinds.contains(&one.kind.as_str())).map(|Object(one)| one.serial.as_str()).collect();
        if serials.is_empty() {
            return Ok(None);
        }
        let ticket = format!("{id} {} {user}", serials.join(","));
        if ticket.len() > Ticket::LEN_MAX { Err("more challenges than can be told apart") } else { Ok(Some(Ticket(ticket.into()))) }
    }

    /// Whether there are challenges of other types too: texts that nobody asked for.
    pub(super) fn strays(&self, kinds: &[&str]) -> bool {
        self.multi_challenge.iter().any(|Object(one)| !kinds.contains(&one.kind.as_str()))
    }
}

/// A question of theirs: what a [`Ticket`] holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction<'a> {
    pub(super) id: &'a str,
    serials: &'a str,
    pub(super) user: &'a str,
}

impl<'a> Transaction<'a> {
    pub(super) fn of(ticket: &'a Ticket) -> Option<Self> {
        let mut parts = ticket.0.splitn(3, ' ');
        Some(Self { id: parts.next().filter(|id| is_word(id))?, serials: parts.next()?, user: parts.next()? })
    }

    fn has(&self, serial: &str) -> bool {
        self.serials.split(',').any(|one| one == serial)
    }
}

/// What privacyIDEA calls the tokens that a method needs; nothing: no challenge is triggered for it.
pub(super) fn kinds(method: Method) -> &'static [&'static str] {
    match method {
        Method::Email => &["email"],
        Method::Push => &["push"],
        Method::Text => &["sms"],
        Method::Call | Method::Oath => &[],
    }
}

/// The one token of theirs that counts for this account, if one is named there.
pub(super) fn token<'a>(account: &'a Account, provider: &str) -> Option<&'a str> {
    account.devices.iter().find(|device| device.provider == provider).map(|device| device.id.as_str())
}

/// It goes into a path and between spaces and commas.
fn is_word(text: &str) -> bool {
    // A word of dots alone is a place in a path, and no name.
    let named = text.bytes().any(|byte| byte != b'.');
    named && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: &str, authentication: &str) -> Option<Envelope<bool>> {
        serde_json::from_str(&format!(r#"{{"result":{{"status":true,"value":{value},"authentication":{authentication}}},"detail":null}}"#)).ok()
    }

    #[test]
    fn one_pair_of_words_accepts_and_no_other() {
        let values = ["true", "false", "null", "1", "\"true\"", "[true]"];
        let words = ["\"ACCEPT\"", "\"CHALLENGE\"", "\"DECLINED\"", "\"REJECT\"", "\"accept\"", "\"ACCEPT \"", "\"QUANTUM\"", "null", "true"];
        let pairs = values.into_iter().flat_map(|value| words.map(|word| (value, word)));
        let accepted: Vec<_> = pairs.filter(|(value, word)| answer(value, word).and_then(|answer| answer.word()) == Some(Word::Accepted)).collect();
        assert_eq!(accepted, [("true", "\"ACCEPT\"")]);
    }

    #[test]
    fn a_question_that_is_accepted_says_so_twice() {
        let stand = |value: bool, status: &str| {
            let body = format!(r#"{{"result":{{"status":true,"value":{value}}},"detail":{{"challenge_status":{status}}}}}"#);
            serde_json::from_str::<Envelope<bool>>(&body).unwrap().stand()
        };
        assert_eq!([stand(true, "\"accept\""), stand(false, "\"pending\"")], [Stand::Approved, Stand::Open]);
        for (value, status) in
            [(true, "\"pending\""), (true, "null"), (false, "\"accept\""), (false, "\"declined\""), (false, "\"cancelled\""), (true, "\"x\"")]
        {
            assert_eq!(stand(value, status), Stand::Refused, "{value} {status}");
        }
    }

    #[test]
    fn m_12_a_transaction_is_never_a_place_in_a_path() {
        let question = |id: &str| {
            let detail = format!(r#"{{"transaction_id":"{id}","multi_challenge":[{{"serial":"A1","transaction_id":"{id}","type":"push"}}]}}"#);
            serde_json::from_str::<Detail>(&detail).unwrap().question("alice", &["push"])
        };
        assert!(question("01.23").is_ok_and(|ticket| ticket.is_some()));
        for place in ["", ".", "..", "...", "a/b", "a%2fb", "a?b", "a b"] {
            assert!(question(place).is_err(), "{place:?}");
            assert!(Transaction::of(&Ticket(format!("{place} A1 alice").into())).is_none_or(|asked| asked.id != place), "{place:?}");
        }
    }

    #[test]
    fn m_12_a_ticket_brings_back_what_it_was_made_of() {
        let detail = r#"{"transaction_id":"0123","multi_challenge":[{"serial":"A1","transaction_id":"0123","type":"push"},
            {"serial":"S1","transaction_id":"0123","type":"sms"},{"serial":"A2","transaction_id":"0123","type":"push"}]}"#;
        let detail: Detail = serde_json::from_str(detail).unwrap();
        let ticket = detail.question("zoë of corp", &["push"]).unwrap().unwrap();
        let asked = Transaction::of(&ticket).unwrap();
        assert_eq!((asked.id, asked.user), ("0123", "zoë of corp"));
        assert_eq!(["A1", "A2", "S1", "A", ""].map(|serial| asked.has(serial)), [true, true, false, false, false]);
        assert!(detail.strays(&["push"]));
        assert_eq!(detail.question("zoë", &["email"]), Ok(None));
    }
}
