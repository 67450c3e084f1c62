use proptest::prelude::*;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);

fn ready(agent: u32) -> BootEvent {
    BootEvent::Ready(AgentIndex(agent))
}

fn agents(indexes: &[u32]) -> Vec<AgentIndex> {
    indexes.iter().copied().map(AgentIndex).collect()
}

/// Layers of services, and of jobs from index 100 on. `edges` are (agent, its dependency).
fn boot(layers: &[&[u32]], edges: &[(u32, u32)]) -> Boot {
    let layers: Vec<Vec<BootMember>> = layers
        .iter()
        .map(|layer| layer.iter().map(|agent| BootMember { agent: AgentIndex(*agent), waits: *agent < 100 }).collect())
        .collect();
    let needs: Vec<Vec<AgentIndex>> = (0..200)
        .map(|agent| edges.iter().filter(|edge| edge.0 == agent).map(|edge| AgentIndex(edge.1)).collect())
        .collect();
    Boot::new(layers, TIMEOUT, |agent| &needs[agent.slot()])
}

fn on(boot: &mut Boot, event: BootEvent, secs: u64) -> Vec<BootAction> {
    let mut out = Vec::new();
    boot.on(event, Moment::from_secs(secs), &mut out);
    out
}

fn start(layer: u32, members: &[u32]) -> BootAction {
    BootAction::StartLayer { layer, members: agents(members) }
}

fn layer_ready(layer: u32, secs: u64, late: &[u32]) -> BootAction {
    BootAction::LayerReady { layer, took: Duration::from_secs(secs), late: agents(late) }
}

fn completed(secs: u64, late: &[u32], path: &[u32]) -> BootAction {
    BootAction::Completed { took: Duration::from_secs(secs), late: agents(late), critical_path: agents(path) }
}

#[test]
fn the_next_layer_begins_when_the_services_of_this_one_are_ready() {
    let mut boot = boot(&[&[0, 1], &[2, 3], &[4]], &[(2, 0), (3, 1), (4, 2), (4, 3)]);
    assert_eq!(boot.current_layer(), None);
    assert_eq!(on(&mut boot, BootEvent::Begin, 10), [start(0, &[0, 1])]);
    assert_eq!(boot.next_deadline(), Some(Moment::from_secs(40)));
    assert_eq!(on(&mut boot, ready(0), 11), []);
    assert_eq!(on(&mut boot, ready(1), 13), [layer_ready(0, 3, &[]), start(1, &[2, 3])]);
    assert_eq!(boot.current_layer(), Some(1));
    assert_eq!(on(&mut boot, ready(3), 14), []);
    assert_eq!(on(&mut boot, ready(2), 20), [layer_ready(1, 7, &[]), start(2, &[4])]);
    // Through 2, which was ready after 3, and its dependency 0.
    assert_eq!(on(&mut boot, ready(4), 21), [layer_ready(2, 1, &[]), completed(11, &[], &[0, 2, 4])]);
    assert!(boot.is_done());
    assert_eq!((boot.next_deadline(), boot.current_layer()), (None, None));
}

#[test]
fn a_layer_that_is_late_is_left_and_named() {
    let mut boot = boot(&[&[0, 1], &[2]], &[(2, 1)]);
    let _ = on(&mut boot, BootEvent::Begin, 0);
    let _ = on(&mut boot, ready(0), 1);
    assert_eq!(on(&mut boot, BootEvent::DeadlineReached, 29), [], "too early");
    assert_eq!(on(&mut boot, BootEvent::DeadlineReached, 30), [layer_ready(0, 30, &[1]), start(1, &[2])]);
    assert_eq!(on(&mut boot, ready(1), 31), [], "it comes late, and means nothing");
    assert_eq!(on(&mut boot, ready(2), 32), [layer_ready(1, 2, &[]), completed(32, &[1], &[1, 2])]);
}

#[test]
fn who_gave_up_is_not_waited_for() {
    let mut boot = boot(&[&[0, 1], &[2]], &[]);
    let _ = on(&mut boot, BootEvent::Begin, 0);
    let gave_up = BootEvent::GaveUp(AgentIndex(0));
    assert_eq!(on(&mut boot, gave_up, 1), []);
    assert_eq!(on(&mut boot, gave_up, 1), [], "twice");
    assert_eq!(on(&mut boot, ready(0), 2), [], "after all");
    assert_eq!(on(&mut boot, ready(1), 3), [layer_ready(0, 3, &[]), start(1, &[2])]);
}

