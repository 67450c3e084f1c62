//! The ladder itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::limits::Limits;
use super::sample::{Last, Parts};
use super::{Action, LEFT_ALONE, Level, Member, Next, Sample, Standing, Usage};
use crate::ids::AgentIndex;
use crate::reason::Reason;
use crate::settings::Memory;
use crate::spec::Priority;
use crate::time::Moment;

/// By agent.
type Members<'a> = BTreeMap<AgentIndex, &'a Member>;

/// See the module above.
#[derive(Debug, Default)]
pub struct Ladder {
    level: Level,
    usage: Option<Usage>,
    next: Next,
    last: Last,
    limits: Limits,
    /// Who is shed, as far as was seen, and what it used then.
    shed: BTreeMap<AgentIndex, u64>,
    /// When those came back who are to be left alone.
    back: BTreeMap<AgentIndex, Moment>,
}

/// Who can be shed, and what it uses.
#[derive(Clone, Copy)]
struct Candidate {
    agent: AgentIndex,
    bytes: u64,
    service: bool,
}

impl Ladder {
    /// How short memory is.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// How much was used at the last check, as far as anybody can tell.
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What happens next.
    pub const fn next(&self) -> Next {
        self.next
    }

    /// Who is shed, in the order in which they come back as things are, and what each used.
    pub fn shed(&self) -> impl Iterator<Item = (AgentIndex, u64)> {
        let mut shed: Vec<(AgentIndex, u64)> = self.shed.iter().map(|(agent, bytes)| (*agent, *bytes)).collect();
        shed.sort_unstable_by_key(|(agent, bytes)| (*bytes, *agent));
        shed.into_iter()
    }

    /// Whether a process of this agent was over `memory_max` at the last check.
    pub fn is_over_limit(&self, agent: AgentIndex) -> bool {
        self.limits.is_over(agent)
    }

    /// One check. The actions are to be carried out in their order. `members` are all agents that have processes or are
    /// shed.
    pub fn check(&mut self, sample: &Sample, members: &[Member], settings: &Memory, now: Moment) -> Vec<Action> {
        let members: Members<'_> = members.iter().map(|member| (member.agent, member)).collect();
        let mut out = Vec::new();
        self.see_who_is_back(&members, now);
        self.limits.check(&sample.trees, &members, &mut out);
        let at_least = sample.known_parts();
        let (low, high) = (at_least.usage_without(0), self.last.take(sample).and_then(|parts| parts.usage_without(0)));
        self.usage = high.or(low).or(self.usage);
        self.climb(low, high, settings, &mut out);
        let mut candidates = self.candidates(sample, &members);
        let mut enough = true;
        if let Some(usage) = low.filter(|usage| usage.percent >= f64::from(settings.critical_percent)) {
            let ending = still_ending(sample, &members);
            let threshold = settings.critical_percent;
            enough = self.shed_largest(&mut candidates, at_least, usage, ending, threshold, &mut out);
        }
        let room = high.filter(|usage| usage.percent < f64::from(settings.recover_percent));
        self.bring_back(&members, room, settings.recover_percent, now, &mut out);
        self.next = self.what_is_next(candidates.first().map(|largest| largest.agent), enough, room, settings);
        out
    }

    /// Who was shed and takes part again without us was started by a person.
    fn see_who_is_back(&mut self, members: &Members<'_>, now: Moment) {
        self.back.retain(|_, since| now.since(*since) < LEFT_ALONE);
        let is_shed = |agent: &AgentIndex| members.get(agent).is_some_and(|member| member.standing == Standing::Shed);
        for agent in self.shed.keys().copied().filter(|agent| !is_shed(agent)).collect::<Vec<_>>() {
            self.shed.remove(&agent);
            self.back.insert(agent, now);
        }
        // Those of the time before a restart.
        for agent in members.keys().filter(|agent| is_shed(agent)) {
            self.shed.entry(*agent).or_insert(0);
        }
    }

    fn climb(&mut self, low: Option<Usage>, high: Option<Usage>, settings: &Memory, out: &mut Vec<Action>) {
        let was = self.level;
        let under = |percent: u8| high.is_some_and(|usage| usage.percent < f64::from(percent));
        if reaches(low, settings.critical_percent) {
            self.level = Level::Critical;
        } else if reaches(low, settings.warning_percent) {
            self.level = was.max(Level::Warning);
        } else if under(settings.recover_percent) {
            self.level = Level::Normal;
        } else if under(settings.warning_percent) {
            self.level = was.min(Level::Warning);
        }
        if let Some(usage) = low.filter(|_| reaches(low, settings.warning_percent)) {
            out.push(Action::GiveBack);
            if was == Level::Normal {
                out.push(Action::Warn(usage));
            }
            if self.level == Level::Critical && was < Level::Critical {
                out.push(Action::Critical(usage));
            }
        }
        if let (Level::Normal, true, Some(usage)) = (self.level, was > Level::Normal, high) {
            out.push(Action::Recovered(usage));
        }
    }

