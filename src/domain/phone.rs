//! Telephone numbers: read as people write them, kept as E.164 with what is dialled behind them.

use std::str::FromStr;

use phonenumber::Mode;
use phonenumber::country::Id;

/// How numbers without a country are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    country: Option<Country>,
}

/// A country, by its two letters (ISO 3166-1 alpha-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country(Id);

impl FromStr for Country {
    type Err = WrongCountry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase());
        text.parse().ok().filter(|_| known).map(Self).ok_or(WrongCountry)
    }
}

/// Not two letters that are a country's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no country: write its two letters, as \"DE\"")]
pub struct WrongCountry;

/// Why a text is no telephone number. The texts say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongNumber {
    /// Something else than digits and what stands between them.
    #[error("{0:?} cannot stand in a telephone number: write digits, spaces, + ( ) - . / and behind the number an extension with x , * or #")]
    Character(char),
    /// The country's numbers are not so.
    #[error("no number of that country has these digits: one is missing, one too many or the area does not exist")]
    Digits,
    /// No digits, or strange ones, behind `x`, `,`, `*` or `#`.
    #[error("the extension is wrong: behind x , * or # stand 1 to {EXTENSION_LEN_MAX} digits, commas, * and #, at least one of them a digit")]
    Extension,
    /// Longer than any number.
    #[error("is too long: at most {TEXT_LEN_MAX} characters")]
    Long,
    /// It does not say which country it is in.
    #[error("does not say its country: write it as +49 30 123456, or set `node.country`")]
    NoCountry,
    /// There are no digits, or no country has that prefix.
    #[error("is no number, or begins with a country's prefix that does not exist")]
    NoNumber,
    /// Too few digits.
    #[error("has too few digits")]
    Short,
}

impl Numbers {
    /// Numbers without `+` and a country's prefix are in this country; in none where it is `None`.
    #[must_use]
    pub fn new(country: Option<Country>) -> Self {
        Self { country }
    }

    /// `030 / 123 456 x 12` is `+4930123456x12` in Germany.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(self, text: &str) -> Result<String, WrongNumber> {
        if text.len() > TEXT_LEN_MAX {
            return Err(WrongNumber::Long);
        }
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_digit() && !BETWEEN.contains(*c) && !DIALLED.contains(*c)) {
            return Err(WrongNumber::Character(odd));
        }
        let end = text.find(|c| DIALLED.contains(c)).unwrap_or(text.len());
        let (number, behind) = text.split_at(end);
        let behind = extension(behind)?;
        let international = number.trim_start().starts_with('+');
        if !international && self.country.is_none() {
            return Err(if number.contains(|c: char| c.is_ascii_digit()) { WrongNumber::NoCountry } else { WrongNumber::NoNumber });
        }
        let country = self.country.filter(|_| !international).map(|country| country.0);
        let parsed = phonenumber::parse(country, number.trim()).map_err(|error| wrong(&error))?;
        if !parsed.is_valid() {
            return Err(WrongNumber::Digits);
        }
        Ok(format!("{}{behind}", parsed.format().mode(Mode::E164)))
    }
}

/// What is dialled once somebody has answered, without spaces.
fn extension(text: &str) -> Result<String, WrongNumber> {
    let text: String = text.to_ascii_lowercase().chars().filter(|c| *c != ' ').collect();
    let rest = text.get(1..).unwrap_or_default();
    let fine = rest.chars().all(|c| c.is_ascii_digit() || ",*#".contains(c)) && rest.contains(|c: char| c.is_ascii_digit()) && text.len() <= EXTENSION_LEN_MAX;
    if text.is_empty() || fine { Ok(text) } else { Err(WrongNumber::Extension) }
}

fn wrong(error: &phonenumber::ParseError) -> WrongNumber {
    match error {
        phonenumber::ParseError::TooLong => WrongNumber::Digits,
        phonenumber::ParseError::TooShortAfterIdd | phonenumber::ParseError::TooShortNsn => WrongNumber::Short,
        _ => WrongNumber::NoNumber,
    }
}

const BETWEEN: &str = " +()-./";
/// What begins an extension.
const DIALLED: &str = "xX,*#";
const TEXT_LEN_MAX: usize = 64;
const EXTENSION_LEN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> Numbers {
        Numbers::new(Some("DE".parse().unwrap()))
    }

    #[test]
    fn people_write_numbers_in_many_ways_and_mean_one() {
        for text in ["+49 30 12345678", "030 / 12345678", "+49 (0)30 1234-5678", "0049 30 12345678", "030.12345678"] {
            assert_eq!(german().read(text).as_deref(), Ok("+493012345678"), "{text}");
        }
        assert_eq!(german().read("+1 (212) 555-0123").as_deref(), Ok("+12125550123"));
        let american = Numbers::new(Some("US".parse().unwrap()));
        assert_eq!(american.read("212 555 0123").as_deref(), Ok("+12125550123"));
    }

    #[test]
    fn what_is_dialled_behind_stays() {
        let plain = Numbers::default();
        assert_eq!(plain.read("+49 30 12345678 x 12").as_deref(), Ok("+493012345678x12"));
        assert_eq!(plain.read("+49 30 12345678,,7#").as_deref(), Ok("+493012345678,,7#"));
        assert_eq!(plain.read("+493012345678*5").as_deref(), Ok("+493012345678*5"));
        assert_eq!(plain.read("+493012345678#9").as_deref(), Ok("+493012345678#9"));
        for text in ["+493012345678x", "+493012345678,,", "+493012345678x1x2", "+493012345678x(1)", "+493012345678x123456789012345678901"] {
            assert_eq!(plain.read(text), Err(WrongNumber::Extension), "{text}");
        }
        // What was read reads the same again.
        assert_eq!(plain.read("+493012345678x12").as_deref(), Ok("+493012345678x12"));
    }

    #[test]
    fn wrong_numbers_are_told_what_is_wrong() {
        let plain = Numbers::default();
        assert_eq!(plain.read("030 12345678"), Err(WrongNumber::NoCountry));
        assert_eq!(plain.read("call me"), Err(WrongNumber::Character('c')));
        assert_eq!(plain.read("+４9"), Err(WrongNumber::Character('４')));
        assert_eq!(plain.read("+1 212 555 01"), Err(WrongNumber::Digits));
        assert_eq!(plain.read("+1 212 555 01234"), Err(WrongNumber::Digits));
        assert_eq!(plain.read(""), Err(WrongNumber::NoNumber));
        assert!(plain.read("+999 123456").is_err());
        assert_eq!(plain.read(&"1".repeat(65)), Err(WrongNumber::Long));
        assert!(german().read("+").is_err());
        assert!(german().read("+1").is_err());
    }

    #[test]
    fn a_country_is_two_capital_letters_that_exist() {
        assert!("DE".parse::<Country>().is_ok());
        for text in ["", "de", "D", "DEU", "QQ", "49"] {
            assert!(text.parse::<Country>().is_err(), "{text}");
        }
    }
}
