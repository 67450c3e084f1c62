//! Who else of a department is restarted when one of its services is (OTP's supervisor strategies).

use std::collections::BTreeSet;

use crate::graph::Graph;
use crate::ids::AgentIndex;
use crate::spec::Strategy;

/// Who is restarted along with `restarted`, in boot order, itself not included. Nobody outside of
/// `department_services`, though a chain of dependents may lead through outsiders.
///
/// | strategy | |
/// |---|---|
/// | `one_for_one` | nobody |
/// | `rest_for_one` | those that depend on it, directly or not |
/// | `one_for_all` | all others |
pub fn affected(
    strategy: Strategy,
    restarted: AgentIndex,
    department_services: &[AgentIndex],
    graph: &Graph,
) -> Vec<AgentIndex> {
    let dependents: BTreeSet<AgentIndex> = match strategy {
        Strategy::OneForOne => return Vec::new(),
        Strategy::RestForOne => graph.impact(restarted).into_iter().collect(),
        Strategy::OneForAll => department_services.iter().copied().collect(),
    };
    let mut members: Vec<AgentIndex> = department_services
        .iter()
        .copied()
        .filter(|service| *service != restarted && dependents.contains(service))
        .collect();
    members.sort_unstable_by_key(|service| (graph.layer(*service), *service));
    members.dedup();
    members
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::ids::AgentName;

    /// db ← cache ← api ← web, db ← worker; `cache` belongs to another department.
    fn fleet() -> Graph {
        let member = |name: &str, needs: &[&str]| {
            let name_of = |text: &&str| AgentName::new(text).unwrap();
            (name_of(&name), needs.iter().map(name_of).collect(), None)
        };
        let agents = [
            member("web", &["api"]),
            member("db", &[]),
            member("api", &["cache"]),
            member("cache", &["db"]),
            member("worker", &["db"]),
        ];
        Graph::new(&agents).unwrap()
    }

    const WEB: u32 = 0;
    const DB: u32 = 1;
    const API: u32 = 2;
    const WORKER: u32 = 4;

    #[rstest]
    #[case(Strategy::OneForOne, DB, &[])]
    #[case::through_an_outsider(Strategy::RestForOne, DB, &[WORKER, API, WEB])]
    #[case(Strategy::RestForOne, API, &[WEB])]
    #[case(Strategy::RestForOne, WEB, &[])]
    #[case(Strategy::OneForAll, WEB, &[DB, WORKER, API])]
    fn who_else_is_restarted(#[case] strategy: Strategy, #[case] restarted: u32, #[case] expected: &[u32]) {
        let department = [WEB, DB, API, WORKER].map(AgentIndex);
        let others = affected(strategy, AgentIndex(restarted), &department, &fleet());
        assert_eq!(others.iter().map(|agent| agent.0).collect::<Vec<_>>(), expected);
    }
}
