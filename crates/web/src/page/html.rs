//! Renders the status page from one snapshot of the fleet.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;
use werkpilot_core::event::End;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Timestamp, human};
use werkpilot_runtime::view::{AgentView, LastRun, Overview, SystemView};

use super::text::{Escaped, bytes, colour, millis, time, words};

/// Agents on the page: more would make a page of megabytes every five seconds.
const SHOWN_AGENTS: usize = 500;
/// Dead letters on the page.
const SHOWN_LETTERS: usize = 10;

/// The page. Writing to a string can't fail, so results of `write!` are dropped.
pub(super) fn render(overview: &Overview, now: Timestamp) -> String {
    let system = &overview.system;
    let mut out = String::with_capacity(4_096 + overview.agents.len().min(SHOWN_AGENTS) * 900);
    head(&mut out, system);
    out.push_str("<main>\n");
    if system.paused {
        out.push_str("<p class=\"banner\">Triggers are paused. <code>werkpilot resume</code> ends the pause.</p>\n");
    }
    tiles(&mut out, overview);
    agents(&mut out, &overview.agents, now);
    dead_letters(&mut out, &overview.dead_letter_queue);
    out.push_str("</main>\n");
    let _ = writeln!(
        out,
        "<footer>Werkpilot {}. This page shows the state of {now} and refreshes itself every 5 seconds. \
         The same as <a href=\"/metrics\">JSON</a>.</footer>\n</body>\n</html>",
        Escaped(system.version)
    );
    out
}

fn head(out: &mut String, system: &SystemView) {
    let (version, phase) = (Escaped(system.version), words(system.phase));
    let uptime = human(Duration::from_secs_f64(system.uptime_seconds.max(0.0)));
    let _ = writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Werkpilot: {phase}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"5\">\n\
         <link rel=\"icon\" href=\"/assets/icon.svg?v={version}\">\n\
         <link rel=\"stylesheet\" href=\"/assets/status.css?v={version}\">\n</head>\n<body>\n\
         <header><h1>Werkpilot</h1><p>{phase}, up {uptime}</p></header>"
    );
}

fn tiles(out: &mut String, overview: &Overview) {
    let system = &overview.system;
    let memory = &system.memory;
    let tiles = [
        (overview.agents.len().to_string(), "agents".to_owned()),
        (system.execution_queue_size.to_string(), format!("waiting, of {} at most", system.queue_capacity)),
        (format!("{} / {}", system.workers_busy, system.workers), "workers busy".to_owned()),
        (system.dead_letter_queue_size.to_string(), "dead letters".to_owned()),
        (system.restarts_last_hour.to_string(), "restarts in the last hour".to_owned()),
        (format!("{:.0} MB", memory.heap_used_mb), format!("memory; {:.0} % in use", memory.heap_percent)),
    ];
    out.push_str("<ul class=\"tiles\">\n");
    for (number, what) in tiles {
        let _ = writeln!(out, "<li><b>{number}</b><span>{what}</span></li>");
    }
    out.push_str("</ul>\n<ul class=\"counts\">\n");
    for status in Status::ALL {
        if let Some(count) = system.statuses.get(status.as_str()) {
            let (colour, word) = (colour(status), words(status.as_str()));
            let _ = writeln!(out, "<li class=\"status {colour}\">{count} {word}</li>");
        }
    }
    out.push_str("</ul>\n");
}

