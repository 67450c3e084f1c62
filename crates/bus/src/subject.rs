//! Subjects and patterns as bytes: what is valid, what matches, what covers what.
//!
//! A subject is tokens with `.` between them. In a pattern the token `*` stands for one token and `>`, as the last
//! token, for one or more. Tokens that only contain these characters (`fo*o`) are ordinary, as nats-server has it; in a
//! published subject even a whole `*` or `>` is. A subject with an empty token matches nothing.

/// Stands for exactly one token of a subject.
const ANY: &[u8] = b"*";
/// Stands for one or more tokens at the end of a subject.
const REST: &[u8] = b">";

/// The tokens of a subject or pattern; an empty one where two dots meet, or where a dot begins or ends it.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|byte| *byte == b'.')
}

/// Whether a pedantic server lets this be published: no empty token, no whitespace or control character, no wildcard.
pub fn is_valid_subject(subject: &[u8]) -> bool {
    !subject.iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
        && tokens(subject).all(|token| !token.is_empty() && token != ANY && token != REST)
}

/// Whether a server that is not pedantic lets this be published: not empty, no whitespace. It may reach nobody.
pub fn is_publishable(subject: &[u8]) -> bool {
    !subject.is_empty() && !subject.iter().any(u8::is_ascii_whitespace)
}

/// Whether this can be subscribed to: no empty token, no whitespace, `>` only as the last token.
pub fn is_valid_pattern(pattern: &[u8]) -> bool {
    let mut tokens = tokens(pattern);
    !pattern.iter().any(u8::is_ascii_whitespace)
        && tokens.by_ref().take_while(|token| *token != REST).all(|token| !token.is_empty())
        && tokens.next().is_none()
}

/// Whether no token of the pattern is a wildcard, so that it matches one subject only.
pub fn is_literal(pattern: &[u8]) -> bool {
    tokens(pattern).all(|token| token != ANY && token != REST)
}

/// Whether every token has at least one byte.
pub(crate) fn has_no_empty_token(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !token.is_empty())
}

/// Whether a message on `subject` goes to who subscribed to `pattern`. The pattern has to be valid.
pub fn matches(pattern: &[u8], subject: &[u8]) -> bool {
    let mut parts = tokens(subject);
    for wanted in tokens(pattern) {
        let Some(token) = parts.next() else { return false };
        if token.is_empty() {
            return false;
        }
        if wanted == REST {
            return parts.all(|token| !token.is_empty());
        }
        if wanted != ANY && wanted != token {
            return false;
        }
    }
    parts.next().is_none()
}

/// Whether every subject that matches `narrow` also matches `wide`. Both have to be valid patterns.
pub fn covers(wide: &[u8], narrow: &[u8]) -> bool {
    let mut parts = tokens(narrow);
    for outer in tokens(wide) {
        match parts.next() {
            Some(_) if outer == REST => return true,
            Some(inner) if inner == REST => return false,
            Some(_) if outer == ANY => {}
            Some(inner) if outer == inner => {}
            Some(_) | None => return false,
        }
    }
    parts.next().is_none()
}

/// Whether some subject matches both. Both have to be valid patterns.
pub fn overlap(a: &[u8], b: &[u8]) -> bool {
    let mut parts = tokens(b);
    for one in tokens(a) {
        match parts.next() {
            Some(other) if one == REST || other == REST => return true,
            Some(other) if one == ANY || other == ANY || one == other => {}
            Some(_) | None => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All sequences of one to `length` of the tokens, joined by dots.
    fn words(alphabet: &[&str], length: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut last = vec![String::new()];
        for depth in 0..length {
            let dot = if depth == 0 { "" } else { "." };
            last =
                last.iter().flat_map(|head| alphabet.iter().map(move |token| format!("{head}{dot}{token}"))).collect();
            all.extend_from_slice(&last);
        }
        all
    }

    #[test]
    fn only_whole_tokens_are_wildcards() {
        let cases: [(&str, &str, bool); 18] = [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            (">", "a", true),
            (">", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            ("fo*o", "fo*o", true),
            ("fo*o", "foxo", false),
            ("a.*", "a.*", true),
            ("a.b", "a.*", false),
            (">", "a..b", false),
            ("a.*.b", "a..b", false),
            (">", "a.", false),
        ];
        for (pattern, subject, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), subject.as_bytes()), expected, "{pattern} {subject}");
        }
    }

    #[test]
    fn what_can_be_published_and_subscribed_to_follows_nats_server() {
        //             text     pedantic  lenient  pattern  literal
        let cases: [(&str, bool, bool, bool, bool); 16] = [
            ("a.b", true, true, true, true),
            ("größe.ü", true, true, true, true),
            ("", false, false, false, true),
            (".", false, true, false, true),
            ("a.", false, true, false, true),
            (".a", false, true, false, true),
            ("a..b", false, true, false, true),
            ("a.*", false, true, true, false),
            ("a.>", false, true, true, false),
            (">", false, true, true, false),
            (">.a", false, true, false, false),
            (">.>", false, true, false, false),
            ("fo*o.>x", true, true, true, true),
            ("a b", false, false, false, true),
            ("a\t", false, false, false, true),
            ("a\u{1}", false, true, true, true),
        ];
        for (text, pedantic, lenient, pattern, literal) in cases {
            let bytes = text.as_bytes();
            let found = (is_valid_subject(bytes), is_publishable(bytes), is_valid_pattern(bytes), is_literal(bytes));
            assert_eq!(found, (pedantic, lenient, pattern, literal), "{text:?}");
        }
    }

    /// With two literal tokens a `*` differs from each literal, and with subjects one token longer than the patterns `>` differs
    /// from each row of `*`: so the enumeration is the whole truth.
    #[test]
    fn covers_and_overlap_agree_with_an_enumeration_of_all_subjects() {
        let patterns: Vec<_> =
            words(&["a", "b", "*", ">"], 3).into_iter().filter(|it| is_valid_pattern(it.as_bytes())).collect();
        let subjects = words(&["a", "b"], 4);
        let matched: Vec<Vec<bool>> = patterns
            .iter()
            .map(|pattern| subjects.iter().map(|it| matches(pattern.as_bytes(), it.as_bytes())).collect())
            .collect();
        for (one, these) in patterns.iter().zip(&matched) {
            for (two, those) in patterns.iter().zip(&matched) {
                let (a, b) = (one.as_bytes(), two.as_bytes());
                assert_eq!(covers(a, b), these.iter().zip(those).all(|(wide, narrow)| *wide || !narrow), "{one} {two}");
                assert_eq!(overlap(a, b), these.iter().zip(those).any(|(x, y)| *x && *y), "{one} {two}");
                assert_eq!(overlap(a, b), overlap(b, a), "{one} {two}");
            }
        }
    }

    #[test]
    fn for_a_literal_to_match_to_be_covered_and_to_overlap_is_the_same() {
        for pattern in words(&["a", "b", "*", ">"], 3).iter().filter(|it| is_valid_pattern(it.as_bytes())) {
            for subject in words(&["a", "b"], 4) {
                let (pattern, subject) = (pattern.as_bytes(), subject.as_bytes());
                assert_eq!(matches(pattern, subject), covers(pattern, subject));
                assert_eq!(matches(pattern, subject), overlap(pattern, subject));
            }
        }
    }
}
