//! Time-outs, from what the slowest of a hundred takes.
//!
//! | the agent has | and | proposal |
//! |---|---|---|
//! | no `timeout` | | three times p99, ten seconds at least |
//! | one that ended executions | it is below 1.5 × p99 | the same: higher |
//! | one | it is above five times what would be proposed | the same: lower |
//! | one | anything between | none |

use std::time::Duration;

use super::proposal::{Argument, Proposal, Proposed, Rule, TooLittle};
use super::statistics::{OfAgent, Statistics};
use crate::time::human;

/// With fewer, p99 is only the slowest of them.
const SAMPLES: usize = 100;
/// A time-out is for what hangs, not for what is a bit slow.
const FACTOR: u32 = 3;
/// What ends sooner than this is hardly hanging.
const LEAST: Duration = Duration::from_secs(10);
/// Above so many times the proposal, a time-out is too late to help.
const TOO_LONG: u32 = 5;

pub(super) fn propose(statistics: &Statistics<'_>) -> (Vec<Proposal>, Option<TooLittle>) {
    let (enough, few): (Vec<_>, Vec<_>) = statistics.jobs().partition(|agent| agent.durations.len() >= SAMPLES);
    let few = few.into_iter().map(|agent| agent.member.agent.clone()).collect();
    let needs = format!("{SAMPLES} successful executions within the window, for the slowest of a hundred");
    (enough.into_iter().filter_map(of_agent).collect(), TooLittle::about(Rule::Timeout, needs, few))
}

fn of_agent(agent: &OfAgent<'_>) -> Option<Proposal> {
    let p99 = agent.durations.p99();
    let to = readable((p99 * FACTOR).max(LEAST));
    let (count, timed_out) = (agent.durations.len(), agent.ends.timed_out);
    let evidence = |words: String| {
        Argument::new(words)
            .count("samples", count)
            .span("p99Ms", p99)
            .count("timedOut", usize::try_from(timed_out).unwrap_or(usize::MAX))
    };
    let slowest = format!("99 of 100 of its last {count} successful executions took at most {}", human(p99));
    let (evidence, effect) = match agent.member.timeout {
        None => (
            evidence(format!("{slowest}; what hangs is never ended")),
            format!("what hangs gives its worker back after {}", human(to)),
        ),
        Some(now) if timed_out > 0 && now < p99 * 3 / 2 => {
            if to <= now {
                return None;
            }
            let words = format!("{slowest}, its timeout is {}, and {timed_out} were ended by it", human(now));
            (evidence(words), "fewer executions are ended that would have succeeded".to_owned())
        }
        Some(now) if now > to * TOO_LONG => (
            evidence(format!("{slowest}; what hangs keeps its worker for {}", human(now))),
            format!("what hangs gives its worker back {} sooner", human(now.saturating_sub(to))),
        ),
        Some(_) => return None,
    };
    let effect = Argument::new(effect).span("heldAtMostMs", to);
    let change = Proposed::Timeout { agent: agent.member.agent.clone(), from: agent.member.timeout, to };
    Some(Proposal::new(change, evidence, effect))
}

/// Rounded up to what people would write.
fn readable(duration: Duration) -> Duration {
    let grain = match duration.as_secs() {
        0..60 => 5,
        60..600 => 30,
        600..3_600 => 60,
        3_600..86_400 => 900,
        _ => 3_600,
    };
    let secs = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(secs.div_ceil(grain) * grain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_round_and_never_shorter() {
        let of = |ms| readable(Duration::from_millis(ms)).as_secs();
        assert_eq!(
            [1, 10_000, 10_001, 61_000, 601_000, 3_601_000, 90_000_000].map(of),
            [5, 10, 15, 90, 660, 4_500, 90_000]
        );
    }
}
