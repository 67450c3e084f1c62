//! What an error is once its particulars are folded away: equal signatures are one kind of failure.
//!
//! A hand-written scanner: one pass, linear in the text, stops once it has enough. A signature has no ASCII digit and no
//! line break, and is at most [`LONGEST`] characters long.

/// The longest signature, in characters: what still fits a line of a table.
pub const LONGEST: usize = 200;

/// How far the end of a quotation is looked for, in bytes. Bounds the work that unpaired quotation marks cause.
const LONGEST_QUOTATION: usize = 512;

/// The units of a duration. A number with one is folded as a whole.
const DURATION_UNITS: [&str; 22] = [
    "ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w", "sec", "secs", "second", "seconds", "min", "mins", "minute",
    "minutes", "hour", "hours", "day", "days",
];

/// The signature of an error.
///
/// | in the error | in the signature |
/// |---|---|
/// | `"…"`, `'…'`, `` `…` `` | `<text>` |
/// | UUID | `<id>` |
/// | `0x1f`, eight or more hex digits with a digit among them | `<hex>` |
/// | IP address, with or without port | `<address>` |
/// | URL | `<url>` |
/// | path | `<path>` |
/// | date, time of day | `<time>` |
/// | `1.5s`, `2m30s` | `<duration>` |
/// | any other number, also inside of a word | `<n>` |
/// | white space | one space |
pub fn signature(error: &str) -> String {
    let mut folded = Folded::default();
    let mut rest = error;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        if folded.is_full() {
            break;
        }
        let length = if first.is_whitespace() || first.is_control() {
            folded.space();
            first.len_utf8()
        } else if let Some(length) = quotation(rest, first, previous) {
            folded.push("<text>");
            length
        } else if is_separator(first) {
            folded.push(&rest[..first.len_utf8()]);
            first.len_utf8()
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c.is_control() || is_separator(c)).unwrap_or(rest.len());
            fold_token(&rest[..end], &mut folded);
            end
        };
        previous = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
    }
    folded.text
}

/// The signature as far as it is; knows its bound and never doubles a space.
#[derive(Default)]
struct Folded {
    text: String,
    characters: usize,
    space_waits: bool,
}

impl Folded {
    const fn is_full(&self) -> bool {
        self.characters >= LONGEST
    }

    const fn space(&mut self) {
        self.space_waits = self.characters > 0;
    }

    fn push(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        if std::mem::take(&mut self.space_waits) {
            if self.characters + 1 >= LONGEST {
                self.characters = LONGEST;
                return;
            }
            self.text.push(' ');
            self.characters += 1;
        }
        for character in piece.chars().take(LONGEST.saturating_sub(self.characters)) {
            self.text.push(character);
            self.characters += 1;
        }
    }
}

/// What ends a token and stands for itself.
const fn is_separator(character: char) -> bool {
    matches!(
        character,
        '"' | '\''
            | '`'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '<'
            | '>'
            | ','
            | ';'
            | '='
            | '|'
            | '!'
            | '?'
            | '*'
            | '&'
    )
}

/// The length of the quotation that begins here. An apostrophe inside of a word begins none.
fn quotation(rest: &str, first: char, previous: char) -> Option<usize> {
    let begins = matches!(first, '"' | '`') || (first == '\'' && !previous.is_alphanumeric());
    if !begins {
        return None;
    }
    let quote = first as u8;
    let inside = rest.as_bytes()[1..].iter().take(LONGEST_QUOTATION);
    let end = inside.take_while(|byte| **byte != b'\n').position(|byte| *byte == quote)?;
    Some(end + 2)
}

/// Folds a run of characters without white space and separators. Punctuation at its end is not part of it.
fn fold_token(token: &str, folded: &mut Folded) {
    let bare = token.trim_end_matches(['.', ':']);
    let punctuation = &token[bare.len()..];
    match whole(bare) {
        Some(placeholder) => folded.push(placeholder),
        None => fold_parts(bare, folded),
    }
    folded.push(punctuation);
}

