//! Bytes from a pipe become lines, in bounded memory whatever comes.

use std::mem;

/// The longest piece that becomes one line of the log. A pipe holds 64 KiB, so a read yields at most a few pieces.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// The beginning of a line whose end has not come yet. Holds memory only while there is one.
#[derive(Default)]
pub(crate) struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    /// Takes a chunk and hands out each line, without its newline. A line longer than [`MAX_LINE`] comes in pieces, all
    /// but the last with `true`: the line goes on.
    pub fn feed(&mut self, chunk: &[u8], mut line: impl FnMut(&[u8], bool)) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.add(&rest[..end], &mut line);
            let partial = mem::take(&mut self.partial);
            let whole = if partial.is_empty() { pieces(&rest[..end], &mut line) } else { &partial };
            line(whole.strip_suffix(b"\r").unwrap_or(whole), false);
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            if self.partial.is_empty() {
                rest = pieces(rest, &mut line);
                self.partial.extend_from_slice(rest);
            } else {
                self.add(rest, &mut line);
            }
        }
    }

    /// Hands out what has no newline after it, at the end of the stream.
    pub fn finish(&mut self, mut line: impl FnMut(&[u8], bool)) {
        let partial = mem::take(&mut self.partial);
        if !partial.is_empty() {
            line(&partial, false);
        }
    }

    /// Appends to a line that has begun in an earlier chunk; does nothing if none has.
    fn add(&mut self, mut bytes: &[u8], line: &mut impl FnMut(&[u8], bool)) {
        while !self.partial.is_empty() && !bytes.is_empty() {
            let room = MAX_LINE.saturating_sub(self.partial.len());
            if bytes.len() <= room {
                self.partial.extend_from_slice(bytes);
                return;
            }
            self.partial.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            let cut = boundary(&self.partial);
            line(&self.partial[..cut], true);
            self.partial.drain(..cut);
            if self.partial.is_empty() {
                bytes = pieces(bytes, line);
                self.partial.extend_from_slice(bytes);
                return;
            }
        }
    }
}

/// Hands out whole pieces of a line that is too long; returns its last piece.
fn pieces<'a>(mut bytes: &'a [u8], line: &mut impl FnMut(&[u8], bool)) -> &'a [u8] {
    while bytes.len() > MAX_LINE {
        let cut = boundary(&bytes[..MAX_LINE]);
        line(&bytes[..cut], true);
        bytes = &bytes[cut..];
    }
    bytes
}

/// Where to cut so that no character of UTF-8 is cut in two; the whole length if it is no UTF-8.
fn boundary(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len()) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => break,
        };
        return if length > back && at > 0 { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = LineSplitter::default();
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |line, more| out.push((line.to_vec(), more)));
            assert!(splitter.partial.len() <= MAX_LINE);
        }
        splitter.finish(|line, more| out.push((line.to_vec(), more)));
        out
    }

    #[test]
    fn lines_are_put_together_over_chunks() {
        let got = lines(&[b"a\nb", b"c\r\n\n", b"d"]);
        let expected: Vec<(Vec<u8>, bool)> =
            [&b"a"[..], b"bc", b"", b"d"].into_iter().map(|line| (line.to_vec(), false)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_partial_line_holds_memory_only_while_there_is_one() {
        let mut splitter = LineSplitter::default();
        splitter.feed(b"begun", |_, _| {});
        assert!(splitter.partial.capacity() > 0);
        splitter.feed(b" done\n", |_, _| {});
        assert_eq!(splitter.partial.capacity(), 0);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = "ä".repeat(MAX_LINE);
        let padded = format!("x{text}\n");
        for (piece, _) in lines(&[padded.as_bytes()]) {
            assert!(String::from_utf8(piece).is_ok());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn nothing_is_lost_or_reordered(
            length in 0_usize..60_000,
            every in 1_usize..40_000,
            byte in any::<u8>(),
            sizes in proptest::collection::vec(1_usize..40_000, 1..8),
        ) {
            // Lines of one length, of bytes around one value: generating each byte is too slow.
            let text: Vec<u8> = (0..length)
                .map(|at| if at % every == every - 1 { b'\n' } else { byte.wrapping_add(at.to_le_bytes()[0] % 7) })
                .collect();
            let mut chunks = Vec::new();
            let mut rest = text.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            let mut joined = Vec::new();
            for (line, more) in lines(&chunks) {
                prop_assert!(line.len() <= MAX_LINE);
                joined.extend_from_slice(&line);
                if !more { joined.push(b'\n'); }
            }
            let mut expected = Vec::new();
            for line in text.split(|byte| *byte == b'\n') {
                expected.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                expected.push(b'\n');
            }
            // The last line has no newline; an empty one is not handed out.
            if text.is_empty() || text.ends_with(b"\n") { expected.pop(); }
            if !text.is_empty() && !text.ends_with(b"\n") && text.ends_with(b"\r") { return Ok(()); }
            prop_assert_eq!(joined, expected);
        }
    }
}
