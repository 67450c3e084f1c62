//! The text forms. They differ in the names of counters and infos, and in what is said of a family.

use std::fmt::Write;

use werkpilot_runtime::view::{Scrape, Times};

use super::family::Family;

/// Which text is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The older text format of Prometheus: there a counter's family is called `…_total`, and there are no infos, units
    /// and end mark.
    Prometheus,
}

impl Dialect {
    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A value of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<u8> for Number {
    fn from(value: u8) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// Where the samples of one family are written.
pub(super) struct Samples<'a> {
    out: &'a mut String,
    family: &'static Family,
}

impl Samples<'_> {
    /// The one sample of a family without labels.
    pub fn plain(&mut self, value: impl Into<Number>) {
        self.of([], value);
    }

    /// The one sample of a family without labels, if there is a value.
    pub fn maybe(&mut self, value: Option<impl Into<Number>>) {
        self.maybe_of([], value);
    }

    /// A sample, if there is a value.
    pub fn maybe_of<const N: usize>(&mut self, labels: [&str; N], value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.of(labels, value);
        }
    }

    /// A sample with the values of the family's labels, in their order. What is not a number is no sample.
    pub fn of<const N: usize>(&mut self, labels: [&str; N], value: impl Into<Number>) {
        let value = value.into();
        if matches!(value, Number::Real(value) if !value.is_finite()) {
            return;
        }
        debug_assert_eq!(labels.len(), self.family.labels.len(), "{}", self.family.name);
        self.out.push_str(self.family.name);
        self.out.push_str(self.family.kind.suffix());
        let mut before = '{';
        for (label, value) in self.family.labels.iter().zip(labels) {
            self.out.push(before);
            self.out.push_str(label.name);
            self.out.push_str("=\"");
            debug_assert!(label.may_be(value), "{} is no {} of {}", value, label.name, self.family.name);
            push_escaped(self.out, value);
            self.out.push('"');
            before = ',';
        }
        self.out.push_str(if N == 0 { " " } else { "} " });
        // A string takes everything.
        let _ = match value {
            Number::Whole(value) => writeln!(self.out, "{value}"),
            Number::Real(value) => writeln!(self.out, "{value}"),
        };
    }

    /// 1 for the word that holds, 0 for the others of the family's only label.
    pub fn one_of(&mut self, words: &[&str], holds: &str) {
        for word in words {
            self.of([word], *word == holds);
        }
    }

    /// The quantiles of durations in milliseconds, with the label before theirs.
    pub fn quantiles_of(&mut self, label: &str, [p50, p95, p99]: [Option<f64>; 3]) {
        for (quantile, ms) in [("0.5", p50), ("0.95", p95), ("0.99", p99)] {
            self.maybe_of([label, quantile], ms.map(seconds));
        }
    }

    /// The same without another label.
    pub fn quantiles(&mut self, times: &Times) {
        for (quantile, ms) in [("0.5", times.p50), ("0.95", times.p95), ("0.99", times.p99)] {
            self.maybe_of([quantile], ms.map(seconds));
        }
    }
}

/// Milliseconds in seconds.
pub(super) fn seconds(ms: f64) -> f64 {
    ms / 1_000.0
}

fn push_escaped(out: &mut String, text: &str) {
    if !text.contains(['\\', '"', '\n']) {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// What is said of a family, and its samples.
pub(super) fn write(family: &'static Family, scrape: &Scrape, dialect: Dialect, out: &mut String) {
    let Family { name, kind, help, .. } = family;
    let _ = match dialect {
        Dialect::OpenMetrics => writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str()),
        Dialect::Prometheus => {
            let suffix = kind.suffix();
            writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {}", kind.as_old_str())
        }
    };
    if let (Dialect::OpenMetrics, Some(unit)) = (dialect, family.unit()) {
        let _ = writeln!(out, "# UNIT {name} {unit}");
    }
    (family.samples)(scrape, &mut Samples { out, family });
}

#[cfg(test)]
mod tests {
    use super::super::family::Label;
    use super::*;

    static FAMILY: Family =
        Family::counter("werkpilot_things", "", &[Label::named("a", ""), Label::named("b", "")], |_, _| {});

    fn written(write: impl FnOnce(&mut Samples<'_>)) -> String {
        let mut out = String::new();
        write(&mut Samples { out: &mut out, family: &FAMILY });
        out
    }

    #[test]
    fn a_sample_is_one_line_whatever_its_labels_hold() {
        let text = written(|samples| samples.of(["say \"hi\"", "a\\b\nc"], 7_u64));
        assert_eq!(text, "werkpilot_things_total{a=\"say \\\"hi\\\"\",b=\"a\\\\b\\nc\"} 7\n");
    }

    #[test]
    fn what_is_not_a_number_is_no_sample() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(written(|samples| samples.of(["x", "y"], value)), "");
        }
        assert_eq!(written(|samples| samples.maybe_of(["x", "y"], None::<f64>)), "");
    }

    #[test]
    fn numbers_keep_all_of_their_digits() {
        let text = written(|samples| {
            samples.of(["x", "y"], u64::MAX);
            samples.of(["x", "z"], 0.1 + 0.2);
        });
        assert!(text.contains(" 18446744073709551615\n") && text.ends_with(" 0.30000000000000004\n"), "{text}");
    }
}
