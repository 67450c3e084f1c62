//! Reading typed values out of the tree: a [`Field`] is a value with its dotted key, [`Fields`] a table whose keys are
//! known. What is wrong goes to the report, and a stand-in comes back, so that one fault hides no other.

use std::ops::RangeInclusive;

use crate::fault::{Fault, Report};
use crate::keys::Key;
use crate::source::Span;
use crate::tree::{Entry, Node, Value};
use werkpilot_core::suggest;

/// A value and its dotted key.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: String,
    pub(crate) node: &'a Node,
}

/// Longer texts are cut in messages.
const SHOWN_CHARACTERS: usize = 60;

/// The text in backquotes, cut and without control characters.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).flat_map(shown_character).collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn shown_character(character: char) -> impl Iterator<Item = char> {
    let text = if character.is_control() { character.escape_default().to_string() } else { character.to_string() };
    text.chars().collect::<Vec<_>>().into_iter()
}

impl<'a> Field<'a> {
    pub(crate) fn span(&self) -> Span {
        self.node.span
    }

    /// Adds a fault here.
    pub(crate) fn fault<'r>(&self, report: &'r mut Report, message: impl Into<String>) -> &'r mut Fault {
        report.fault(self.node.span, &self.name, message)
    }

    /// Adds a fault about the type.
    pub(crate) fn wrong_type<'r>(&self, report: &'r mut Report, expected: &str) -> &'r mut Fault {
        self.fault(report, format!("must be {expected}, not {}", self.node.value.kind()))
    }

    /// A text without NUL bytes.
    pub(crate) fn text(&self, report: &mut Report) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) | Value::Loose(text) if text.contains('\0') => {
                self.fault(report, "must not have a NUL byte: no program can be given one");
                None
            }
            Value::Text(text) | Value::Loose(text) => Some(text),
            other => {
                let quoted = match other {
                    Value::Integer(number) => Some(format!("write \"{number}\", in quotes")),
                    Value::Float(number) => Some(format!("write \"{number}\", in quotes")),
                    Value::Boolean(boolean) => Some(format!("write \"{boolean}\", in quotes")),
                    _ => None,
                };
                let fault = self.wrong_type(report, "a text");
                fault.hint = quoted;
                None
            }
        }
    }

    /// A text that is not empty.
    pub(crate) fn filled_text(&self, report: &mut Report) -> Option<&'a str> {
        let text = self.text(report)?;
        if text.trim().is_empty() {
            self.fault(report, "must not be empty");
            return None;
        }
        Some(text)
    }

    pub(crate) fn boolean(&self, report: &mut Report) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(boolean) => return Some(*boolean),
            Value::Loose(text) if matches!(text.as_str(), "true" | "1" | "yes" | "on") => return Some(true),
            Value::Loose(text) if matches!(text.as_str(), "false" | "0" | "no" | "off") => return Some(false),
            Value::Loose(text) => self.fault(report, format!("must be true or false, not {}", quote(text))),
            Value::Text(_) => self.wrong_type(report, "true or false").hint("without quotes"),
            _ => self.wrong_type(report, "true or false"),
        };
        None
    }

    /// An integer in a range.
    pub(crate) fn integer<T: TryFrom<i64> + Into<i64> + Copy>(
        &self,
        range: RangeInclusive<T>,
        report: &mut Report,
    ) -> Option<T> {
        let (low, high): (i64, i64) = ((*range.start()).into(), (*range.end()).into());
        let number = match &self.node.value {
            Value::Integer(number) => *number,
            Value::Loose(text) => {
                let Ok(number) = text.trim().parse() else {
                    self.fault(report, format!("must be an integer from {low} to {high}, not {}", quote(text)));
                    return None;
                };
                number
            }
            #[expect(clippy::cast_possible_truncation, reason = "a whole number in the range of exact integers")]
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => *number as i64,
            Value::Text(text) if text.parse::<i64>().is_ok() => {
                self.wrong_type(report, "an integer").hint(format!("write {text}, without quotes"));
                return None;
            }
            _ => {
                self.wrong_type(report, &format!("an integer from {low} to {high}"));
                return None;
            }
        };
        let inside = (low..=high).contains(&number).then(|| T::try_from(number).ok()).flatten();
        if inside.is_none() {
            self.fault(report, format!("must be an integer from {low} to {high}, not {number}"));
        }
        inside
    }

    /// A number, whole or not, in a range.
    pub(crate) fn number(&self, range: RangeInclusive<f64>, report: &mut Report) -> Option<f64> {
        let number = match &self.node.value {
            Value::Float(number) => *number,
            Value::Integer(number) => *number as f64,
            _ => {
                self.wrong_type(report, &format!("a number from {} to {}", range.start(), range.end()));
                return None;
            }
        };
        if range.contains(&number) {
            return Some(number);
        }
        self.fault(report, format!("must be a number from {} to {}, not {number}", range.start(), range.end()));
        None
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&'static str, T)], report: &mut Report) -> Option<T> {
        let text = self.text(report)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let list = either(words.iter().map(|(word, _)| *word));
        let meant = suggest::closest(text, words.iter().map(|(word, _)| *word));
        let fault = self.fault(report, format!("must be {list}, not {}", quote(text)));
        fault.hint = meant.map(|meant| format!("did you mean `{meant}`?"));
        None
    }

    /// The items of a list, named `key[0]`, `key[1]` and so on.
    pub(crate) fn list(&self, report: &mut Report, expected: &str) -> Option<Vec<Field<'a>>> {
        let Value::List(items) = &self.node.value else {
            self.wrong_type(report, expected);
            return None;
        };
        let named = |(index, node)| Field { name: format!("{}[{index}]", self.name), node };
        Some(items.iter().enumerate().map(named).collect())
    }

    /// The entries of a table with free keys.
    pub(crate) fn map(&self, report: &mut Report, expected: &str) -> Option<Vec<(&'a Entry, Field<'a>)>> {
        let Value::Table(entries) = &self.node.value else {
            self.wrong_type(report, expected);
            return None;
        };
        let named =
            |entry: &'a Entry| (entry, Field { name: format!("{}.{}", self.name, entry.key), node: &entry.node });
        Some(entries.iter().map(named).collect())
    }
}

