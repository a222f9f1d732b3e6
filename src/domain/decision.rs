//! What was decided, and the proof that it may be: nobody is let in without a [`Permit`].

use std::sync::Arc;

use super::account::Identity;
use super::memory::Memento;

/// The end of a login.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let in. The permit is the proof and can only be made by the flow.
    Accept(Permit),
    /// Silence (RADIUS) or `unavailable` (LDAP): it is we who cannot decide, so that the client turns to our peer.
    Drop(Outage),
    /// Refused. The person sees one text for all of these.
    Reject(Denial),
}

/// Proof that an identity's first factor passed, and why the second needs no more asking.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    why: Grant,
    first: Passed,
    memento: Option<Box<Memento>>,
}

impl Permit {
    /// Made by the flow alone (M-17): it takes the [`Passed`], which only a first factor that succeeded leaves behind.
    pub(super) fn new(why: Grant, first: Passed) -> Self {
        Self { why, first, memento: None }
    }

    /// Made by the flow alone: with what later logins are told by. A second factor alone earns that.
    pub(super) fn keeping(self, memento: Option<Box<Memento>>) -> Self {
        Self { memento: memento.filter(|_| self.why == Grant::Factor), ..self }
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> Grant {
        self.why
    }

    /// What later logins are told by, where this one is to be remembered.
    #[must_use]
    pub fn memento(&self) -> Option<&Memento> {
        self.memento.as_deref()
    }

    /// Whose login it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.first.0
    }
}

/// The first factor of this identity passed in this login. Not `Clone`: one proof, one decision.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed(pub(super) Identity);

/// Why somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// A one-time bypass was spent.
    Bypass,
    /// The account is disabled and the policy lets such people in by the first factor alone.
    Disabled,
    /// The account is exempt from the second factor where the login came from.
    Exempt,
    /// The person is in a group that needs no second factor.
    ExemptGroup,
    /// The second factor passed.
    Factor,
    /// No provider could be reached and the policy is open in an outage.
    FailOpen,
    /// The very same login was let in by a second factor a moment ago.
    Joined,
    /// The provider's own rules ask this person for nothing.
    ProviderBypass,
    /// The policy remembers a second factor that passed.
    Remembered,
    /// The person is in a trusted network.
    TrustedNetwork,
    /// The person has no account and the policy lets such people in by the first factor alone.
    Unenrolled,
}

impl Grant {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Disabled => "disabled",
            Self::Exempt => "exempt",
            Self::ExemptGroup => "exempt_group",
            Self::Factor => "factor",
            Self::FailOpen => "fail_open",
            Self::Joined => "joined",
            Self::ProviderBypass => "provider_bypass",
            Self::Remembered => "remembered",
            Self::TrustedNetwork => "trusted_network",
            Self::Unenrolled => "unenrolled",
        }
    }
}

/// Why somebody is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The code is wrong, used up or too old.
    BadCode,
    /// The password is wrong, or nobody has that name.
    BadCredential,
    /// The person, or the telephone number, is blocked.
    Blocked,
    /// A code is needed and this client sent none and cannot be asked, or a number would have to be shown where none can be.
    CodeNeeded,
    /// The account is disabled, here or in the directory.
    Disabled,
    /// The person said no.
    FactorDenied,
    /// No second factor could be asked for.
    FactorUnavailable,
    /// The person said no and reported it.
    FraudReported,
    /// The person is in a group that is kept out, or nobody can tell.
    GroupDenied,
    /// The person is in none of the groups that are let in.
    GroupMissing,
    /// Too many failures, here or in the directory.
    Locked,
    /// The password has run out. The second factor passed: the client may change the password, once.
    MustChange,
    /// Nobody answered in time.
    NoAnswer,
    /// There is no method this person and this policy have in common.
    NoMethod,
    /// The directory knows the password but does not let this person in now: expired, wrong hour, must change.
    NotPermitted,
    /// Too many logins of this identity wait for their turn, or this one's answer came out of turn.
    OutOfTurn,
    /// Nobody logs in at this hour.
    OutsideHours,
    /// The PIN in front of the code is too old and must be changed first.
    PinExpired,
    /// This person was rung as often as the policy allows for now, and has no other method (M-10).
    PushesSpent,
    /// No account, and the policy wants one.
    Unenrolled,
}

impl Denial {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCode => "bad_code",
            Self::BadCredential => "bad_credential",
            Self::Blocked => "blocked",
            Self::CodeNeeded => "code_needed",
            Self::Disabled => "disabled",
            Self::FactorDenied => "factor_denied",
            Self::FactorUnavailable => "factor_unavailable",
            Self::FraudReported => "fraud_reported",
            Self::GroupDenied => "group_denied",
            Self::GroupMissing => "group_missing",
            Self::Locked => "locked",
            Self::MustChange => "must_change",
            Self::NoAnswer => "no_answer",
            Self::NoMethod => "no_method",
            Self::NotPermitted => "not_permitted",
            Self::OutOfTurn => "out_of_turn",
            Self::OutsideHours => "outside_hours",
            Self::PinExpired => "pin_expired",
            Self::PushesSpent => "pushes_spent",
            Self::Unenrolled => "unenrolled",
        }
    }
}

/// Why we cannot decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outage {
    /// No directory server answers.
    Directory,
    /// We are broken: an event that cannot be, a key of ours that is wrong.
    Fault,
    /// A table is full.
    Full,
    /// The store cannot be read or written.
    Store,
}

impl Outage {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Fault => "fault",
            Self::Full => "full",
            Self::Store => "store",
        }
    }
}

