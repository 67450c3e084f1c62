//! The crontab dialect, checked field by field and rewritten to the dialect of the `cron` crate.
//!
//! | | ours (Vixie) | the `cron` crate |
//! |---|---|---|
//! | fields | 5, or 6 with seconds | 6 or 7, seconds always |
//! | Sunday | 0 or 7 | 1 |
//! | day of month and day of week | *or* when both are restricted | *and* |
//!
//! Weekdays become explicit lists, so that no rule about them is left to the crate.

use super::error::{Field, ScheduleError};

/// What a text means, in the words of the `cron` crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// Six fields for the `cron` crate.
    pub expression: String,
    /// Neither the minute nor the hour field begins with `*` (Vixie cron's `MIN_STAR`, `HR_STAR`).
    pub fixed_time: bool,
    /// Both day fields are restricted, that is, neither begins with `*` (`DOM_STAR`, `DOW_STAR`).
    pub either_day: bool,
}

/// The words, and what each stands for (crontab(5)).
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Checks an expression and rewrites it.
pub(super) fn rewrite(expression: &str) -> Result<Rewritten, ScheduleError> {
    let expression = expand_word(expression.trim())?;
    let mut texts: Vec<&str> = expression.split_ascii_whitespace().collect();
    match texts.len() {
        0 => return Err(ScheduleError::Empty),
        5 => texts.insert(0, "0"),
        6 => {}
        found => return Err(wrong_count(expression, found)),
    }
    let fields = [Field::Second, Field::Minute, Field::Hour, Field::DayOfMonth, Field::Month, Field::DayOfWeek];
    let rewritten: Vec<String> =
        fields.into_iter().zip(&texts).map(|(field, text)| rewrite_field(field, text)).collect::<Result<_, _>>()?;
    Ok(Rewritten {
        expression: rewritten.join(" "),
        fixed_time: !texts[1].starts_with('*') && !texts[2].starts_with('*'),
        either_day: !texts[3].starts_with('*') && !texts[5].starts_with('*'),
    })
}

fn expand_word(text: &str) -> Result<&str, ScheduleError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let word = text.to_ascii_lowercase();
    if let Some((_, meaning)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Ok(meaning);
    }
    let hint = if word.starts_with("@reboot") {
        "to run once at boot, write `startup = true`".to_owned()
    } else if word.starts_with("@every") {
        "for a fixed interval, write for example `every = \"90s\"` instead of a schedule".to_owned()
    } else {
        match super::suggest(&word, WORDS.iter().map(|(known, _)| *known)) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "write one of these words, or five fields".to_owned(),
        }
    };
    Err(ScheduleError::UnknownWord { text: text.to_owned(), hint })
}

fn wrong_count(expression: &str, found: usize) -> ScheduleError {
    let hint = if expression.contains('=') {
        "the time zone has a key of its own: `timezone = \"Europe/Zurich\"`"
    } else if found == 7 {
        "a field for years is not supported"
    } else {
        "the fields are: [second] minute hour day-of-month month day-of-week"
    };
    ScheduleError::FieldCount { expression: expression.to_owned(), found, hint: hint.to_owned() }
}

fn rewrite_field(field: Field, text: &str) -> Result<String, ScheduleError> {
    let items = text.split(',').map(|item| Item::read(field, item)).collect::<Result<Vec<_>, _>>()?;
    if field == Field::DayOfWeek {
        let days = (0..7).filter(|day| items.iter().any(|item| item.has_weekday(*day)));
        return Ok(days.map(|day| (day + 1).to_string()).collect::<Vec<_>>().join(","));
    }
    Ok(items.iter().map(Item::written).collect::<Vec<_>>().join(","))
}

/// One part between commas: all of `first..=last` that are a multiple of `step` away from `first`.
#[derive(Clone, Copy)]
struct Item {
    first: u32,
    last: u32,
    step: u32,
}

impl Item {
    fn read(field: Field, text: &str) -> Result<Self, ScheduleError> {
        if let Some((problem, hint)) = foreign(text) {
            return Err(wrong(field, text, problem, hint));
        }
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(read_step(field, text, step)?)),
            None => (text, None),
        };
        let (first, last) = Self::range(field, text, range, step.is_some())?;
        Ok(Self { first, last, step: step.unwrap_or(1) })
    }

    fn range(field: Field, item: &str, range: &str, stepped: bool) -> Result<(u32, u32), ScheduleError> {
        // A week has seven days: a step from an open end must not meet Sunday twice.
        let (lowest, highest) = if field == Field::DayOfWeek { (0, 6) } else { field.bounds() };
        if range == "*" {
            return Ok((lowest, highest));
        }
        let Some((first, last)) = range.split_once('-') else {
            let only = read_value(field, item, range)?;
            return Ok((only, if stepped { highest.max(only) } else { only }));
        };
        let first_value = read_value(field, item, first)?;
        let last_value = match read_value(field, item, last)? {
            0 if field == Field::DayOfWeek && last.eq_ignore_ascii_case("sun") && first_value > 0 => 7,
            value => value,
        };
        if first_value > last_value {
            let (lowest, highest) = field.bounds();
            let hint = format!("write `{first}-{highest},{lowest}-{last}` for a range over the end");
            return Err(wrong(field, item, "the range runs backwards", &hint));
        }
        Ok((first_value, last_value))
    }

    fn has_weekday(&self, day: u32) -> bool {
        (self.first..=self.last).step_by(self.step as usize).any(|value| value % 7 == day)
    }

    fn written(&self) -> String {
        format!("{}-{}/{}", self.first, self.last, self.step)
    }
}

