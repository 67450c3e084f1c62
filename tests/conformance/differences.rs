//! The table of known differences, and what holds the servers to it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::stage::Record;

/// Both sides of a step; `null` where it was not made.
type Sides = (Value, Value);

/// Fails on every difference that is not in the table, and on every row of the table that does not occur.
pub fn check(script: &str, ours: &Record, theirs: &Record, with_table: bool) {
    let seen = between(ours, theirs);
    let known = if with_table { table(script) } else { BTreeMap::new() };
    let mut faults = String::new();
    for (step, sides) in &seen {
        if known.get(step) != Some(sides) {
            let _ = write!(faults, "\n# not in the table:\n{}", row(script, step, sides));
        }
    }
    for (step, sides) in &known {
        if seen.get(step) != Some(sides) {
            let _ = write!(faults, "\n# in the table, but does not occur:\n{}", row(script, step, sides));
        }
    }
    assert!(faults.is_empty(), "tests/conformance/differences.toml and {script} are not of one mind:\n{faults}");
    println!("{script}: {} steps, {} known differences", theirs.len(), seen.len());
}

fn between(ours: &Record, theirs: &Record) -> BTreeMap<String, Sides> {
    let steps = ours.keys().chain(theirs.keys());
    let side = |record: &Record, step| record.get(step).cloned().unwrap_or_default();
    let sides = steps.map(|step| (step.clone(), (side(ours, step), side(theirs, step))));
    sides.filter(|(_, (ours, theirs))| ours != theirs).collect()
}

/// The rows of a script. A row has `script`, `step`, `ours` and `theirs` as JSON, and `reason`.
fn table(script: &str) -> BTreeMap<String, Sides> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/differences.toml");
    let text = fs::read_to_string(&path).expect("the table of differences");
    let table: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("differences.toml: {error}"));
    let rows = table.get("difference").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let mut known = BTreeMap::new();
    for row in rows {
        let field = |name: &str| match row.get(name).and_then(toml::Value::as_str) {
            Some(text) if !text.trim().is_empty() => text.to_owned(),
            _ => panic!("differences.toml: a row lacks `{name}`:\n{row}"),
        };
        field("reason");
        if field("script") == script {
            let side = |name| serde_json::from_str(&field(name)).unwrap_or_else(|error| panic!("{row}: {error}"));
            let twice = known.insert(field("step"), (side("ours"), side("theirs")));
            assert!(twice.is_none(), "differences.toml: two rows for one step:\n{row}");
        }
    }
    known
}

/// A row as it stands in the table.
fn row(script: &str, step: &str, (ours, theirs): &Sides) -> String {
    format!(
        "[[difference]]\nscript = \"{script}\"\nstep = '{step}'\nours = '''{ours}'''\ntheirs = '''{theirs}'''\nreason = \"\"\n"
    )
}
