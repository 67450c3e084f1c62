//! `werkpilot report`: the optimizer's reports, and one of them whole.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;
use werkpilot_core::optimizer::{Baseline, Care, Report, Rule, TooLittle};
use werkpilot_core::time::{Timestamp, human};
use werkpilot_runtime::{ReportPage, kept_reports};

use super::kept::unreadable;
use super::{Context, from_ms, now, relative};
use crate::client::parse;
use crate::failure::{Code, Failure};
use crate::output::{Output, bytes, count};

/// Agents of a report that are shown; `--json` has them all.
const SHOWN: usize = 30;

/// Show what the optimizer found: the newest report, another one, or the list of them.
///
/// It works without a running orchestrator, too: it reads what is on disk then. The reports of the last sixty runs are kept.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Which report; without it, the newest.
    #[arg(value_name = "ID")]
    id: Option<u64>,
    /// The list of the reports, newest first.
    #[arg(long, conflicts_with = "id")]
    list: bool,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot report
  werkpilot report --list
  werkpilot report 12 --json";

/// `werkpilot report`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.list {
        let page = list(context)?;
        return context.show(&page, || list_text(&page, now(), context.out));
    }
    let id = match args.id {
        Some(id) => id,
        None => list(context)?.reports.first().map(|report| report.id).ok_or_else(|| {
            Failure::new(Code::NoInput, "there is no report yet")
                .hint("the optimizer looks back every night ([optimizer] schedule), or now with `werkpilot optimize`")
        })?,
    };
    let answer = one(id, context)?;
    let report: Report = parse(answer.clone())?;
    context.show(&answer, || report_text(&report, now(), context.out))
}

fn list(context: &Context) -> Result<ReportPage, Failure> {
    let online = async |client: &crate::client::Client| parse(client.get(&["api", "v1", "reports"], &[]).await?);
    context.online_or_kept(online, |reader| kept_reports(reader, None, usize::MAX).map_err(unreadable))
}

fn one(id: u64, context: &Context) -> Result<Value, Failure> {
    let path = ["api", "v1", "reports", &id.to_string()];
    let online = async |client: &crate::client::Client| client.get(&path, &[]).await;
    context.online_or_kept(online, |reader| {
        let row = reader.report(id).map_err(unreadable)?;
        row.map(|row| row.data.value()).ok_or_else(|| {
            Failure::new(Code::NoInput, format!("there is no report {id}")).hint("`werkpilot report --list` lists them")
        })
    })
}

fn list_text(page: &ReportPage, now: Timestamp, out: Output) -> String {
    if page.reports.is_empty() {
        return "there is no report yet\n".to_owned();
    }
    let rows = page.reports.iter().map(|report| {
        let columns = [report.id.to_string(), relative(report.at, now), report.by.clone()];
        columns.into_iter().chain([report.proposals.to_string(), report.applied.to_string()]).collect()
    });
    out.table(&["id", "made", "by", "proposals", "applied"], rows)
}

/// A report for people.
pub fn report_text(report: &Report, now: Timestamp, out: Output) -> String {
    let mut text = match report.id {
        Some(id) => format!("Report {id}, {} ({}), asked for by {}\n", report.at, relative(report.at, now), report.by),
        None => format!("Dry run of {}, asked for by {}: nothing is kept or applied\n", report.at, report.by),
    };
    let window = &report.window;
    let _ = writeln!(
        text,
        "  looked at {} from {} on{}, in {}",
        count(usize::try_from(window.executions).unwrap_or(usize::MAX), "execution"),
        window.from,
        if window.truncated { " (there were more before)" } else { "" },
        human(report.duration)
    );
    workers(&mut text, report);
    proposals(&mut text, report);
    for little in &report.findings.too_little {
        too_little(&mut text, little);
    }
    if !report.trials.is_empty() {
        let names: Vec<&str> = report.trials.iter().map(werkpilot_core::ids::AgentName::as_str).collect();
        let _ = writeln!(text, "\nTried once although their breaker was open: {}", names.join(", "));
    }
    if let Some(care) = &report.care {
        tidied(&mut text, care);
    }
    baselines(&mut text, &report.findings.baselines, out);
    text
}

