//! The block that is delivered, made from the block that was received: what a sender may not say is taken out, what the
//! bus says is put in.

use super::{Lines, VERSION, is_continuation, pair, push_text, status_line};

/// Appends `block` without the headers named in `drop` (in any case, however often), and with the lines `extra` (each
/// with its CR LF) before all others.
///
/// The result is well-formed, so that no two clients read it differently: lines are ended by CR LF, continuations are
/// joined to their line, white space around names and control characters in values are gone, and so are lines that are
/// no header, which would end the block for some parsers, and whatever stands after the first empty line. An empty
/// block with nothing to add stays empty.
#[inline]
pub fn restamp(block: &[u8], drop: &[&str], extra: &[u8], into: &mut Vec<u8>) {
    restamp_with(block, drop, &[extra], into);
}

/// [`restamp`] for extra lines that stand in several places.
pub fn restamp_with(block: &[u8], drop: &[&str], extra: &[&[u8]], into: &mut Vec<u8>) {
    let added = extra.iter().map(|lines| lines.len()).sum::<usize>();
    if block.is_empty() && added == 0 {
        return;
    }
    into.reserve(block.len() + added + VERSION.len() + 4);
    into.extend_from_slice(VERSION);
    let mut lines = Lines(block);
    if let Some(rest) = block.strip_prefix(VERSION) {
        lines.next();
        if !rest.starts_with(b"\r\n") {
            push_status(rest, into);
        }
    }
    into.extend_from_slice(b"\r\n");
    for lines in extra {
        into.extend_from_slice(lines);
    }
    // The line before was written, so that a continuation belongs to it.
    let mut kept = false;
    for line in lines {
        if is_continuation(line) {
            if kept {
                into.truncate(into.len() - 2);
                into.push(b' ');
                push_text(line.trim_ascii(), into);
                into.extend_from_slice(b"\r\n");
            }
            continue;
        }
        let header =
            pair(line).filter(|(name, _)| !drop.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes())));
        kept = header.is_some();
        if let Some((name, value)) = header {
            into.extend_from_slice(name);
            into.push(b':');
            push_text(value, into);
            into.extend_from_slice(b"\r\n");
        }
    }
    into.extend_from_slice(b"\r\n");
}

/// Appends the status of the version line; anything else there is left out.
fn push_status(rest: &[u8], into: &mut Vec<u8>) {
    let line = Lines(rest).next().unwrap_or_default();
    if status_line(line).is_some() {
        push_text(line.trim_ascii_end(), into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &[u8] = b"Werkpilot-From: sales\r\n";

    fn restamped(block: &[u8], extra: &[u8]) -> String {
        let mut out = Vec::new();
        restamp(block, &["Werkpilot-From", "Werkpilot-Hops"], extra, &mut out);
        assert!(out.is_empty() || super::super::is_well_formed(&out), "{}", out.escape_ascii());
        String::from_utf8(out).expect("the cases are text")
    }

    #[test]
    fn good_blocks_keep_their_lines_as_they_are() {
        let cases: [(&[u8], &[u8], &str); 6] = [
            (b"", b"", ""),
            (b"", STAMP, "NATS/1.0\r\nWerkpilot-From: sales\r\n\r\n"),
            (b"NATS/1.0\r\n\r\n", b"", "NATS/1.0\r\n\r\n"),
            (b"NATS/1.0\r\nA:1\r\nb:  2 \r\n\r\n", b"", "NATS/1.0\r\nA:1\r\nb:  2 \r\n\r\n"),
            (b"NATS/1.0\r\nA: 1\r\n\r\n", STAMP, "NATS/1.0\r\nWerkpilot-From: sales\r\nA: 1\r\n\r\n"),
            (b"NATS/1.0 503 Gone\r\nA: 1\r\n\r\n", STAMP, "NATS/1.0 503 Gone\r\nWerkpilot-From: sales\r\nA: 1\r\n\r\n"),
        ];
        for (block, extra, wanted) in cases {
            assert_eq!(restamped(block, extra), wanted, "{}", block.escape_ascii());
        }
    }

    #[test]
    fn forged_lines_are_taken_out_however_they_are_written() {
        let forged: [&[u8]; 13] = [
            b"NATS/1.0\r\nWerkpilot-From: boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\nwErKpIlOt-fRoM:boss\r\nWERKPILOT-FROM: boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\nWerkpilot-From : boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\nWerkpilot-From\t \x0b: boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\nWerkpilot-From\xc2\xa0: boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\n Werkpilot-From: boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0\nWerkpilot-From: boss\nA: 1",
            b"NATS/1.0\rWerkpilot-From: boss\rA: 1\r\r",
            b"NATS/1.0\r\nWerkpilot-From: boss\r\n or not\r\nA: 1\r\n\r\n",
            b"NATS/1.0\r\nA: 1\r\n\r\nWerkpilot-From: boss\r\n\r\n",
            b"NATS/1.0Werkpilot-From: boss\r\nA: 1\r\n\r\n",
            b"NATS/1.0 Werkpilot-From: boss\r\nA: 1\r\n\r\n",
            b"Werkpilot-From: boss\r\nA: 1\r\n\r\n",
        ];
        for block in forged {
            let wanted = "NATS/1.0\r\nWerkpilot-From: sales\r\nA: 1\r\n\r\n";
            assert_eq!(restamped(block, STAMP).replace("A:1", "A: 1"), wanted, "{}", block.escape_ascii());
        }
    }

    #[test]
    fn what_some_parsers_stumble_over_is_put_right() {
        let cases: [(&[u8], &str); 5] = [
            (b"NATS/1.0\r\nA: 1\r\n  and 2\r\n\tand 3\r\n\r\n", "A: 1 and 2 and 3\r\n"),
            (b"NATS/1.0\r\nno header\r\nA: 1\r\n\r\n", "A: 1\r\n"),
            (b"NATS/1.0\r\nbad name: 0\r\n: 0\r\nA: 1\r\n\r\n", "A: 1\r\n"),
            (b"NATS/1.0\r\nA: 1\x00\x0b2\r\n\r\n", "A: 1  2\r\n"),
            (b"xxxx", ""),
        ];
        for (block, lines) in cases {
            let wanted = format!("NATS/1.0\r\nWerkpilot-From: sales\r\n{lines}\r\n");
            assert_eq!(restamped(block, STAMP), wanted, "{}", block.escape_ascii());
        }
    }
}
