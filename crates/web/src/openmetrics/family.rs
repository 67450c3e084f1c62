//! What is said of a family of metrics besides its samples.

use werkpilot_runtime::view::Scrape;

use super::text::Samples;

/// A family: all that there is to know of it, and where its samples come from.
///
/// Its name ends in its base unit, if it has one; what the text forms put behind it (`_total`, `_info`) is not part of
/// it here.
pub(super) struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// A sentence or two, on one line.
    pub help: &'static str,
    pub labels: &'static [Label],
    pub samples: fn(&Scrape, &mut Samples<'_>),
}

/// Families of one subject: a section of the reference.
pub(super) struct Group {
    pub title: &'static str,
    /// What has to be known to read them; may be empty.
    pub note: &'static str,
    pub families: &'static [Family],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from 0 at the start of the orchestrator.
    Counter,
    /// Quantiles of the last so many, without sum and count: these are no counters here, as what is old is forgotten.
    Summary,
    /// Always 1: what it tells is in its labels.
    Info,
}

impl Kind {
    /// As `OpenMetrics` calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
            Self::Info => "info",
        }
    }

    /// As the older text calls it.
    pub const fn as_old_str(self) -> &'static str {
        match self {
            Self::Info => "gauge",
            _ => self.as_str(),
        }
    }

    /// What the name of its samples ends in.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Summary => "",
        }
    }
}

/// A label and what it can be. All are bounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub name: &'static str,
    pub values: Values,
}

/// What a label can be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    /// These words.
    Words(&'static [&'static str]),
    /// An agent's name.
    Agent,
    /// Something else that is bounded, in words.
    Named(&'static str),
}

/// The agent's name.
pub(super) const AGENT: Label = Label { name: "agent", values: Values::Agent };

/// Of all summaries.
pub(super) const QUANTILE: Label = Label::words("quantile", &["0.5", "0.95", "0.99"]);

impl Label {
    pub const fn words(name: &'static str, words: &'static [&'static str]) -> Self {
        Self { name, values: Values::Words(words) }
    }

    /// Whether it can hold this, as far as that is fixed.
    pub fn may_be(&self, value: &str) -> bool {
        match self.values {
            Values::Words(words) => words.contains(&value),
            Values::Agent | Values::Named(_) => true,
        }
    }

    pub const fn named(name: &'static str, what: &'static str) -> Self {
        Self { name, values: Values::Named(what) }
    }
}

type Write = fn(&Scrape, &mut Samples<'_>);

impl Family {
    pub const fn gauge(name: &'static str, help: &'static str, labels: &'static [Label], samples: Write) -> Self {
        Self { name, kind: Kind::Gauge, help, labels, samples }
    }

    pub const fn counter(name: &'static str, help: &'static str, labels: &'static [Label], samples: Write) -> Self {
        Self { name, kind: Kind::Counter, help, labels, samples }
    }

    pub const fn summary(name: &'static str, help: &'static str, labels: &'static [Label], samples: Write) -> Self {
        Self { name, kind: Kind::Summary, help, labels, samples }
    }

    pub const fn info(name: &'static str, help: &'static str, labels: &'static [Label], samples: Write) -> Self {
        Self { name, kind: Kind::Info, help, labels, samples }
    }

    /// The base unit in its name.
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes", "ratio"]
            .into_iter()
            .find(|unit| self.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }
}