/// A first factor that was asked and did not say no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It has a question of its own for the person: nothing is proven yet.
    More,
    /// It passed, and this is whose it was.
    Passed(Identity),
}

/// A first factor that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrimaryError {
    /// It could not be asked.
    Outage(Outage),
    /// It was asked and said no; `who` where the name belonged to somebody.
    Refused {
        /// Whose failure it is.
        who: Option<Identity>,
        /// Why.
        why: Refused,
    },
}

/// Why a password was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nobody decided.
    #[error("the directory did not decide ({})", .0.as_str())]
    Outage(Outage),
    /// The new password breaks a rule: too short, too simple, used before, changed too recently.
    #[error("the directory refuses the new password: its length, complexity, history or age")]
    Refused,
    /// The directory has no such operation, or not over a connection that others can read.
    #[error("the directory changes no passwords this way: it needs ldaps:// or ldap+starttls:// and a server that knows the operation")]
    Unsupported,
    /// The old password is not the one the account has, or the directory would not say so.
    #[error("the old password is wrong")]
    WrongOld,
}

/// Why a directory refuses, told apart as Active Directory does (its sub-code in brackets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The account's end date has passed (701).
    AccountExpired,
    /// The account is disabled (533).
    Disabled,
    /// The directory has locked the account (775).
    LockedOut,
    /// The password must be changed first (773).
    MustChange,
    /// Not at this hour (530).
    NotNow,
    /// Not from this place (531).
    NotHere,
    /// The password has expired (532).
    PasswordExpired,
    /// A restriction of the account (52f).
    Restricted,
    /// Whose it is cannot be told: more than one has this name, or it is written in a form that we do not read and another may. Never the same as nobody's.
    UnclearName,
    /// Nobody has this name (525).
    UnknownName,
    /// Wrong password (52e).
    WrongPassword,
}

impl Refused {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountExpired => "account_expired",
            Self::Disabled => "disabled",
            Self::LockedOut => "locked_out",
            Self::MustChange => "must_change",
            Self::NotNow => "not_now",
            Self::NotHere => "not_here",
            Self::PasswordExpired => "password_expired",
            Self::Restricted => "restricted",
            Self::UnclearName => "unclear_name",
            Self::UnknownName => "unknown_name",
            Self::WrongPassword => "wrong_password",
        }
    }

    pub(super) fn denial(self) -> Denial {
        match self {
            Self::UnclearName | Self::UnknownName | Self::WrongPassword => Denial::BadCredential,
            Self::Disabled => Denial::Disabled,
            Self::LockedOut => Denial::Locked,
            Self::AccountExpired | Self::MustChange | Self::NotNow | Self::NotHere | Self::PasswordExpired | Self::Restricted => Denial::NotPermitted,
        }
    }
}

/// A provider's name for a question it has asked: opaque, at most [`Ticket::LEN_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub Arc<str>);

impl Ticket {
    /// Longer ones are refused by the provider that got them.
    pub const LEN_MAX: usize = 512;
}

/// A number to be chosen on the phone: 1 to 6 ASCII digits, nothing else of what a provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// The number, if it is one.
    #[must_use]
    pub fn new(digits: &str) -> Option<Self> {
        let fits = (1..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        fits.then(|| Self(digits.to_owned()))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a second factor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It passed. `spend` is what that uses up: it must be on disk before anybody is let in.
    Allowed {
        /// A [`super::Change::UseOtp`] for a code of our own tokens.
        spend: Option<super::Change>,
    },
    /// The question is out and must be answered with this number, among others on the phone (M-11). From now on as [`Progress::Pending`].
    Choose {
        /// The question.
        ticket: Ticket,
        /// What to show where the person logs in: this question's own.
        number: Number,
    },
    /// A code must be typed.
    CodeNeeded {
        /// The provider's question, if it asked one.
        ticket: Option<Ticket>,
    },
    /// The person said no.
    Denied {
        /// And reported a fraud.
        fraud: bool,
    },
    /// The question is out; ask again with the ticket.
    Pending(Ticket),
    /// The provider's own rules let this person in without a factor: its administrator said so, not this login's person.
    Waived,
}

/// Why a second factor could not be asked or did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FactorError {
    /// The code is wrong or used up.
    BadCode,
    /// Nobody answered in time.
    Expired,
    /// A request failed, and nobody knows yet whether the provider is away: one slow answer is never a reason to let anybody in (M-14).
    Faltering,
    /// The provider has locked this person out.
    Locked,
    /// Our key, host or account there is wrong: never a reason to let anybody in (M-14).
    Misconfigured,
    /// A PIN stands in front of the code here, and this person has none.
    NoPin,
    /// The provider does not know this person, or the person has no device for this method.
    NotEnrolled,
    /// The PIN in front of the code was right and is too old: nobody is let in before it is changed.
    PinExpired,
    /// This person may not be rung by this method now (M-10): somebody with the password may be causing it, so never a reason to let anybody in.
    PushesSpent,
    /// Too many requests: somebody may be causing it, so never a reason to let anybody in.
    Throttled,
    /// Nothing answers there, after several requests.
    Unreachable,
}

impl FactorError {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCode => "bad_code",
            Self::Expired => "expired",
            Self::Faltering => "faltering",
            Self::Locked => "locked",
            Self::Misconfigured => "misconfigured",
            Self::NoPin => "no_pin",
            Self::NotEnrolled => "not_enrolled",
            Self::PinExpired => "pin_expired",
            Self::PushesSpent => "pushes_spent",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
        }
    }
}
