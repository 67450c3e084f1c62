//! Large registries: no recursion, and time that grows with the size only.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::support::Folder;

const AGENTS: usize = 10_000;

fn chain(last: &str) -> String {
    let mut text = String::new();
    for i in 0..AGENTS {
        let next = if i + 1 < AGENTS { format!("[\"n{}\"]", i + 1) } else { last.to_owned() };
        writeln!(
            text,
            "[[agent]]\nname = \"n{i}\"\ncommand = [\"true\"]\nschedule = \"*/5 * * * *\"\ndependencies = {next}"
        )
        .unwrap();
    }
    text
}

/// Generous, for a machine that builds something else meanwhile; what it guards against takes minutes.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn ten_thousand_agents_in_a_chain_are_read() {
    let folder = Folder::with(&[("a.toml", &chain("[]"))]);
    let start = Instant::now();
    let loaded = folder.load().unwrap();
    println!("10,000 agents in {:?}", start.elapsed());
    assert!(start.elapsed() < LIMIT);
    assert_eq!(loaded.registry.agents.len(), AGENTS);
}

#[test]
fn a_circle_of_ten_thousand_is_told_in_one_line() {
    let folder = Folder::with(&[("a.toml", &chain("[\"n0\"]"))]);
    let start = Instant::now();
    let faults = folder.load().unwrap_err();
    assert!(start.elapsed() < LIMIT);
    assert_eq!(
        faults.as_slice()[0].message,
        "goes round in a circle: n0 → n1 → n2 → n3 → n4 → … 9991 more … → n9996 → n9997 → n9998 → n9999 → n0"
    );
}

#[test]
fn ten_thousand_broken_agents_are_told_one_by_one() {
    let mut text = String::new();
    for i in 0..AGENTS {
        writeln!(text, "[[agent]]\nname = \"n{i}\"\ncommand = [\"true\"]\npriorty = 1\ndependencies = [\"nobody{i}\"]")
            .unwrap();
    }
    let folder = Folder::with(&[("a.toml", &text)]);
    let start = Instant::now();
    let faults = folder.load().unwrap_err();
    assert_eq!(faults.count(), 2 * AGENTS);
    let shown = faults.render(false);
    println!("20,000 faults in {:?}, {} bytes", start.elapsed(), shown.len());
    assert!(start.elapsed() < 3 * LIMIT);
    assert!(folder.tidy(&shown).ends_with("20000 faults in registry/a.toml\n"));
}

#[test]
fn files_that_are_cut_or_garbled_anywhere_are_told_without_a_panic() {
    let agents = include_str!("fixtures/full/agents.toml");
    let json = r#"/* x */ { agents: [ { "name": 'ä', "file": "a.js", dependencies: ["b", null], layer: 0x1F } ] }"#;
    let settings = include_str!("fixtures/werkpilot.toml");
    let folder = Folder::with(&[]);
    for (name, text) in [("a.toml", agents), ("agent-registry.json", json), ("werkpilot.toml", settings)] {
        for at in (0..text.len()).step_by(if text.len() > 200 { 29 } else { 1 }) {
            for garbage in [&b""[..], b"\xff", b"\x1b[0m", b"]}", b"\"", b"\0", "→".as_bytes()] {
                let bytes = text.as_bytes();
                // Cut there, and with one byte replaced there.
                let cut = [&bytes[..at], garbage].concat();
                let garbled = [&bytes[..at], garbage, &bytes[at + 1..]].concat();
                for bytes in [cut, garbled] {
                    std::fs::write(folder.path(name), bytes).unwrap();
                    if let Err(faults) = folder.load() {
                        assert!(faults.count() > 0 && faults.render(true).len() > 20);
                    }
                }
            }
        }
        std::fs::remove_file(folder.path(name)).unwrap();
    }
}
