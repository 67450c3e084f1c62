//! Which events a target wants.

use serde::{Serialize, Serializer};

use crate::event::{TopicPattern, Weight};

/// The name of an agent or a department, in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct NamePattern(String);

impl NamePattern {
    /// Any text is one.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has this name. The last `*` that was passed is gone back to: linear for one, never exponential.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut seen) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while seen < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, seen));
                    at += 1;
                }
                Some(byte) if *byte == name[seen] => {
                    at += 1;
                    seen += 1;
                }
                _ => {
                    let Some((back, from)) = star else { return false };
                    star = Some((back, from + 1));
                    (at, seen) = (back + 1, from + 1);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

/// Which events a target wants: those of which all of this is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Its topic is one of these.
    pub events: Vec<TopicPattern>,
    /// It is about one of these agents; empty: about any or none.
    pub agents: Vec<NamePattern>,
    /// It is about an agent of one of these departments; empty: of any.
    pub departments: Vec<NamePattern>,
    /// It is at least so loud.
    #[serde(serialize_with = "word")]
    pub min_weight: Weight,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's serialize_with takes a reference to the field")]
fn word<S: Serializer>(weight: &Weight, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(weight.as_str())
}

impl Filter {
    /// Whether it wants an event. `department` is asked for only where it matters.
    pub fn wants(
        &self,
        topic: &str,
        weight: Weight,
        agent: Option<&str>,
        department: impl FnOnce() -> Option<String>,
    ) -> bool {
        let one_of = |patterns: &[NamePattern], name: Option<&str>| {
            patterns.is_empty() || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        weight >= self.min_weight
            && self.events.iter().any(|pattern| pattern.matches(topic))
            && one_of(&self.agents, agent)
            && (self.departments.is_empty() || one_of(&self.departments, department().as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("sales", "sales", true)]
    #[case("sales", "sales2", false)]
    #[case("*", "", true)]
    #[case("sales-*", "sales-eu", true)]
    #[case("*-eu", "sales-eu", true)]
    #[case("*a*b", "xaxxbxb", true)]
    #[case("*a*b", "xaxxbxbc", false)]
    #[case("a**b", "ab", true)]
    #[case("", "a", false)]
    fn names_match_with_wildcards(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(NamePattern::new(pattern).matches(name), expected);
    }

    #[test]
    fn many_stars_are_not_slow() {
        let pattern = NamePattern::new(&"*a".repeat(30));
        assert!(!pattern.matches(&"a".repeat(29)) && pattern.matches(&"ba".repeat(30)));
    }

    #[test]
    fn an_event_is_wanted_if_everything_about_it_fits() {
        let filter = |agents: &[&str], departments: &[&str], min_weight| Filter {
            events: vec![TopicPattern::new("agent.*").unwrap(), TopicPattern::new("memory.>").unwrap()],
            agents: agents.iter().map(|name| NamePattern::new(name)).collect(),
            departments: departments.iter().map(|name| NamePattern::new(name)).collect(),
            min_weight,
        };
        let wants = |filter: &Filter, topic, agent| {
            filter.wants(topic, Weight::Warning, agent, || agent.map(|_| "sales".to_owned()))
        };
        let any = filter(&[], &[], Weight::Detail);
        assert!(wants(&any, "agent.failed", Some("a")) && wants(&any, "memory.warning", None));
        assert!(!wants(&any, "boot.completed", None));
        let of_agents = filter(&["a*"], &[], Weight::Detail);
        assert!(wants(&of_agents, "agent.failed", Some("ab")) && !wants(&of_agents, "agent.failed", Some("b")));
        assert!(!wants(&of_agents, "memory.warning", None), "what is about nobody is not about these");
        let of_sales = filter(&[], &["sal*"], Weight::Detail);
        assert!(wants(&of_sales, "agent.failed", Some("a")) && !wants(&of_sales, "memory.warning", None));
        assert!(!wants(&filter(&[], &["hr"], Weight::Detail), "agent.failed", Some("a")));
        assert!(wants(&filter(&[], &[], Weight::Warning), "agent.failed", None));
        assert!(!wants(&filter(&[], &[], Weight::Error), "agent.failed", None));
    }
}
