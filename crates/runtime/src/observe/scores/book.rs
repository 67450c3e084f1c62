//! The book of scores: what is counted of each agent, its score, and which of them are to be worked out when.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::percentiles::Slot;
use werkpilot_core::score::{Counts, Parts, Presence, Record, Score, day, latency};
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_store::row::figures::ScoreRow;
use werkpilot_store::{Change, Json};

use super::RunJudged;

/// What happens together is judged together.
const SOON: Duration = Duration::from_millis(100);

/// For a busy agent.
const BETWEEN: Duration = Duration::from_secs(5);

/// How often the time of a service is counted and kept that is just running.
const SERVICES: Duration = Duration::from_mins(5);

/// After midnight (UTC) all scores are worked out again: a day is new, and one is forgotten.
const NEW_DAY: Duration = Duration::from_secs(1);

/// The book of scores. What it holds of an agent is made by the first thing that counts.
#[derive(Debug, Default)]
pub struct Scores {
    /// By slot.
    entries: Vec<Option<Box<Entry>>>,
    /// By slot: who it is, and whether it is a job.
    names: Vec<Option<(AgentName, bool)>>,
    bearers: HashMap<AgentName, AgentIndex>,
    /// Of names that nobody bears yet.
    restored: HashMap<AgentName, (Record, Kind)>,
    /// The p95 of the seven days before today.
    before: HashMap<AgentName, f64>,
    agenda: BTreeSet<(Moment, AgentIndex)>,
}

#[derive(Debug, Default)]
struct Entry {
    record: Record,
    score: Score,
    /// When it was worked out last.
    at: Option<Moment>,
    /// When it is to be the next time.
    wake: Option<Moment>,
    /// What was handed in last.
    written: Option<(i32, Counts, Score)>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Executions.
    Job,
    /// Milliseconds.
    Service,
}

impl Kind {
    const fn of(is_job: bool) -> Self {
        if is_job { Self::Job } else { Self::Service }
    }
}

/// What a row has beside the score.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    parts: Parts,
    kind: Kind,
    counts: Counts,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    restarts: Vec<Timestamp>,
}

/// An agent's score at the end of a day.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DailyScore {
    /// The day (UTC): `2026-11-21`.
    pub day: String,
    /// 0 to 100; null without data.
    pub score: Option<f64>,
    /// What it is made of, each 0 to 1; null without data.
    pub score_parts: Parts,
}

impl DailyScore {
    /// The score of a day (since the Unix epoch).
    pub fn new(day: i32, Score { value, parts }: Score) -> Self {
        let begin = Timestamp::from_secs(i64::from(day) * 86_400).to_utc();
        Self { day: begin.format("%Y-%m-%d").to_string(), score: value, score_parts: parts }
    }

    /// What a row tells of its day.
    pub(super) fn of(row: &ScoreRow) -> Self {
        let parts = row.parts.read::<Kept>().map(|kept| kept.parts).unwrap_or_default();
        Self::new(row.day, Score { value: row.score, parts })
    }
}

impl Scores {
    /// A book as it was, from the rows of the last seven days.
    pub fn restored(rows: &[ScoreRow]) -> Self {
        let mut days: HashMap<&AgentName, Vec<(i32, Kept)>> = HashMap::new();
        for row in rows {
            match row.parts.read::<Kept>() {
                Ok(kept) => days.entry(&row.agent).or_default().push((row.day, kept)),
                Err(error) => log::warn!("failed to read a score of {}, which is left out: {error}", row.agent),
            }
        }
        let record = |mut days: Vec<(i32, Kept)>| {
            days.sort_by_key(|(day, _)| *day);
            let (_, newest) = days.last()?;
            let (kind, restarts) = (newest.kind, newest.restarts.clone());
            let counts = days.iter().filter(|(_, kept)| kept.kind == kind).map(|(day, kept)| (*day, kept.counts));
            Some((Record::restored(counts, restarts), kind))
        };
        let restored = days.into_iter().filter_map(|(agent, days)| Some((agent.clone(), record(days)?)));
        Self { restored: restored.collect(), ..Self::default() }
    }

    /// The score of an agent, as it was worked out last; `None`: there is nothing that counts.
    pub fn of(&self, agent: AgentIndex) -> Option<Score> {
        let entry = self.entries.get(agent.slot())?.as_ref()?;
        Some(entry.score).filter(|score| score.value.is_some())
    }

    /// Who is here.
    pub(super) fn names(&self) -> impl Iterator<Item = &AgentName> {
        self.bearers.keys()
    }