    /// Who can be shed, the largest first. Who uses nothing is left alone: it would free nothing.
    fn candidates(&self, sample: &Sample, members: &Members<'_>) -> Vec<Candidate> {
        let mut bytes: BTreeMap<AgentIndex, u64> = BTreeMap::new();
        for tree in &sample.trees {
            *bytes.entry(tree.process.agent).or_default() += tree.bytes.unwrap_or(0);
        }
        let may_go = |(agent, bytes): (AgentIndex, u64)| {
            let member = members.get(&agent)?;
            let may = member.priority == Priority::Normal && member.standing == Standing::Open;
            let may = may && bytes > 0 && !self.back.contains_key(&agent);
            may.then_some(Candidate { agent, bytes, service: member.service })
        };
        let mut candidates: Vec<Candidate> = bytes.into_iter().filter_map(may_go).collect();
        candidates.sort_by_key(|candidate| (Reverse(candidate.bytes), candidate.agent));
        candidates
    }

    /// Sheds until the forecast is under the threshold. What is `ending` since an earlier check counts as free. The run of
    /// a job goes on, so that shedding it frees nothing yet. Answers whether that is enough.
    fn shed_largest(
        &mut self,
        candidates: &mut Vec<Candidate>,
        used: Parts,
        usage: Usage,
        ending: u64,
        threshold: u8,
        out: &mut Vec<Action>,
    ) -> bool {
        let mut freed = ending;
        let enough = |freed| used.usage_without(freed).is_none_or(|forecast| forecast.percent < f64::from(threshold));
        candidates.retain(|candidate| {
            if enough(freed) {
                return true;
            }
            let reason =
                Reason::MemoryPressure { percent: whole(usage.percent), threshold, used_bytes: candidate.bytes };
            out.push(Action::Shed { agent: candidate.agent, reason });
            self.shed.insert(candidate.agent, candidate.bytes);
            freed += if candidate.service { candidate.bytes } else { 0 };
            false
        });
        enough(freed)
    }

    /// Where there is room, the most important one comes back: one per check, so that it is seen what that costs. Who was
    /// made more important comes back in any case.
    fn bring_back(
        &mut self,
        members: &Members<'_>,
        room: Option<Usage>,
        threshold: u8,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let mut back = Vec::new();
        let promoted =
            self.shed.keys().filter(|agent| members.get(agent).is_some_and(|m| m.priority < Priority::Normal));
        back.extend(promoted.map(|agent| (*agent, Reason::ConfigChanged)));
        if let (Some(usage), Some((first, _)), true) = (room, self.shed().next(), back.is_empty()) {
            back.push((first, Reason::MemoryRecovered { percent: whole(usage.percent), threshold }));
        }
        for (agent, reason) in back {
            self.shed.remove(&agent);
            self.back.insert(agent, now);
            out.push(Action::Enable { agent, reason });
        }
    }

    fn what_is_next(&self, largest: Option<AgentIndex>, enough: bool, room: Option<Usage>, settings: &Memory) -> Next {
        match self.shed().next() {
            _ if self.usage.is_none() => Next::Measure,
            _ if !enough => Next::ShedMore { first: largest },
            Some((first, _)) => {
                let under_percent = room.is_none().then_some(settings.recover_percent);
                Next::Enable { first, under_percent }
            }
            None if self.level > Level::Normal => Next::Shed { at_percent: settings.critical_percent, first: largest },
            None => Next::Warn { at_percent: settings.warning_percent },
        }
    }
}

/// Bytes of services that were shed at an earlier check and have not ended yet. They will: SIGKILL sees to it.
fn still_ending(sample: &Sample, members: &Members<'_>) -> u64 {
    let is_ending = |agent| members.get(agent).is_some_and(|m| m.service && m.standing == Standing::Shed);
    sample.trees.iter().filter(|tree| is_ending(&tree.process.agent)).filter_map(|tree| tree.bytes).sum()
}

fn reaches(usage: Option<Usage>, percent: u8) -> bool {
    usage.is_some_and(|usage| usage.percent >= f64::from(percent))
}

/// Without its fraction, for sentences. A saturating cast: a small budget can be used many times over.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, and percents are positive")]
const fn whole(percent: f64) -> u16 {
    percent as u16
}
