//! The causes of an agent's status.

use std::time::Duration;

use super::account::{AgentAccount, LastRun, LetterAccount, LiveAccount};
use super::link::Link;
use super::{Cause, DEPTH, FACTS, Why, advice, live, notes, outlook};
use crate::agent::InstanceView;
use crate::ids::AgentName;
use crate::reason::Reason;
use crate::spec::ReadyCheck;
use crate::status::Status;
use crate::time::{Clocks, Timestamp};

/// Restarts are told for so long.
pub(super) const LATELY: Duration = Duration::from_hours(1);
/// Dead letters that are named as a cause: as many as open a breaker.
const LETTERS: usize = 3;

/// Explains an agent.
pub fn of_agent(account: &AgentAccount, now: Clocks) -> Why {
    let mut chain = Vec::new();
    causes(account, now, 0, &mut chain);
    let why = Why {
        subject: "agent",
        agent: account.name().clone(),
        run_id: None,
        state: account.status.to_string(),
        since: since(account, now),
        summary: String::new(),
        chain,
        notes: notes::of_agent(account, now),
        next: outlook::next(account, now),
        actions: advice::of_agent(account),
        facts: account.last_facts(),
        last_words: account.last_words.clone().filter(|_| account.failed_lately()),
    };
    why.summarize(now.wall)
}

impl AgentAccount {
    /// Its name.
    pub(super) fn name(&self) -> &AgentName {
        &self.spec.name
    }

    /// Whether its last failure still says something about how it is.
    fn failed_lately(&self) -> bool {
        !matches!(self.status, Status::Running | Status::Starting) || !self.restarts.is_empty()
    }

    /// The last ones that are shown.
    pub(super) fn last_facts(&self) -> Vec<super::Fact> {
        self.facts[self.facts.len().saturating_sub(FACTS)..].to_vec()
    }

    /// Its executions that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &LiveAccount> {
        self.live.iter().filter(|live| live.standing.live.running)
    }

    /// Its executions that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &LiveAccount> {
        self.live.iter().filter(|live| !live.standing.live.running)
    }

    /// The instances because of which it has its status.
    pub(super) fn worst(&self) -> Vec<&InstanceView> {
        let of = |status: Status| self.instances.iter().filter(|i| i.status == status).collect::<Vec<_>>();
        let worst = of(self.status);
        // What waits for room for restarts is queued by its own account.
        if worst.is_empty() { of(Status::Queued) } else { worst }
    }

    /// When the last fact of one of these topics was recorded.
    pub(super) fn last(&self, topics: &[&str]) -> Option<Timestamp> {
        self.facts.iter().rev().find(|fact| topics.contains(&&*fact.topic)).map(|fact| fact.at)
    }
}

/// The causes of its status, and theirs.
pub(super) fn causes(account: &AgentAccount, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    if let Some(reason) = &account.closed
        && (account.status.is_disabled() || account.status == Status::Stopped)
    {
        chain.push(Cause::of_reason(depth, reason).at(account.last(&["agent.disabled", "agent.stopped"])));
        return behind_closed(account, now, depth + 1, chain);
    }
    let at_rest = matches!(account.status, Status::Idle | Status::Stopped);
    if let Some(layer) = account.layer.filter(|_| at_rest) {
        chain.push(Cause::of(depth, &Reason::WaitingForLayer { layer }));
    } else if account.spec.job().is_some() {
        of_job(account, now, depth, chain);
    } else {
        of_service(account, now, depth, chain);
    }
}

/// What is behind a status that closes it.
fn behind_closed(account: &AgentAccount, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    match account.status {
        Status::DisabledByFailure => {
            chain.extend(notes::restarted_lately(account, depth));
            let letters = account.letters.iter().take(LETTERS);
            chain.extend(letters.map(|letter| letter_cause(depth, letter, now)));
        }
        Status::DisabledByMemory => {
            chain.extend(account.memory.as_ref().map(|memory| {
                let others = memory.shed.iter().filter(|other| *other != account.name()).cloned().collect();
                let (level, percent, recover_percent) = (memory.level, memory.percent, memory.recover_percent);
                Cause::of(depth, &Link::Memory { level, percent, recover_percent, others })
            }));
        }
        Status::Stopped => {
            let by = account.instances.iter().find_map(|instance| match &instance.reason {
                Some(reason @ Reason::ByOperator { .. }) => Some(reason),
                _ => None,
            });
            chain.extend(by.map(|reason| Cause::of(depth, reason)));
        }
        _ => {}
    }
}

