//! What the first page shows of the last hours: a strip of ends per agent, ends per minute, marks on the memory chart, and
//! since when something is not well.
//!
//! Invariant: an agent about which nothing ever happened has no entry here.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::attention::{ClockSet, Paused};
use werkpilot_core::event::{End, Event, Recorded};
use werkpilot_core::ids::AgentName;
use werkpilot_core::memory::HISTORY_SPAN;
use werkpilot_core::reason::Reason;
use werkpilot_core::strip::{LENGTH, Mark, Strip};
use werkpilot_core::throughput::{MINUTES, Throughput};
use werkpilot_core::time::Timestamp;
use werkpilot_store::reader::EndedAt;

use crate::house::House;
use crate::state::ReadError;

/// Marks that are kept: a shortage has some, and there are not many of them within two hours.
const MARKS: usize = 200;
/// A clock that was set is told for so long.
const CLOCK_TOLD: std::time::Duration = std::time::Duration::from_hours(1);

/// Something to be marked on the memory chart.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MemoryMark {
    /// When.
    pub time: Timestamp,
    /// Its topic.
    pub kind: &'static str,
    /// The agent that it is about; null: all memory.
    pub agent: Option<AgentName>,
    /// What happened.
    pub text: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    strip: Strip,
    /// Since when it is not well; as far as facts tell it.
    since: Option<Timestamp>,
}

/// What happened lately.
#[derive(Debug, Default)]
pub struct RecentBook {
    agents: HashMap<AgentName, Recent>,
    throughput: Throughput,
    marks: VecDeque<MemoryMark>,
    paused: Option<Paused>,
    clock: Option<ClockSet>,
}

/// What was kept of the time before the start.
#[derive(Debug, Default)]
pub struct KeptRecent {
    ends: Vec<(AgentName, Vec<EndedAt>)>,
    minutes: Vec<(End, Timestamp, u32)>,
}

impl RecentBook {
    /// A book that knows who paused the triggers.
    pub fn new(paused: Option<(String, Timestamp)>) -> Self {
        let paused = paused.map(|(by, since)| Paused { by: Some(by), since: Some(since) });
        Self { paused, ..Self::default() }
    }

    /// Takes a fact in; `service` tells whether an agent is one.
    pub fn take(&mut self, recorded: &Recorded, service: impl Fn(&AgentName) -> bool) {
        let at = recorded.time;
        match &recorded.event {
            Event::ExecutionEnded { agent, end, .. } => {
                self.throughput.count(*end, 1, at);
                let recent = self.of_mut(agent);
                recent.judge(*end, at);
                recent.strip.push((*end).into());
            }
            Event::AgentReady { agent, .. } => {
                let recent = self.of_mut(agent);
                recent.strip.push(Mark::Up);
                recent.since = None;
            }
            Event::AgentFailed { agent, .. } if service(agent) => {
                let recent = self.of_mut(agent);
                recent.strip.push(Mark::Crashed);
                recent.since = recent.since.or(Some(at));
            }
            Event::AgentFailed { agent, .. } => {
                let recent = self.of_mut(agent);
                recent.since = recent.since.or(Some(at));
            }
            Event::AgentStopped { agent, .. } => {
                let is_service = service(agent);
                let recent = self.of_mut(agent);
                if is_service {
                    recent.strip.push(Mark::Down);
                }
                recent.since = Some(at);
            }
            Event::AgentDisabled { agent, reason } => {
                self.of_mut(agent).since = Some(at);
                self.mark_if(matches!(reason, Reason::MemoryPressure { .. }), recorded, Some(agent));
            }
            Event::AgentEnabled { agent, reason } => {
                // A trial does not make it well.
                if !matches!(reason, Reason::HalfOpen | Reason::EarlyTrial) {
                    self.of_mut(agent).since = None;
                }
                self.mark_if(matches!(reason, Reason::MemoryRecovered { .. }), recorded, Some(agent));
            }
            Event::HealthChanged { agent, healthy, .. } => {
                let recent = self.of_mut(agent);
                recent.since = if *healthy { None } else { recent.since.or(Some(at)) };
            }
            Event::AgentRestarting { agent, reason, .. } => {
                self.mark_if(matches!(reason, Reason::MemoryLimit { .. }), recorded, Some(agent));
            }
            Event::MemoryWarning { .. } | Event::MemoryCritical { .. } | Event::MemoryRecovered { .. } => {
                self.mark_if(true, recorded, None);
            }
            Event::TriggersPaused { paused, by } => {
                self.paused = paused.then(|| Paused { by: Some(by.clone()), since: Some(at) });
            }
            Event::ClockStepped { seconds, misfired } => {
                self.clock = Some(ClockSet { at, seconds: *seconds, misfired: *misfired });
            }
            Event::ConfigReloaded { removed, .. } => removed.iter().for_each(|agent| {
                self.agents.remove(agent);
            }),
            _ => {}
        }
    }

    fn of_mut(&mut self, agent: &AgentName) -> &mut Recent {
        self.agents.entry(agent.clone()).or_default()
    }

