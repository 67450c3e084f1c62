//! The score keeper: how far each agent can be relied on, from what happens to it.
//!
//! Invariant: a score is worked out anew within 0.1 s of what changes it, but for one agent at most every 5 s; and nobody
//! who asks waits for that. What it is worked out from is on its way to disk with it.

mod book;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::event::End;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::percentiles::{Digest, Slot};
use werkpilot_core::score::{self, Begin, DAYS, Score};
use werkpilot_core::status::Status;
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_store::{Change, Reader, StoreError};

use crate::agents::kept::{TOGETHER, patience};
use crate::alarm::{Alarm, Alarmed};
use crate::handle::Handle;
use crate::house::House;
use crate::observe::percentiles::kept::{Figure, NamedFigure, slot_row};
use crate::supervision::ExitNotice;

pub use book::{DailyScore, Scores};

/// Scores that are worked out in one turn: some 20 µs each. The next ones follow 10 ms later.
const AT_ONCE: usize = 16;

/// How long after midnight (UTC) the days before are read again: their last minutes are on disk then.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(90);

/// Scores are remembered for so many days, and so many are shown.
const KEPT_DAYS: i32 = 365;
const SHOWN_DAYS: i32 = 90;

/// An agent's execution has its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunJudged {
    /// Whose.
    pub agent: AgentIndex,
    /// Its end.
    pub end: End,
    /// How it began, if it was due at some time.
    pub scheduled: Option<Begin>,
}

/// An agent was restarted, or its execution retried, without anybody asking.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AgentRestarted(pub AgentIndex);

/// A service may have another status.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ServicesChanged(pub Vec<AgentIndex>);

/// These agents have come; what was kept of their names is theirs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct IntroduceScores(pub Vec<(AgentIndex, AgentName)>);

/// How long executions took on the days before this one.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct DaysBefore(HashMap<AgentName, f64>);

/// The actor of the scores.
pub struct ScoreKeeper {
    house: Rc<House>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl ScoreKeeper {
    /// An actor for the house's scores.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, alarm: Alarm::default(), _notice: notice }
    }

    fn arm(&mut self, now: Moment, ctx: &mut Context<Self>) {
        if self.alarm.deadline().is_some_and(|set| set <= now + TOGETHER) {
            return;
        }
        // As often as a disk that is not well is offered something.
        let soon = now + patience(&self.house);
        let next = self.house.scores.borrow().next().map(|at| at.max(soon));
        let set = self.alarm.deadline();
        if set.is_none() || next.is_none() || set > next {
            let clock = self.house.clock;
            Alarm::set(self, next, clock, ctx);
        }
    }

    /// Reads how long executions took on the seven days before today; once a day.
    fn read_days(&mut self, ctx: &mut Context<Self>) {
        let now = self.house.now().wall;
        let ledger = self.house.ledger.clone();
        let reading = async move { ledger.read(move |reader| days_before(reader, now)).await };
        ctx.spawn(reading.into_actor(self).map(move |read, _, ctx| match read {
            Ok(p95_ms) => ctx.notify(DaysBefore(p95_ms)),
            Err(error) => log::warn!("failed to read how long executions took last week: {error}"),
        }));
        let midnight = Slot::Day.start(now) + Slot::Day.length();
        ctx.run_later(midnight.since(now) + AFTER_MIDNIGHT, |this, ctx| {
            this.forget_old();
            this.read_days(ctx);
        });
    }

    fn forget_old(&self) {
        let before_day = score::day(self.house.now().wall) - KEPT_DAYS;
        let agents: Vec<AgentName> = self.house.scores.borrow().names().cloned().collect();
        let changes = agents.into_iter().map(|agent| Change::DropScores { agent, before_day });
        self.house.ledger.post(changes.collect());
    }
}

/// The p95 of each agent's successful executions on the seven days before today.
fn days_before(reader: &Reader, now: Timestamp) -> Result<HashMap<AgentName, f64>, StoreError> {
    let until = Slot::Day.start(now);
    let since = Timestamp::from_millis(until.as_millis() - i64::from(DAYS) * 86_400_000);
    let mut found = HashMap::new();
    for name in reader.digest_names()? {
        let Some(Figure::Duration(agent)) = NamedFigure::parse(&name) else { continue };
        let rows = reader.digests(&name, Slot::Day.as_str(), since, until)?;
        let days: Vec<Digest> = rows.iter().filter_map(|row| slot_row(row)?.digest()).collect();
        found.extend(Digest::gathered(&days).p95().map(|p95| (agent, p95)));
    }
    Ok(found)
}

