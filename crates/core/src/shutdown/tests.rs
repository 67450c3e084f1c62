use proptest::prelude::*;

use super::*;
use crate::backoff::Dice;

const GRACE: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);

fn job(agent: u32) -> RunningJob {
    RunningJob { agent: AgentIndex(agent), stop_timeout: STOP }
}

fn service(agent: u32, dependents: &[u32]) -> RunningService {
    RunningService { agent: AgentIndex(agent), stop_timeout: STOP, dependents: agents(dependents) }
}

fn agents(indexes: &[u32]) -> Vec<AgentIndex> {
    indexes.iter().copied().map(AgentIndex).collect()
}

fn ended(agent: u32) -> ShutdownEvent {
    ShutdownEvent::AgentEnded { agent: AgentIndex(agent), forced: false }
}

fn stop(agent: u32) -> ShutdownAction {
    ShutdownAction::StopService(AgentIndex(agent))
}

fn on(shutdown: &mut Shutdown, event: ShutdownEvent, secs: u64) -> Vec<ShutdownAction> {
    let mut out = Vec::new();
    shutdown.on(event, Moment::from_secs(secs), &mut out);
    out
}

/// Through steps 1 and 2, at second 0; answers what step 3 begins with.
fn enter_step_3(shutdown: &mut Shutdown) -> Vec<ShutdownAction> {
    assert_eq!(on(shutdown, ShutdownEvent::Begin, 0), [ShutdownAction::EnterStep(Step::StopCron)]);
    let entered = on(shutdown, ShutdownEvent::StepDone(Step::StopCron), 0);
    assert_eq!(entered, [ShutdownAction::EnterStep(Step::StopHealth)]);
    let mut actions = on(shutdown, ShutdownEvent::StepDone(Step::StopHealth), 0);
    assert_eq!(actions.remove(0), ShutdownAction::EnterStep(Step::WaitForAgents));
    actions
}

/// Through steps 5 and 6; answers the summary.
fn leave(shutdown: &mut Shutdown, secs: u64) -> ShutdownSummary {
    let entered = on(shutdown, ShutdownEvent::StepDone(Step::StopDashboard), secs);
    assert_eq!(entered, [ShutdownAction::EnterStep(Step::Cleanup)]);
    let finished = on(shutdown, ShutdownEvent::StepDone(Step::Cleanup), secs);
    let [ShutdownAction::Finished(summary)] = &finished[..] else { panic!("{finished:?}") };
    assert!(shutdown.is_finished() && shutdown.next_deadline().is_none());
    summary.clone()
}

const STEPS_4_AND_5: [ShutdownAction; 2] =
    [ShutdownAction::EnterStep(Step::TerminateAgents), ShutdownAction::EnterStep(Step::StopDashboard)];

#[test]
fn the_six_lines_are_the_predecessors() {
    let steps = [
        Step::StopCron,
        Step::StopHealth,
        Step::WaitForAgents,
        Step::TerminateAgents,
        Step::StopDashboard,
        Step::Cleanup,
    ];
    let lines = [
        "[1/6] Stopping cron jobs...",
        "[2/6] Stopping health monitoring...",
        "[3/6] Waiting for running agents to complete...",
        "[4/6] Terminating remaining agent processes...",
        "[5/6] Stopping dashboard server...",
        "[6/6] Final cleanup...",
    ];
    assert_eq!(steps.map(Step::text), lines);
}

#[test]
fn an_empty_fleet_goes_through_all_six_steps() {
    let mut shutdown = Shutdown::new(&[], &[], GRACE);
    assert_eq!(enter_step_3(&mut shutdown), STEPS_4_AND_5);
    let took = Duration::from_secs(2);
    assert_eq!(leave(&mut shutdown, 2), ShutdownSummary { took, ..ShutdownSummary::default() });
}

#[test]
fn a_chain_of_services_is_stopped_from_its_far_end() {
    // 0 ← 1 ← 2 ← job 3; agent 9 depends on 0, too, but does not run.
    let services = [service(0, &[1, 9]), service(1, &[2]), service(2, &[3])];
    let mut shutdown = Shutdown::new(&[job(3)], &services, GRACE);
    assert_eq!(enter_step_3(&mut shutdown), []);
    assert_eq!(shutdown.next_deadline(), Some(Moment::from_secs(20)));
    assert_eq!(on(&mut shutdown, ended(3), 1), [stop(2)]);
    assert_eq!(on(&mut shutdown, ended(2), 2), [stop(1)]);
    assert_eq!(on(&mut shutdown, ended(1), 3), [stop(0)]);
    assert_eq!(shutdown.next_deadline(), Some(Moment::from_secs(30)));
    assert_eq!(on(&mut shutdown, ended(0), 4), STEPS_4_AND_5);
    let summary = leave(&mut shutdown, 5);
    assert_eq!(summary.graceful, agents(&[3, 2, 1, 0]));
    assert_eq!((summary.forced, summary.took), (vec![], Duration::from_secs(5)));
}

