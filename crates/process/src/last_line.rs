//! The last line of a stream, without its file.

/// Characters that are kept: what is longer is for the log.
const LONGEST: usize = 240;

/// The last line that was not blank, the beginning of it.
#[derive(Default)]
pub(crate) struct LastLine(Vec<u8>);

impl LastLine {
    /// One more line of the stream.
    pub fn hear(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            self.0.clear();
            // A character has at most four bytes.
            self.0.extend_from_slice(&line[..line.len().min(4 * LONGEST)]);
        }
    }

    /// At most 240 characters of it, if there was one.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| String::from_utf8_lossy(&self.0).chars().take(LONGEST).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_kept_as_far_as_it_is_read() {
        let mut last = LastLine::default();
        assert_eq!(last.text(), None);
        for line in [&b"Traceback"[..], b"  KeyError: 'total' ", b" \t", b""] {
            last.hear(line);
        }
        assert_eq!(last.text().unwrap(), "KeyError: 'total'");
        last.hear("ä".repeat(1_000).as_bytes());
        assert_eq!(last.text().unwrap(), "ä".repeat(LONGEST));
        last.hear(b"\xff!");
        assert_eq!(last.text().unwrap(), "\u{fffd}!");
    }
}
