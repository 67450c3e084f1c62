//! `env_file`: lines of `NAME=value`.
//!
//! Empty lines and lines that begin with `#` are skipped, `export ` before a name is allowed, a value in single or double
//! quotes loses them. Nothing is expanded: what stands there is the value.

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    #[error("has no `=`; write NAME=value")]
    NoEquals,
    #[error("has a name other than letters, digits and `_`")]
    BadName,
    #[error("has a NUL byte")]
    Nul,
    #[error("opens a quote that it does not close")]
    OpenQuote,
}

/// A name and its value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// The pairs of a file, or the number (from 1) of the first bad line and what is wrong with it.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Pair<'_>>, (usize, LineError)> {
    let mut pairs = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        pairs.push(pair(line).map_err(|error| (number, error))?);
    }
    Ok(pairs)
}

fn pair(line: &[u8]) -> Result<Pair<'_>, LineError> {
    let line = line.strip_prefix(b"export ").unwrap_or(line);
    let equals = line.iter().position(|byte| *byte == b'=').ok_or(LineError::NoEquals)?;
    let (name, value) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
    if name.is_empty() || name[0].is_ascii_digit() || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Err(LineError::BadName);
    }
    if value.contains(&0) {
        return Err(LineError::Nul);
    }
    match value {
        [quote @ (b'"' | b'\''), inner @ .., last] if quote == last => Ok((name, inner)),
        [b'"' | b'\'', ..] => Err(LineError::OpenQuote),
        _ => Ok((name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_comments_quotes_and_export_are_read() {
        let text = b"# head\n\nA=1\nexport B = two words \r\nC='it''s'\nD=\"\"\nE=a=b\n";
        let pairs = parse(text).unwrap();
        let expected: [(&[u8], &[u8]); 5] =
            [(b"A", b"1"), (b"B", b"two words"), (b"C", b"it''s"), (b"D", b""), (b"E", b"a=b")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn the_first_bad_line_is_told_by_its_number() {
        let cases: [(&[u8], usize, LineError); 5] = [
            (b"A=1\nnonsense\n", 2, LineError::NoEquals),
            (b"1A=1", 1, LineError::BadName),
            (b"A B=1", 1, LineError::BadName),
            (b"\n\nA=\0", 3, LineError::Nul),
            (b"A='x", 1, LineError::OpenQuote),
        ];
        for (text, line, error) in cases {
            assert_eq!(parse(text), Err((line, error)));
        }
    }
}
