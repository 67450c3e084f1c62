//! All agents due in the same second: from due to handed to the queue, through the real actors.

use std::time::Duration;

use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Program};
use werkpilot_runtime::clock::Clock;

use crate::report::Report;
use crate::support::{measure, median, name, time, with_fleet};

const ROUNDS: usize = 3;

/// Against the absolute targets of the issue.
pub fn compare(report: &mut Report) {
    for (agents, target_ms) in [("10000", 1.0), ("100000", 8.0)] {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| measure(&["schedule", agents])).collect();
        let lag = median(&rounds, "lag");
        let what = format!("{agents} agents due in one second, all in the queue, ms");
        report.at_most(&what, time(lag), "-".to_owned(), lag / 1e6, target_ms);
    }
}

/// Our side. Nothing is started: a single worker, busy with an execution that pauses.
pub fn ours(agents: usize) {
    use chrono_free::crontab_in;
    // Far enough away for the boot of so many agents to be over.
    let ahead = Duration::from_secs(5 + agents as u64 / 4_000);
    let at = crontab_in(Clock::wall().as_secs() + i64::try_from(ahead.as_secs()).unwrap_or(0));
    let mut specs: Vec<_> = (0..agents)
        .map(|number| {
            let program = Program::Command(vec!["/bin/true".to_owned()]);
            let mut spec = AgentSpec::job_named(name(&format!("agent-{number}")), program);
            spec.job_mut().expect("a job").triggers.schedule = Some(at.clone());
            spec
        })
        .collect();
    let sleeper = Program::Command(vec!["/bin/sleep".to_owned(), "1000".to_owned()]);
    let mut busy = AgentSpec::job_named(name("busy"), sleeper);
    busy.job_mut().expect("a job").triggers.startup = true;
    specs.push(busy);
    let mut settings = Settings::default();
    settings.queue.workers = Some(1);
    settings.queue.capacity = u32::MAX;
    settings.shutdown.grace = Duration::from_millis(100);
    with_fleet(specs, settings, |handle| async move {
        loop {
            let lag = handle.consult(|house| house.schedule_lag.get()).await;
            match lag {
                Ok(Some(lag)) if lag.entries as usize >= agents => {
                    println!("lag {}", lag.lag.as_nanos());
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    });
}

/// A crontab line for one second, in UTC, without a calendar library: days of the year are left open.
mod chrono_free {
    /// `second minute hour * * *` of a time in seconds since the epoch.
    pub fn crontab_in(at: i64) -> String {
        let of_day = at.rem_euclid(86_400);
        format!("{} {} {} * * *", of_day % 60, of_day / 60 % 60, of_day / 3_600)
    }
}