fn workers(text: &mut String, report: &Report) {
    let demand = &report.findings.demand;
    let Some(most) = demand.at_once_most else { return };
    let waiting = demand.waiting_p95_ms.map(|ms| human(from_ms(ms))).unwrap_or_default();
    let busy = demand.busy_share.map(|share| format!(", busy {:.0} %", share * 100.0)).unwrap_or_default();
    let _ = writeln!(
        text,
        "  {}{busy}; 5 of 100 executions waited {waiting} or longer, at most {most} were there at a time",
        count(demand.workers as usize, "worker")
    );
}

fn proposals(text: &mut String, report: &Report) {
    let findings = &report.findings;
    if findings.proposals.is_empty() {
        text.push_str("\nNo proposals\n");
        return;
    }
    text.push_str("\nProposals\n");
    for proposal in &findings.proposals {
        let applied = report.applied.iter().find(|applied| applied.proposal == proposal.number);
        let applied = applied.map(|applied| format!("  [applied, decision {}]", applied.decision)).unwrap_or_default();
        let _ = writeln!(text, "  {}. {}{applied}", proposal.number, proposal.change);
        let _ = writeln!(text, "     because {}", proposal.evidence.words);
        let _ = writeln!(text, "     then {}", proposal.effect.words);
    }
    if findings.proposals_left_out > 0 {
        let _ = writeln!(text, "  and {} more", findings.proposals_left_out);
    }
    if let [first, ..] = &report.applied[..] {
        let _ = writeln!(text, "  (undo what was applied with `werkpilot optimize --undo {}`)", first.decision);
    }
}

fn too_little(text: &mut String, little: &TooLittle) {
    let rule = match little.rule {
        Rule::Priority => "priorities",
        Rule::Timeout => "time-outs",
        Rule::Workers => "workers",
        Rule::Jitter => "schedules that collide",
    };
    let names: Vec<&str> = little.agents.iter().map(werkpilot_core::ids::AgentName::as_str).collect();
    let more = if little.more > 0 { format!(" and {} more", little.more) } else { String::new() };
    let of = if names.is_empty() { String::new() } else { format!(" of {}{more}", names.join(", ")) };
    let _ = writeln!(text, "\nToo little data about {rule}{of}: it takes {}", little.needs);
}

fn tidied(text: &mut String, care: &Care) {
    let count = |number: u64, word: &str| count(usize::try_from(number).unwrap_or(usize::MAX), word);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (before, after) = (bytes(care.bytes_before as f64), bytes(care.bytes_after as f64));
    let _ = writeln!(
        text,
        "\nTidied in {}: {} and {} went, the database has {after} (before: {before})",
        human(care.duration),
        count(care.executions, "execution"),
        count(care.events, "event")
    );
    if let Some(problem) = &care.problem {
        let _ = writeln!(text, "  not all of it: {problem}");
    }
}

