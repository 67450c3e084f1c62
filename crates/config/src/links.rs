//! What can only be seen when all agents are read: names twice, references to nobody, circles.

use std::collections::HashMap;

use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{Condition, Kind};

use crate::elements::agent::Draft;
use crate::elements::dependencies::Reference;
use crate::fault::Report;
use crate::source::Span;
use werkpilot_core::suggest;

/// Comparisons spent on "did you mean" for references to nobody, so that a huge broken registry is still read at once.
const MAX_COMPARISONS: usize = 500_000;

/// Circles that are told one by one; who has more mends these first.
const MAX_CIRCLES: usize = 100;

/// Names of a circle that are printed: the first so many, and the last ones.
const SHOWN_NAMES: usize = 10;

/// Checks all references between agents. `unread` are files that could not be read, where missing ones may be.
pub(crate) fn check(drafts: &[Draft], unread: &[String], report: &mut Report) {
    let index = index(drafts, report);
    let mut comparisons = 0;
    let mut resolve = |draft: &Draft, reference: &Reference, report: &mut Report| -> Option<usize> {
        if draft.name.as_ref() == Some(&reference.name) {
            let what = if draft.after.as_ref().is_some_and(|after| after.span == reference.span) {
                "runs after itself"
            } else {
                "depends on itself"
            };
            report.fault(reference.span, &reference.key, format!("`{}` {what}", reference.name)).hint("remove it");
            return None;
        }
        if let Some(target) = index.get(&reference.name) {
            return Some(*target);
        }
        let known = if comparisons < MAX_COMPARISONS { drafts } else { &[] };
        comparisons += known.len();
        let known =
            known.iter().filter_map(|other| other.name.as_ref()).filter(|name| draft.name.as_ref() != Some(name));
        let unread = match unread {
            [] => None,
            files => Some(format!("it may be in {}, which could not be read", files.join(", "))),
        };
        let hint = match (suggest::closest(reference.name.as_str(), known.map(AgentName::as_str)), unread) {
            (Some(meant), None) => format!("did you mean `{meant}`?"),
            (Some(meant), Some(unread)) => format!("did you mean `{meant}`? Or {unread}"),
            (None, Some(unread)) => unread,
            (None, None) => "no agent of the registry has this name".to_owned(),
        };
        report.fault(reference.span, &reference.key, format!("there is no agent `{}`", reference.name)).hint(hint);
        None
    };
    let (mut dependencies, mut triggers) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
    for draft in drafts {
        let mut edges = Vec::with_capacity(draft.dependencies.len());
        for reference in &draft.dependencies {
            let target = resolve(draft, reference, report);
            edges.extend(target.map(|target| (target, reference)));
        }
        dependencies.push(edges);
        let after = draft.after.as_ref().and_then(|after| Some((resolve(draft, after, report)?, after)));
        triggers.push(Vec::from_iter(after));
    }
    check_ends(drafts, &dependencies, &triggers, report);
    circles(drafts, &dependencies, "dependencies", "remove one of these dependencies", report);
    circles(drafts, &triggers, "after", "they would trigger each other for ever; remove one `after`", report);
}

/// Names to positions; reports those that are there twice.
fn index<'d>(drafts: &'d [Draft], report: &mut Report) -> HashMap<&'d AgentName, usize> {
    let mut index: HashMap<&AgentName, usize> = HashMap::with_capacity(drafts.len());
    for (position, draft) in drafts.iter().enumerate() {
        let Some(name) = &draft.name else { continue };
        let first = *index.entry(name).or_insert(position);
        if first != position {
            let first = drafts[first].name_span;
            let message = format!("the name `{name}` is taken: another agent has it at {}", report.place(first));
            report
                .fault(draft.name_span, &format!("{name}.name"), message)
                .also(first, "first here")
                .hint("names are unique in a registry; rename one of the two");
        }
    }
    index
}

type Edges<'d> = Vec<Vec<(usize, &'d Reference)>>;

/// A service has no end of its own that another agent could wait for.
fn check_ends(drafts: &[Draft], dependencies: &Edges<'_>, triggers: &Edges<'_>, report: &mut Report) {
    let is_service = |target: usize| matches!(drafts[target].spec.kind, Kind::Service(_));
    for (_, reference) in triggers.iter().flatten().filter(|(target, _)| is_service(*target)) {
        report
            .fault(
                reference.span,
                &reference.key,
                format!("`{}` is a service, which has no success to wait for", reference.name),
            )
            .hint(format!("make `{}` a job, or depend on it with `dependencies`", reference.name));
    }
    for (_, reference) in dependencies.iter().flatten().filter(|(target, _)| is_service(*target)) {
        if reference.condition == Condition::Succeeded {
            let message = format!("`{}` is a service: it succeeds only if it ends by itself", reference.name);
            report.notice(reference.span, &reference.key, message);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// On the way that is being walked, at this depth.
    Open(usize),
    Done,
}

/// Finds circles by walking depth first, without recursion, in linear time; each edge that closes one is told.
fn circles(drafts: &[Draft], edges: &Edges<'_>, key: &str, hint: &str, report: &mut Report) {
    let mut marks = vec![Mark::New; drafts.len()];
    let mut found = 0;
    for root in 0..drafts.len() {
        if marks[root] != Mark::New {
            continue;
        }
        let mut way: Vec<(usize, usize)> = vec![(root, 0)];
        marks[root] = Mark::Open(0);
        while let Some((agent, next)) = way.last_mut() {
            let Some((target, _)) = edges[*agent].get(*next) else {
                marks[*agent] = Mark::Done;
                way.pop();
                continue;
            };
            *next += 1;
            match marks[*target] {
                Mark::Done => {}
                Mark::New => {
                    marks[*target] = Mark::Open(way.len());
                    way.push((*target, 0));
                }
                Mark::Open(depth) => {
                    found += 1;
                    if found <= MAX_CIRCLES {
                        tell(drafts, edges, &way[depth..], key, hint, report);
                    }
                }
            }
        }
    }
}

/// Tells one circle, at the reference by which its first agent names the second.
fn tell(drafts: &[Draft], edges: &Edges<'_>, circle: &[(usize, usize)], key: &str, hint: &str, report: &mut Report) {
    let name = |(agent, _): &(usize, usize)| drafts[*agent].spec.name.as_str();
    let (first, next) = circle[0];
    let span: Span = edges[first][next - 1].1.span;
    let key = format!("{}.{key}", drafts[first].spec.name);
    let path = path(circle.iter().map(name), circle.len());
    report.fault(span, &key, format!("goes round in a circle: {path}")).hint(hint);
}

/// `a → b → c → a`; of a long circle only both ends.
fn path<'n>(mut names: impl DoubleEndedIterator<Item = &'n str> + Clone, count: usize) -> String {
    let closing = names.clone().next().unwrap_or_default();
    if count <= SHOWN_NAMES {
        let names: Vec<&str> = names.chain([closing]).collect();
        return names.join(" → ");
    }
    let (front, back) = (SHOWN_NAMES / 2, SHOWN_NAMES / 2 - 1);
    let ends: Vec<&str> = names.by_ref().take(front).collect();
    let mut tail: Vec<&str> = names.rev().take(back).collect();
    tail.reverse();
    format!("{} → … {} more … → {} → {closing}", ends.join(" → "), count - front - back, tail.join(" → "))
}
