//! Each rule at its borders.

mod decisions;
mod properties;

use std::time::Duration;

use super::*;
use crate::event::End;
use crate::ids::AgentName;
use crate::spec::Priority;
use crate::time::Timestamp;

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

/// Seconds after the window's begin.
fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000) + Duration::from_secs(secs)
}

fn question(members: Vec<Member>, workers: u32) -> Question {
    let window = Window { from: at(0), to: at(7 * 86_400), executions: 0, truncated: false };
    Question { window, members, workers, auto_workers: 4, before: Vec::new() }
}

/// An execution that waited so many seconds from `queued` on and ran so many milliseconds.
fn run(agent: &str, queued: u64, waited: u64, ms: u64) -> Run {
    let (waited, duration) = (Duration::from_secs(waited), Duration::from_millis(ms));
    Run {
        agent: name(agent),
        by_schedule: true,
        timed: true,
        scheduled_for: Some(at(queued)),
        queued_at: at(queued),
        end: End::Succeeded,
        waited,
        duration: Some(duration),
        attempts: vec![(at(queued) + waited, duration)],
    }
}

fn ended(end: End, run: Run) -> Run {
    Run { end, ..run }
}

fn runs(count: u64, make: impl Fn(u64) -> Run) -> Vec<Run> {
    (0..count).map(make).collect()
}

fn changes(findings: &Findings) -> Vec<String> {
    findings.proposals.iter().map(|proposal| proposal.change.to_string()).collect()
}

fn needs(findings: &Findings, rule: Rule) -> Option<&TooLittle> {
    findings.too_little.iter().find(|little| little.rule == rule)
}

#[test]
fn without_facts_it_says_so_and_proposes_nothing() {
    let scheduled = Member { schedule: Some("* * * * *".to_owned()), ..Member::job(name("a"), Priority::Normal) };
    let findings = examine(&question(vec![scheduled], 2), &[]);
    assert_eq!((findings.proposals.len(), findings.baselines.len()), (0, 0));
    for rule in [Rule::Priority, Rule::Timeout, Rule::Jitter] {
        let little = needs(&findings, rule).unwrap();
        assert_eq!((little.agents.as_slice(), little.more), (&[name("a")][..], 0), "{rule:?}");
    }
    assert!(needs(&findings, Rule::Workers).unwrap().agents.is_empty());
}

#[test]
fn a_time_out_follows_from_the_slowest_of_a_hundred() {
    let of = |timeout: Option<u64>, count: u64, ms: u64, timed_out: u64| {
        let timeout = timeout.map(Duration::from_secs);
        let member = Member { timeout, ..Member::job(name("a"), Priority::Critical) };
        let mut all = runs(count, |n| run("a", n * 600, 0, ms));
        all.extend(runs(timed_out, |n| ended(End::TimedOut, run("a", n * 600 + 300, 0, ms))));
        changes(&examine(&question(vec![member], 100), &all))
    };
    assert_eq!(of(None, 99, 20_000, 0), [""; 0], "too few to know the slowest of a hundred");
    assert_eq!(of(None, 100, 20_000, 0), ["a: timeout \"1m\"; it has none"]);
    assert_eq!(of(None, 100, 5, 0), ["a: timeout \"10s\"; it has none"], "not less than ten seconds");
    assert_eq!(of(Some(25), 100, 20_000, 0), [""; 0], "near, but nothing was ended by it");
    assert_eq!(of(Some(25), 100, 20_000, 3), ["a: timeout \"1m\" instead of \"25s\""]);
    assert_eq!(of(Some(45), 100, 20_000, 3), [""; 0], "what was ended then did hang");
    assert_eq!(of(Some(300), 100, 20_000, 0), [""; 0]);
    assert_eq!(of(Some(3_600), 100, 20_000, 0), ["a: timeout \"1m\" instead of \"1h\""]);
}