fn agents(out: &mut String, agents: &[AgentView], now: Timestamp) {
    out.push_str("<h2>Agents</h2>\n");
    if agents.is_empty() {
        out.push_str("<p class=\"note\">The registry is empty.</p>\n");
        return;
    }
    let mut shown: Vec<&AgentView> = agents.iter().collect();
    if shown.len() > SHOWN_AGENTS {
        // Stable, so that within a status the order of the registry stays.
        shown.sort_by_key(|agent| Reverse(agent.status));
        shown.truncate(SHOWN_AGENTS);
        let more = agents.len() - SHOWN_AGENTS;
        let _ = writeln!(
            out,
            "<p class=\"note\">The {SHOWN_AGENTS} with the worst status, and {more} more that are not shown \
             (<code>werkpilot agents</code> lists them).</p>"
        );
    }
    out.push_str(
        "<table>\n<thead><tr><th>Agent</th><th>Department</th><th>Kind</th><th>Status</th><th>Next run</th>\
         <th>Last result</th><th>p50</th><th>p95</th><th>p99</th><th>Restarts</th><th>Memory</th><th>Reason</th></tr></thead>\n<tbody>\n",
    );
    for agent in shown {
        row(out, agent, now);
    }
    out.push_str("</tbody>\n</table>\n");
}

fn row(out: &mut String, agent: &AgentView, now: Timestamp) {
    let cell = |name: &str, class: &str, content: &str| {
        if content.is_empty() {
            return "<td></td>".to_owned();
        }
        format!("<td data-name=\"{name}\"{class}><span>{content}</span></td>")
    };
    let number = " class=\"number\"";
    let description = match agent.description.as_str() {
        "" => String::new(),
        text => format!("<small>{}</small>", Escaped(text)),
    };
    let status = format!("<span class=\"status {}\">{}</span>", colour(agent.status), words(agent.status.as_str()));
    let restarts = if agent.restarts == 0 { String::new() } else { agent.restarts.to_string() };
    let reason = agent.reason.as_deref().map(|reason| Escaped(reason).to_string()).unwrap_or_default();
    let cells = [
        cell("Agent", "", &format!("{}{description}", Escaped(&agent.name))),
        cell("Department", "", &Escaped(&agent.department).to_string()),
        cell("Kind", "", agent.kind),
        cell("Status", "", &status),
        cell("Next run", number, &agent.next_run.map(|at| time(at, now)).unwrap_or_default()),
        cell("Last result", "", &agent.last_run.as_ref().map(|last| last_run(last, now)).unwrap_or_default()),
        cell("p50", number, &millis(agent.times.p50)),
        cell("p95", number, &millis(agent.times.p95)),
        cell("p99", number, &millis(agent.times.p99)),
        cell("Restarts", number, &restarts),
        cell("Memory", number, &bytes(agent.memory.memory_bytes)),
        cell("Reason", "", &reason),
    ];
    let _ = writeln!(out, "<tr>{}</tr>", cells.concat());
}

fn last_run(last: &LastRun, now: Timestamp) -> String {
    let colour = match last.end {
        End::Succeeded => "good",
        End::Failed | End::TimedOut | End::Lost => "bad",
        End::Refused | End::Interrupted => "warn",
        End::Skipped | End::Cancelled => "off",
    };
    let title = last.reason.as_deref().map(|reason| format!(" title=\"{}\"", Escaped(reason))).unwrap_or_default();
    let word = words(last.end.as_str());
    format!("<span class=\"{colour}\"{title}>{word}</span> {}", time(last.at, now))
}

fn dead_letters(out: &mut String, letters: &[Value]) {
    if letters.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Last dead letters</h2>\n<table>\n<thead><tr><th>No.</th><th>Agent</th><th>Time</th><th>Attempts</th>\
         <th>Error</th></tr></thead>\n<tbody>\n",
    );
    for letter in letters.iter().rev().take(SHOWN_LETTERS) {
        let text = |key: &str| letter.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| letter.get(key).and_then(Value::as_u64).unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td data-name=\"No.\" class=\"number\">{}</td><td data-name=\"Agent\">{}</td>\
             <td data-name=\"Time\" class=\"number\">{}</td><td data-name=\"Attempts\" class=\"number\">{}</td>\
             <td data-name=\"Error\"><span>{}</span></td></tr>",
            number("id"),
            Escaped(text("agentName")),
            Escaped(text("timestamp")),
            number("restartCount"),
            Escaped(text("error"))
        );
    }
    out.push_str("</tbody>\n</table>\n<p class=\"note\"><code>werkpilot dlq show</code> shows one with its log.</p>\n");
}
