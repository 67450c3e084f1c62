//! The table of results: figure, reference, ratio, target.

/// A miss of more than this share of the target is far off.
const FAR_OFF: f64 = 1.5;

/// One line of the table.
struct Line {
    what: String,
    ours: String,
    reference: String,
    value: f64,
    target: f64,
    at_least: bool,
}

/// All lines.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// A value that has to be at most the target; `ours` and `reference` are shown beside it.
    pub fn at_most(&mut self, what: &str, ours: String, reference: String, value: f64, target: f64) {
        self.lines.push(Line { what: what.to_owned(), ours, reference, value, target, at_least: false });
    }

    /// A value that has to be at least the target.
    pub fn at_least(&mut self, what: &str, ours: String, reference: String, value: f64, target: f64) {
        self.lines.push(Line { what: what.to_owned(), ours, reference, value, target, at_least: true });
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("\n{:<58} {:>16} {:>16} {:>9} {:>9}", "measure", "ours", "reference", "value", "target");
        for line in &self.lines {
            let verdict = match line.miss() {
                miss if miss <= 1.0 => "met",
                miss if miss <= FAR_OFF => "MISSED",
                _ => "FAR OFF",
            };
            let bound = if line.at_least { "≥" } else { "≤" };
            println!(
                "{:<58} {:>16} {:>16} {:>9.3} {:>9} {verdict}",
                line.what,
                line.ours,
                line.reference,
                line.value,
                format!("{bound} {}", line.target),
            );
        }
    }

    /// Whether a target was missed by more than half.
    pub fn any_far_off(&self) -> bool {
        self.lines.iter().any(|line| line.miss() > FAR_OFF)
    }
}

impl Line {
    /// 1 and less: met.
    fn miss(&self) -> f64 {
        if self.at_least { self.target / self.value } else { self.value / self.target }
    }
}
