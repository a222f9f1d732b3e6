//! Which numbers may be texted and called (M-28).

use phonenumber::Type;
use phonenumber::country::Id;
use phonenumber::metadata::DATABASE;

/// Where a number leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// `None`: in no country that we know.
    pub(super) country: Option<Id>,
    /// It costs whoever calls it.
    pub(super) dear: bool,
}

impl Destination {
    /// Of a number in E.164.
    pub(super) fn of(number: &str) -> Self {
        let parsed = phonenumber::parse(None, number).ok();
        let country = parsed.as_ref().and_then(|number| number.country().id());
        Self { country, dear: parsed.is_some_and(|number| number.number_type(&DATABASE) == Type::PremiumRate) }
    }

    /// Whether it is in one of these countries, and costs nobody more than others do.
    pub(super) fn is_in(self, countries: &[Id]) -> bool {
        !self.dear && self.country.is_some_and(|country| countries.contains(&country))
    }
}
