//! Ten thousand agents. Times are printed, not judged: that is the benchmark's business.

use std::fmt::Write;
use std::time::Instant;

use werkpilot_tests::{PATIENCE, Setup, Werkpilot, processes, wait_for};

const MANY: usize = 10_000;

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{what}: {:?}", begun.elapsed());
    done
}

fn boot(registry: &str) -> Werkpilot {
    let fleet = timed("start to first answer", || Setup::new(&[("fleet.toml", registry)], "").launch());
    timed("from there to the end of the boot", || {
        wait_for("the end of the boot", PATIENCE * 2, || {
            (fleet.tcp("GET", "/readyz", &[]).status == 200).then_some(())
        });
    });
    fleet
}

#[test]
fn ten_thousand_agents_boot_are_shown_and_stop() {
    let mut registry = String::new();
    for n in 0..MANY {
        let trigger = ["kind = \"job\"", "schedule = \"30 2 * * *\"", "every = \"12h\"", "kind = \"job\""][n % 4];
        let _ = writeln!(
            registry,
            "[[agent]]\nname = \"agent-{n:05}\"\ndepartment = \"d{}\"\n{trigger}\ncommand = [\"true\"]",
            n % 50
        );
    }
    let mut fleet = boot(&registry);
    let metrics = timed("GET /metrics", || fleet.metrics());
    assert_eq!(metrics["agents"].as_array().map(Vec::len), Some(MANY));
    assert_eq!(metrics["system"]["statuses"]["idle"], MANY);
    let text = timed("OpenMetrics", || fleet.tcp("GET", "/metrics", &[("Accept", "application/openmetrics-text")]));
    assert!(text.body.ends_with("# EOF\n"));
    assert_eq!(fleet.run("agent-09999")["end"], "succeeded");
    println!("peak memory: {} MiB", processes::peak_rss(fleet.pid()) >> 20);
    assert!(timed("stop", || fleet.terminate()).success());
}

#[test]
fn a_chain_of_ten_thousand_dependencies_boots_layer_by_layer() {
    let mut registry = String::from("[[agent]]\nname = \"agent-00000\"\nkind = \"job\"\ncommand = [\"true\"]\n");
    for n in 1..MANY {
        let _ = writeln!(
            registry,
            "[[agent]]\nname = \"agent-{n:05}\"\nkind = \"job\"\ncommand = [\"true\"]\ndependencies = [\"agent-{:05}\"]",
            n - 1
        );
    }
    let mut fleet = boot(&registry);
    let completed = &fleet.events("boot.completed")[0]["data"];
    assert_eq!((completed["layers"].as_u64(), completed["agents"].as_u64()), (Some(10_000), Some(10_000)));
    let last = timed("GET one of them", || fleet.agent("agent-09999"));
    assert_eq!(last["dependencyDepth"], 9_999);
    assert_eq!(fleet.run("agent-09999")["end"], "succeeded");
    println!("peak memory: {} MiB", processes::peak_rss(fleet.pid()) >> 20);
    assert!(timed("stop", || fleet.terminate()).success());
}
