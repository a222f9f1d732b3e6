//! What people read, in their own language: one file each, and what an operator wrote in place of it.

mod de;
mod en;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::rules::Method;

/// A text's name, what may stand in it, and how long it may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The field of [`Texts`], and the key in a file of texts.
    pub key: &'static str,
    /// Without these it means nothing.
    pub needs: &'static [Place],
    /// These may stand in it too.
    pub may: &'static [Place],
    /// Bytes, at most, with every place filled. Where it is said by RADIUS or with another text, both fit one Reply-Message.
    pub bytes_max: usize,
    /// It is typed too: letters alone, with blanks or `-` between them.
    pub word: bool,
}

/// A place that is filled in: `{name}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What stands between the braces.
    pub name: &'static str,
    /// Bytes of what comes there, at most.
    pub bytes_max: usize,
}

/// Why a text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// `{` or `}` that is no place.
    #[error("holds a brace that belongs to no placeholder")]
    Brace,
    /// Letters that cannot be seen.
    #[error("holds control characters")]
    Control,
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// A place that must be there is not.
    #[error("does not hold {{{0}}}")]
    Lacks(&'static str),
    /// It does not fit.
    #[error("can become {bytes} bytes long, and {bytes_max} are the most")]
    Long {
        /// Bytes with every place filled.
        bytes: usize,
        /// As many as may be.
        bytes_max: usize,
    },
    /// Nothing is filled in for that name.
    #[error("holds {{{0}}}, which means nothing here")]
    Unknown(String),
    /// It is to be typed and is no word.
    #[error("is typed by people, and is not made of letters")]
    Word,
}

impl Slot {
    const fn plain(bytes_max: usize) -> Self {
        Self { key: "", needs: &[], may: &[], bytes_max, word: false }
    }

    const fn typed() -> Self {
        Self { word: true, ..Self::plain(WORD_BYTES_MAX) }
    }

    const fn with(needs: &'static [Place], bytes_max: usize) -> Self {
        Self { needs, ..Self::plain(bytes_max) }
    }

    const fn or(self, may: &'static [Place]) -> Self {
        Self { may, ..self }
    }

    /// Whether `text` can stand here.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, text: &str) -> Result<(), Unfit> {
        if text.trim().is_empty() {
            return Err(Unfit::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(Unfit::Control);
        }
        if self.word && !(text.trim() == text && text.chars().all(|sign| sign.is_alphabetic() || " -".contains(sign))) {
            return Err(Unfit::Word);
        }
        let (mut bytes, mut seen) = (0_usize, Vec::new());
        for part in parts(text) {
            let len = match part {
                Part::Plain(plain) if plain.contains('}') => return Err(Unfit::Brace),
                Part::Plain(plain) => plain.len(),
                Part::Place(name) => {
                    let place = self.places().find(|place| place.name == name).ok_or_else(|| Unfit::Unknown(name.to_owned()))?;
                    seen.push(name);
                    place.bytes_max
                }
                Part::Stray => return Err(Unfit::Brace),
            };
            bytes = bytes.saturating_add(len);
        }
        if let Some(place) = self.needs.iter().find(|place| !seen.contains(&place.name)) {
            return Err(Unfit::Lacks(place.name));
        }
        if bytes > self.bytes_max { Err(Unfit::Long { bytes, bytes_max: self.bytes_max }) } else { Ok(()) }
    }

    /// Everything that may stand in it.
    pub fn places(&self) -> impl Iterator<Item = &'static Place> {
        self.needs.iter().chain(self.may)
    }
}