#[test]
fn a_service_is_stopped_at_the_latest_its_stop_timeout_before_the_end_of_the_grace() {
    let mut slow = service(0, &[2]);
    slow.stop_timeout = Duration::from_secs(25);
    let mut shutdown = Shutdown::new(&[job(2)], &[slow, service(1, &[2])], GRACE);
    assert_eq!(enter_step_3(&mut shutdown), []);
    assert_eq!(on(&mut shutdown, ShutdownEvent::DeadlineReached, 4), [], "too early");
    assert_eq!(on(&mut shutdown, ShutdownEvent::DeadlineReached, 5), [stop(0)]);
    assert_eq!(on(&mut shutdown, ShutdownEvent::DeadlineReached, 20), [stop(1)]);
    assert_eq!(on(&mut shutdown, ended(2), 21), [], "both were told already");
    assert_eq!(on(&mut shutdown, ended(1), 22), []);
    assert_eq!(on(&mut shutdown, ended(0), 23), STEPS_4_AND_5);
}

#[test]
fn a_service_that_needs_all_of_the_grace_is_stopped_at_once() {
    let mut shutdown = Shutdown::new(&[job(1)], &[service(0, &[1])], STOP);
    assert_eq!(enter_step_3(&mut shutdown), [stop(0)]);
}

#[test]
fn stubborn_agents_are_terminated_after_the_grace_even_if_they_wait_for_each_other() {
    let mut shutdown = Shutdown::new(&[job(2)], &[service(0, &[1]), service(1, &[0])], GRACE);
    assert_eq!(enter_step_3(&mut shutdown), []);
    assert_eq!(on(&mut shutdown, ShutdownEvent::DeadlineReached, 20), [stop(1), stop(0)]);
    let forced = [ShutdownAction::EnterStep(Step::TerminateAgents), ShutdownAction::TerminateAll(agents(&[0, 1, 2]))];
    assert_eq!(on(&mut shutdown, ShutdownEvent::DeadlineReached, 30), forced);
    assert_eq!(on(&mut shutdown, ended(1), 31), []);
    assert_eq!(on(&mut shutdown, ended(0), 40), []);
    // A process that even SIGKILL does not end holds the shutdown up for 5 s at most.
    assert_eq!(on(&mut shutdown, ShutdownEvent::DeadlineReached, 44), []);
    let given_up = on(&mut shutdown, ShutdownEvent::DeadlineReached, 45);
    assert_eq!(given_up, [ShutdownAction::EnterStep(Step::StopDashboard)]);
    assert_eq!(shutdown.alive().collect::<Vec<_>>(), agents(&[2]));
    let summary = leave(&mut shutdown, 46);
    assert_eq!((summary.graceful, summary.forced), (vec![], agents(&[0, 1, 2])));
}

#[test]
fn a_second_signal_goes_straight_to_step_4() {
    for steps_done in 0..3 {
        let mut shutdown = Shutdown::new(&[job(1)], &[service(0, &[1])], GRACE);
        let _ = on(&mut shutdown, ShutdownEvent::Begin, 0);
        for step in [Step::StopCron, Step::StopHealth].into_iter().take(steps_done) {
            let _ = on(&mut shutdown, ShutdownEvent::StepDone(step), 0);
        }
        let actions = on(&mut shutdown, ShutdownEvent::SecondSignal, 1);
        let expected =
            [ShutdownAction::EnterStep(Step::TerminateAgents), ShutdownAction::TerminateAll(agents(&[0, 1]))];
        assert_eq!(actions, expected, "after {steps_done} steps");
        for late in [ShutdownEvent::StepDone(Step::StopCron), ShutdownEvent::SecondSignal, ShutdownEvent::Begin] {
            assert_eq!(on(&mut shutdown, late, 1), [], "{late:?}");
        }
        assert_eq!(on(&mut shutdown, ended(0), 2), []);
        assert_eq!(on(&mut shutdown, ended(1), 2), [ShutdownAction::EnterStep(Step::StopDashboard)]);
        assert_eq!(on(&mut shutdown, ShutdownEvent::StepDone(Step::StopHealth), 3), [], "overtaken work");
        assert_eq!(leave(&mut shutdown, 3).forced, agents(&[0, 1]));
    }
}

#[test]
fn what_ends_before_step_3_is_not_waited_for() {
    let mut shutdown = Shutdown::new(&[job(1)], &[service(0, &[1])], GRACE);
    assert_eq!(on(&mut shutdown, ShutdownEvent::SecondSignal, 0), [], "before the first");
    assert_eq!(on(&mut shutdown, ended(1), 0), []);
    assert_eq!(enter_step_3(&mut shutdown), [stop(0)]);
    for nobody in [ended(1), ended(77), ShutdownEvent::StepDone(Step::WaitForAgents)] {
        assert_eq!(on(&mut shutdown, nobody, 1), [], "{nobody:?}");
    }
    assert_eq!(on(&mut shutdown, ended(0), 1), STEPS_4_AND_5);
    assert_eq!(leave(&mut shutdown, 1).graceful, agents(&[1, 0]));
}

