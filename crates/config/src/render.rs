//! Faults for people: the line, a mark under the place, the hint, and a count at the end.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use crate::fault::{Fault, Faults};
use crate::source::{Source, Span, offset};

/// Lines are not broken, as that would break paths; this only keeps miette from asking the terminal.
const WIDTH: usize = 110;

/// Lines beyond this are not shown: a registry in JSON without line breaks would fill the screen.
const MAX_LINE_BYTES: usize = 240;

impl Faults {
    /// All faults as text for a terminal, ending in a line with their count.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(WIDTH)
            .with_wrap_lines(false)
            .with_links(false)
            .with_context_lines(0);
        let mut text = String::new();
        for fault in &self.faults {
            let shown = Shown { fault, source: fault.span.map(|span| &self.sources[span.source as usize]) };
            if handler.render_report(&mut text, &shown).is_err() {
                text.push_str(&fault.to_string());
            }
            text.push('\n');
        }
        text.push_str(&self.count_line());
        text.push('\n');
        text
    }
}

/// One fault with its text, as miette takes it.
#[derive(Debug)]
struct Shown<'a> {
    fault: &'a Fault,
    source: Option<&'a Source>,
}

impl Shown<'_> {
    /// The place, if its line can be shown.
    fn visible(&self) -> Option<(&Source, Span)> {
        let (source, span) = (self.source?, self.fault.span?);
        let (start, end) = source.line_bounds(source.line_of(span.start));
        (!source.text.is_empty() && end - start <= MAX_LINE_BYTES).then_some((source, span))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = self.fault;
        if self.visible().is_none() {
            f.write_str(&fault.file)?;
            if let (Some(line), Some(column)) = (fault.line, fault.column) {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
        }
        if !fault.key.is_empty() {
            write!(f, "{}: ", fault.key)?;
        }
        f.write_str(&fault.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fault.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.visible().map(|(source, _)| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (source, span) = self.visible()?;
        let mut labels = vec![LabeledSpan::new_primary_with_span(None, on_one_line(source, span))];
        if let Some((also, label)) = self.fault.also.filter(|(also, _)| also.source == span.source) {
            labels.push(LabeledSpan::new_with_span(Some(label.to_owned()), on_one_line(source, also)));
        }
        Some(Box::new(labels.into_iter()))
    }
}

/// The part of a place that is on its first line: a whole table would be marked otherwise.
fn on_one_line(source: &Source, span: Span) -> SourceSpan {
    let (_, end) = source.line_bounds(source.line_of(span.start));
    let start = span.start as usize;
    let end = (span.end as usize).min(end).max(start);
    SourceSpan::from((start, end - start))
}

impl SourceCode for Source {
    /// Finds lines in logarithmic time, where miette's own sources read from the start.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let last = self.text.len();
        let first_line = self.line_of(offset(span.offset().min(last))).saturating_sub(before);
        let last_line = self.line_of(offset((span.offset() + span.len()).min(last)));
        let start = self.line_bounds(first_line).0;
        let last_line = (last_line + after).min(self.last_line());
        let end = self.line_bounds(last_line).1;
        let contents = MietteSpanContents::new_named(
            self.name.clone(),
            &self.text.as_bytes()[start..end],
            SourceSpan::from((start, end - start)),
            first_line,
            self.position(offset(span.offset())).1 as usize - 1,
            last_line - first_line + 1,
        );
        Ok(Box::new(contents))
    }
}
