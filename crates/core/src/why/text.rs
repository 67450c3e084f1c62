//! The text of an explanation: the first line says it all, the others say the rest.

use std::fmt::Write;

use super::{Cause, Next, Why};
use crate::agent::LastWords;
use crate::time::{Timestamp, human};

impl Why {
    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.summary);
        // The first cause is in the summary.
        for cause in self.chain.iter().skip(1) {
            let _ = writeln!(text, "{}because {}", "  ".repeat(cause.depth.max(1)), cause.text);
        }
        if let Some(LastWords { text: words, at, .. }) = &self.last_words {
            let _ = writeln!(text, "  it wrote last, at {at}: {words}");
        }
        for note in &self.notes {
            let word = if note.depth == 0 { "also" } else { "because" };
            let _ = writeln!(text, "{}{word}: {}", "  ".repeat(note.depth + 1), note.text);
        }
        for next in &self.next {
            let _ = writeln!(text, "  next: {}", next.sentence(true));
        }
        for advice in &self.actions {
            let _ = writeln!(text, "  do: {}  ({})", advice.command, advice.effect);
        }
        for fact in &self.facts {
            let _ = writeln!(text, "  {}  {}", fact.at, fact.text);
        }
        text
    }

    /// The dependency furthest down that it waits for.
    fn root_cause(&self) -> Option<&Cause> {
        let dependencies = self.chain.iter().filter(|cause| cause.code == "dependency");
        dependencies.reduce(|root, next| if next.depth > root.depth { next } else { root })
    }

    /// Puts the first line together.
    pub(super) fn summarize(mut self, now: Timestamp) -> Self {
        let mut line = match self.run_id {
            Some(run) => format!("Execution {run} of {}: {}", self.agent, self.state),
            None => format!("{} is {}", self.agent, self.state),
        };
        if let Some(since) = self.since.filter(|since| now.since(*since).as_secs() > 0) {
            let _ = match self.run_id {
                // An end is a point in time.
                Some(_) if !matches!(&*self.state, "waiting" | "running") => {
                    write!(line, " {} ago", human(now.since(since)))
                }
                _ => write!(line, " for {}", human(now.since(since))),
            };
        }
        if let Some(Cause { text, code, .. }) = self.chain.first() {
            let _ = write!(line, ": {text}");
            if let (Some(cause), "instance") = (self.chain.get(1), code.as_str()) {
                let _ = write!(line, ": {}", cause.text);
            }
        }
        if let Some(root) = self.root_cause() {
            let _ = write!(line, "; root cause: {}", root.text.trim_start_matches("its dependency "));
        }
        if let Some(next) = self.next.first() {
            let _ = write!(line, "; next: {}", next.sentence(false));
        }
        self.summary = line;
        self
    }
}

impl Next {
    /// With its time: how long from now, and when.
    fn sentence(&self, exact: bool) -> String {
        let mut text = self.text.clone();
        let within =
            self.in_ms.map(|ms| human(std::time::Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or_default()));
        if let Some(within) = within {
            let _ = write!(text, " in {within}");
        }
        if let (Some(at), true) = (self.at, exact) {
            let _ = write!(text, " (at {at})");
        }
        if let Some(condition) = &self.condition {
            let _ = write!(text, ", {condition}");
        }
        text
    }
}