#[test]
fn who_is_small_and_waits_long_goes_up_and_who_is_large_goes_down() {
    use Priority::{Critical, Important, Normal};
    let fleet = |small: Priority, large: Priority, waits: u64| {
        let members = vec![Member::job(name("large"), large), Member::job(name("small"), small)];
        let mut all = runs(50, |n| run("small", n * 1_000, waits, 500));
        all.extend(runs(50, |n| run("large", n * 1_000, 0, 100_000)));
        let findings = examine(&question(members, 1), &all);
        changes(&findings).into_iter().filter(|change| change.contains("priority")).collect::<Vec<_>>()
    };
    assert_eq!(fleet(Normal, Normal, 60), ["small: priority 2 instead of 3"]);
    assert_eq!(fleet(Normal, Normal, 9), [""; 0], "a wait of nine seconds bothers nobody");
    assert_eq!(fleet(Normal, Critical, 60), [""; 0], "what is ahead of it is more important still");
    assert_eq!(fleet(Normal, Important, 60), ["small: priority 2 instead of 3", "large: priority 3 instead of 2"]);
    assert_eq!(fleet(Critical, Important, 60), [""; 0], "nobody of priority 3 waits");
    assert_eq!(fleet(Critical, Critical, 60), [""; 0]);
}

#[test]
fn who_raises_everybody_raises_nobody() {
    let names: Vec<String> = (0..20).map(|n| format!("a{n:02}")).collect();
    let members = names.iter().map(|agent| Member::job(name(agent), Priority::Normal)).collect();
    let all = names.iter().flat_map(|agent| runs(20, |n| run(agent, n * 1_000, 60, 1_000))).collect::<Vec<_>>();
    let raised = changes(&examine(&question(members, 1), &all));
    let raised: Vec<_> = raised.iter().filter(|change| change.contains("priority")).collect();
    assert_eq!(raised.len(), 5, "a quarter of the worker time: {raised:?}");
}

#[test]
fn an_agent_that_mostly_fails_makes_room_for_others() {
    let members = vec![Member::job(name("bad"), Priority::Important), Member::job(name("good"), Priority::Normal)];
    let mut all =
        runs(30, |n| ended(if n % 3 == 0 { End::Succeeded } else { End::Failed }, run("bad", n * 100, 0, 9_000)));
    all.extend(runs(30, |n| run("good", n * 100, 0, 90_000)));
    assert_eq!(changes(&examine(&question(members.clone(), 5), &all)), ["bad: priority 3 instead of 2"]);
    let held = members.into_iter().map(|member| Member { held: true, ..member }).collect();
    assert_eq!(changes(&examine(&question(held, 5), &all)), [""; 0], "somebody undid such a decision");
}

#[test]
fn workers_follow_from_how_many_were_there_at_a_time() {
    // Ten at a time, a minute each, on two workers: the last one waits four minutes.
    let members: Vec<Member> = (0..10).map(|n| Member::job(name(&format!("a{n}")), Priority::Critical)).collect();
    let all: Vec<Run> =
        (0..10).flat_map(|n| runs(30, move |hour| run(&format!("a{n}"), hour * 3_600, n / 2 * 60, 60_000))).collect();
    let findings = examine(&question(members.clone(), 2), &all);
    assert_eq!(changes(&findings), ["[queue] workers = 4 instead of 2"], "twice as many is one step");
    let proposal = &findings.proposals[0];
    assert!((proposal.effect.numbers["servedAtOnceBefore"] - 0.2).abs() < 0.01, "{proposal:?}");
    assert!((proposal.effect.numbers["servedAtOnce"] - 0.4).abs() < 0.01, "{proposal:?}");
    assert_eq!(findings.demand.at_once_most, Some(10));
    let idle: Vec<Run> = all.iter().map(|one| run(one.agent.as_str(), 0, 0, 1_000)).collect();
    let spread: Vec<Run> =
        idle.into_iter().zip(0..).map(|(one, n)| run(one.agent.as_str(), n * 60, 0, 1_000)).collect();
    assert_eq!(changes(&examine(&question(members.clone(), 40), &spread)), ["[queue] workers = 4 instead of 40"]);
    assert_eq!(changes(&examine(&question(members, 4), &spread)), [""; 0], "as many as usual are never too many");
}