    fn mark_if(&mut self, wanted: bool, recorded: &Recorded, agent: Option<&AgentName>) {
        if !wanted {
            return;
        }
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        let (kind, text) = (recorded.event.topic(), recorded.event.to_string());
        self.marks.push_back(MemoryMark { time: recorded.time, kind, agent: agent.cloned(), text });
    }

    /// Puts what was kept before what has happened since.
    pub fn restore(&mut self, kept: KeptRecent) {
        for (agent, ends) in kept.ends {
            let recent = self.agents.entry(agent).or_default();
            let before = ends.iter().rev().map(|(end, _)| Mark::from(*end));
            recent.strip = before.chain(recent.strip.marks()).collect();
            // Since the first of those that went wrong in a row.
            let told = ends.iter().filter(|(end, _)| *end != End::Skipped);
            recent.since = recent.since.or(told.take_while(|(end, _)| is_bad(*end)).last().map(|(_, at)| *at));
        }
        let mut throughput = Throughput::default();
        for (end, at, times) in kept.minutes {
            throughput.count(end, times, at);
        }
        let now = crate::clock::Clock::wall();
        for ends in self.throughput.minutes(now) {
            for (end, times) in
                [(End::Succeeded, ends.succeeded), (End::Failed, ends.failed), (End::Skipped, ends.other)]
            {
                if times > 0 {
                    throughput.count(end, times, ends.at);
                }
            }
        }
        self.throughput = throughput;
    }

    /// The last ends of an agent, a letter each.
    pub fn strip(&self, agent: &AgentName) -> String {
        self.agents.get(agent).map(|recent| recent.strip.to_string()).unwrap_or_default()
    }

    /// Since when an agent is not well, as far as facts tell it.
    pub fn since(&self, agent: &AgentName) -> Option<Timestamp> {
        self.agents.get(agent)?.since
    }

    /// Ends by the minute.
    pub const fn throughput(&self) -> &Throughput {
        &self.throughput
    }

    /// What is to be marked on the memory chart of an agent, or of all memory; oldest first.
    pub fn marks(&self, agent: Option<&AgentName>, now: Timestamp) -> Vec<MemoryMark> {
        let is_meant = |mark: &&MemoryMark| match agent {
            Some(agent) => mark.agent.is_none() || mark.agent.as_ref() == Some(agent),
            None => true,
        };
        self.marks.iter().filter(is_meant).filter(|mark| now.since(mark.time) < HISTORY_SPAN).cloned().collect()
    }

    /// Who paused the triggers, and when.
    pub const fn paused(&self) -> Option<&Paused> {
        self.paused.as_ref()
    }

    /// That the clock was set within the last hour.
    pub fn clock_set(&self, now: Timestamp) -> Option<ClockSet> {
        self.clock.filter(|clock| now.since(clock.at) < CLOCK_TOLD)
    }
}

const fn is_bad(end: End) -> bool {
    matches!(end, End::Failed | End::TimedOut | End::Lost)
}

impl Recent {
    /// What an end means for since when it is not well. The first bad end in a row counts, not the attempts before it: so
    /// it is told after a restart, too, when only ends are known.
    fn judge(&mut self, end: End, at: Timestamp) {
        match end {
            End::Succeeded => self.since = None,
            end if is_bad(end) => self.since = self.since.filter(|_| self.ended_badly()).or(Some(at)),
            _ => {}
        }
    }

    fn ended_badly(&self) -> bool {
        let told = self.strip.marks().filter(|mark| *mark != Mark::Ended(End::Skipped));
        told.last().is_some_and(|mark| matches!(mark, Mark::Ended(end) if is_bad(end)))
    }
}

