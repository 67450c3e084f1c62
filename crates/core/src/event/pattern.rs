//! Patterns of topics, written as on the bus: `agent.failed`, `agent.*` (one word more), `agent.>` (one or more), `>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::Event;
use crate::suggest;

/// A topic, or a pattern of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TopicPattern(String);

/// Why a text is no pattern of topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing.
    #[error("a type of events must not be empty; write for example \"agent.failed\", \"agent.*\" or \">\"")]
    Empty,
    /// Nothing between two dots.
    #[error("`{0}` has an empty word: write words with one dot between them, such as \"agent.failed\"")]
    EmptyWord(String),
    /// A wildcard that is part of a word.
    #[error("`{0}` has a wildcard within a word: `*` and `>` stand for whole words, as in \"agent.*\"")]
    WithinAWord(String),
    /// Something after `>`.
    #[error("`{0}` goes on after `>`, which stands for all the words to come")]
    AfterTheRest(String),
    /// A character that no topic has.
    #[error("`{text}` has {character:?}; the words of a type are made of a-z, 0-9 and `_`")]
    BadCharacter {
        /// The whole text.
        text: String,
        /// The first such character.
        character: char,
    },
}

impl TopicPattern {
    /// Checks a text and makes it a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let mut words = text.split('.').peekable();
        while let Some(word) = words.next() {
            match word {
                "" => return Err(PatternError::EmptyWord(text.to_owned())),
                "*" => {}
                ">" if words.peek().is_none() => {}
                ">" => return Err(PatternError::AfterTheRest(text.to_owned())),
                word if word.contains(['*', '>']) => return Err(PatternError::WithinAWord(text.to_owned())),
                word => {
                    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                    if let Some(character) = word.chars().find(|c| !good(*c)) {
                        return Err(PatternError::BadCharacter { text: text.to_owned(), character });
                    }
                }
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic, if it is one and no pattern.
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains(['*', '>'])).then_some(self.0.as_str())
    }

    /// Whether it has this topic. Nothing is allocated: it is asked for every event.
    pub fn matches(&self, topic: &str) -> bool {
        let (mut words, mut topic) = (self.0.split('.'), topic.split('.'));
        loop {
            match (words.next(), topic.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(word), Some(other)) if word == other => {}
                _ => return false,
            }
        }
    }

    /// Whether there can be such an event: what it is not, and what may have been meant, where its first word is none of
    /// [`Event::FAMILIES`].
    ///
    /// # Errors
    /// The unknown word, and the family that is near to it.
    pub fn known(&self) -> Result<(), (&str, Option<&'static str>)> {
        let first = self.0.split('.').next().unwrap_or_default();
        if matches!(first, "*" | ">") || Event::FAMILIES.contains(&first) {
            return Ok(());
        }
        Err((first, suggest::closest(first, Event::FAMILIES)))
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TopicPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for TopicPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("agent.failed", "agent.failed", true)]
    #[case("agent.failed", "agent.failed.twice", false)]
    #[case("agent.failed", "agent", false)]
    #[case("agent.*", "agent.failed", true)]
    #[case("agent.*", "agent.health.changed", false)]
    #[case("agent.*", "agent", false)]
    #[case("agent.>", "agent.health.changed", true)]
    #[case("agent.>", "agent", false)]
    #[case("*.changed", "agent.changed", true)]
    #[case("agent.*.changed", "agent.health.changed", true)]
    #[case(">", "boot.completed", true)]
    #[case("*", "boot.completed", false)]
    fn patterns_match_as_on_the_bus(#[case] pattern: &str, #[case] topic: &str, #[case] expected: bool) {
        assert_eq!(TopicPattern::new(pattern).unwrap().matches(topic), expected);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let error = |text| TopicPattern::new(text).unwrap_err();
        assert_eq!(error(""), PatternError::Empty);
        assert_eq!(error("agent..failed"), PatternError::EmptyWord("agent..failed".to_owned()));
        assert_eq!(error("agent.f*"), PatternError::WithinAWord("agent.f*".to_owned()));
        assert_eq!(error(">.failed"), PatternError::AfterTheRest(">.failed".to_owned()));
        assert_eq!(error("Agent"), PatternError::BadCharacter { text: "Agent".to_owned(), character: 'A' });
    }

    #[test]
    fn an_unknown_family_is_told_with_the_one_that_may_be_meant() {
        let known = |text: &str| TopicPattern::new(text).unwrap().known().map_err(|(_, meant)| meant);
        assert_eq!(known("agents.failed"), Err(Some("agent")));
        assert_eq!(known("weather.bad"), Err(None));
        assert_eq!((known("agent.*"), known("*.failed"), known(">")), (Ok(()), Ok(()), Ok(())));
        assert_eq!(TopicPattern::new("agent.*").unwrap().exact(), None);
        assert_eq!(TopicPattern::new("agent.failed").unwrap().exact(), Some("agent.failed"));
    }
}