/// The placeholder of a token that is one thing as a whole.
fn whole(token: &str) -> Option<&'static str> {
    if is_uuid(token) {
        Some("<id>")
    } else if token.contains("://") {
        Some("<url>")
    } else if is_path(token) {
        Some("<path>")
    } else if is_time(token) {
        Some("<time>")
    } else if is_address(token) {
        Some("<address>")
    } else if is_duration(token) {
        Some("<duration>")
    } else if is_number(token) {
        Some("<n>")
    } else {
        None
    }
}

/// Folds the parts of a compound such as `worker-3f9a8b7c6d:17`: runs of letters and digits that are hexadecimal as a
/// whole, and else the digits in them.
fn fold_parts(token: &str, folded: &mut Folded) {
    let mut rest = token;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        if is_hex(part) {
            folded.push("<hex>");
        } else {
            fold_digits(part, folded);
        }
        let marks = tail.find(char::is_alphanumeric).unwrap_or(tail.len());
        folded.push(&tail[..marks]);
        rest = &tail[marks..];
    }
}

fn fold_digits(part: &str, folded: &mut Folded) {
    let mut rest = part;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        folded.push(&rest[..start]);
        folded.push("<n>");
        rest = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    folded.push(rest);
}

fn is_hex(part: &str) -> bool {
    let digits = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
    let (digits, shortest) = digits.map_or((part, 8), |digits| (digits, 1));
    digits.len() >= shortest
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_uuid(token: &str) -> bool {
    token.len() == 36
        && token.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// From the root, from here, from home, on a drive, or with a slash inside and something that words do not have. `n/a`
/// and `read/write` are no paths.
fn is_path(token: &str) -> bool {
    let drive = token.as_bytes();
    let on_drive = drive.len() > 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':' && drive[2] == b'\\';
    let rooted = ["/", "./", "../", "~/"].iter().any(|root| token.len() > root.len() && token.starts_with(root));
    let slashes = token.bytes().filter(|byte| *byte == b'/').count();
    rooted
        || on_drive
        || slashes > 1
        || (slashes == 1 && token.bytes().any(|b| b == b'.' || b == b'_' || b.is_ascii_digit()))
}

/// `2026-11-21`, with or without time of day and zone, and `09:30:00.5`.
fn is_time(token: &str) -> bool {
    let shape = |text: &[u8], shape: &[u8]| {
        text.len() >= shape.len()
            && shape.iter().zip(text).all(|(want, got)| if *want == b'9' { got.is_ascii_digit() } else { want == got })
    };
    let in_time = |byte: &u8| byte.is_ascii_digit() || b"-:.+TZ".contains(byte);
    let bytes = token.as_bytes();
    (shape(bytes, b"9999-99-99") || shape(bytes, b"99:99:99")) && bytes.iter().all(in_time)
}

fn is_address(token: &str) -> bool {
    token.len() <= 64
        && token.contains(['.', ':'])
        && (token.parse::<std::net::IpAddr>().is_ok() || token.parse::<std::net::SocketAddr>().is_ok())
}

/// One or more numbers, each with a unit of time.
fn is_duration(token: &str) -> bool {
    let mut rest = token;
    while !rest.is_empty() {
        let unit_at = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let digits = rest[..rest.len() - unit_at.len()].bytes().any(|byte| byte.is_ascii_digit());
        let next = unit_at.trim_start_matches(char::is_alphabetic);
        let unit = &unit_at[..unit_at.len() - next.len()];
        if !digits || !DURATION_UNITS.contains(&unit) {
            return false;
        }
        rest = next;
    }
    !token.is_empty()
}

/// Digits with what numbers are written with: `-1.5e+9`, `1_000`, `80%`, `#12`.
fn is_number(token: &str) -> bool {
    let unsigned = token.trim_start_matches(['+', '-', '#']);
    let unsigned = unsigned.strip_suffix('%').unwrap_or(unsigned);
    unsigned.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.')
        && unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b"._eE+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("exited with code 2", "exited with code <n>")]
    #[case("killed by SIGKILL", "killed by SIGKILL")]
    #[case("took longer than its timeout of 1m 30s", "took longer than its timeout of <duration> <duration>")]
    #[case("retry in 1.5s, then 2m30s, 80%", "retry in <duration>, then <duration>, <n>")]
    #[case("3 probes in a row failed: status 503", "<n> probes in a row failed: status <n>")]
    #[case("order 3fa85f64-5717-4562-b3fc-2c963f66afa6 lost", "order <id> lost")]
    #[case("at 0x7ffd00, commit 9f86d081884c7d65", "at <hex>, commit <hex>")]
    #[case("container web-3f9a8b7c6d5e died", "container web-<hex> died")]
    #[case("worker-12 of agent_7: E1234", "worker-<n> of agent_<n>: E<n>")]
    #[case("connect 10.0.0.7:5432: refused", "connect <address>: refused")]
    #[case("connect [::1]:5432 or fe80::1", "connect [<address>]:<n> or <address>")]
    #[case("connect localhost:5432", "connect localhost:<n>")]
    #[case("GET https://shop.example/orders/17?page=2 failed", "GET <url>?page=<n> failed")]
    #[case("open /var/lib/app/data-17.db: no such file", "open <path>: no such file")]
    #[case("File \"agents/sales.py\", line 12, in run", "File <text>, line <n>, in run")]
    #[case("agents/sales.py:12 ~/x ./y C:\\temp\\z", "<path> <path> <path> <path>")]
    #[case("read/write n/a and/or", "read/write n/a and/or")]
    #[case("KeyError: 'order-17'", "KeyError: <text>")]
    #[case("can't open `a b`, it's gone", "can't open <text>, it's gone")]
    #[case("at 2026-11-21T09:30:00.123Z or 09:30:00", "at <time> or <time>")]
    #[case("balance -1.5e+9 of #12 (x=3)", "balance <n> of <n> (x=<n>)")]
    #[case("  many \t\n blanks \r\n here  ", "many blanks here")]
    #[case("unpaired \" quote 5", "unpaired \" quote <n>")]
    #[case("deadbeef cafebabe feedface", "deadbeef cafebabe feedface")]
    #[case("überlauf in größe10", "überlauf in größe<n>")]
    #[case("12µs", "<duration>")]
    #[case("1.2.3.4.5", "<n>")]
    #[case("... --- :::", "... --- :::")]
    #[case("", "")]
    fn particulars_are_folded_away(#[case] error: &str, #[case] expected: &str) {
        assert_eq!(signature(error), expected);
    }

    #[test]
    fn failures_of_one_kind_have_one_signature() {
        let errors = ["order 17 of user 'ann' not found in 35ms", "order 4711 of user 'bob' not found in 1.2s"];
        assert_eq!(signature(errors[0]), signature(errors[1]));
    }

    #[test]
    fn it_is_cut_in_whole_characters() {
        assert_eq!(signature(&"ä".repeat(500)).chars().count(), LONGEST);
        assert_eq!(signature(&"word ".repeat(500)).chars().count(), LONGEST - 1);
    }

    #[test]
    fn megabytes_of_anything_are_no_trouble() {
        for piece in ["\"", "'", "'\n", "\"'`", "0", "f", "/", "1s", " ", "a\u{300}", "-", ":", "1.", "x'"] {
            assert!(signature(&piece.repeat(1 << 20)).chars().count() <= LONGEST, "{piece:?}");
        }
    }

    proptest! {
        #[test]
        fn a_signature_has_no_digits_and_no_needless_space(error in "[ -~\n\t]{0,300}|\\PC{0,100}") {
            let signature = signature(&error);
            prop_assert!(signature.chars().count() <= LONGEST);
            prop_assert!(!signature.contains(|c: char| c.is_ascii_digit() || c.is_control()));
            prop_assert!(!signature.contains("  ") && signature.trim() == signature);
        }

        #[test]
        fn numbers_never_tell_two_errors_apart(before in "[a-z ]{0,20}", one: u32, other: u32, after in "( [a-z]{0,20})?") {
            prop_assert_eq!(signature(&format!("{before}{one}{after}")), signature(&format!("{before}{other}{after}")));
        }
    }
}
