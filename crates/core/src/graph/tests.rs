use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn member(text: &str, needs: &[&str], layer: Option<u32>) -> GraphMember {
    (name(text), needs.iter().map(|needed| name(needed)).collect(), layer)
}

/// db ← cache ← api ← web, db ← worker (pushed to layer 5) ← report.
fn fleet() -> Vec<GraphMember> {
    vec![
        member("web", &["api", "db"], None),
        member("api", &["cache"], None),
        member("cache", &["db"], None),
        member("db", &[], None),
        member("worker", &["db"], Some(5)),
        member("report", &["worker"], Some(2)),
    ]
}

fn slots(agents: &[AgentIndex]) -> Vec<u32> {
    agents.iter().map(|agent| agent.0).collect()
}

#[test]
fn depth_is_the_longest_path_and_a_layer_is_later_than_those_of_its_dependencies() {
    let graph = Graph::new(&fleet()).unwrap();
    let all = |rank: &dyn Fn(AgentIndex) -> u32| (0..6).map(|slot| rank(AgentIndex(slot))).collect::<Vec<_>>();
    assert_eq!(all(&|agent| graph.depth(agent)), [3, 2, 1, 0, 1, 2]);
    assert_eq!(all(&|agent| graph.layer(agent)), [3, 2, 1, 0, 5, 6]);
    let layers: Vec<_> = graph.layers().iter().map(|layer| slots(layer)).collect();
    assert_eq!(layers, [[3], [2], [1], [0], [4], [5]], "empty layers are left out");
}

#[test]
fn impact_is_everybody_who_depends_on_it_nearest_first() {
    let graph = Graph::new(&fleet()).unwrap();
    assert_eq!(slots(&graph.impact(AgentIndex(3))), [0, 2, 4, 1, 5]);
    assert_eq!(slots(&graph.impact(AgentIndex(0))), [0; 0]);
    assert_eq!(slots(graph.dependents(AgentIndex(3))), [0, 2, 4]);
    assert_eq!(slots(graph.dependencies(AgentIndex(0))), [1, 3]);
}

#[test]
fn an_agent_that_is_not_in_the_graph_any_more_has_nobody_around_it() {
    let (graph, gone) = (Graph::new(&fleet()).unwrap(), AgentIndex(6));
    assert_eq!((graph.len(), graph.depth(gone), graph.layer(gone)), (6, 0, 0));
    assert_eq!((graph.dependents(gone), graph.dependencies(gone), graph.impact(gone)), (&[][..], &[][..], vec![]));
}

#[test]
fn a_dependency_named_twice_counts_once() {
    let graph = Graph::new(&[member("a", &["b", "b"], None), member("b", &[], None)]).unwrap();
    assert_eq!(graph.dependencies(AgentIndex(0)).len(), 1);
}

#[test]
fn faults_name_the_agents() {
    let text = |agents: &[GraphMember]| Graph::new(agents).unwrap_err().to_string();
    assert_eq!(text(&[member("a", &["b"], None)]), "agent `a` depends on `b`, which is not in the registry");
    assert_eq!(text(&[member("a", &[], None), member("a", &[], None)]), "agent `a` is there twice");
    assert_eq!(text(&[member("a", &["a"], None)]), "dependencies form a cycle: a → a");
    let looped = [
        member("into", &["a"], None),
        member("a", &["b"], None),
        member("b", &["c", "out"], None),
        member("c", &["a"], None),
        member("out", &[], None),
    ];
    let Err(GraphFault::Cycle { path }) = Graph::new(&looped) else { panic!("a cycle was not found") };
    assert_eq!(path.len(), 4);
    assert_eq!(path.first(), path.last());
    assert!(path.iter().all(|agent| ["a", "b", "c"].contains(&agent.as_str())), "{path:?}");
}

#[test]
fn empty_slots_are_in_no_layer() {
    let agents = [Some(member("a", &[], None)), None, Some(member("b", &["a"], None))];
    let graph = Graph::with_gaps(&agents).unwrap();
    assert_eq!(graph.len(), 3);
    assert_eq!(graph.layers(), [[AgentIndex(0)], [AgentIndex(2)]]);
    assert_eq!(slots(&graph.impact(AgentIndex(0))), [2]);
    assert!(Graph::new(&[]).unwrap().layers().is_empty());
}