/// Works out what is due, at most so many, and hands it in.
fn work_out(house: &House, most: usize) {
    let (now, samples) = (house.now(), house.samples.borrow());
    let today = |agent| samples.today(agent, now.wall)?.p95();
    let rows = house.scores.borrow_mut().take_due(most, today, now);
    drop(samples);
    hand_in(house, rows);
}

fn hand_in(house: &House, rows: Vec<Change>) {
    if !rows.is_empty() {
        house.ledger.post(rows);
    }
}

/// The last scores, before the store is closed.
pub fn save_all(house: &House) {
    let (now, samples) = (house.now(), house.samples.borrow());
    let rows = house.scores.borrow_mut().take_all(|agent| samples.today(agent, now.wall)?.p95(), now);
    drop(samples);
    hand_in(house, rows);
}

impl Actor for ScoreKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.house.ledger.is_kept() {
            self.read_days(ctx);
        }
        self.arm(self.house.clock.steady(), ctx);
    }
}

impl Alarmed for ScoreKeeper {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        work_out(&self.house, AT_ONCE);
        self.arm(self.house.clock.steady(), ctx);
    }
}

impl Handler<RunJudged> for ScoreKeeper {
    type Result = ();
    fn handle(&mut self, run: RunJudged, ctx: &mut Self::Context) {
        let now = self.house.now();
        let jitter = {
            let directory = self.house.directory.borrow();
            let job = directory.get(run.agent).and_then(|slot| slot.spec.job().map(|job| job.jitter));
            job.unwrap_or_default()
        };
        self.house.scores.borrow_mut().judged(&run, jitter, now);
        self.arm(now.steady, ctx);
    }
}

impl Handler<AgentRestarted> for ScoreKeeper {
    type Result = ();
    fn handle(&mut self, AgentRestarted(agent): AgentRestarted, ctx: &mut Self::Context) {
        let now = self.house.now();
        self.house.scores.borrow_mut().restarted(agent, now);
        self.arm(now.steady, ctx);
    }
}

impl Handler<ServicesChanged> for ScoreKeeper {
    type Result = ();
    fn handle(&mut self, ServicesChanged(agents): ServicesChanged, ctx: &mut Self::Context) {
        let now = self.house.now();
        for agent in agents {
            let status = {
                let directory = self.house.directory.borrow();
                let Some(slot) = directory.get(agent).filter(|slot| slot.spec.job().is_none()) else { continue };
                // One that is leaving has lost its name.
                let bears_its_name = directory.find(slot.name.as_str()) == Some(agent);
                if bears_its_name { self.house.dispatcher.borrow().status(agent) } else { Status::Stopped }
            };
            self.house.scores.borrow_mut().is_now(agent, status.into(), now);
        }
        self.arm(now.steady, ctx);
    }
}

impl Handler<IntroduceScores> for ScoreKeeper {
    type Result = ();
    fn handle(&mut self, IntroduceScores(agents): IntroduceScores, ctx: &mut Self::Context) {
        let now = self.house.now();
        for (agent, name) in agents {
            let is_job = {
                let directory = self.house.directory.borrow();
                directory.get(agent).is_none_or(|slot| slot.spec.job().is_some())
            };
            self.house.scores.borrow_mut().introduce(agent, name, is_job, now);
        }
        self.arm(now.steady, ctx);
    }
}

impl Handler<DaysBefore> for ScoreKeeper {
    type Result = ();
    fn handle(&mut self, DaysBefore(p95_ms): DaysBefore, ctx: &mut Self::Context) {
        let now = self.house.now();
        self.house.scores.borrow_mut().days_before(p95_ms, now);
        self.arm(now.steady, ctx);
    }
}

impl Handle {
    /// The scores of an agent at the end of each of the last 90 days, oldest first, today's as it is `now`. Only that one
    /// where nothing is kept, or the disk does not answer.
    pub async fn daily_scores(&self, agent: &AgentName, now: Option<Score>) -> Vec<DailyScore> {
        let (agent, today) = (agent.clone(), score::day(self.clock().now().wall));
        let rows = self.ledger().read(move |reader| reader.scores_of(&agent, today - SHOWN_DAYS + 1)).await;
        let rows = rows.unwrap_or_default();
        let before = rows.iter().filter(|row| row.day != today || now.is_none()).map(DailyScore::of);
        before.chain(now.map(|now| DailyScore::new(today, now))).collect()
    }
}
