//! What is remembered of requests on the bus for those who look on: how many there were in each second of the last minute,
//! how many each agent was asked and failed to answer, and the last failures.
//!
//! Bounded: a minute, [`FAILURES`] failures with short texts, and as many agents as there are.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::AgentName;
use crate::time::{Moment, Timestamp};

/// Seconds that are looked back.
pub const SECONDS: usize = 60;
/// Failures that are remembered: a page of them.
pub const FAILURES: usize = 50;
/// Characters of a failure's text: what a person reads of it in a table.
const TEXT: usize = 300;

/// How often something happened in each of the last seconds.
#[derive(Clone, Debug)]
pub struct PerSecond {
    counts: [u32; SECONDS],
    /// The second that was counted last.
    newest: u64,
}

impl Default for PerSecond {
    fn default() -> Self {
        Self { counts: [0; SECONDS], newest: 0 }
    }
}

fn second(now: Moment) -> u64 {
    now.since(Moment::ZERO).as_secs()
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or(0)
}

impl PerSecond {
    /// It happened. Who comes with an older time, of a clock that is behind, counts for the newest second.
    pub fn count(&mut self, now: Moment) {
        let second = second(now);
        if second > self.newest {
            let passed = (second - self.newest).min(SECONDS as u64);
            for step in 0..passed {
                self.counts[place(second - step)] = 0;
            }
            self.newest = second;
        }
        let count = &mut self.counts[place(self.newest)];
        *count = count.saturating_add(1);
    }

    /// The last minute, the oldest second first; the last one is not over yet.
    pub fn last_minute(&self, now: Moment) -> Vec<u32> {
        let now = second(now).max(self.newest);
        let ago = |ago: usize| {
            let then = now.checked_sub(ago as u64)?;
            let is_kept = then <= self.newest && self.newest - then < SECONDS as u64;
            is_kept.then(|| self.counts[place(then)])
        };
        (0..SECONDS).rev().map(|seconds| ago(seconds).unwrap_or(0)).collect()
    }
}

/// What an agent was asked since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests to it, those that never reached it included.
    pub requests: u64,
    /// Those that ended with an error, its own or the bus's.
    pub errors: u64,
}

/// A request that ended with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// When.
    pub time: Timestamp,
    /// Who was asked.
    pub agent: AgentName,
    /// As of HTTP: 408 for too late, 429 for too many, 503 for not available, others by the agent.
    pub code: u16,
    /// What was said.
    pub text: String,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct RequestLog {
    seconds: PerSecond,
    responders: HashMap<AgentName, Counts>,
    failures: VecDeque<Failure>,
}

impl RequestLog {
    /// An agent was asked.
    pub fn asked(&mut self, agent: &AgentName, now: Moment) {
        self.seconds.count(now);
        self.counts(agent).requests += 1;
    }

    /// A request to an agent ended with an error.
    pub fn failed(&mut self, agent: &AgentName, code: u16, text: &str, time: Timestamp) {
        self.counts(agent).errors += 1;
        if self.failures.len() == FAILURES {
            self.failures.pop_front();
        }
        let text = text.chars().take(TEXT).collect();
        self.failures.push_back(Failure { time, agent: agent.clone(), code, text });
    }

    /// An agent is not in the fleet any more. Its failures are still told.
    pub fn forget(&mut self, agent: &AgentName) {
        self.responders.remove(agent);
    }

    /// Looked up before a name is copied: this is asked for every request.
    fn counts(&mut self, agent: &AgentName) -> &mut Counts {
        if !self.responders.contains_key(agent) {
            self.responders.insert(agent.clone(), Counts::default());
        }
        self.responders.get_mut(agent).expect("it has just been put there")
    }

    /// Requests in each second of the last minute, the oldest first; the last one is not over yet.
    pub fn last_minute(&self, now: Moment) -> Vec<u32> {
        self.seconds.last_minute(now)
    }

    /// Who was asked, and how often, in no order.
    pub fn responders(&self) -> impl Iterator<Item = (&AgentName, Counts)> {
        self.responders.iter().map(|(agent, counts)| (agent, *counts))
    }

    /// The last failures, the newest first.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.failures.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::from_secs(secs)
    }

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    #[test]
    fn seconds_are_counted_apart_and_forgotten_after_a_minute() {
        let mut seconds = PerSecond::default();
        for now in [100, 100, 101, 103] {
            seconds.count(at(now));
        }
        let minute = seconds.last_minute(at(103));
        assert_eq!((minute.len(), &minute[55..]), (SECONDS, &[0, 2, 1, 0, 1][..]));
        assert_eq!(seconds.last_minute(at(110))[49..], [2, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(seconds.last_minute(at(159))[..2], [2, 1]);
        assert_eq!(seconds.last_minute(at(163)).iter().sum::<u32>(), 0);
        // Whole minutes later nothing of it is taken for something new.
        seconds.count(at(100 + 3 * 60));
        assert_eq!(seconds.last_minute(at(280)).iter().sum::<u32>(), 1);
    }

    #[test]
    fn a_clock_that_is_behind_counts_for_the_newest_second() {
        let mut seconds = PerSecond::default();
        seconds.count(at(5));
        seconds.count(at(4));
        assert_eq!(seconds.last_minute(at(4))[58..], [0, 2]);
        assert_eq!(PerSecond::default().last_minute(at(0)), [0; SECONDS]);
    }

    #[test]
    fn the_counts_agree_with_a_list_of_all_that_happened() {
        let mut state = 7_u64;
        let (mut seconds, mut all, mut now) = (PerSecond::default(), Vec::new(), 0);
        for _ in 0..3_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += match state >> 60 {
                0..=9 => 0,
                10..=14 => 1,
                _ => (state >> 40) % 90,
            };
            seconds.count(at(now));
            all.push(now);
            let counted = |then| u32::try_from(all.iter().filter(|at| **at == then).count()).unwrap();
            let expected = (0..60_u64).rev().map(|ago| now.checked_sub(ago).map_or(0, counted));
            assert_eq!(seconds.last_minute(at(now)), expected.collect::<Vec<_>>());
            if all.len() > 200 {
                let oldest = now.saturating_sub(100);
                all.retain(|at| *at >= oldest);
            }
        }
    }

    #[test]
    fn failures_are_bounded_in_number_and_length_and_told_newest_first() {
        let mut log = RequestLog::default();
        for number in 0..60 {
            log.asked(&name("db"), at(1));
            log.failed(
                &name("db"),
                500,
                &format!("number {number} {}", "ä".repeat(1_000)),
                Timestamp::from_millis(number),
            );
        }
        let failures: Vec<_> = log.failures().collect();
        assert_eq!(
            (failures.len(), failures[0].time, failures[49].time),
            (50, Timestamp::from_millis(59), Timestamp::from_millis(10))
        );
        assert_eq!(failures[0].text.chars().count(), 300);
        assert_eq!(log.responders().collect::<Vec<_>>(), [(&name("db"), Counts { requests: 60, errors: 60 })]);
        log.forget(&name("db"));
        assert_eq!((log.responders().count(), log.failures().count()), (0, 50));
    }
}
