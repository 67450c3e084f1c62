//! A compiled expression: one bit per permitted value, searched without loops over values.

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use cron::TimeUnitSpec;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

const ALL_DAYS: u32 = 0xffff_fffe;
const ALL_MONTHS: u16 = 0b1_1111_1111_1110;
const ALL_WEEKDAYS: u8 = 0b111_1111;

/// How far a search looks. The rarest date is 29 February on a given weekday, which comes at least once in 40 years
/// (28 years, and 12 more where a century is no leap year).
const HORIZON_YEARS: i32 = 48;

/// What an expression permits, bit `n` for the value `n`, and how it is read. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    seconds: u64,
    minutes: u64,
    hours: u32,
    days: u32,
    months: u16,
    /// Bit 0 is Sunday.
    weekdays: u8,
    /// A day of the month or a day of the week is enough.
    either_day: bool,
    /// The wall clock that it is read on.
    pub zone: Tz,
    /// Each time that it names comes once, whatever the clocks do (see [`super::Schedule::is_fixed_time`]).
    pub fixed_time: bool,
}

impl Masks {
    /// Compiles the ordinals of the `cron` crate, whose Sunday is 1.
    pub fn compile(parsed: &cron::Schedule, zone: Tz, fixed_time: bool, either_day: bool) -> Self {
        let bits = |ordinals: &mut dyn Iterator<Item = u32>| ordinals.fold(0_u64, |mask, value| mask | 1 << value);
        let narrow = |mask: u64| u32::try_from(mask).expect("no value over 31");
        Self {
            seconds: bits(&mut parsed.seconds().iter()),
            minutes: bits(&mut parsed.minutes().iter()),
            hours: narrow(bits(&mut parsed.hours().iter())),
            days: narrow(bits(&mut parsed.days_of_month().iter())),
            months: u16::try_from(bits(&mut parsed.months().iter())).expect("no month over 12"),
            weekdays: u8::try_from(bits(&mut parsed.days_of_week().iter()) >> 1).expect("no weekday over 7"),
            either_day,
            zone,
            fixed_time,
        }
    }

    /// Whether any date fits: every weekday falls on every date some year, so only the length of the months counts.
    pub fn can_fire(&self) -> bool {
        let fits = |month: u32| {
            // 2000 was a leap year.
            NaiveDate::from_ymd_opt(2_000, month, 1).is_some_and(|first| self.days & length_mask(first) != 0)
        };
        self.either_day || (1..=12).filter(|month| self.months & (1 << month) != 0).any(fits)
    }

    /// The first permitted second at or after `from`. Both are seconds of the wall clock, read as if it were UTC.
    pub fn next_local(&self, from: i64) -> Option<i64> {
        let today = from.div_euclid(DAY);
        let mut day = self.day_from(today)?;
        if day == today {
            let second = u32::try_from(from.rem_euclid(DAY)).expect("less than a day");
            if let Some(time) = self.time_from(second) {
                return Some(day * DAY + i64::from(time));
            }
            day = self.day_from(today + 1)?;
        }
        let (hour, minute, second) =
            (self.hours.trailing_zeros(), self.minutes.trailing_zeros(), self.seconds.trailing_zeros());
        Some(day * DAY + i64::from(hour * 3_600 + minute * 60 + second))
    }

    /// The first permitted second of a day at or after `second`.
    fn time_from(&self, second: u32) -> Option<u32> {
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        if self.hours & (1 << hour) != 0 {
            if self.minutes & (1 << minute) != 0
                && let Some(second) = first_bit(self.seconds, second)
            {
                return Some(hour * 3_600 + minute * 60 + second);
            }
            if let Some(minute) = first_bit(self.minutes, minute + 1) {
                return Some(hour * 3_600 + minute * 60 + self.seconds.trailing_zeros());
            }
        }
        let hour = first_bit(u64::from(self.hours), hour + 1)?;
        Some(hour * 3_600 + self.minutes.trailing_zeros() * 60 + self.seconds.trailing_zeros())
    }

    /// The first permitted day at or after `day`, counted from 1970-01-01.
    fn day_from(&self, day: i64) -> Option<i64> {
        if self.is_every_day() {
            return Some(day);
        }
        let date = NaiveDate::from_epoch_days(i32::try_from(day).ok()?)?;
        let (mut year, mut month, mut day) = (date.year(), date.month(), date.day());
        let last_year = year + HORIZON_YEARS;
        while year <= last_year {
            match first_bit(u64::from(self.months), month) {
                None => (year, month, day) = (year + 1, 1, 1),
                Some(later) if later > month => (month, day) = (later, 1),
                Some(_) => {
                    let first = NaiveDate::from_ymd_opt(year, month, 1)?;
                    if let Some(found) = first_bit(u64::from(self.days_of(first)), day) {
                        return Some(i64::from(first.to_epoch_days()) + i64::from(found) - 1);
                    }
                    (month, day) = (month + 1, 1);
                }
            }
        }
        None
    }

    fn is_every_day(&self) -> bool {
        let (days, weekdays) = (self.days == ALL_DAYS, self.weekdays == ALL_WEEKDAYS);
        self.months == ALL_MONTHS && if self.either_day { days || weekdays } else { days && weekdays }
    }

    /// The permitted days of the month that begins with `first`, bit 1 for the first.
    fn days_of(&self, first: NaiveDate) -> u32 {
        let week = u64::from(self.weekdays);
        let weeks = week | week << 7 | week << 14 | week << 21 | week << 28 | week << 35;
        #[expect(clippy::cast_possible_truncation, reason = "days after the 31st are cut off")]
        let by_weekday = (weeks >> first.weekday().num_days_from_sunday() << 1) as u32;
        let permitted = if self.either_day { self.days | by_weekday } else { self.days & by_weekday };
        permitted & length_mask(first)
    }
}

/// The lowest bit of `mask` at or above `from`.
fn first_bit(mask: u64, from: u32) -> Option<u32> {
    let rest = mask & (!0 << from);
    (rest != 0).then(|| rest.trailing_zeros())
}

/// Bits 1 to 28, 29, 30 or 31.
fn length_mask(first: NaiveDate) -> u32 {
    !1 & (!0 >> (31 - u32::from(first.num_days_in_month())))
}
