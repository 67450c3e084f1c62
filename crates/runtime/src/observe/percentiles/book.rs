//! The book of samples: windows, digests at hand, and which of them are to be looked at when.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::percentiles::{Digest, Durations, InMemory, SampleWindow, Series, SlotRow, Stream, Summary};
use werkpilot_core::time::{Clocks, Moment, Timestamp, as_ms};
use werkpilot_store::Change;
use werkpilot_store::row::figures::AgentSamples;

use super::kept::{Figure, KeptDigests, LiveFigure, NamedFigure, RestartLog};
use super::{RecordRequest, RecordSuccess};

/// The book of samples. What it holds of an agent is made by its first sample.
#[derive(Debug)]
pub struct Samples {
    size: u16,
    /// By slot: who it is.
    names: Vec<Option<AgentName>>,
    durations: Vec<Option<Box<Durations>>>,
    waiting: Stream,
    requests: BTreeMap<AgentIndex, Box<Stream>>,
    /// Who bears a name now.
    bearers: HashMap<AgentName, AgentIndex>,
    /// Of names that nobody bears yet.
    restored: HashMap<AgentName, Past>,
    /// Digests by the time at which they are to be looked at.
    agenda: BTreeSet<(Moment, LiveFigure)>,
    /// What is not on its way to disk yet.
    changes: Vec<Change>,
    restarts: RestartLog,
}

/// Durations and answers of an agent before it came.
type Past = (Option<Box<Durations>>, Option<Box<Stream>>);

impl Samples {
    /// An empty book that keeps so many samples per agent.
    pub fn new(size: u16) -> Self {
        Self::restored(size, Vec::new(), &KeptDigests::default(), Clocks::default())
    }

    /// A book as it was.
    pub fn restored(size: u16, samples: Vec<AgentSamples>, digests: &KeptDigests, now: Clocks) -> Self {
        let mut figures = digests.by_figure();
        let mut restored: HashMap<AgentName, Past> = HashMap::new();
        for AgentSamples { agent, count, durations } in samples {
            let window = SampleWindow::restored(size, count, durations);
            let (newest, _) = figures.remove(&NamedFigure::Duration(agent.clone()).to_string()).unwrap_or_default();
            let durations = Durations::restored(window, Series::restored(newest));
            restored.entry(agent).or_default().0 = Some(Box::new(durations));
        }
        let mut waiting = Stream::restored(Series::default().prompt(), [], now);
        for (name, (newest, last_hour)) in figures {
            let series = Series::restored(newest);
            match NamedFigure::parse(&name) {
                Some(Figure::Waiting) => waiting = Stream::restored(series.prompt(), last_hour, now),
                Some(Figure::Request(agent)) => {
                    restored.entry(agent).or_default().1 = Some(Box::new(Stream::restored(series, last_hour, now)));
                }
                Some(Figure::Duration(agent)) => {
                    let durations = Durations::restored(SampleWindow::new(size), series);
                    restored.entry(agent).or_default().0.get_or_insert_with(|| Box::new(durations));
                }
                None => {}
            }
        }
        let mut book = Self {
            size,
            names: Vec::new(),
            durations: Vec::new(),
            waiting,
            requests: BTreeMap::new(),
            bearers: HashMap::new(),
            restored,
            agenda: BTreeSet::new(),
            changes: Vec::new(),
            restarts: RestartLog::restored(&digests.newest),
        };
        book.plan(Figure::Waiting, now);
        book
    }

    /// Durations of an agent's successful executions; `None` if there was none.
    pub fn of(&self, agent: AgentIndex) -> Option<Summary> {
        let durations = self.durations.get(agent.slot())?.as_ref()?;
        Some(durations.window().summary()).filter(|summary| summary.count > 0)
    }

    /// The same of this day of UTC, as a digest.
    pub fn today(&self, agent: AgentIndex, now: Timestamp) -> Option<Digest> {
        Some(self.durations.get(agent.slot())?.as_ref()?.today(now))
    }

    /// Latencies of an agent's answers on the bus in the last hour; `None` if it never answered.
    pub fn requests(&self, agent: AgentIndex, now: Clocks) -> Option<Summary> {
        self.requests.get(&agent).map(|stream| stream.last_hour(now))
    }

    /// Waiting times of the last hour.
    pub fn waiting(&self, now: Clocks) -> Summary {
        self.waiting.last_hour(now)
    }

