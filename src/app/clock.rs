//! The wall clock: the only place that asks what time it is.

use std::time::Duration;
use std::time::SystemTime;

use jiff::tz::TimeZone;

use crate::domain::Timestamp;
use crate::domain::WeekMinute;
use crate::ports::Clock;

/// The machine's own clock. A step back re-opens no code: tokens hold a high-water mark (O-24).
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
    }
}

/// The same, and on the wall hangs the clock of this time zone.
#[derive(Clone, Debug)]
pub struct ClockOf(pub TimeZone);

impl Clock for ClockOf {
    fn now(&self) -> Timestamp {
        WallClock.now()
    }

    fn week_minute(&self) -> WeekMinute {
        week_minute(self.now(), &self.0)
    }
}

/// What the clock of `zone` shows. Where summer begins an hour is left out, and where it ends one comes twice: both times it is that hour.
fn week_minute(now: Timestamp, zone: &TimeZone) -> WeekMinute {
    let shown = i64::try_from(now.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).and_then(|moment| {
        let shown = zone.to_datetime(moment);
        let number = |part: i8| u8::try_from(part).ok();
        WeekMinute::new(number(shown.weekday().to_monday_zero_offset())?, number(shown.hour())?, number(shown.minute())?)
    });
    shown.unwrap_or_else(|| WeekMinute::utc(now))
}

/// Since 1970-01-01 UTC, by the machine's own clock.
#[allow(clippy::disallowed_methods, reason = "everybody else takes a Clock")]
pub(super) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(moment: &str) -> WeekMinute {
        let moment: jiff::Timestamp = moment.parse().unwrap();
        week_minute(Timestamp(u64::try_from(moment.as_millisecond()).unwrap()), &TimeZone::get("Europe/Berlin").unwrap())
    }

    fn at(day: u8, hour: u8, minute: u8) -> WeekMinute {
        WeekMinute::new(day, hour, minute).unwrap()
    }

    #[test]
    fn hours_are_those_on_the_wall_in_summer_and_in_winter() {
        assert_eq!(shown("2026-01-12T06:00:00Z"), at(0, 7, 0));
        assert_eq!(shown("2026-07-13T05:00:00Z"), at(0, 7, 0));
        assert_eq!(shown("2026-07-12T22:30:00Z"), at(0, 0, 30), "there it is Monday already");
    }

    #[test]
    fn where_summer_begins_an_hour_is_left_out_and_where_it_ends_one_comes_twice() {
        assert_eq!([shown("2026-03-29T00:59:00Z"), shown("2026-03-29T01:00:00Z")], [at(6, 1, 59), at(6, 3, 0)]);
        assert_eq!([shown("2026-10-25T00:30:00Z"), shown("2026-10-25T01:30:00Z")], [at(6, 2, 30), at(6, 2, 30)]);
    }

    #[test]
    fn without_a_zone_of_the_machine_s_there_is_the_one_that_is_built_in() {
        let built_in = jiff::tz::TimeZoneDatabase::bundled();
        assert!(built_in.get("Europe/Berlin").is_ok() && built_in.get("America/St_Johns").is_ok());
    }
}
