//! One run, from the snapshot to the report.

use std::rc::Rc;

use werkpilot_core::agent::Event as ToAgent;
use werkpilot_core::breaker::BreakerState;
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::optimizer::{
    Applied, Decision, Findings, Member, Question, Report, ReportSummary, WINDOW, Window, examine,
};
use werkpilot_core::settings::QueueSettings;
use werkpilot_core::status::Status;
use werkpilot_core::time::Timestamp;
use werkpilot_store::Change;
use werkpilot_store::row::optimizer::ReportRow;

use super::{OptimizeError, care, history, review};
use crate::agents::supervisor::SettleGraph;
use crate::clock::Clock;
use crate::house::{House, HousePhase};
use crate::state::ReadError;
use crate::work::queue::effective_workers;

/// Marks the book while a run goes on; the mark goes with it, whatever ends it.
struct Mark(Rc<House>);

impl Mark {
    fn set(house: &Rc<House>, by: &str, at: Timestamp) -> Result<Self, OptimizeError> {
        if house.phase.get() == HousePhase::ShuttingDown {
            return Err(OptimizeError::ShuttingDown);
        }
        let mut book = house.optimizer.borrow_mut();
        if let Some((by, since)) = book.running() {
            return Err(OptimizeError::Running { by, since });
        }
        book.set_running(Some((by.to_owned(), at)));
        Ok(Self(house.clone()))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // While the book is borrowed nobody drops this but a panic, and the successor wipes the mark away.
        if let Ok(mut book) = self.0.optimizer.try_borrow_mut() {
            book.set_running(None);
        }
    }
}

/// Looks back; unless it is a dry run: tidies, keeps the report with the decisions, and applies these.
pub(super) async fn run(house: Rc<House>, dry_run: bool, by: String) -> Result<Report, OptimizeError> {
    let begun = house.now();
    let mark = Mark::set(&house, &by, begun.wall)?;
    adopt(&house).await?;
    let question = question(&house, begun.wall);
    let asked = question.clone();
    let looked = house.ledger.read(move |reader| history::look(reader, asked)).await;
    let (window, findings) = match looked {
        Ok(looked) => looked,
        // Nothing is kept, so that there is nothing to look at.
        Err(ReadError::NotKept) => (question.window, examine(&question, &[])),
        Err(error) => return Err(error.into()),
    };
    let apply = house.settings.borrow().optimizer.apply;
    let mut report = Report {
        id: None,
        at: begun.wall,
        by,
        window,
        findings,
        apply,
        applied: Vec::new(),
        trials: Vec::new(),
        care: None,
        duration: house.clock.steady().since(begun.steady),
    };
    if dry_run {
        return Ok(report);
    }
    report.care = Some(care::take(&house).await);
    if house.phase.get() == HousePhase::ShuttingDown {
        return Err(OptimizeError::ShuttingDown);
    }
    let trials = candidates(&house);
    report.trials = trials.iter().map(|(_, name)| name.clone()).collect();
    let id = house.optimizer.borrow().newest_report.as_ref().map_or(0, |newest| newest.id) + 1;
    report.id = Some(id);
    let decisions = if apply { decide(&house, &report.findings, id) } else { Vec::new() };
    report.applied = decisions.iter().map(|(proposal, decision)| applied(*proposal, decision)).collect();
    report.duration = house.clock.steady().since(begun.steady);
    let row = ReportRow::of(&report);
    let summary = row.as_ref().map(ReportSummary::from);
    let mut batch: Vec<Change> = row.map(|row| Change::AddReport(Box::new(row))).into_iter().collect();
    batch.extend(decisions.iter().map(|(_, decision)| Change::PutDecision(Box::new(decision.into()))));
    house.ledger.kept(batch).await?;
    house.optimizer.borrow_mut().newest_report = summary;
    carry_out(&house, id, decisions, &trials);
    house.emit(completed(&report, id));
    drop(mark);
    Ok(report)
}

