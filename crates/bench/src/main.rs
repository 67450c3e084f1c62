//! Whole-program benchmarks: what Werkpilot needs for a piece of work, beside what a plain C or tokio loop needs for
//! the same in the same run. Ratios count, absolute figures differ from machine to machine.
//!
//! Every measurement runs in a process of its own (the process host is one per process), the sides take turns, and the
//! median of the rounds is told. `make bench` runs it; `werkpilot-bench NAME…` runs some.

mod bus;
mod executions;
mod fleet;
mod health;
mod http;
mod measured;
mod memory;
mod micro;
mod orchestrator;
mod references;
mod replay;
mod report;
mod respawn;
mod schedule;
mod support;

use std::process::ExitCode;

use report::Report;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "measure") {
        measured::child(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|first| first == "client") {
        bus::client(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    if let [verb, body] = arguments.as_slice()
        && verb == "serve"
    {
        http::serve(body);
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let references = references::build();
    let mut report = Report::default();
    if wanted("executions") {
        executions::compare(&references, &mut report);
    }
    if wanted("durable") {
        executions::compare_durable(&mut report);
    }
    if wanted("replay") {
        replay::compare(&mut report);
    }
    if wanted("respawn") {
        respawn::compare(&references, &mut report);
    }
    if wanted("fleet") {
        fleet::compare(&references, &mut report);
    }
    if wanted("memory") {
        memory::compare(&references, &mut report);
    }
    if wanted("micro") {
        micro::compare(&mut report);
    }
    if wanted("schedule") {
        schedule::compare(&mut report);
    }
    if wanted("health") {
        health::compare(&references, &mut report);
    }
    if wanted("http") {
        http::compare(&references, &mut report);
    }
    if wanted("orchestrator") {
        orchestrator::compare(&references, &mut report);
    }
    if wanted("bus") {
        bus::compare(&mut report);
    }
    report.print();
    if report.any_far_off() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
