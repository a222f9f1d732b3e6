//! Codes of our own tokens: TOTP and HOTP, each good once.

/// One `[provider.NAME]` with `kind = "oath"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// TOTP: steps before and after now, 0 or 1.
    pub steps_around: u8,
    /// HOTP: counters ahead of the next, 0..10.
    pub look_ahead: u8,
}