    /// What is in memory of a figure; `None`: no agent of this name is or was there since the start.
    pub fn in_memory(&self, figure: &NamedFigure) -> Option<InMemory> {
        match figure.try_map(|name| self.bearers.get(name).copied())? {
            Figure::Waiting => Some(self.waiting.in_memory()),
            Figure::Request(agent) => {
                Some(self.requests.get(&agent).map(|stream| stream.in_memory()).unwrap_or_default())
            }
            Figure::Duration(agent) => {
                let durations = self.durations.get(agent.slot()).and_then(Option::as_ref);
                Some(durations.map(|durations| durations.in_memory()).unwrap_or_default())
            }
        }
    }

    /// Bytes that the figures of an agent take.
    pub fn bytes_of(&self, agent: AgentIndex) -> usize {
        let durations = self.durations.get(agent.slot()).and_then(Option::as_ref).map_or(0, |of| of.bytes());
        durations + self.requests.get(&agent).map_or(0, |of| of.bytes())
    }

    /// An execution succeeded; `keep`: its sample is to be kept.
    pub(super) fn succeeded(&mut self, success: &RecordSuccess, keep: bool, now: Clocks) {
        let RecordSuccess { agent, duration, waited } = *success;
        let (size, mut rows) = (self.size, Vec::new());
        let durations = self.slot(agent).get_or_insert_with(|| Box::new(Durations::new(size)));
        if durations.push(duration, now, &mut rows) {
            self.plan(Figure::Duration(agent), now);
        }
        self.put(Figure::Duration(agent), &mut rows);
        if self.waiting.push(as_ms(waited), now, &mut rows) {
            self.plan(Figure::Waiting, now);
        }
        self.put(Figure::Waiting, &mut rows);
        if let Some(agent) = self.name(agent).filter(|_| keep) {
            self.changes.push(Change::AddSample { agent, duration });
        }
    }

    /// An agent answered.
    pub(super) fn answered(&mut self, request: &RecordRequest, now: Clocks) {
        let mut rows = Vec::new();
        let figure = Figure::Request(request.agent);
        if self.requests.entry(request.agent).or_default().push(as_ms(request.latency), now, &mut rows) {
            self.plan(figure, now);
        }
        self.put(figure, &mut rows);
    }

    /// Automatic restarts were taken.
    pub(super) fn restarted(&mut self, count: u64, at: Timestamp) {
        let finished = self.restarts.take(count, at);
        self.changes.extend(finished);
    }

    /// Keeps so many samples per agent from now on.
    pub(super) fn resize(&mut self, size: u16) {
        self.size = size;
        for durations in self.durations.iter_mut().flatten() {
            durations.resize(size);
        }
    }

    /// A new agent of a name takes over what there is of it, from a restart or from the agent that bore it before.
    pub(super) fn introduce(&mut self, agent: AgentIndex, name: AgentName, now: Clocks) {
        let size = self.size;
        let before = self.bearers.insert(name.clone(), agent);
        let (mut durations, requests) = match before {
            Some(before) => {
                self.strike(Figure::Duration(before));
                self.strike(Figure::Request(before));
                (self.slot(before).take(), self.requests.remove(&before))
            }
            None => self.restored.remove(&name).unwrap_or_default(),
        };
        if let Some(durations) = &mut durations {
            durations.resize(size);
        }
        *self.slot(agent) = durations;
        self.requests.extend(requests.map(|stream| (agent, stream)));
        if self.names.len() <= agent.slot() {
            self.names.resize(agent.slot() + 1, None);
        }
        self.names[agent.slot()] = Some(name);
        self.plan(Figure::Duration(agent), now);
        self.plan(Figure::Request(agent), now);
    }

    /// Whether there is something to hand in soon.
    pub(super) fn is_unsaved(&self) -> bool {
        !self.changes.is_empty() || self.restarts.is_dirty()
    }