    /// When a score is to be worked out next.
    pub(super) fn next(&self) -> Option<Moment> {
        self.agenda.first().map(|(at, _)| *at)
    }

    pub(super) fn judged(&mut self, run: &RunJudged, jitter: Duration, now: Clocks) {
        let record = &mut self.entry(run.agent).record;
        record.on_end(run.end, now.wall);
        if let Some(begin) = run.scheduled {
            record.on_scheduled(begin, jitter, now.wall);
        }
        self.plan(run.agent, SOON, now);
    }

    pub(super) fn restarted(&mut self, agent: AgentIndex, now: Clocks) {
        self.entry(agent).record.on_restart(now.wall);
        self.plan(agent, SOON, now);
    }

    pub(super) fn is_now(&mut self, agent: AgentIndex, presence: Presence, now: Clocks) {
        if presence == Presence::Unwanted && self.entries.get(agent.slot()).is_none_or(Option::is_none) {
            return;
        }
        self.entry(agent).record.on_presence(presence, now);
        self.plan(agent, SOON, now);
    }

    /// A new agent of a name takes over what there is of it, if it is of the same kind.
    pub(super) fn introduce(&mut self, agent: AgentIndex, name: AgentName, is_job: bool, now: Clocks) {
        let kind = Kind::of(is_job);
        let record = match self.bearers.insert(name.clone(), agent) {
            Some(before) => {
                let entry = self.entries.get_mut(before.slot()).and_then(Option::take);
                let known = self.names.get(before.slot()).cloned().flatten();
                entry.map(|mut entry| {
                    if let Some(at) = entry.wake {
                        self.agenda.remove(&(at, before));
                    }
                    entry.record.on_presence(Presence::Unwanted, now);
                    (entry.record, Kind::of(known.is_none_or(|(_, is_job)| is_job)))
                })
            }
            None => self.restored.remove(&name),
        };
        if self.names.len() <= agent.slot() {
            self.names.resize(agent.slot() + 1, None);
        }
        self.names[agent.slot()] = Some((name, is_job));
        if let Some((record, _)) = record.filter(|(record, of)| *of == kind && !record.is_empty()) {
            self.entry(agent).record = record;
            self.plan(agent, Duration::ZERO, now);
        }
    }

    /// How long executions took before today is known, so all scores are worked out again.
    pub(super) fn days_before(&mut self, p95_ms: HashMap<AgentName, f64>, now: Clocks) {
        self.before = p95_ms;
        for slot in 0..self.entries.len() {
            if self.entries[slot].is_some() {
                self.plan(AgentIndex::from(slot), SOON, now);
            }
        }
    }

    /// Works out what is due, at most so many; `today`: an agent's p95 of today. Answers what to write.
    pub(super) fn take_due(
        &mut self,
        most: usize,
        today: impl Fn(AgentIndex) -> Option<f64>,
        now: Clocks,
    ) -> Vec<Change> {
        let mut rows = Vec::new();
        for _ in 0..most {
            let Some((_, agent)) = self.agenda.first().copied().filter(|(at, _)| *at <= now.steady) else { break };
            rows.extend(self.work_out(agent, today(agent), now));
        }
        rows
    }

    /// Works out all that something has changed of.
    pub(super) fn take_all(&mut self, today: impl Fn(AgentIndex) -> Option<f64>, now: Clocks) -> Vec<Change> {
        let agents: Vec<AgentIndex> = self.agenda.iter().map(|(_, agent)| *agent).collect();
        agents.into_iter().filter_map(|agent| self.work_out(agent, today(agent), now)).collect()
    }

    fn entry(&mut self, agent: AgentIndex) -> &mut Entry {
        if self.entries.len() <= agent.slot() {
            self.entries.resize_with(agent.slot() + 1, || None);
        }
        self.entries[agent.slot()].get_or_insert_with(Box::default)
    }

