//! JSON with comments (JSON5) into the tree. The json5 crate reads the values but tells no places, so a small scanner
//! walks the same text, which is known to be right by then, and gives each value the place of its tokens in turn.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::source::{Span, offset};
use crate::tree::{Entry, Node, Value};

/// The json5 crate recurses and has no limit of its own; the predecessor's files are four levels deep.
const MAX_DEPTH: usize = 32;

/// Why a text is not JSON: the byte where it goes wrong, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// Makes the tree of a JSON text.
pub(crate) fn parse(text: &str, source: u32) -> Result<Node, JsonError> {
    let tokens = scan(text)?;
    let plain: Plain = json5::from_str(text).map_err(|error| {
        let at = error.position().map_or(0, |position| byte_of(text, position.line, position.column));
        let message = error.code().map_or_else(|| error.to_string(), |code| code.to_string());
        JsonError { at, message }
    })?;
    let mut places = Places { tokens: tokens.into_iter(), source };
    Ok(places.place(plain))
}

/// The byte of a line and column, both from 0, the column in characters.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    start + rest.char_indices().nth(column).map_or(rest.len(), |(index, _)| index)
}

/// A value as the json5 crate gives it, keys in the order of the file, doubled ones included.
enum Plain {
    Leaf(Value),
    List(Vec<Plain>),
    Table(Vec<(String, Plain)>),
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Plain, E> {
        Ok(Plain::Leaf(Value::Boolean(boolean)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Plain, E> {
        Ok(Plain::Leaf(Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Plain, E> {
        let beyond = Value::Other("an integer beyond 64 bits");
        Ok(Plain::Leaf(i64::try_from(number).map_or(beyond, Value::Integer)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Plain, E> {
        Ok(Plain::Leaf(Value::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Plain, E> {
        Ok(Plain::Leaf(Value::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Plain, E> {
        Ok(Plain::Leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Plain::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Plain, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Plain::Table(table))
    }
}

/// What the scanner tells apart: brackets, and everything that is a key or a value. Commas and colons are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    open: bool,
    close: bool,
    start: usize,
    end: usize,
}

fn scan(text: &str) -> Result<Vec<Token>, JsonError> {
    let (mut tokens, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match character {
            '{' | '[' | '}' | ']' => {
                let open = matches!(character, '{' | '[');
                depth = if open { depth + 1 } else { depth.saturating_sub(1) };
                if depth > MAX_DEPTH {
                    return Err(JsonError { at, message: format!("more than {MAX_DEPTH} levels deep") });
                }
                tokens.push(Token { open, close: !open, start: at, end: at + 1 });
                1
            }
            '/' if rest.starts_with("//") => rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            ',' | ':' => 1,
            c if c.is_whitespace() || c == '\u{feff}' => c.len_utf8(),
            quote @ ('"' | '\'') => {
                let length = string_length(rest, quote);
                tokens.push(Token { open: false, close: false, start: at, end: at + length });
                length
            }
            _ => {
                let ends = |c: char| matches!(c, ',' | ':' | '{' | '}' | '[' | ']' | '/') || c.is_whitespace();
                let length = rest.char_indices().skip(1).find(|(_, c)| ends(*c)).map_or(rest.len(), |(index, _)| index);
                tokens.push(Token { open: false, close: false, start: at, end: at + length });
                length
            }
        };
        at += length;
    }
    Ok(tokens)
}

fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Hands out the places of the tokens, in step with the values.
struct Places {
    tokens: std::vec::IntoIter<Token>,
    source: u32,
}

impl Places {
    fn next(&mut self) -> Token {
        // Never runs out: both readers saw the same text. If they ever differ, places are wrong and values are not.
        self.tokens.next().unwrap_or(Token { open: false, close: false, start: 0, end: 0 })
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { source: self.source, start: offset(start), end: offset(end) }
    }

    /// Depth is bounded by [`MAX_DEPTH`], so this may recurse.
    fn place(&mut self, plain: Plain) -> Node {
        let first = self.next();
        let (value, end) = match plain {
            Plain::Leaf(value) => (value, first.end),
            Plain::List(items) => {
                let nodes = items.into_iter().map(|item| self.place(item)).collect();
                (Value::List(nodes), self.next().end)
            }
            Plain::Table(entries) => {
                let place_entry = |(key, value): (String, Plain)| {
                    let token = self.next();
                    let key_span = self.span(token.start, token.end);
                    Entry { key, key_span, node: self.place(value) }
                };
                let entries = entries.into_iter().map(place_entry).collect();
                (Value::Table(entries), self.next().end)
            }
        };
        Node { value, span: self.span(first.start, end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_key_knows_its_place() {
        let text = "// agents\n[\n  { name: 'a', /* {,} */ \"priority\": +0x2, deps: [\"ü\\\"]\", null,], },\n]\n";
        let root = parse(text, 0).unwrap();
        let at = |span: Span| &text[span.start as usize..span.end as usize];
        let Value::List(agents) = &root.value else { panic!("a list") };
        let Value::Table(entries) = &agents[0].value else { panic!("a table") };
        let keys: Vec<&str> = entries.iter().map(|entry| at(entry.key_span)).collect();
        assert_eq!(keys, ["name", "\"priority\"", "deps"]);
        assert_eq!(at(entries[0].node.span), "'a'");
        assert_eq!(at(entries[1].node.span), "+0x2");
        let Value::List(items) = &entries[2].node.value else { panic!("a list") };
        assert_eq!(at(items[0].span), "\"ü\\\"]\"");
        assert_eq!(at(items[1].span), "null");
        assert!(at(root.span).starts_with('[') && at(root.span).ends_with(']'));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let error = parse("[\n  { \"name\": }\n]", 0).unwrap_err();
        assert_eq!(error.at, 14);
        let deep = "[".repeat(100_000);
        assert!(parse(&deep, 0).unwrap_err().message.contains("levels deep"));
        assert!(parse("", 0).is_err());
    }
}
