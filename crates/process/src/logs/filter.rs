//! Which lines of a log are wanted.

use werkpilot_core::ids::RunId;

use super::{LogLine, LogStream};

/// Which lines are wanted; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineFilter {
    run: Option<String>,
    stream: Option<LogStream>,
    /// In small letters.
    text: Option<String>,
}

impl LineFilter {
    /// Only those of this run, if one is named.
    #[must_use]
    pub fn of_run(mut self, run: Option<&RunId>) -> Self {
        self.run = run.map(RunId::short);
        self
    }

    /// Only those of this output, if one is named.
    #[must_use]
    pub fn of_stream(mut self, stream: Option<LogStream>) -> Self {
        self.stream = stream;
        self
    }

    /// Only those that have this text in them, in capital or small letters. A text that a split line has on both sides of the
    /// split is not found.
    #[must_use]
    pub fn with_text(mut self, text: Option<&str>) -> Self {
        self.text = text.map(str::to_lowercase).filter(|text| !text.is_empty());
        self
    }

    /// Whether a line is one of them.
    pub fn fits(&self, line: &LogLine) -> bool {
        self.run.as_ref().is_none_or(|run| line.run == *run)
            && self.stream.is_none_or(|stream| line.stream == stream)
            && self.text.as_ref().is_none_or(|text| has(&line.text, text))
    }
}

/// Whether a text has another in it, which is in small letters.
fn has(text: &str, small: &str) -> bool {
    if small.is_ascii() && text.is_ascii() {
        return text.as_bytes().windows(small.len()).any(|part| part.eq_ignore_ascii_case(small.as_bytes()));
    }
    text.to_lowercase().contains(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_run_output_and_text() {
        let run = RunId::from_parts(1, 7);
        let line = |text: &str, letter: &str| {
            LogLine::parse(&format!("2026-11-21T08:40:00.123Z {} {letter} {text}", run.short())).unwrap()
        };
        let all = LineFilter::default();
        assert!(all.fits(&line("", "O")));
        let errors = all.clone().of_run(Some(&run)).of_stream(Some(LogStream::Stderr)).with_text(Some("No Stock"));
        assert!(errors.fits(&line("there is NO STOCK left", "e")));
        assert!(!errors.fits(&line("there is NO STOCK left", "O")) && !errors.fits(&line("no  stock", "E")));
        assert!(!all.clone().of_run(Some(&RunId::from_parts(1, 8))).fits(&line("", "O")));
        let umlauts = all.with_text(Some("GRÖSSE"));
        assert!(umlauts.fits(&line("die Grösse: 7", "O")));
        assert!(!umlauts.fits(&line("", "O")));
    }
}
