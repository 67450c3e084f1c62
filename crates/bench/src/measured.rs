//! The side of a measurement that runs in a process of its own and prints its figures.

/// Runs the measurement that the arguments name.
pub fn child(arguments: &[String]) {
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse().ok()).expect("a number");
    match arguments.first().map(String::as_str) {
        Some("executions") => crate::executions::ours(number(1), number(2)),
        Some("durable") => crate::executions::durable(number(1), number(2)),
        Some("bare_probes") => crate::health::bare_probes(&arguments[1]),
        Some("replay") => crate::replay::ours(number(1)),
        Some("fdatasync") => crate::executions::fdatasync(number(1)),
        Some("tokio") => crate::executions::tokio_loop(number(1), number(2)),
        Some("fleet") => crate::fleet::ours(number(1), &arguments[2]),
        Some("memory") => crate::memory::ours(number(1), &arguments[2]),
        Some("respawn") => crate::respawn::ours(number(1), number(2), &arguments[3], &arguments[4]),
        Some("schedule") => crate::schedule::ours(number(1)),
        other => panic!("there is no measurement {other:?}"),
    }
}