    fn work_out(&mut self, agent: AgentIndex, today: Option<f64>, now: Clocks) -> Option<Change> {
        let (name, is_job) = self.names.get(agent.slot()).cloned().flatten()?;
        let before = self.before.get(&name).copied();
        let entry = self.entry(agent);
        let planned = entry.wake.take();
        entry.score = Score::of(entry.record.parts(latency(before, today), now));
        entry.at = Some(now.steady);
        let (counts, restarts) = entry.record.of_today(now.wall);
        let today = day(now.wall);
        let state = (today, counts, entry.score);
        let row = (entry.written != Some(state)).then(|| {
            let kind = Kind::of(is_job);
            let parts = Json::of(&Kept { parts: entry.score.parts, kind, counts, restarts: restarts.collect() });
            Change::PutScore(Box::new(ScoreRow { agent: name, day: today, score: entry.score.value, parts }))
        });
        entry.written = Some(state);
        let mut next = (Slot::Day.start(now.wall) + Slot::Day.length()).since(now.wall) + NEW_DAY;
        if entry.record.presence() != Presence::Unwanted {
            next = next.min(SERVICES);
        }
        next = entry.record.next_change(now.wall).map_or(next, |change| next.min(change.max(BETWEEN)));
        let is_known = entry.score.value.is_some() || entry.record.presence() != Presence::Unwanted;
        if let Some(at) = planned {
            self.agenda.remove(&(at, agent));
        }
        if is_known {
            self.plan(agent, next, now);
        }
        row
    }