impl House {
    /// Reads what was kept of the hours before `begin`, when this orchestrator began. Not before the start, which it would
    /// hold up: a large fleet has many ends.
    pub fn recall_recent(self: &Rc<Self>, begin: Timestamp) {
        let house = self.clone();
        actix::spawn(async move {
            let hour = i64::try_from(MINUTES).unwrap_or(0) * 60_000;
            let since = Timestamp::from_millis(begin.as_millis() - hour);
            let read = house.ledger.read(move |reader| {
                Ok(KeptRecent { ends: reader.recent_ends(LENGTH)?, minutes: reader.ends_by_minute(since, begin)? })
            });
            match read.await {
                Ok(mut kept) => {
                    // What has ended since is in the book already.
                    kept.ends.iter_mut().for_each(|(_, ends)| ends.retain(|(_, at)| *at < begin));
                    kept.ends.retain(|(agent, _)| house.directory.borrow().find(agent.as_str()).is_some());
                    house.recent.borrow_mut().restore(kept);
                }
                Err(ReadError::NotKept) => {}
                Err(error) => log::warn!("failed to {error}; the strips of the agents begin anew"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use werkpilot_core::exit::Exit;
    use werkpilot_core::ids::RunId;
    use werkpilot_core::trigger::Trigger;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(43_200);

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    fn ended(agent: &str, end: End) -> Event {
        Event::ExecutionEnded {
            agent: name(agent),
            run: RunId::from_parts(1, 2),
            end,
            trigger: Trigger::Schedule,
            attempts: 1,
            duration: None,
            waited: Duration::ZERO,
            exit: None,
            reason: None,
        }
    }

    fn take(book: &mut RecentBook, at: u64, event: Event) {
        let time = NOON + Duration::from_secs(at);
        book.take(&Recorded { seq: at, time, event }, |agent| agent.as_str().starts_with("service"));
    }

    #[test]
    fn a_strip_tells_ends_of_jobs_and_lives_of_services() {
        let mut book = RecentBook::default();
        for (at, end) in [(1, End::Succeeded), (2, End::Failed), (3, End::Failed), (4, End::Skipped)] {
            take(&mut book, at, ended("job", end));
        }
        assert_eq!(
            (book.strip(&name("job")).as_str(), book.since(&name("job"))),
            ("sffk", Some(NOON + Duration::from_secs(2)))
        );
        take(&mut book, 5, ended("job", End::Succeeded));
        assert_eq!(book.since(&name("job")), None);
        let (agent, instance, run) = (name("service"), 0, RunId::from_parts(1, 2));
        let failed = |agent: &AgentName| Event::AgentFailed {
            agent: agent.clone(),
            instance,
            run,
            attempt: 1,
            exit: Exit::Code(3),
        };
        take(&mut book, 6, failed(&agent));
        take(&mut book, 7, Event::AgentReady { agent: agent.clone(), instance, after: Duration::ZERO });
        let reason = Reason::StoppedByOperator;
        take(&mut book, 8, Event::AgentStopped { agent: agent.clone(), instance, exit: None, forced: false, reason });
        take(&mut book, 9, failed(&name("job")));
        assert_eq!((book.strip(&agent), book.strip(&name("job"))), ("xud".to_owned(), "sffks".to_owned()));
        assert!(book.strip(&name("nobody")).is_empty());
        let gone =
            Event::ConfigReloaded { added: vec![], removed: vec![agent.clone()], changed: vec![], settings: vec![] };
        take(&mut book, 10, gone);
        assert!(book.strip(&agent).is_empty(), "who is gone is forgotten");
    }

    #[test]
    fn trouble_goes_on_through_a_trial_and_worse_news_and_ends_with_good_ones() {
        let (mut book, agent) = (RecentBook::default(), name("job"));
        let health = |healthy| Event::HealthChanged { agent: name("job"), instance: 0, healthy, reason: None };
        let enabled = |reason| Event::AgentEnabled { agent: name("job"), reason };
        let begin = Some(NOON + Duration::from_secs(1));
        take(&mut book, 1, ended("job", End::Failed));
        take(&mut book, 2, health(false));
        take(&mut book, 3, enabled(Reason::HalfOpen));
        assert_eq!(book.since(&agent), begin);
        take(&mut book, 4, health(true));
        assert_eq!(book.since(&agent), None);
        take(&mut book, 5, health(false));
        assert_eq!(book.since(&agent), Some(NOON + Duration::from_secs(5)));
        take(&mut book, 6, enabled(Reason::TrialSucceeded));
        assert_eq!(book.since(&agent), None);
    }

    #[test]
    fn a_job_is_not_well_since_the_first_bad_end_in_a_row_as_a_restart_would_tell_it() {
        let (mut book, agent) = (RecentBook::default(), name("job"));
        let run = RunId::from_parts(1, 2);
        let attempt = Event::AgentFailed { agent: name("job"), instance: 0, run, attempt: 1, exit: Exit::Code(3) };
        let at = |seconds| Some(NOON + Duration::from_secs(seconds));
        take(&mut book, 1, attempt.clone());
        assert_eq!(book.since(&agent), at(1), "it backs off");
        take(&mut book, 2, ended("job", End::Failed));
        assert_eq!(book.since(&agent), at(2));
        take(&mut book, 3, attempt);
        take(&mut book, 4, ended("job", End::Skipped));
        take(&mut book, 5, ended("job", End::TimedOut));
        assert_eq!(book.since(&agent), at(2));
    }

    #[test]
    fn what_was_kept_comes_before_what_has_happened_since() {
        let mut book = RecentBook::default();
        let now = crate::clock::Clock::wall();
        book.take(&Recorded { seq: 1, time: now, event: ended("a", End::TimedOut) }, |_| false);
        let before = Timestamp::from_millis(now.as_millis() - 1_000);
        book.restore(KeptRecent {
            ends: vec![
                (name("a"), vec![(End::Failed, before), (End::Succeeded, before)]),
                (name("b"), vec![(End::Lost, before)]),
            ],
            minutes: vec![(End::Succeeded, before, 3), (End::Failed, before, 2)],
        });
        assert_eq!((book.strip(&name("a")), book.strip(&name("b"))), ("sft".to_owned(), "l".to_owned()));
        assert_eq!(book.since(&name("b")), Some(before));
        let minutes = book.throughput().minutes(now);
        let sums = minutes.iter().fold((0, 0), |sum, ends| (sum.0 + ends.succeeded, sum.1 + ends.failed));
        assert_eq!(sums, (3, 3));
    }
}