#[test]
fn a_chain_of_ten_thousand_and_a_crowd_of_ten_thousand_are_no_trouble() {
    let names: Vec<AgentName> = (0..10_000).map(|slot| name(&format!("agent-{slot}"))).collect();
    let chain = |needed: usize| names.get(needed).cloned().into_iter().collect::<Vec<_>>();
    let agents: Vec<GraphMember> = (0..10_000).map(|slot| (names[slot].clone(), chain(slot + 1), None)).collect();
    let graph = Graph::new(&agents).unwrap();
    assert_eq!(graph.depth(AgentIndex(0)), 9_999);
    assert_eq!(graph.layers().len(), 10_000);
    assert_eq!(graph.impact(AgentIndex(9_999)).len(), 9_999);

    let ring: Vec<GraphMember> =
        (0..10_000).map(|slot| (names[slot].clone(), chain((slot + 1) % 10_000), None)).collect();
    assert!(matches!(Graph::new(&ring), Err(GraphFault::Cycle { path }) if path.len() == 10_001));

    let hub: Vec<GraphMember> =
        (0..10_000).map(|slot| (names[slot].clone(), if slot == 0 { Vec::new() } else { chain(0) }, None)).collect();
    assert_eq!(Graph::new(&hub).unwrap().layers().iter().map(Vec::len).collect::<Vec<_>>(), [1, 9_999]);
}

#[test]
fn a_layer_asked_for_never_overflows() {
    let agents = [member("a", &[], Some(u32::MAX)), member("b", &["a"], Some(u32::MAX)), member("c", &["b"], None)];
    let graph = Graph::new(&agents).unwrap();
    assert_eq!(graph.layers().len(), 3);
}

#[test]
fn it_renders_for_people_graphviz_and_mermaid() {
    let agents = [member("web", &["api", "db"], None), member("api", &["db"], None), member("db", &[], None)];
    let graph = Graph::new(&agents).unwrap();
    assert_eq!(graph.to_text(), "layer 0\n  db\nlayer 1\n  api  needs db\nlayer 2\n  web  needs api, db\n");
    let dot = graph.to_dot();
    assert!(dot.starts_with("digraph werkpilot {\n") && dot.ends_with("}\n"));
    assert!(dot.contains("  \"web\" -> \"api\";\n"));
    assert!(graph.to_mermaid().starts_with("graph RL\n  a0[\"web\"]\n"));
    assert!(graph.to_mermaid().ends_with("  a0 --> a1\n  a0 --> a2\n  a1 --> a2\n"));
}

proptest! {
    #[test]
    fn dependencies_always_boot_earlier(
        edges in prop::collection::vec((0_usize..40, 0_usize..40), 0..120),
        pushed in prop::collection::vec(prop::option::of(0_u32..9), 40),
    ) {
        let label = |slot: usize| name(&format!("agent-{slot}"));
        let mut agents: Vec<GraphMember> = (0..40).map(|slot| (label(slot), Vec::new(), pushed[slot])).collect();
        for (from, to) in edges.into_iter().filter(|(from, to)| from != to) {
            agents[from.max(to)].1.push(label(from.min(to)));
        }
        let graph = Graph::new(&agents).unwrap();
        for (slot, pushed) in pushed.iter().enumerate() {
            let agent = AgentIndex::from(slot);
            prop_assert!(graph.layer(agent) >= graph.depth(agent).max(pushed.unwrap_or(0)));
            for dependency in graph.dependencies(agent) {
                prop_assert!(graph.layer(*dependency) < graph.layer(agent));
                prop_assert!(graph.depth(*dependency) < graph.depth(agent));
                prop_assert!(graph.dependents(*dependency).contains(&agent));
                prop_assert!(graph.impact(*dependency).contains(&agent));
            }
            let impact = graph.impact(agent);
            prop_assert_eq!(impact.iter().collect::<HashSet<_>>().len(), impact.len());
        }
        prop_assert_eq!(graph.layers().iter().map(Vec::len).sum::<usize>(), 40);
    }

    #[test]
    fn a_cycle_that_is_reported_is_one(edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..40)) {
        let label = |slot: usize| name(&format!("agent-{slot}"));
        let mut agents: Vec<GraphMember> = (0..12).map(|slot| (label(slot), Vec::new(), None)).collect();
        for (from, to) in edges {
            agents[from].1.push(label(to));
        }
        if let Err(GraphFault::Cycle { path }) = Graph::new(&agents) {
            prop_assert_eq!(path.first(), path.last());
            for pair in path.windows(2) {
                let (_, needs, _) = agents.iter().find(|(agent, ..)| *agent == pair[0]).unwrap();
                prop_assert!(needs.contains(&pair[1]));
            }
        }
    }
}