/// `a`, `b` or `c`.
pub(crate) fn either<'w>(words: impl Iterator<Item = &'w str>) -> String {
    joined(words, "or")
}

/// `a`, `b` and `c`.
pub(crate) fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    joined(words, "and")
}

fn joined<'w>(words: impl Iterator<Item = &'w str>, last_word: &str) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {last_word} {last}", first.join(", ")),
    }
}

/// A table whose keys are known.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// Opens a table and reports the keys that it should not have.
    pub(crate) fn open(field: &Field<'a>, keys: &[&'static [Key]], report: &mut Report) -> Option<Self> {
        let Value::Table(entries) = &field.node.value else {
            field.wrong_type(report, "a table").hint(format!("its keys are {}", listed(names(keys))));
            return None;
        };
        let fields = Self { name: field.name.clone(), span: field.node.span, entries };
        for entry in entries {
            if !names(keys).any(|key| key == entry.key) {
                let hint = suggest::or_else(&entry.key, names(keys), || format!("known are {}", listed(names(keys))));
                let key = fields.dotted(&entry.key);
                if matches!(entry.node.value, Value::Table(_)) {
                    // A misspelt `env`, maybe.
                    report.hide(entry.node.span);
                }
                report.fault(entry.key_span, &key, format!("unknown key {}", quote(&entry.key))).hint(hint);
            }
        }
        Some(fields)
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entry(key)?;
        Some(Field { name: self.dotted(key), node: &entry.node })
    }

    /// The key with its value, if it is there.
    pub(crate) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key && !matches!(entry.node.value, Value::Null))
    }

    /// The key with what it is part of.
    pub(crate) fn dotted(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

fn names(keys: &[&'static [Key]]) -> impl Iterator<Item = &'static str> {
    keys.iter().flat_map(|group| group.iter()).map(|key| key.name)
}