#[test]
fn who_comes_before_its_layer_is_not_waited_for_later() {
    let mut boot = boot(&[&[0], &[1], &[2]], &[]);
    assert_eq!(on(&mut boot, ready(2), 0), [], "before the begin");
    let _ = on(&mut boot, BootEvent::Begin, 0);
    assert_eq!(on(&mut boot, ready(1), 1), []);
    let actions = on(&mut boot, ready(0), 2);
    let expected = [
        layer_ready(0, 2, &[]),
        start(1, &[1]),
        layer_ready(1, 0, &[]),
        start(2, &[2]),
        layer_ready(2, 0, &[]),
        completed(2, &[], &[0]),
    ];
    assert_eq!(actions, expected);
}

#[test]
fn layers_without_services_pass_in_the_same_call() {
    let layers: Vec<Vec<BootMember>> =
        (0..10_000).map(|agent| vec![BootMember { agent: AgentIndex(agent), waits: false }]).collect();
    let mut boot = Boot::new(layers, TIMEOUT, |_| &[]);
    let actions = on(&mut boot, BootEvent::Begin, 5);
    assert_eq!(actions.len(), 20_001);
    assert_eq!(actions.last(), Some(&completed(0, &[], &[])));
}

#[test]
fn an_empty_fleet_is_booted_at_once() {
    let mut boot = boot(&[], &[]);
    assert_eq!(on(&mut boot, BootEvent::Begin, 5), [completed(0, &[], &[])]);
    for event in [BootEvent::Begin, ready(0), BootEvent::GaveUp(AgentIndex(7)), BootEvent::DeadlineReached] {
        assert_eq!(on(&mut boot, event, 99), [], "after the end");
    }
}

#[test]
fn a_chain_of_ten_thousand_services_boots_and_is_its_own_critical_path() {
    let needs: Vec<Vec<AgentIndex>> =
        (0..10_000_u32).map(|agent| agents(&agent.checked_sub(1).map_or(vec![], |a| vec![a]))).collect();
    let layers = (0..10_000).map(|agent| vec![BootMember { agent: AgentIndex(agent), waits: true }]).collect();
    let mut boot = Boot::new(layers, TIMEOUT, |agent| &needs[agent.slot()]);
    let mut actions = on(&mut boot, BootEvent::Begin, 0);
    for agent in 0..10_000 {
        actions = on(&mut boot, ready(agent), u64::from(agent));
    }
    let Some(BootAction::Completed { critical_path, .. }) = actions.last() else { panic!("not completed") };
    assert_eq!(critical_path.len(), 10_000);
}

proptest! {
    #[test]
    fn every_layer_is_started_once_in_order_and_the_boot_always_completes(
        sizes in prop::collection::vec(0_u32..5, 0..8),
        events in prop::collection::vec((0_u8..4, 0_u32..40, 0_u64..20), 0..120),
    ) {
        let mut next = 0;
        let layers: Vec<Vec<BootMember>> = sizes.iter().map(|size| {
            let first = next;
            next += size;
            (first..next).map(|agent| BootMember { agent: AgentIndex(agent), waits: agent % 3 != 0 }).collect()
        }).collect();
        let mut boot = Boot::new(layers, TIMEOUT, |_| &[]);
        let mut now = 0;
        let mut actions = on(&mut boot, BootEvent::Begin, now);
        for (kind, agent, step) in events {
            now += step;
            let event = match kind {
                0 => BootEvent::GaveUp(AgentIndex(agent)),
                1 => BootEvent::DeadlineReached,
                _ => ready(agent),
            };
            actions.extend(on(&mut boot, event, now));
            prop_assert_eq!(boot.next_deadline().is_none(), boot.is_done());
        }
        while let Some(at) = boot.next_deadline() {
            boot.on(BootEvent::DeadlineReached, at, &mut actions);
        }
        let started: Vec<u32> = actions.iter().filter_map(|action| match action {
            BootAction::StartLayer { layer, .. } => Some(*layer),
            _ => None,
        }).collect();
        let passed: Vec<u32> = actions.iter().filter_map(|action| match action {
            BootAction::LayerReady { layer, .. } => Some(*layer),
            _ => None,
        }).collect();
        let all: Vec<u32> = (0..).take(sizes.len()).collect();
        prop_assert_eq!(&started, &all);
        prop_assert_eq!(&passed, &all);
        prop_assert_eq!(actions.iter().filter(|action| matches!(action, BootAction::Completed { .. })).count(), 1);
    }
}