/// A dead letter as a cause or a note.
pub(super) fn letter_cause(depth: usize, letter: &LetterAccount, now: Clocks) -> Cause {
    let LetterAccount { id, run, at, error, state, replay } = letter;
    let link =
        Link::DeadLetter { id: *id, run: *run, error: error.clone(), state, replay: *replay, ago: now.wall.since(*at) };
    Cause::of(depth, &link).at(Some(*at)).of_run(*run)
}

/// The last end as a cause or a note.
pub(super) fn last_run_cause(depth: usize, last: &LastRun, now: Clocks) -> Cause {
    let LastRun { run, end, at, attempts, reason } = last;
    let (ago, reason) = (now.wall.since(*at), reason.clone());
    let link = Link::LastRun { run: *run, end: end.clone(), attempts: *attempts, ago, reason };
    Cause::of(depth, &link).at(Some(*at)).of_run(*run)
}

// ---- jobs ----

fn of_job(account: &AgentAccount, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    match account.status {
        Status::Running | Status::Stopping => {
            for live in account.running() {
                live::running(account, live, Some(live.standing.live.run), now, depth, chain);
            }
        }
        Status::Queued | Status::BackingOff => {
            if let Some(first) = account.waiting().next() {
                live::waiting(account, first, now, depth, chain);
            }
        }
        Status::Error | Status::Timeout | Status::Missing => {
            let failed = |last: &&LastRun| matches!(&*last.end, "failed" | "timed_out" | "lost");
            let last = account.last.as_ref().filter(failed);
            let error = account.error.clone().or_else(|| last.and_then(|last| last.reason.clone()));
            // What came after it, and is no end of that kind, is told as well.
            let told = |last: &LastRun| LastRun {
                reason: last.reason.clone().filter(|r| Some(r) != error.as_ref()),
                ..last.clone()
            };
            let last = account.last.as_ref().map(|last| last_run_cause(depth + 1, &told(last), now));
            chain.push(Cause::of(depth, &Reason::LastEnd { status: account.status, error }));
            chain.extend(last);
            let letter = account.letters.first();
            chain.extend(letter.map(|letter| letter_cause(depth + 1, letter, now)));
        }
        _ => {
            if account.paused {
                chain.push(Cause::of(depth, &Reason::Paused));
            }
            chain.push(Cause::of(depth, &Link::AwaitsTrigger { triggers: triggers(account) }));
        }
    }
}

fn triggers(account: &AgentAccount) -> Vec<String> {
    let Some(triggers) = account.spec.job().map(|job| &job.triggers) else { return Vec::new() };
    let schedule = triggers.schedule.iter().map(|schedule| format!("schedule \"{schedule}\" {}", triggers.timezone));
    let every = triggers.every.iter().map(|every| format!("every {}", crate::time::human(*every)));
    let subject = triggers.subject.iter().map(|subject| format!("subject {subject}"));
    let after = triggers.after.iter().map(|agent| format!("after {agent}"));
    schedule.chain(every).chain(subject).chain(after).collect()
}

// ---- services ----

fn of_service(account: &AgentAccount, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    let worst = account.worst();
    if worst.is_empty() {
        chain.push(Cause::of(depth, &Link::Unknown));
    }
    let several = account.instances.len() > 1 && account.status != Status::Running;
    if account.status == Status::Running {
        return chain.push(Cause::of(depth, &up(account, now)));
    }
    for instance in worst {
        let mut depth = depth;
        if several {
            let instances = u16::try_from(account.instances.len()).unwrap_or(u16::MAX);
            let (number, status) = (instance.instance, instance.status);
            chain.push(Cause::of(depth, &Link::Instance { instance: number, instances, status }));
            depth += 1;
        }
        of_instance(account, instance, now, depth, chain);
    }
}

fn up(account: &AgentAccount, now: Clocks) -> Link {
    let oldest = account.instances.iter().filter_map(|instance| instance.since).min();
    let up = oldest.map_or(Duration::ZERO, |since| now.steady.since(since));
    Link::Up { pids: account.pids.clone(), up }
}

