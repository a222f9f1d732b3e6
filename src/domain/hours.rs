//! Hours of the week at which people may log in. What hour it is where the server stands is handed in: summer time is the calendar's business.

use std::str::FromStr;

use super::account::Timestamp;

/// A minute of the week: 0 is Monday, 00:00, by the clock on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WeekMinute(u16);

impl WeekMinute {
    /// The minute of a day, of which Monday is 0; `None` where there is no such day, hour or minute.
    #[must_use]
    pub fn new(day: u8, hour: u8, minute: u8) -> Option<Self> {
        let fits = day < 7 && hour < 24 && minute < 60;
        let of_day = u16::from(hour).saturating_mul(60).saturating_add(u16::from(minute));
        fits.then(|| Self(u16::from(day).saturating_mul(DAY).saturating_add(of_day)))
    }

    /// Where the clock on the wall shows UTC.
    #[must_use]
    pub fn utc(now: Timestamp) -> Self {
        // 1970 began on a Thursday.
        let minutes = (now.0 / 60_000).saturating_add(3 * u64::from(DAY)) % (7 * u64::from(DAY));
        Self(u16::try_from(minutes).unwrap_or(0))
    }

    fn day(self) -> u16 {
        self.0 / DAY
    }

    fn of_day(self) -> u16 {
        self.0 % DAY
    }
}

/// When people may log in; where nothing is said, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours(pub Vec<Opening>);

impl Hours {
    /// Whether they say anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether people may log in at this minute.
    #[must_use]
    pub fn contain(&self, now: WeekMinute) -> bool {
        self.0.is_empty() || self.0.iter().any(|opening| opening.contains(now))
    }
}

/// Some days of the week, from one minute until another. One that ends before it begins ends on the day after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// By their place in the week.
    days: [bool; 7],
    /// The first minute of the day.
    from: u16,
    /// The first minute that is not meant any more, up to 1440.
    until: u16,
}

impl Opening {
    fn contains(&self, now: WeekMinute) -> bool {
        let (day, minute) = (now.day(), now.of_day());
        if self.from < self.until {
            return self.has(day) && (self.from..self.until).contains(&minute);
        }
        let before = day.checked_sub(1).unwrap_or(6);
        (self.has(day) && self.from <= minute) || (self.has(before) && minute < self.until)
    }

    fn has(&self, day: u16) -> bool {
        self.days.get(usize::from(day)).copied().unwrap_or(false)
    }
}

impl FromStr for Opening {
    type Err = String;

    /// `mon-fri 07:00-19:00`, `sat,sun 10:00-14:00`, `fri 22:00-04:00`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no opening: write \"mon-fri 07:00-19:00\" or \"sat,sun 10:00-14:00\"");
        let (listed, span) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let (from, until) = span.trim().split_once('-').ok_or_else(wrong)?;
        let (from, until) = (minute_of_day(from).ok_or_else(wrong)?, minute_of_day(until).ok_or_else(wrong)?);
        if from == until || from == DAY {
            return Err(format!("`{text}` begins when it ends: write 00:00-24:00 for all day"));
        }
        let mut days = [false; 7];
        for part in listed.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut at, last) = (day(first).ok_or_else(wrong)?, day(last).ok_or_else(wrong)?);
            while let Some(place) = days.get_mut(at) {
                *place = true;
                if at == last {
                    break;
                }
                at = at.saturating_add(1) % 7;
            }
        }
        Ok(Self { days, from, until })
    }
}

fn day(word: &str) -> Option<usize> {
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|known| word.eq_ignore_ascii_case(known))
}

/// `07:00`, up to `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|_| digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit()));
    let (hour, minute) = (number(hour)?, number(minute)?);
    let sum = hour.saturating_mul(60).saturating_add(minute);
    (minute < 60 && sum <= DAY).then_some(sum)
}

/// Minutes.
const DAY: u16 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(openings: &[&str]) -> Hours {
        Hours(openings.iter().map(|opening| opening.parse().unwrap()).collect())
    }

    fn at(day: u8, hour: u8, minute: u8) -> WeekMinute {
        WeekMinute::new(day, hour, minute).unwrap()
    }

    #[test]
    fn an_opening_has_its_first_minute_and_not_its_last() {
        let work = hours(&["mon-fri 07:00-19:00"]);
        assert!(work.contain(at(0, 7, 0)) && work.contain(at(4, 18, 59)));
        assert!(!work.contain(at(0, 6, 59)) && !work.contain(at(4, 19, 0)) && !work.contain(at(5, 12, 0)));
        assert!(hours(&[]).contain(at(6, 3, 0)), "where nothing is said, always");
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins_and_a_week_has_no_end() {
        let night = hours(&["sun 22:00-04:00"]);
        assert!(night.contain(at(6, 23, 0)) && night.contain(at(0, 3, 59)));
        assert!(!night.contain(at(0, 4, 0)) && !night.contain(at(6, 3, 0)) && !night.contain(at(0, 22, 0)));
        let weekend = hours(&["sat-mon 00:00-24:00", "wed 12:00-12:01"]);
        let open = |day| weekend.contain(at(day, 12, 0));
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(open), [true, false, true, false, false, true, true]);
    }

    #[test]
    fn the_first_minute_of_1970_was_a_thursday_s() {
        assert_eq!(WeekMinute::utc(Timestamp(0)), at(3, 0, 0));
        assert_eq!(WeekMinute::utc(Timestamp(1_700_000_000_000)), at(1, 22, 13));
    }

    #[test]
    fn what_is_no_opening_is_refused() {
        for wrong in [
            "",
            "mon",
            "07:00-19:00",
            "mon 7:00-19:00",
            "mon 07:00",
            "mon 07:00-24:01",
            "mon 07:60-19:00",
            "moon 07:00-19:00",
            "mon 09:00-09:00",
            "mon 24:00-01:00",
        ] {
            assert!(wrong.parse::<Opening>().is_err(), "{wrong}");
        }
        assert_eq!("MON,wed-thu 07:00-19:00".parse::<Opening>().unwrap().days, [true, false, true, true, false, false, false]);
        assert_eq!([WeekMinute::new(7, 0, 0), WeekMinute::new(0, 24, 0), WeekMinute::new(0, 0, 60)], [None; 3]);
    }
}
