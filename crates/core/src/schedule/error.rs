//! What can be wrong with a schedule.

use std::fmt;

/// The fields of an expression, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0-59, only where the expression has six fields.
    Second,
    /// 0-59
    Minute,
    /// 0-23
    Hour,
    /// 1-31
    DayOfMonth,
    /// 1-12 or `jan`-`dec`
    Month,
    /// 0-7 or `sun`-`sat`; 0 and 7 are Sunday.
    DayOfWeek,
}

impl Field {
    /// The smallest and the largest number.
    pub const fn bounds(self) -> (u32, u32) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

/// Why a text is not a schedule. The text of the error says what is wrong, [`hint`](Self::hint) what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// There is nothing in it.
    #[error("the schedule is empty")]
    Empty,
    /// Too few or too many fields.
    #[error("`{expression}` has {found} fields; a schedule has 5, or 6 with leading seconds")]
    FieldCount {
        /// The whole text.
        expression: String,
        /// How many fields it has.
        found: usize,
        /// What to write instead.
        hint: String,
    },
    /// A word that begins with `@` and is not one of ours.
    #[error("`{text}` is not one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually")]
    UnknownWord {
        /// The word.
        text: String,
        /// What to write instead.
        hint: String,
    },
    /// A field that cannot be read.
    #[error("{field} `{text}`: {problem}")]
    Field {
        /// Which field.
        field: Field,
        /// The offending part of it.
        text: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// It names only dates that no calendar has, such as 30 February.
    #[error("`{expression}` never comes: no month that it names has such a day")]
    NeverFires {
        /// The whole text.
        expression: String,
    },
    /// The time zone is not in the IANA database.
    #[error("`{name}` is not a time zone of the IANA database")]
    UnknownZone {
        /// The text.
        name: String,
        /// The zone that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// Passed our own checks, but the `cron` crate refuses what we made of it.
    #[error("`{expression}` cannot be read as a schedule")]
    Refused {
        /// The whole text.
        expression: String,
        /// What the crate says.
        #[source]
        source: cron::error::Error,
    },
}

impl ScheduleError {
    /// What to write instead, as one line for people.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "write for example `*/5 * * * *` (every five minutes) or `@daily`".to_owned(),
            Self::FieldCount { hint, .. } | Self::UnknownWord { hint, .. } | Self::Field { hint, .. } => hint.clone(),
            Self::NeverFires { .. } => {
                "February has at most 29 days; April, June, September and November have 30".into()
            }
            Self::UnknownZone { suggestion: Some(zone), .. } => format!("did you mean `{zone}`?"),
            Self::UnknownZone { suggestion: None, .. } => "write a name such as `Europe/Zurich` or `UTC`".to_owned(),
            Self::Refused { .. } => "use only numbers, names, `*`, `,`, `-` and `/`".to_owned(),
        }
    }
}
