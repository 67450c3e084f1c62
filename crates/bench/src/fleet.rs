//! A thousand services in one layer: started, and stopped.

use std::time::{Duration, Instant};

use werkpilot_core::event::Event;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Program, ReadyCheck};

use crate::references::References;
use crate::report::Report;
use crate::support::{measure, median, name, time, with_fleet};

const SERVICES: &str = "1000";
const ROUNDS: usize = 5;

/// Beside a C loop that starts and ends the same children.
pub fn compare(references: &References, report: &mut Report) {
    let pause = references.program().to_string_lossy().into_owned();
    let (mut c, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        c.push(references.run(&["fleet", SERVICES]));
        ours.push(measure(&["fleet", SERVICES, &pause]));
    }
    for (what, figure, target) in [
        ("boot of 1,000 services in one layer / C spawn loop", "start", 1.5),
        ("stop of 1,000 services / C kill+wait", "stop", 2.0),
    ] {
        let (ours, reference) = (median(&ours, figure), median(&c, figure));
        report.at_most(what, time(ours), time(reference), ours / reference, target);
    }
}

/// Our side: from the begin of the boot until all run; from the first step of the shutdown until all have ended.
pub fn ours(services: usize, pause: &str) {
    let specs = (0..services).map(|number| {
        let command = vec![pause.to_owned(), "pause".to_owned()];
        let mut spec = AgentSpec::service_named(name(&format!("agent-{number}")), Program::Command(command));
        spec.service_mut().expect("a service").ready.check = ReadyCheck::After(Duration::ZERO);
        spec
    });
    let ended = std::rc::Rc::new(std::cell::Cell::new(None));
    let begin = ended.clone();
    with_fleet(specs.collect(), Settings::default(), |handle| async move {
        let took = loop {
            let report = handle.consult(|house| house.boot_report.borrow().clone()).await.expect("an answer");
            match report {
                Some(Event::BootCompleted { duration, late, .. }) => {
                    assert!(late.is_empty(), "all services are ready");
                    break duration;
                }
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        println!("start {}", took.as_nanos());
        tokio::time::sleep(Duration::from_millis(300)).await;
        begin.set(Some(Instant::now()));
    });
    let begin = ended.get().expect("the begin of the shutdown");
    println!("stop {}", begin.elapsed().as_nanos());
}
