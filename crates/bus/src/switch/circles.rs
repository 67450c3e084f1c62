//! Agents that wait for each other in a circle: found when one of their requests is given up.

use hashbrown::{HashMap, HashSet};
use werkpilot_core::ids::AgentName;

/// Who asks whom.
pub type Edge = (AgentName, AgentName);

/// The circles that requests given up at the same time are in, each once, as each asking the next. Nested requests carry
/// the same deadline, so that all of a circle may be given up together: they count as waiting for each other, too.
///
/// Costs a look at every request that waits, once, and a walk over the agents for each different pair that was late.
pub(super) fn circles(late: &[Edge], waiting: impl Iterator<Item = Edge>) -> Vec<Vec<AgentName>> {
    let mut asks: HashMap<AgentName, HashSet<AgentName>> = HashMap::new();
    for (asker, agent) in late.iter().cloned().chain(waiting) {
        asks.entry(asker).or_default().insert(agent);
    }
    let (mut circles, mut told) = (Vec::new(), HashSet::new());
    for edge in late {
        if told.insert(edge.clone())
            && let Some(circle) = way_back(&asks, edge)
        {
            let next = circle.iter().cycle().skip(1);
            told.extend(circle.iter().cloned().zip(next.cloned()));
            circles.push(circle);
        }
    }
    circles
}

/// The way from the one that was asked back to the one that asked; begins with the one that asked.
fn way_back(asks: &HashMap<AgentName, HashSet<AgentName>>, (asker, agent): &Edge) -> Option<Vec<AgentName>> {
    let mut ways = vec![vec![asker.clone(), agent.clone()]];
    let mut seen: HashSet<&AgentName> = std::iter::once(agent).collect();
    while let Some(way) = ways.pop() {
        let last = way.last()?;
        if last == asker {
            return Some(way[..way.len() - 1].to_vec());
        }
        for next in asks.get(last).into_iter().flatten() {
            if seen.insert(next) {
                ways.push([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> Vec<Edge> {
        let name = |text: &str| AgentName::new(text).unwrap();
        pairs.iter().map(|(asker, agent)| (name(asker), name(agent))).collect()
    }

    fn found(late: &[(&str, &str)], waiting: &[(&str, &str)]) -> Vec<String> {
        let circles = circles(&edges(late), edges(waiting).into_iter());
        let text = |circle: Vec<AgentName>| circle.iter().map(AgentName::as_str).collect::<Vec<_>>().join(">");
        circles.into_iter().map(text).collect()
    }

    #[test]
    fn a_circle_is_found_whether_the_others_still_wait_or_are_given_up_too() {
        assert_eq!(found(&[("a", "b")], &[("b", "a")]), ["a>b"]);
        assert_eq!(found(&[("a", "b"), ("b", "a")], &[]), ["a>b"]);
        assert_eq!(found(&[("b", "c"), ("b", "c"), ("c", "a")], &[("a", "b"), ("a", "x")]), ["b>c>a"]);
        assert_eq!(found(&[("a", "a")], &[]), ["a"]);
    }

    #[test]
    fn who_waits_for_nobody_in_a_circle_is_in_none() {
        assert_eq!(found(&[("a", "b")], &[("b", "c"), ("c", "b")]), [""; 0]);
        assert_eq!(found(&[("a", "b"), ("a", "c")], &[("b", "d"), ("c", "d")]), [""; 0]);
    }
}