    /// Puts an agent on the agenda after this time, unless it is there earlier; but not right after the last time.
    fn plan(&mut self, agent: AgentIndex, after: Duration, now: Clocks) {
        let entry = self.entry(agent);
        let soon = now.steady + after;
        let wanted = entry.at.map_or(soon, |at| soon.max(at + BETWEEN));
        if entry.wake.is_some_and(|at| at <= wanted) {
            return;
        }
        let before = entry.wake.replace(wanted);
        if let Some(at) = before {
            self.agenda.remove(&(at, agent));
        }
        self.agenda.insert((wanted, agent));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use werkpilot_core::event::End;
    use werkpilot_core::score::Begin;
    use werkpilot_core::status::Status;

    use super::*;

    const A: AgentIndex = AgentIndex(0);

    /// Noon, and so many milliseconds later.
    fn at(millis: u64) -> Clocks {
        let wall = Timestamp::from_millis(20_000 * 86_400_000 + 43_200_000 + i64::try_from(millis).unwrap());
        Clocks { steady: Moment::from_millis(millis), wall }
    }

    fn name(name: &str) -> AgentName {
        AgentName::new(name).unwrap()
    }

    fn ended(agent: AgentIndex, end: End) -> RunJudged {
        RunJudged { agent, end, scheduled: None }
    }

    /// A book with one job, `a`.
    fn of_a_job() -> Scores {
        let mut book = Scores::default();
        book.introduce(A, name("a"), true, at(0));
        book
    }

    fn due(book: &mut Scores, today: Option<f64>, millis: u64) -> Vec<ScoreRow> {
        rows(book.take_due(100, |_| today, at(millis)))
    }

    fn rows(changes: Vec<Change>) -> Vec<ScoreRow> {
        let row = |change| match change {
            Change::PutScore(row) => *row,
            other => panic!("{other:?}"),
        };
        changes.into_iter().map(row).collect()
    }

    #[test]
    fn a_score_follows_what_happens_but_for_one_agent_not_more_often_than_every_five_seconds() {
        let mut book = of_a_job();
        assert_eq!((book.of(A), book.next()), (None, None));
        book.judged(&ended(A, End::Succeeded), Duration::ZERO, at(0));
        assert_eq!(due(&mut book, None, 99), []);
        assert_eq!(due(&mut book, None, 100)[0].score, Some(100.0));
        for step in 0..100 {
            book.judged(&ended(A, End::Failed), Duration::ZERO, at(200 + step));
        }
        assert_eq!(due(&mut book, None, 5_099), []);
        assert_eq!(book.of(A).unwrap().value, Some(100.0), "as it was worked out last");
        assert_eq!(due(&mut book, None, 5_100).len(), 1);
        let parts = book.of(A).unwrap().parts;
        assert_eq!((parts.success, parts.stability), (Some(1.0 / 101.0), Some(1.0)));
        let midnight = Moment::from_millis(43_200_000) + NEW_DAY;
        assert_eq!(book.next(), Some(midnight), "nothing is left to do but to begin a new day");
    }

    #[test]
    fn slow_executions_of_today_are_held_against_the_days_before() {
        let mut book = of_a_job();
        book.judged(&ended(A, End::Succeeded), Duration::ZERO, at(0));
        due(&mut book, Some(400.0), 100);
        assert_eq!(book.of(A).unwrap().parts.latency, None, "nothing is known of before");
        book.days_before([(name("a"), 100.0), (name("b"), 1.0)].into(), at(200));
        due(&mut book, Some(400.0), 5_100);
        let score = book.of(A).unwrap();
        assert_eq!((score.parts.latency, score.value), (Some(0.25), Some(83.33)));
    }

    #[test]
    fn what_is_late_by_its_own_jitter_is_punctual() {
        let mut book = of_a_job();
        let late =
            |secs| RunJudged { scheduled: Some(Begin::Late(Duration::from_secs(secs))), ..ended(A, End::Succeeded) };
        book.judged(&late(60), Duration::from_secs(58), at(0));
        book.judged(&late(66), Duration::from_secs(58), at(0));
        due(&mut book, None, 100);
        assert_eq!(book.of(A).unwrap().parts.punctuality, Some(0.5));
    }

    #[test]
    fn a_restart_is_forgiven_after_an_hour_though_nothing_happens() {
        let mut book = of_a_job();
        book.judged(&ended(A, End::Succeeded), Duration::ZERO, at(0));
        book.restarted(A, at(0));
        due(&mut book, None, 100);
        assert_eq!(book.of(A).unwrap().parts.stability, Some(0.5));
        assert_eq!(book.next(), Some(Moment::from_millis(3_600_001)));
        due(&mut book, None, 3_600_001);
        assert_eq!(book.of(A).unwrap().parts.stability, Some(1.0));
    }

    #[test]
    fn the_time_of_a_service_is_counted_and_kept_every_five_minutes() {
        let mut book = Scores::default();
        book.introduce(A, name("s"), false, at(0));
        book.is_now(A, Presence::Unwanted, at(0));
        assert_eq!(book.next(), None, "nobody wants it yet");
        book.is_now(A, Status::Starting.into(), at(0));
        book.is_now(A, Status::Running.into(), at(1_000));
        due(&mut book, None, 2_000);
        assert_eq!(book.of(A).unwrap().parts.success, Some(0.5));
        assert_eq!(book.next(), Some(Moment::from_millis(302_000)));
        let [row] = &due(&mut book, None, 302_000)[..] else { panic!("one row") };
        assert_eq!(row.parts.read::<Kept>().unwrap().counts.all, 302_000);
        book.is_now(A, Status::Stopped.into(), at(302_000));
        due(&mut book, None, 400_000);
        let [] = &due(&mut book, None, 900_000)[..] else { panic!("nothing more is counted") };
    }

    #[test]
    fn a_score_outlives_the_orchestrator() {
        let mut book = of_a_job();
        let mut kept = BTreeMap::new();
        for step in 0..6 {
            let (end, now) = (if step % 3 == 0 { End::Failed } else { End::Succeeded }, at(step * 43_200_000));
            book.judged(&ended(A, end), Duration::ZERO, now);
            book.restarted(A, now);
            for row in rows(book.take_all(|_| None, now)) {
                kept.insert(row.day, row);
            }
        }
        let now = Clocks { steady: Moment::from_millis(7), ..at(5 * 43_200_000 + 10) };
        let mut next = Scores::restored(&kept.into_values().collect::<Vec<_>>());
        next.introduce(AgentIndex(3), name("a"), true, now);
        rows(next.take_due(9, |_| None, Clocks { steady: Moment::from_millis(20), ..now }));
        assert_eq!(next.of(AgentIndex(3)), book.of(A));
        assert_eq!(next.of(A), None);
    }

    #[test]
    fn a_new_agent_of_a_name_goes_on_where_the_old_one_was_unless_it_is_of_another_kind() {
        let mut book = of_a_job();
        book.judged(&ended(A, End::Failed), Duration::ZERO, at(0));
        book.introduce(AgentIndex(1), name("a"), true, at(10));
        assert_eq!(due(&mut book, None, 200).len(), 1);
        assert_eq!((book.of(A), book.of(AgentIndex(1)).unwrap().parts.success), (None, Some(0.0)));
        book.introduce(AgentIndex(2), name("a"), false, at(300));
        assert_eq!((book.of(AgentIndex(2)), book.next()), (None, None));
    }

    #[test]
    fn many_scores_are_worked_out_a_few_at_a_time() {
        let mut book = Scores::default();
        for agent in 0..40 {
            book.introduce(AgentIndex(agent), name(&format!("a{agent}")), true, at(0));
            book.judged(&ended(AgentIndex(agent), End::Succeeded), Duration::ZERO, at(0));
        }
        let turns: Vec<usize> = (0..4).map(|_| book.take_due(16, |_| None, at(100)).len()).collect();
        assert_eq!(turns, [16, 16, 8, 0]);
    }
}