fn of_instance(account: &AgentAccount, instance: &InstanceView, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    let begin = chain.len();
    match instance.status {
        Status::Queued => {
            let start = |live: &&LiveAccount| live.standing.instance == Some(instance.instance);
            if let Some(start) = account.live.iter().find(start) {
                live::waiting(account, start, now, depth, chain);
            }
        }
        Status::Starting => chain.push(Cause::of(depth, &not_ready(account, instance, now))),
        Status::Unhealthy => {
            let ill = instance.illness.iter().flat_map(|illness| illness.reasons.iter());
            chain.extend(ill.map(|reason| Cause::of(depth, reason)));
            if chain.len() == begin {
                chain.extend(instance.reason.as_ref().map(|reason| Cause::of(depth, reason)));
            }
            let at = instance.illness.as_ref().map(|illness| illness.since);
            chain[begin..].iter_mut().for_each(|cause| cause.at = at);
            let probes =
                account.probes.iter().filter(|probe| probe.instance == instance.instance && probe.failures > 0);
            chain.extend(probes.map(|probe| notes::probe_cause(depth + 1, probe)));
        }
        Status::Stopping => {
            chain.extend(instance.reason.as_ref().map(|reason| Cause::of(depth, reason)));
            let (signal, timeout) = (account.spec.stop.signal.to_string(), account.spec.stop.timeout);
            chain.push(Cause::of(depth + 1, &Link::AskedToEnd { signal, timeout }));
        }
        _ => {
            chain.extend(instance.reason.as_ref().map(|reason| Cause::of_reason(depth, reason)));
            if chain.len() == begin && account.shutting_down {
                chain.push(Cause::of(depth, &Reason::ShuttingDown));
            }
        }
    }
    if chain.len() == begin {
        chain.push(Cause::of(depth, &Link::Unknown));
    }
}

fn not_ready(account: &AgentAccount, instance: &InstanceView, now: Clocks) -> Link {
    let check = match account.spec.service().map(|service| &service.ready.check) {
        Some(ReadyCheck::After(after)) => format!("it has to live for {}", crate::time::human(*after)),
        Some(ReadyCheck::Notify) => "it has to say READY=1".to_owned(),
        Some(ReadyCheck::Http(url)) => format!("{url} has to answer"),
        Some(ReadyCheck::Tcp(address)) => format!("{address} has to accept a connection"),
        Some(ReadyCheck::Log(pattern)) => format!("a line of its output has to match {pattern}"),
        Some(ReadyCheck::Bus) | None => "it has to answer on the bus".to_owned(),
    };
    Link::NotReadyYet { check, starting: instance.since.map_or(Duration::ZERO, |since| now.steady.since(since)) }
}

// ---- dependencies ----

/// The dependencies that are not as they have to be, each with its causes.
pub(super) fn dependencies(account: &AgentAccount, now: Clocks, depth: usize, chain: &mut Vec<Cause>) {
    for unhealthy in &account.unhealthy {
        let problem = &unhealthy.problem;
        let mut behind = Vec::new();
        if let Some(account) = unhealthy.account.as_ref().filter(|_| depth <= DEPTH) {
            causes(account, now, depth, &mut behind);
        }
        let mut behind = behind.into_iter();
        // The first of its causes is told in the same line.
        let first = behind.next();
        let error = first.as_ref().map(|first| first.text.clone()).or_else(|| problem.error.clone());
        let link = Link::Dependency { dependency: problem.dep.clone(), reason: problem.reason, error };
        let mut cause = Cause::of(depth, &link).about(&problem.dep);
        if let Some(Cause { code, data, at, .. }) = first {
            cause.at = at;
            cause.data["cause"] = data;
            cause.data["cause"]["code"] = code.into();
        }
        chain.push(cause);
        chain.extend(behind.map(|cause| Cause { agent: cause.agent.or_else(|| Some(problem.dep.clone())), ..cause }));
    }
}

/// Since when it has its status.
fn since(account: &AgentAccount, now: Clocks) -> Option<Timestamp> {
    if account.closed.is_some() && (account.status.is_disabled() || account.status == Status::Stopped) {
        return account.last(&["agent.disabled", "agent.stopped"]);
    }
    let oldest = |instance: &InstanceView| instance.since.map(|since| now.wall_at(since));
    match account.status {
        Status::Running | Status::Starting if account.spec.job().is_none() => {
            account.worst().into_iter().filter_map(oldest).min()
        }
        Status::Running if account.spec.job().is_some() => {
            account.running().filter_map(|live| live.standing.granted).min().map(|since| now.wall_at(since))
        }
        Status::Unhealthy => account.instances.iter().filter_map(|i| Some(i.illness.as_ref()?.since)).min(),
        Status::Queued => account.waiting().next().map(|live| now.wall_at(live.standing.accepted)),
        Status::BackingOff if account.spec.job().is_some() => {
            let failed = account.waiting().find_map(|live| live.standing.failed.as_ref());
            failed.map(|attempt| attempt.started_at + attempt.duration)
        }
        Status::Error | Status::Timeout | Status::Missing | Status::Idle if account.spec.job().is_some() => {
            account.last.as_ref().map(|last| last.at)
        }
        Status::BackingOff | Status::Error | Status::Missing | Status::Stopped => {
            account.last(&["agent.failed", "agent.stopped"])
        }
        _ => None,
    }
}