    /// When a digest is to be looked at next.
    pub(super) fn next(&self) -> Option<Moment> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// What to write now; looks at no more than so many digests.
    pub(super) fn take_due(&mut self, most: usize, now: Clocks) -> Vec<Change> {
        let mut rows = Vec::new();
        for _ in 0..most {
            let Some((_, figure)) = self.agenda.first().copied().filter(|(at, _)| *at <= now.steady) else { break };
            self.strike(figure);
            match figure {
                Figure::Waiting => self.waiting.drive(now, &mut rows),
                Figure::Duration(agent) => {
                    if let Some(durations) = self.slot(agent) {
                        durations.drive(now, &mut rows);
                    }
                }
                Figure::Request(agent) => {
                    if let Some(stream) = self.requests.get_mut(&agent) {
                        stream.drive(now, &mut rows);
                    }
                }
            }
            self.put(figure, &mut rows);
            self.plan(figure, now);
        }
        self.changes.extend(self.restarts.row());
        std::mem::take(&mut self.changes)
    }

    /// All that is not written yet.
    pub(super) fn take_all(&mut self, now: Clocks) -> Vec<Change> {
        let mut rows = Vec::new();
        for (_, figure) in std::mem::take(&mut self.agenda) {
            match figure {
                Figure::Waiting => self.waiting.write(now.steady, &mut rows),
                Figure::Duration(agent) => {
                    if let Some(durations) = self.slot(agent) {
                        durations.write(now.steady, &mut rows);
                    }
                }
                Figure::Request(agent) => {
                    if let Some(stream) = self.requests.get_mut(&agent) {
                        stream.write(now.steady, &mut rows);
                    }
                }
            }
            self.put(figure, &mut rows);
        }
        self.changes.extend(self.restarts.row());
        std::mem::take(&mut self.changes)
    }

    fn name(&self, agent: AgentIndex) -> Option<AgentName> {
        self.names.get(agent.slot())?.clone()
    }

    fn slot(&mut self, agent: AgentIndex) -> &mut Option<Box<Durations>> {
        if self.durations.len() <= agent.slot() {
            self.durations.resize_with(agent.slot() + 1, || None);
        }
        &mut self.durations[agent.slot()]
    }

    /// Rows of a figure are to be handed in.
    fn put(&mut self, figure: LiveFigure, rows: &mut Vec<SlotRow>) {
        if rows.is_empty() {
            return;
        }
        if let Some(named) = figure.try_map(|agent| self.name(*agent)) {
            self.changes.extend(rows.drain(..).map(|row| named.keep(row)));
        }
        rows.clear();
    }

    fn series(&mut self, figure: LiveFigure) -> Option<&mut Series> {
        match figure {
            Figure::Waiting => Some(&mut self.waiting.series),
            Figure::Duration(agent) => self.slot(agent).as_mut().map(|durations| &mut durations.series),
            Figure::Request(agent) => self.requests.get_mut(&agent).map(|stream| &mut stream.series),
        }
    }

    /// Puts a figure on the agenda, at the time at which there is something to do for it.
    fn plan(&mut self, figure: LiveFigure, now: Clocks) {
        let Some(series) = self.series(figure) else { return };
        let (planned, next) = (series.wake, series.next(now));
        if next == planned {
            return;
        }
        series.wake = next;
        if let Some(at) = planned {
            self.agenda.remove(&(at, figure));
        }
        self.agenda.extend(next.map(|at| (at, figure)));
    }