/// The struct, and by name what it has: so that none can be forgotten in one of the two.
macro_rules! texts {
    ($($(#[$doc:meta])+ $key:ident: $slot:expr;)+) => {
        /// Everything that people read, in one language.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Texts {
            $($(#[$doc])+ pub $key: Cow<'static, str>,)+
        }

        impl Texts {
            /// All there are, in the order of their names.
            pub const SLOTS: &[Slot] = &[$(Slot { key: stringify!($key), ..$slot }),+];

            /// The text of that name.
            #[must_use]
            pub fn text(&self, key: &str) -> Option<&str> {
                match key {
                    $(stringify!($key) => Some(&self.$key),)+
                    _ => None,
                }
            }

            /// Puts another in its place, which its slot has found fit. A name that there is not changes nothing.
            pub fn replace(&mut self, key: &str, text: String) {
                match key {
                    $(stringify!($key) => self.$key = Cow::Owned(text),)+
                    _ => {}
                }
            }
        }
    };
}

texts! {
    /// The new password was typed once.
    again: Slot::plain(MESSAGE_BYTES_MAX);
    /// To those who look after the server: somebody is blocked.
    alert_block: Slot::with(&[WHO], ALERT_BYTES_MAX).or(&[BY, TIME]);
    /// To those who look after the server: a phone rang in vain as often as a day allows.
    alert_day: Slot::with(&[WHO], ALERT_BYTES_MAX).or(&[APP, SOURCE, TIME, TRACE]);
    /// To those who look after the server: a person says that a login is not theirs.
    alert_fraud: Slot::with(&[WHO], ALERT_BYTES_MAX).or(&[APP, POLICY, SOURCE, TIME, TRACE]);
    /// To those who look after the server: many were locked out in a short time.
    alert_lockouts: Slot::plain(ALERT_BYTES_MAX).or(&[TIME]);
    /// To those who look after the server: somebody was let in because no provider can be reached.
    alert_open: Slot::with(&[POLICY], ALERT_BYTES_MAX).or(&[APP, SOURCE, TIME, TRACE, WHO]);
    /// The subject of all these. Names stand in the letter alone.
    alert_subject: Slot::plain(150).or(&[SERVER]);
    /// To those who look after the server: a block is not on disk.
    alert_unwritten: Slot::with(&[WHO], ALERT_BYTES_MAX).or(&[TIME]);
    /// What to do on the phone before pressing Enter.
    approve: Slot::plain(BEHIND_NOT_YET_BYTES_MAX);
    /// The same, where a number must be chosen there.
    choose: Slot::with(&[NUMBER], BEHIND_NOT_YET_BYTES_MAX);
    /// Asks for a code, where the client's `challenge` does not.
    code_prompt: Slot::plain(MESSAGE_BYTES_MAX);
    /// The two new passwords were not the same.
    different: Slot::plain(MESSAGE_BYTES_MAX);
    /// The password has run out and the second factor passed.
    expired: Slot::plain(MESSAGE_BYTES_MAX);
    /// A bind while the directory cannot be asked.
    ldap_away: Slot::plain(MESSAGE_BYTES_MAX);
    /// A bind that is refused, for whatever reason.
    ldap_denied: Slot::plain(MESSAGE_BYTES_MAX);
    /// A letter with a code.
    mail_body: Slot::with(&[CODE], 1_000).or(&[APP]);
    /// Its subject. Screens show it to whoever passes by, so the code cannot stand in it.
    mail_subject: Slot::plain(150).or(&[APP]);
    /// The methods to choose from.
    menu: Slot::with(&[WAYS], MESSAGE_BYTES_MAX);
    /// The word for a call.
    menu_call: Slot::typed();
    /// The methods to choose from, where a code can be typed instead.
    menu_code: Slot::with(&[WAYS], MESSAGE_BYTES_MAX);
    /// The word for a code by mail.
    menu_email: Slot::typed();
    /// Between the methods, where no code can be typed.
    menu_or: Slot::plain(OR_BYTES_MAX);
    /// The word for a push.
    menu_push: Slot::typed();
    /// The word for a code by text message.
    menu_text: Slot::typed();
    /// A method and the phone that it rings, of whose number the last two digits are said.
    menu_to_phone: Slot::with(&[WAY, PHONE], TO_PHONE_BYTES_MAX);
    /// The directory refuses the new password.
    not_taken: Slot::plain(MESSAGE_BYTES_MAX);
    /// Before `approve` and `choose`, where they were said before and nobody did it.
    not_yet: Slot::plain(NOT_YET_BYTES_MAX);
    /// A login that is refused, for whatever reason. MS-CHAP-Error has less room than Reply-Message.
    refused: Slot::plain(100);
    /// A text message with a code. Two messages at most, and less where letters are not Latin.
    sms: Slot::with(&[CODE], 300).or(&[APP]);
    /// The password is right, there is no account, and the policy says where to make one.
    unenrolled: Slot::with(&[URL], MESSAGE_BYTES_MAX);
}

impl Texts {
    /// What a menu calls this method; a code has no name there.
    #[must_use]
    pub fn way(&self, method: Method) -> &str {
        match method {
            Method::Call => &self.menu_call,
            Method::Email => &self.menu_email,
            Method::Oath => "",
            Method::Push => &self.menu_push,
            Method::Text => &self.menu_text,
        }
    }
}

/// The texts of every language there is, and which of them are read by people of whom no language is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lexicon {
    language: String,
    usual: Arc<Texts>,
    others: BTreeMap<String, Arc<Texts>>,
}

impl Lexicon {
    /// The language that is usual where nothing is said.
    pub const LANGUAGE: &str = "en";

    /// The languages that are always there, by their primary subtag (RFC 5646).
    pub const SHIPPED: &[(&str, &Texts)] = &[("de", &de::TEXTS), ("en", &en::TEXTS)];

    /// Of these languages, by primary subtags in small letters; `usual` is written in `language`.
    #[must_use]
    pub fn new(language: String, usual: Texts, others: BTreeMap<String, Texts>) -> Self {
        Self { language, usual: Arc::new(usual), others: others.into_iter().map(|(language, texts)| (language, Arc::new(texts))).collect() }
    }

    /// What this person reads: by the primary subtag alone, so that `de-AT` means `de`. Of a language that is not there, the usual one.
    #[must_use]
    pub fn of(&self, language: Option<&str>) -> &Arc<Texts> {
        self.foreign(language).unwrap_or(&self.usual)
    }

    /// What whoever is not known reads.
    #[must_use]
    pub fn usual(&self) -> &Arc<Texts> {
        &self.usual
    }

    /// As [`Lexicon::of`], for people alone who read another language than the usual one.
    #[must_use]
    pub fn foreign(&self, language: Option<&str>) -> Option<&Arc<Texts>> {
        let primary = language?.split(['-', '_']).next()?.to_ascii_lowercase();
        self.others.get(&primary).filter(|_| primary != self.language)
    }
}

/// English, and whatever else is shipped.
impl Default for Lexicon {
    fn default() -> Self {
        let shipped = Self::SHIPPED.iter().map(|(language, texts)| ((*language).to_owned(), (*texts).clone())).collect();
        Self::new(Self::LANGUAGE.to_owned(), en::TEXTS.clone(), shipped)
    }
}

/// `text` with its places filled. What is filled in is not looked into again.
#[must_use]
pub fn fill(text: &str, values: &[(Place, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Plain(plain) => filled.push_str(plain),
            Part::Place(name) => filled.extend(values.iter().filter(|(place, _)| place.name == name).map(|(_, value)| *value)),
            Part::Stray => filled.push('{'),
        }
    }
    filled
}

/// A piece of a text.
#[derive(Clone, Copy, Debug)]
enum Part<'t> {
    Plain(&'t str),
    Place(&'t str),
    /// `{` without an end.
    Stray,
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((plain, behind)) = rest.split_once('{') {
        parts.push(Part::Plain(plain));
        let place = behind.split_once('}').filter(|(name, _)| !name.contains('{'));
        parts.push(place.map_or(Part::Stray, |(name, _)| Part::Place(name)));
        rest = place.map_or(behind, |(_, rest)| rest);
    }
    parts.push(Part::Plain(rest));
    parts
}

/// The client's name in the configuration.
pub const APP: Place = Place { name: "app", bytes_max: 64 };
/// Who did it.
pub const BY: Place = Place { name: "by", bytes_max: 64 };
/// A code.
pub const CODE: Place = Place { name: "code", bytes_max: 8 };
/// The number to choose on the phone.
pub const NUMBER: Place = Place { name: "number", bytes_max: 6 };
/// The last two digits of a phone's number.
pub const PHONE: Place = Place { name: "phone", bytes_max: 2 };
/// The policy's name.
pub const POLICY: Place = Place { name: "policy", bytes_max: 64 };
/// This server's name.
pub const SERVER: Place = Place { name: "server", bytes_max: 64 };
/// An address, or that nobody knows it.
pub const SOURCE: Place = Place { name: "source", bytes_max: 45 };
/// A moment, RFC 3339 in UTC.
pub const TIME: Place = Place { name: "time", bytes_max: 20 };
/// What a login is called.
pub const TRACE: Place = Place { name: "trace", bytes_max: 32 };
/// Where to make an account.
pub const URL: Place = Place { name: "url", bytes_max: 180 };
/// A method's word.
pub const WAY: Place = Place { name: "way", bytes_max: WORD_BYTES_MAX };
/// All methods, numbered: one with its phone, three without, and what stands between them.
pub const WAYS: Place = Place { name: "ways", bytes_max: 2 + TO_PHONE_BYTES_MAX + 3 * (2 + WORD_BYTES_MAX) + 3 * (2 + OR_BYTES_MAX) };
/// A name, or a telephone number.
pub const WHO: Place = Place { name: "who", bytes_max: 256 };

const ALERT_BYTES_MAX: usize = 1_000;
/// One Reply-Message (RFC 2865 §5.18).
const MESSAGE_BYTES_MAX: usize = 253;
const NOT_YET_BYTES_MAX: usize = 80;
const BEHIND_NOT_YET_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 1 - NOT_YET_BYTES_MAX;
const OR_BYTES_MAX: usize = 12;
const TO_PHONE_BYTES_MAX: usize = 82;
const WORD_BYTES_MAX: usize = 20;

#[cfg(test)]
mod tests;
