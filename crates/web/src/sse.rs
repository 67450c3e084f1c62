//! The wire form of server-sent events (HTML Living Standard, 9.2.6): fields on lines of their own, an empty line at the end.
//!
//! Invariant: whatever is in it, a block stays one block, and its data comes out as it was put in but for line ends, which
//! are LF then.

/// Tells the client how long it waits before it comes again.
pub(crate) fn retry(out: &mut Vec<u8>, millis: u32) {
    field(out, b"retry", &millis.to_string());
    out.push(b'\n');
}

/// A line that clients skip: it keeps a silent connection alive.
pub(crate) fn comment(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n\n");
}

/// Tells the client how far it is, and nothing else: it is what the client names when it comes again.
pub(crate) fn id(out: &mut Vec<u8>, id: &str) {
    field(out, b"id", id);
    out.push(b'\n');
}

/// An event.
pub(crate) fn event(out: &mut Vec<u8>, event_id: Option<&str>, name: &str, data: &str) {
    if let Some(id) = event_id {
        field(out, b"id", id);
    }
    field(out, b"event", name);
    for line in lines(data) {
        field(out, b"data", line);
    }
    out.push(b'\n');
}

/// CR LF, LF and CR end a line alike; what follows the last one is a line, too, if only an empty one.
fn lines(data: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else { return rest.take() };
        let next = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[next..]);
        Some(&text[..end])
    })
}

/// A field on a line of its own. What would end the line is left out; clients forget an id with NUL in it.
fn field(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    // One space after the colon belongs to the form, and saves one that the value begins with.
    out.extend_from_slice(b": ");
    let is_bad = |byte: u8| matches!(byte, b'\r' | b'\n' | 0);
    if value.bytes().any(is_bad) {
        out.extend(value.bytes().filter(|byte| !is_bad(*byte)));
    } else {
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Read {
        last_id: String,
        events: Vec<(String, String, String)>,
    }

    /// As the standard has it (9.2.6): id, name and data of each event that is dispatched.
    fn read(bytes: &[u8]) -> Read {
        let text = std::str::from_utf8(bytes).unwrap().replace("\r\n", "\n").replace('\r', "\n");
        let (mut out, mut id, mut name, mut data) = (Read::default(), String::new(), String::new(), String::new());
        for line in text.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    out.last_id.clone_from(&id);
                    let (name, data) = (std::mem::take(&mut name), std::mem::take(&mut data));
                    if let Some(data) = data.strip_suffix('\n') {
                        out.events.push((id.clone(), name, data.to_owned()));
                    }
                }
                "id" if !value.contains('\0') => value.clone_into(&mut id),
                "event" => value.clone_into(&mut name),
                "data" => data.extend([value, "\n"]),
                _ => {}
            }
        }
        out
    }

    fn one(id: Option<&str>, name: &str, data: &str) -> Vec<u8> {
        let mut out = Vec::new();
        event(&mut out, id, name, data);
        out
    }

    #[test]
    fn an_event_is_a_block_of_lines() {
        assert_eq!(one(Some("7"), "fact", "{}"), b"id: 7\nevent: fact\ndata: {}\n\n");
        let mut out = Vec::new();
        retry(&mut out, 1_000);
        comment(&mut out);
        id(&mut out, "12.5");
        assert_eq!(out, b"retry: 1000\n\n:\n\nid: 12.5\n\n");
    }

    #[test]
    fn data_comes_out_as_it_was_put_in_but_for_line_ends() {
        let cases = [
            ("", ""),
            (" two", " two"),
            ("a\nb", "a\nb"),
            ("a\r\nb\rc\n", "a\nb\nc\n"),
            ("\n\n", "\n\n"),
            ("id: 9\n\nevent: x\ndata: y", "id: 9\n\nevent: x\ndata: y"),
            (": no comment", ": no comment"),
            ("ä\u{2028}\u{feff}", "ä\u{2028}\u{feff}"),
        ];
        for (put, out) in cases {
            let read = read(&one(Some("1"), "fact", put));
            assert_eq!(read.events, [("1".to_owned(), "fact".to_owned(), out.to_owned())], "{put:?}");
        }
    }

    #[test]
    fn nothing_in_an_id_or_a_name_begins_another_field() {
        let read = read(&one(Some("1\ndata: x\n\n\0"), "fact\r\nid: 9", "y"));
        assert_eq!(read.events, [("1data: x".to_owned(), "factid: 9".to_owned(), "y".to_owned())]);
    }

    #[test]
    fn an_id_alone_is_remembered_and_no_event() {
        let mut out = one(Some("1"), "fact", "a");
        id(&mut out, "2");
        comment(&mut out);
        let read = read(&out);
        assert_eq!((read.events.len(), read.last_id.as_str()), (1, "2"));
    }
}