#[test]
fn schedules_that_collide_are_spread() {
    let scheduled =
        |agent: &str, priority| Member { schedule: Some("0 * * * *".to_owned()), ..Member::job(name(agent), priority) };
    let members: Vec<Member> = "abcdefgh"
        .chars()
        .map(|c| scheduled(&c.to_string(), if c == 'a' { Priority::Critical } else { Priority::Normal }))
        .collect();
    // Eight agents of ten seconds each on the hour, one worker.
    let all: Vec<Run> = members
        .iter()
        .zip(0..)
        .flat_map(|(member, n)| runs(10, move |hour| run(member.agent.as_str(), hour * 3_600, n * 10, 10_000)))
        .collect();
    let findings = examine(&question(members.clone(), 1), &all);
    let spread = findings.proposals.iter().find(|one| matches!(one.change, Proposed::Jitter { .. })).unwrap();
    let Proposed::Jitter { agents, more, jitter } = &spread.change else { unreachable!() };
    assert_eq!((agents.len(), *more), (7, 0), "what is critical stays where it is");
    assert!(*jitter >= Duration::from_mins(2), "{jitter:?}");
    assert!((spread.evidence.numbers["waitingP95Ms"] - 70_000.0).abs() < 1.0, "{spread:?}");
    assert!(spread.effect.numbers["waitingP95Ms"] <= 35_000.0, "{spread:?}");
    assert!((spread.evidence.numbers["times"] - 10.0).abs() < 0.1);
    let elsewhere: Vec<Run> = all.iter().zip(0..).map(|(one, n)| run(one.agent.as_str(), n * 60, 30, 10_000)).collect();
    let findings = examine(&question(members, 1), &elsewhere);
    assert!(!findings.proposals.iter().any(|one| matches!(one.change, Proposed::Jitter { .. })), "they never meet");
}

#[test]
fn a_baseline_is_compared_with_the_last_one() {
    let member = Member { score: Some(90.0), missed: 2, ..Member::job(name("a"), Priority::Normal) };
    let mut all = runs(4, |n| run("a", n * 100, 0, 1_000));
    let before = examine(&question(vec![member.clone()], 2), &all).baselines;
    assert_eq!((before[0].p50_ms, before[0].success_rate, before[0].missed), (Some(1_000.0), Some(1.0), 2));
    assert_eq!(before[0].change, None);
    all = runs(4, |n| run("a", n * 100, 0, 1_500));
    all.extend(runs(4, |n| ended(End::Failed, run("a", n * 100 + 50, 0, 10))));
    all.push(Run { attempts: Vec::new(), duration: None, ..ended(End::Skipped, run("a", 9, 0, 0)) });
    let again = Question { before, ..question(vec![Member { score: Some(80.0), ..member }], 2) };
    let after = examine(&again, &all).baselines;
    let change = after[0].change.unwrap();
    assert_eq!((after[0].ends.total(), after[0].missed), (9, 3));
    assert_eq!(
        (change.p50_percent, change.success_points, change.score_points),
        (Some(50.0), Some(-50.0), Some(-10.0))
    );
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let members = vec![Member::job(name("a"), Priority::Normal), Member::job(name("b"), Priority::Important)];
    let mut all = runs(150, |n| run("a", n * 100, 30, 500));
    all.extend(runs(150, |n| run("b", n * 100, 0, 50_000)));
    let question = question(members, 1);
    let findings = examine(&question, &all);
    assert!(findings.proposals.len() >= 3, "{:?}", changes(&findings));
    let decided = Decisions::default().decide(&findings.proposals, 7, at(1), |_| Some(Priority::Normal));
    let report = Report {
        id: Some(7),
        at: at(0),
        by: "schedule".to_owned(),
        window: question.window,
        applied: Vec::new(),
        findings,
        apply: true,
        trials: vec![name("c")],
        care: Some(Care::default()),
        duration: Duration::from_millis(1_500),
    };
    let text = serde_json::to_string(&report).unwrap();
    let back: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    assert_eq!(back.findings.proposals, report.findings.proposals);
    for (_, decision) in decided {
        let text = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
    }
}
