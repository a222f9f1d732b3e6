//! A number, and what is dialled behind it.

use crate::domain::Account;

/// The account's number, and what is dialled once somebody has answered.
pub(super) fn number(account: &Account) -> Option<(String, Option<String>)> {
    let phone = account.phone.as_deref()?;
    let end = phone.char_indices().skip(1).find(|(_, c)| !c.is_ascii_digit()).map_or(phone.len(), |(at, _)| at);
    let (number, behind) = phone.split_at(end);
    // A comma is a pause, which Twilio writes as `w`; an `x` only tells where the extension begins.
    let behind: String = behind.chars().filter(|c| *c != 'x').map(|c| if c == ',' { 'w' } else { c }).collect();
    number.starts_with('+').then(|| (number.to_owned(), (!behind.is_empty()).then_some(behind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Identity;
    use crate::domain::Timestamp;

    fn split(phone: &str) -> Option<(String, Option<String>)> {
        let mut account = Account::new(Identity("S-1".into()), "alice", None, Timestamp(0));
        account.phone = Some(phone.into());
        number(&account)
    }

    #[test]
    fn what_is_dialled_behind_a_number_is_no_part_of_it() {
        let both = |number: &str, behind: Option<&str>| Some((number.to_owned(), behind.map(str::to_owned)));
        assert_eq!(split("+4930123456"), both("+4930123456", None));
        assert_eq!(split("+4930123456x12,,3#"), both("+4930123456", Some("12ww3#")));
        assert_eq!(split("+4930123456,5"), both("+4930123456", Some("w5")));
        assert_eq!([split("030123456"), split("")], [None, None]);
    }
}