fn read_step(field: Field, item: &str, step: &str) -> Result<u32, ScheduleError> {
    let (_, highest) = field.bounds();
    match step.parse::<u32>() {
        Ok(0) => Err(wrong(field, item, "a step of 0 goes nowhere", "write a step of at least 1")),
        Ok(value) if value <= highest => Ok(value),
        Ok(value) => Err(wrong(
            field,
            item,
            &format!("a step of {value} is longer than the field, whose largest is {highest}"),
            "steps start afresh in every field: for a longer interval use the next field, or `every`",
        )),
        Err(_) => Err(wrong(field, item, "the step is not a number", "write for example `*/5` or `10-40/5`")),
    }
}

fn read_value(field: Field, item: &str, text: &str) -> Result<u32, ScheduleError> {
    let (lowest, highest) = field.bounds();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<u32>() {
            Ok(value) if (lowest..=highest).contains(&value) => Ok(value),
            _ => Err(wrong(
                field,
                item,
                &format!("{text} is out of range"),
                &format!("{field} goes from {lowest} to {highest}"),
            )),
        };
    }
    let names: &[&str] = match field {
        Field::Month => &MONTHS,
        Field::DayOfWeek => &WEEKDAYS,
        _ => &[],
    };
    let name = text.to_ascii_lowercase();
    if let Some(position) = names.iter().position(|known| *known == name) {
        return Ok(u32::try_from(position).expect("at most twelve names") + lowest);
    }
    let hint = match names.iter().find(|known| name.starts_with(*known)) {
        Some(known) => format!("did you mean `{known}`?"),
        None if names.is_empty() => format!("{field} is a number from {lowest} to {highest}"),
        None => format!("{field} is a number from {lowest} to {highest}, or one of {}", names.join(", ")),
    };
    let problem = if text.is_empty() { "something is missing".to_owned() } else { format!("`{text}` is not known") };
    Err(wrong(field, item, &problem, &hint))
}

/// Signs of other dialects, each with what we have instead.
fn foreign(text: &str) -> Option<(&'static str, &'static str)> {
    if text.contains('?') {
        Some(("`?` belongs to Quartz", "write `*`"))
    } else if text.contains('#') {
        Some(("`#` (n-th weekday) is not supported", "name the days of the month, for example `1-7`, and check inside"))
    } else if text.contains('~') {
        Some(("`~` (random) is not supported", "write `jitter = \"5m\"` beside the schedule"))
    } else if text.eq_ignore_ascii_case("l") || text.eq_ignore_ascii_case("lw") {
        Some(("`L` (last) is not supported", "write `28-31` and check inside, or run on the first: `1`"))
    } else if text.len() > 1 && text.ends_with(['w', 'W']) && text.as_bytes()[0].is_ascii_digit() {
        Some(("`W` (nearest weekday) is not supported", "name the days themselves"))
    } else {
        None
    }
}

fn wrong(field: Field, text: &str, problem: &str, hint: &str) -> ScheduleError {
    ScheduleError::Field { field, text: text.to_owned(), problem: problem.to_owned(), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_become_lists_counted_from_sunday_as_one() {
        for (ours, theirs) in [
            ("1-5", "2,3,4,5,6"),
            ("mon-FRI", "2,3,4,5,6"),
            ("0", "1"),
            ("7", "1"),
            ("5-7", "1,6,7"),
            ("fri-sun", "1,6,7"),
            ("sun-tue", "1,2,3"),
            ("*/2", "1,3,5,7"),
            ("1/2", "2,4,6"),
            ("7/2", "1"),
            ("*", "1,2,3,4,5,6,7"),
        ] {
            assert_eq!(rewrite_field(Field::DayOfWeek, ours).unwrap(), theirs, "{ours}");
        }
    }

    #[test]
    fn the_other_fields_become_ranges_with_steps() {
        for (field, ours, theirs) in [
            (Field::Minute, "*/5", "0-59/5"),
            (Field::Minute, "5/10", "5-59/10"),
            (Field::Minute, "1-30/2,45", "1-30/2,45-45/1"),
            (Field::Month, "jan-Mar,DEC", "1-3/1,12-12/1"),
            (Field::Hour, "*", "0-23/1"),
        ] {
            assert_eq!(rewrite_field(field, ours).unwrap(), theirs, "{ours}");
        }
    }

    #[test]
    fn only_a_leading_star_makes_a_field_open() {
        for (expression, fixed_time, either_day) in [
            ("0 2 * * *", true, false),
            ("0,30 1-3 1 * mon", true, true),
            ("*/15 2 * * *", false, false),
            ("30 */2 1 * *", false, false),
            ("0-59 2 */2 * 1", true, false),
            ("*/10 30 2 * * *", true, false),
            ("@hourly", false, false),
            ("@weekly", true, false),
        ] {
            let rewritten = rewrite(expression).unwrap();
            assert_eq!((rewritten.fixed_time, rewritten.either_day), (fixed_time, either_day), "{expression}");
        }
    }
}
