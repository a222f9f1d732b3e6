//! Which numbers may be texted and called (M-28).

use phonenumber::Type;
use phonenumber::country::Id;
use phonenumber::metadata::DATABASE;

/// Where a number leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// `None`: in no country that we know.
    pub(super) country: Option<Id>,
    /// It is no telephone of a person that its country gives out: it may cost whoever calls it, or nobody can tell.
    pub(super) dear: bool,
}

impl Destination {
    /// Of a number in E.164.
    pub(super) fn of(number: &str) -> Self {
        let parsed = phonenumber::parse(None, number).ok();
        let country = parsed.as_ref().and_then(|number| number.country().id());
        Self { country, dear: parsed.is_none_or(|number| !number.is_valid() || !PEOPLES.contains(&number.number_type(&DATABASE))) }
    }

    /// Whether it is in one of these countries, and costs nobody more than others do.
    pub(super) fn is_in(self, countries: &[Id]) -> bool {
        !self.dear && self.country.is_some_and(|country| countries.contains(&country))
    }
}

/// What people have. All others are shared, forwarded, paid for by somebody else or nobody's: none of them is a person's telephone.
const PEOPLES: [Type; 4] = [Type::FixedLine, Type::FixedLineOrMobile, Type::Mobile, Type::Voip];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_28_peoples_telephones_are_reached_and_no_other_numbers() {
        let countries = ["DE", "GB", "US"].map(|country| country.parse().unwrap());
        let reached = |number: &str| Destination::of(number).is_in(&countries);
        for number in ["+4917012345678", "+4930123456", "+4932123456789", "+12125550123", "+447400123456"] {
            assert!(reached(number), "{number}");
        }
        // Free for the caller, a personal number that follows its owner at the caller's cost, shared cost, premium.
        for number in ["+18002345678", "+447012345678", "+4970012345678", "+491801234567", "+499001234567", "+436641234567"] {
            assert!(!reached(number), "{number}");
        }
    }
}