    /// Takes a figure off the agenda.
    fn strike(&mut self, figure: LiveFigure) {
        if let Some(at) = self.series(figure).and_then(|series| series.wake.take()) {
            self.agenda.remove(&(at, figure));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use werkpilot_core::percentiles::{Points, Slot};

    fn at(millis: u64) -> Clocks {
        let wall = Timestamp::from_millis(1_800_000_000_000 + i64::try_from(millis).unwrap());
        Clocks { steady: Moment::from_millis(millis), wall }
    }

    fn name(name: &str) -> AgentName {
        AgentName::new(name).unwrap()
    }

    fn success(agent: u32, millis: u64) -> RecordSuccess {
        let duration = Duration::from_millis(millis);
        RecordSuccess { agent: AgentIndex(agent), duration, waited: Duration::from_millis(1) }
    }

    fn rows(changes: &[Change]) -> Vec<(String, String)> {
        let of = |change: &Change| match change {
            Change::PutDigest(row) => Some((row.name.clone(), row.slot.clone())),
            _ => None,
        };
        changes.iter().filter_map(of).collect()
    }

    #[test]
    fn a_busy_agent_is_written_a_few_times_a_minute_and_its_samples_at_once() {
        let mut book = Samples::new(1_000);
        book.introduce(AgentIndex(0), name("a"), at(0));
        let (mut samples, mut digests) = (0, Vec::new());
        for step in 0..6_000 {
            let now = at(step * 10);
            for _ in 0..10 {
                book.succeeded(&success(0, step), true, now);
            }
            let changes = book.take_due(16, now);
            samples += changes.iter().filter(|change| matches!(change, Change::AddSample { .. })).count();
            digests.extend(rows(&changes).into_iter().filter(|(name, _)| name == "duration:a"));
        }
        assert_eq!(samples, 60_000);
        assert!(digests.len() <= 25, "{} rows for a minute with 60,000 executions", digests.len());
        book.take_due(16, at(61_000));
        assert_eq!(book.next(), None, "an idle agent is not looked at");
    }

    #[test]
    fn what_is_looked_at_in_one_turn_is_bounded() {
        let mut book = Samples::new(1_000);
        for agent in 0..100 {
            book.introduce(AgentIndex(agent), name(&format!("a{agent}")), at(0));
            book.succeeded(&success(agent, 1), true, at(1));
        }
        let turns: Vec<usize> = (0..8).map(|turn| rows(&book.take_due(16, at(10 + turn * 10))).len()).collect();
        assert_eq!(turns, [16, 16, 16, 16, 16, 16, 5, 0]);
    }

    #[test]
    fn a_new_agent_of_a_name_goes_on_where_the_old_one_was() {
        let mut book = Samples::new(10);
        book.introduce(AgentIndex(0), name("a"), at(0));
        book.succeeded(&success(0, 7), true, at(1));
        book.answered(&RecordRequest { agent: AgentIndex(0), latency: Duration::from_millis(3) }, at(1));
        book.introduce(AgentIndex(1), name("a"), at(2));
        assert_eq!((book.of(AgentIndex(0)), book.of(AgentIndex(1)).unwrap().count), (None, 1));
        book.succeeded(&success(1, 9), true, at(3));
        assert_eq!(book.requests(AgentIndex(1), at(4)).unwrap().count, 1);
        let written = rows(&book.take_due(16, at(20)));
        assert_eq!(written.len(), 3, "{written:?}");
        let memory = book.in_memory(&NamedFigure::Duration(name("a"))).unwrap();
        let points = Points::new(Slot::Minute, [], memory);
        assert_eq!(points.merged(at(0).wall, at(10).wall).count(), 2);
        assert!(book.in_memory(&NamedFigure::Duration(name("nobody"))).is_none());
    }

    #[test]
    fn figures_outlive_the_orchestrator() {
        let mut book = Samples::new(10);
        book.introduce(AgentIndex(0), name("a"), at(0));
        for second in 0..150 {
            book.succeeded(&success(0, second), true, at(second * 1_000));
            book.answered(&RecordRequest { agent: AgentIndex(0), latency: Duration::from_millis(second) }, at(second));
        }
        let mut kept: BTreeMap<(String, String, i64), werkpilot_store::row::figures::DigestRow> = BTreeMap::new();
        for change in book.take_all(at(150_000)) {
            if let Change::PutDigest(row) = change {
                kept.insert((row.name.clone(), row.slot.clone(), row.slot_at.as_millis()), *row);
            }
        }
        let mut newest = BTreeMap::new();
        for row in kept.values() {
            newest.insert((row.name.clone(), row.slot.clone()), row.clone());
        }
        let last_hour = kept.values().filter(|row| row.slot == "minute" && !row.name.starts_with("duration")).cloned();
        let digests = KeptDigests { newest: newest.into_values().collect(), last_hour: last_hour.collect() };
        let now = Clocks { steady: Moment::from_millis(5), ..at(200_000) };
        let samples = AgentSamples { agent: name("a"), count: 150, durations: vec![Duration::from_millis(149)] };
        let mut next = Samples::restored(10, vec![samples], &digests, now);
        next.introduce(AgentIndex(4), name("a"), now);
        assert_eq!(next.of(AgentIndex(4)).unwrap().count, 150);
        assert_eq!(next.waiting(now), book.waiting(at(200_000)));
        assert_eq!(next.requests(AgentIndex(4), now), book.requests(AgentIndex(0), at(200_000)));
        let today = next.today(AgentIndex(4), now.wall).unwrap();
        assert_eq!(today.count(), 150, "of the day");
        // The minute that was cut off is finished.
        let finished = rows(&next.take_due(16, Clocks { steady: Moment::from_millis(10), ..now }));
        assert_eq!(finished.len(), 9, "{finished:?}");
    }
}