/// A report and decisions that are on disk though nobody could say so: they are in effect.
async fn adopt(house: &House) -> Result<(), OptimizeError> {
    let read = house.ledger.read(|reader| Ok((reader.reports(None, 1)?.pop(), reader.decisions()?))).await;
    let (newest, decisions) = match read {
        Ok(read) => read,
        Err(ReadError::NotKept) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let newest = newest.as_ref().map(ReportSummary::from);
    if house.optimizer.borrow_mut().adopt(newest, &decisions) {
        house.posts.supervisor.tell(SettleGraph);
    }
    Ok(())
}

/// What is on disk takes effect.
fn carry_out(house: &House, report: u64, decisions: Vec<(u32, Decision)>, trials: &[(AgentIndex, AgentName)]) {
    let any = !decisions.is_empty();
    for (_, decision) in decisions {
        house.emit(Event::PriorityDecided {
            agent: decision.agent.clone(),
            decision: decision.id,
            report,
            from: decision.from.number(),
            to: decision.to.number(),
            because: decision.because.clone(),
        });
        house.optimizer.borrow_mut().decisions.put(decision);
    }
    if any {
        // The registry may have changed while the disk was at it.
        review(house);
        house.posts.supervisor.tell(SettleGraph);
    }
    for (agent, _) in trials {
        house.deliver(*agent, ToAgent::Trial);
    }
}

fn completed(report: &Report, id: u64) -> Event {
    let counted = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Event::OptimizationCompleted {
        report: id,
        by: report.by.clone(),
        proposals: counted(report.findings.proposals.len()),
        applied: counted(report.applied.len()),
        trials: counted(report.trials.len()),
        duration: report.duration,
    }
}

fn applied(proposal: u32, decision: &Decision) -> Applied {
    Applied { decision: decision.id, proposal, agent: decision.agent.clone(), from: decision.from, to: decision.to }
}

fn decide(house: &House, findings: &Findings, report: u64) -> Vec<(u32, Decision)> {
    let directory = house.directory.borrow();
    let registry = |agent: &AgentName| Some(directory.get(directory.find(agent.as_str())?)?.spec.priority);
    house.optimizer.borrow().decisions.decide(&findings.proposals, report, Clock::wall(), registry)
}

/// Agents that are disabled by failure and wait for their cooldown.
fn candidates(house: &House) -> Vec<(AgentIndex, AgentName)> {
    let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
    let waits = directory.iter().filter(|(index, slot)| {
        dispatcher.status(*index) == Status::DisabledByFailure
            && matches!(slot.machine.borrow().breaker_state(), BreakerState::Open { .. })
    });
    waits.map(|(index, slot)| (index, slot.name.clone())).collect()
}

/// The fleet as it is now; what is in the history is added on the reader's thread.
fn question(house: &House, now: Timestamp) -> Question {
    let (directory, book) = (house.directory.borrow(), house.optimizer.borrow());
    let settings = house.settings.borrow();
    let window = WINDOW.min(settings.history.keep);
    let back = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let from = Timestamp::from_millis(now.as_millis().saturating_sub(back));
    let members = directory.iter().filter(|(index, slot)| directory.find(slot.name.as_str()) == Some(*index));
    let members = members.map(|(_, slot)| {
        let job = slot.spec.job();
        Member {
            job: job.is_some(),
            timeout: job.and_then(|job| job.timeout),
            schedule: job.and_then(|job| job.triggers.schedule.clone()),
            jitter: job.map(|job| job.jitter).unwrap_or_default(),
            held: book.decisions.is_held(&slot.name, slot.spec.priority),
            ..Member::job(slot.name.clone(), house.priority_of(&slot.spec))
        }
    });
    Question {
        window: Window { from, to: now, executions: 0, truncated: false },
        members: members.collect(),
        workers: house.dispatcher.borrow().workers().1,
        auto_workers: effective_workers(&QueueSettings { workers: None, ..settings.queue.clone() }),
        before: Vec::new(),
    }
}