#[test]
fn ten_thousand_services_in_a_chain_are_no_trouble() {
    let services: Vec<_> = (0..10_000).map(|agent| service(agent, &[agent + 1])).collect();
    let mut shutdown = Shutdown::new(&[], &services, GRACE);
    assert_eq!(enter_step_3(&mut shutdown), [stop(9_999)]);
    for agent in (1..10_000).rev() {
        assert_eq!(on(&mut shutdown, ended(agent), 1), [stop(agent - 1)]);
    }
    assert_eq!(on(&mut shutdown, ended(0), 1), STEPS_4_AND_5);
}

proptest! {
    /// A fleet with any dependencies (cycles included), of which some agents end at once when told, some late, some
    /// never; and perhaps a second signal.
    #[test]
    fn a_shutdown_always_finishes_in_order_and_in_time(
        seed: u64,
        size in 0_u32..12,
        edges in prop::collection::vec((0_u32..12, 0_u32..12), 0..30),
        second_signal in prop::option::of(0_u64..60),
    ) {
        let mut dice = Dice::new(seed);
        let dependents = |agent: u32| edges.iter().filter(|edge| edge.1 == agent).map(|edge| edge.0).collect::<Vec<_>>();
        let jobs: Vec<_> = (0..size).filter(|agent| agent % 3 == 0).map(job).collect();
        let services: Vec<_> =
            (0..size).filter(|agent| agent % 3 != 0).map(|agent| service(agent, &dependents(agent))).collect();
        let mut shutdown = Shutdown::new(&jobs, &services, GRACE);
        let mut ends: BTreeSet<(u64, u32)> = jobs.iter().map(|job| (dice.next_u64() % 90, job.agent.0)).collect();
        let (mut steps, mut stopped, mut gone) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut summary = None;
        let mut events = vec![ShutdownEvent::Begin];
        for now in 0..200 {
            if second_signal == Some(now) {
                events.push(ShutdownEvent::SecondSignal);
            }
            while let Some((at, agent)) = ends.first().copied().filter(|(at, _)| *at <= now) {
                ends.remove(&(at, agent));
                gone.insert(agent);
                events.push(ended(agent));
            }
            if shutdown.next_deadline().is_some_and(|at| at <= Moment::from_secs(now)) {
                events.push(ShutdownEvent::DeadlineReached);
            }
            while let Some(event) = (!events.is_empty()).then(|| events.remove(0)) {
                for action in on(&mut shutdown, event, now) {
                    match action {
                        ShutdownAction::EnterStep(step) => {
                            prop_assert!(steps.last().is_none_or(|last| *last < step), "{:?} then {step:?}", steps);
                            steps.push(step);
                            if !matches!(step, Step::WaitForAgents | Step::TerminateAgents) {
                                events.push(ShutdownEvent::StepDone(step));
                            }
                        }
                        ShutdownAction::StopService(agent) => {
                            prop_assert!(stopped.insert(agent.0), "told once");
                            prop_assert!(agent.0 % 3 != 0, "a job may finish");
                            if dice.unit() < 0.7 {
                                ends.insert((now + dice.next_u64() % 15, agent.0));
                            }
                        }
                        ShutdownAction::TerminateAll(forced) => {
                            ends.extend(forced.iter().filter(|_| dice.unit() < 0.9).map(|agent| (now + 3, agent.0)));
                        }
                        ShutdownAction::Finished(done) => summary = Some(done),
                    }
                }
            }
        }
        let summary = summary.expect("it finished");
        prop_assert!(summary.took <= GRACE + STOP + KILLED_WITHIN + Duration::from_secs(2));
        let named: BTreeSet<_> = summary.graceful.iter().chain(&summary.forced).map(|agent| agent.0).collect();
        prop_assert_eq!(named.len(), summary.graceful.len() + summary.forced.len(), "nobody is named twice");
        prop_assert_eq!(named, (0..size).collect::<BTreeSet<_>>(), "everybody is named");
        if second_signal.is_none() {
            prop_assert_eq!(steps.len(), 6);
        }
    }
}

#[test]
fn a_service_that_needed_sigkill_in_step_3_was_forced() {
    let service = RunningService { agent: AgentIndex(1), stop_timeout: Duration::from_secs(1), dependents: Vec::new() };
    let mut shutdown = Shutdown::new(&[], &[service], Duration::from_secs(30));
    let mut out = Vec::new();
    let events = [
        ShutdownEvent::Begin,
        ShutdownEvent::StepDone(Step::StopCron),
        ShutdownEvent::StepDone(Step::StopHealth),
        ShutdownEvent::AgentEnded { agent: AgentIndex(1), forced: true },
        ShutdownEvent::StepDone(Step::StopDashboard),
        ShutdownEvent::StepDone(Step::Cleanup),
    ];
    for event in events {
        shutdown.on(event, Moment::ZERO, &mut out);
    }
    let summary = ShutdownSummary { forced: vec![AgentIndex(1)], ..ShutdownSummary::default() };
    assert_eq!(out.last(), Some(&ShutdownAction::Finished(summary)));
}