fn baselines(text: &mut String, baselines: &[Baseline], out: Output) {
    if baselines.is_empty() {
        return;
    }
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| human(from_ms(ms)));
    let changed =
        |value: Option<f64>| value.filter(|percent| percent.abs() >= 0.5).map(|percent| format!(" ({percent:+.0} %)"));
    let rows = baselines.iter().take(SHOWN).map(|baseline| {
        let change = baseline.change.unwrap_or_default();
        let p95 = format!("{}{}", ms(baseline.p95_ms), changed(change.p95_percent).unwrap_or_default());
        let rate = baseline.success_rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.0} %", rate * 100.0));
        let score = baseline.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.0}"));
        vec![
            baseline.agent.to_string(),
            baseline.ends.total().to_string(),
            rate,
            ms(baseline.p50_ms),
            p95,
            ms(baseline.waiting_p95_ms),
            baseline.restarts.to_string(),
            baseline.missed.to_string(),
            score,
        ]
    });
    let header = ["agent", "runs", "succeeded", "p50", "p95", "waiting p95", "restarts", "missed", "score"];
    let _ = write!(text, "\n{}", out.table(&header, rows));
    if baselines.len() > SHOWN {
        let _ = writeln!(text, "and {} more (--json has them all)", baselines.len() - SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use werkpilot_core::ids::AgentName;
    use werkpilot_core::optimizer::{
        Applied, Argument, Demand, Ends, Findings, Proposal, Proposed, ReportSummary, Shift, Window,
    };
    use werkpilot_core::spec::Priority;

    use super::*;

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    fn report() -> Report {
        let at = Timestamp::from_millis(1_795_250_400_000);
        let argument = |words: &str| Argument { numbers: BTreeMap::new(), words: words.to_owned() };
        let proposal = |number, change| Proposal {
            number,
            change,
            evidence: argument("it waits 40s or longer in 5 of 100 executions"),
            effect: argument("it waits about 2s instead (p95)"),
        };
        let change = Proposed::Priority { agent: name("billing"), from: Priority::Normal, to: Priority::Important };
        let timeout = Proposed::Timeout { agent: name("report"), from: None, to: Duration::from_secs(90) };
        let shift = Shift { p95_percent: Some(41.7), ..Shift::default() };
        let demand: Demand = serde_json::from_value(serde_json::json!({
            "workers": 4, "starts": 320, "busyShare": 0.62, "waitingP95Ms": 12_500.0, "atOnceP50": 3, "atOnceP95": 9,
            "atOnceMost": 14,
        }))
        .unwrap();
        Report {
            id: Some(12),
            at,
            by: "schedule".to_owned(),
            window: Window { from: at, to: at, executions: 320, truncated: false },
            findings: Findings {
                baselines: vec![Baseline {
                    agent: name("billing"),
                    ends: Ends { succeeded: 310, failed: 10, ..Ends::default() },
                    success_rate: Some(0.97),
                    p50_ms: Some(1_200.0),
                    p95_ms: Some(3_400.0),
                    p99_ms: Some(5_000.0),
                    waiting_p95_ms: Some(40_000.0),
                    worker_share: Some(0.08),
                    restarts: 3,
                    missed: 1,
                    score: Some(87.4),
                    change: Some(shift),
                }],
                demand,
                proposals: vec![proposal(1, change), proposal(2, timeout)],
                proposals_left_out: 0,
                too_little: vec![TooLittle {
                    rule: Rule::Timeout,
                    needs: "100 successful executions within the window".to_owned(),
                    agents: vec![name("a"), name("b")],
                    more: 3,
                }],
            },
            apply: true,
            applied: vec![Applied {
                decision: 4,
                proposal: 1,
                agent: name("billing"),
                from: Priority::Normal,
                to: Priority::Important,
            }],
            trials: vec![name("mail")],
            care: Some(Care {
                executions: 1_000,
                events: 1,
                bytes_before: 12 << 20,
                bytes_after: 9 << 20,
                analyzed: 4,
                logs: true,
                problem: None,
                duration: Duration::from_millis(350),
            }),
            duration: Duration::from_millis(1_250),
        }
    }

    #[test]
    fn a_report_tells_what_was_found_why_and_what_was_done() {
        let report = report();
        let now = report.at + Duration::from_hours(9);
        insta::assert_snapshot!(report_text(&report, now, Output::in_a_pipe()));
    }

    #[test]
    fn a_dry_run_without_findings_says_so() {
        let findings = Findings::default();
        let report = Report { id: None, findings, applied: Vec::new(), trials: Vec::new(), care: None, ..report() };
        insta::assert_snapshot!(report_text(&report, report.at, Output::in_a_pipe()));
    }

    #[test]
    fn the_list_has_a_line_per_report() {
        let at = Timestamp::from_millis(1_795_250_400_000);
        let by = "schedule".to_owned();
        let page = ReportPage { reports: vec![ReportSummary { id: 12, at, by, proposals: 3, applied: 1 }], next: None };
        insta::assert_snapshot!(list_text(&page, at + Duration::from_mins(5), Output::in_a_pipe()));
    }
}
