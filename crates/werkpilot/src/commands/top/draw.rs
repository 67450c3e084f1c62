//! Draws what is known. Everything that an agent or a file can have a say in is shown as plain text.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Borders, Cell, Clear, Padding, Paragraph, Row, Table, TableState, Tabs, Wrap};
use serde_json::Value;
use werkpilot_core::time::{Timestamp, human};

use super::app::{App, Over};
use super::data::{Agent, Fact, Letter, Line, Waiting};
use super::lists::Tab;
use crate::commands::{from_ms, from_secs, relative};
use crate::output::bytes;

/// The keys, for `?`.
const KEYS: [(&str, &str); 17] = [
    ("1 2 3 4 5, Tab", "agents, queue, events, dead letters, logs"),
    ("j k, arrows, g G", "walk"),
    ("/", "filter: words that have to be there; Esc ends it"),
    ("o", "another order of the agents"),
    ("Enter, l", "the log of the chosen agent"),
    ("w", "why it is as it is"),
    ("r", "run a job, start a service"),
    ("s", "start: take part again after stop or a breaker"),
    ("x", "stop (asks)"),
    ("R", "restart (asks)"),
    ("e, d", "enable, disable (asks)"),
    ("c", "queue: cancel the chosen execution (asks)"),
    ("y", "dead letters: replay the chosen one"),
    ("D", "dead letters: throw it away (asks)"),
    ("P", "pause or resume all triggers"),
    ("Space", "hold the picture"),
    ("q, Ctrl-C", "quit"),
];

/// The whole picture.
pub fn picture(frame: &mut Frame<'_>, app: &mut App, now: Timestamp) {
    let parts = [Constraint::Length(2), Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)];
    let [head, tabs, body, foot] = Layout::vertical(parts).areas(frame.area());
    // The header of a table takes a line.
    app.page = usize::from(body.height.saturating_sub(2)).max(1);
    header(frame, head, app);
    let titles = Tab::ALL.iter().enumerate().map(|(number, tab)| format!("{} {}", number + 1, tab.title()));
    frame.render_widget(Tabs::new(titles).select(app.tab as usize).highlight_style(Style::new().reversed()), tabs);
    match app.tab {
        Tab::Agents => agents(frame, body, app, now),
        Tab::Queue => queue(frame, body, app),
        Tab::Events => events(frame, body, app),
        Tab::Letters => letters(frame, body, app, now),
        Tab::Logs => log(frame, body, app),
    }
    footer(frame, foot, app);
    match &app.over {
        Some(Over::Question(question, _)) => {
            over(frame, "", vec![question.clone().into(), Text::default(), "y: yes   any other key: no".dim().into()]);
        }
        Some(Over::Text(title, text)) => over(frame, title, text.lines().map(|line| plain(line).into()).collect()),
        Some(Over::Help) => over(frame, "Keys", help()),
        None => {}
    }
}

fn header(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let system = app.lists.system();
    let up = human(from_secs(system.uptime_seconds.max(0.0).floor()));
    let mut first = vec![
        Span::from("Werkpilot").bold(),
        format!("  {}, up {up}", system.phase.replace('_', " ")).into(),
        format!("   queue {}", system.execution_queue_size).into(),
        format!("   workers {}/{}", system.workers_busy, system.workers).into(),
        Span::styled(
            format!("   dead letters {}", system.dead_letter_queue_size),
            some(system.dead_letter_queue_size > 0),
        ),
        format!("   restarts/h {}", system.restarts_last_hour).into(),
        Span::styled(format!("   memory {:.0} %", system.memory.percent), some(system.memory.percent >= 80.0)),
    ];
    if system.paused {
        first.push(Span::from("   TRIGGERS PAUSED").bold().yellow());
    }
    let mut second = vec![format!("{} agents:", app.lists.fleet_size()).into()];
    for (status, count) in app.lists.statuses() {
        second.push(Span::styled(format!("  {count} {}", status.replace('_', " ")), Style::new().fg(colour(status))));
    }
    if !matches!(system.store.state.as_str(), "ok" | "none" | "") {
        let reason = system.store.reason.as_deref().unwrap_or_default();
        second.push(
            Span::from(format!("   STATE {}: {}", system.store.state.to_uppercase(), plain(reason))).bold().red(),
        );
    }
    frame.render_widget(Paragraph::new(vec![Text::from(first), Text::from(second)]), area);
}

fn some(there: bool) -> Style {
    if there { Style::new().fg(Color::Yellow) } else { Style::new() }
}

fn footer(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let line = if app.typing {
        Text::from(format!("/{}▏", app.lists.filter))
    } else if let Some((notice, failed)) = &app.notice {
        Text::from(Span::styled(plain(notice), Style::new().fg(if *failed { Color::Red } else { Color::Green })))
    } else {
        let mut parts = vec![Span::from("? keys  / filter  q quit").dim()];
        if !app.lists.filter.is_empty() {
            parts.push(format!("   filter: {} (Esc ends it)", app.lists.filter).into());
        }
        if app.tab == Tab::Agents {
            parts.push(format!("   {}", app.lists.order.title()).dim());
        }
        if app.held {
            parts.push("   HELD (Space goes on)".yellow());
        }
        Text::from(parts)
    };
    frame.render_widget(Paragraph::new(line), area);
}

fn table(frame: &mut Frame<'_>, area: Rect, app: &App, heads: &[&str], widths: &[Constraint], rows: Vec<Row<'_>>) {
    let header = Row::new(heads.iter().map(|&head| Cell::from(head))).style(Style::new().add_modifier(Modifier::DIM));
    let table = Table::new(rows, widths.to_vec())
        .header(header)
        .column_spacing(u16::try_from(GAP).unwrap_or(1))
        .row_highlight_style(Style::new().reversed());
    let mut state = TableState::new().with_selected(Some(app.chosen()));
    frame.render_stateful_widget(table, area, &mut state);
}

fn agents(frame: &mut Frame<'_>, area: Rect, app: &App, now: Timestamp) {
    if app.lists.fleet_size() == 0 {
        return empty(frame, area, "No agents yet: the registry is empty, or the first answer is on its way.");
    }
    let agents = app.lists.agents();
    if agents.is_empty() {
        return empty(frame, area, "No agent fits the filter.");
    }
    let rows: Vec<[String; 9]> = agents.iter().map(|agent| agent_cells(agent, now)).collect();
    let shown = columns(&rows, area.width);
    let heads: Vec<&str> = shown.iter().map(|(column, _)| COLUMNS[*column]).collect();
    let widths: Vec<Constraint> = shown.iter().map(|(_, width)| *width).collect();
    let row = |cells: &[String; 9]| {
        let style = |column| match column {
            1 => Style::new().fg(colour(&cells[1].replace(' ', "_"))),
            3 => Style::new().fg(colour_of_end(&cells[3])),
            _ => Style::new(),
        };
        Row::new(
            shown.iter().map(|&(column, _)| Cell::from(cells[column].clone()).style(style(column))).collect::<Vec<_>>(),
        )
    };
    table(frame, area, app, &heads, &widths, rows.iter().map(row).collect());
}

/// What is told of an agent; the last takes the room that is left.
const COLUMNS: [&str; 9] = ["NAME", "STATUS", "UP/NEXT", "LAST", "P95", "MEMORY", "RESTARTS", "SCORE", "REASON"];
/// What a narrow terminal does without, the first of them first.
const LESSER: [usize; 6] = [7, 6, 4, 5, 3, 2];
/// Less room than that tells no reason.
const ROOM_FOR_REASON: usize = 32;
/// Between two columns.
const GAP: usize = 2;

/// The columns that have room, as wide as what is in them.
fn columns(rows: &[[String; 9]], width: u16) -> Vec<(usize, Constraint)> {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(COLUMNS[column].len()).min(40)
    };
    let mut shown: Vec<usize> = (0..COLUMNS.len() - 1).collect();
    for lesser in LESSER {
        let needed: usize = shown.iter().map(|&column| widest(column) + GAP).sum();
        if needed + ROOM_FOR_REASON <= usize::from(width) {
            break;
        }
        shown.retain(|column| *column != lesser);
    }
    let mut columns: Vec<_> = shown.into_iter().map(|column| (column, fixed(widest(column)))).collect();
    columns.push((COLUMNS.len() - 1, Constraint::Min(10)));
    columns
}

fn fixed(width: usize) -> Constraint {
    Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))
}

fn agent_cells(agent: &Agent, now: Timestamp) -> [String; 9] {
    let up = agent.uptime_seconds.map(|secs| human(from_secs(secs.floor())));
    let next = agent.next_run.map(|at| relative(at, now));
    [
        plain(&agent.name),
        agent.status.replace('_', " "),
        up.or(next).unwrap_or_default(),
        agent.last_run.as_ref().map(|last| last.end.replace('_', " ")).unwrap_or_default(),
        agent.p95.map(|ms| human(from_ms(ms))).unwrap_or_default(),
        agent.memory_bytes.map(bytes).unwrap_or_default(),
        if agent.restarts == 0 { String::new() } else { agent.restarts.to_string() },
        agent.score.map(|score| format!("{score:.0}")).unwrap_or_default(),
        agent.reason.as_deref().map(plain).unwrap_or_default(),
    ]
}

fn queue(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let waiting = app.lists.waiting();
    if waiting.is_empty() {
        return empty(frame, area, "Nothing waits.");
    }
    let heads = ["#", "AGENT", "PRIORITY", "ATTEMPT", "WAITS", "TRIGGER", "BECAUSE"];
    let widths = [4, 30, 8, 7, 10, 10, 40].map(Constraint::Length);
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().replace('_', " ");
    let row = |waiting: &&Waiting| {
        Row::new([
            waiting.position.map(|position| position.to_string()).unwrap_or_default(),
            plain(&waiting.agent),
            waiting.priority.to_string(),
            waiting.attempt.to_string(),
            human(from_ms(waiting.waits_ms)),
            word(&waiting.trigger, "kind"),
            word(&waiting.reason, "code"),
        ])
    };
    table(frame, area, app, &heads, &widths, waiting.iter().map(row).collect());
}

fn events(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let facts = app.lists.events();
    let line = |fact: &&Fact| {
        let style = Style::new().fg(colour_of_topic(&fact.topic));
        Text::from(vec![clock(fact.time).dim(), "  ".into(), Span::styled(plain(&fact.message), style)])
    };
    tail(frame, area, app, facts.iter().map(line).collect(), "Nothing has happened that fits.");
}

fn letters(frame: &mut Frame<'_>, area: Rect, app: &App, now: Timestamp) {
    let letters = app.lists.letters();
    if letters.is_empty() {
        return empty(frame, area, "No dead letters.");
    }
    let heads = ["ID", "AGENT", "WHEN", "FAILED", "STATE", "ERROR"];
    let widths = [
        Constraint::Length(6),
        Constraint::Length(30),
        Constraint::Length(12),
        Constraint::Length(6),
        Constraint::Length(12),
        Constraint::Min(20),
    ];
    let row = |letter: &&Letter| {
        Row::new([
            letter.id.to_string(),
            plain(&letter.agent_name),
            relative(letter.timestamp, now),
            format!("{}×", letter.restart_count),
            letter.state.clone(),
            plain(&letter.error),
        ])
    };
    table(frame, area, app, &heads, &widths, letters.iter().map(row).collect());
}

fn log(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let Some(agent) = &app.log_of else {
        return empty(frame, area, "Choose an agent first: key 1, then Enter.");
    };
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    frame.render_widget(Paragraph::new(plain(agent).bold()), title);
    let lines = app.lists.log();
    let line = |line: &&Line| {
        let style = if line.stream == "stderr" { Style::new().fg(Color::Yellow) } else { Style::new() };
        Text::from(vec![clock(line.time).dim(), "  ".into(), Span::styled(plain(&line.text), style)])
    };
    tail(frame, body, app, lines.iter().map(line).collect(), "It has written nothing that fits.");
}

/// The newest line is at the bottom, and the chosen one says how far back it is looked.
fn tail(frame: &mut Frame<'_>, area: Rect, app: &App, lines: Vec<Text<'static>>, nothing: &str) {
    if lines.is_empty() {
        return empty(frame, area, nothing);
    }
    let (end, height) = (lines.len() - app.chosen(), usize::from(area.height));
    let shown: Vec<_> = lines.into_iter().take(end).skip(end.saturating_sub(height)).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

fn empty(frame: &mut Frame<'_>, area: Rect, text: &str) {
    frame.render_widget(Paragraph::new(text.to_owned().dim()).alignment(Alignment::Left), area);
}

fn help() -> Vec<Text<'static>> {
    KEYS.iter().map(|(keys, what)| Text::from(vec![format!("{keys:<18}").bold(), (*what).into()])).collect()
}

/// A box in the middle, as large as its text needs.
fn over(frame: &mut Frame<'_>, title: &str, lines: Vec<Text<'_>>) {
    let area = frame.area();
    let widest = lines.iter().map(Text::width).max().unwrap_or(0).max(title.len());
    let width = u16::try_from(widest + 4).unwrap_or(u16::MAX).max(20).min(area.width);
    let wrapped: usize =
        lines.iter().map(|line| line.width().div_ceil(usize::from(width.saturating_sub(4)).max(1)).max(1)).sum();
    let height = u16::try_from(wrapped + 2).unwrap_or(u16::MAX).min(area.height);
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let place = Rect { x, y, width, height };
    let block = Block::new().borders(Borders::ALL).padding(Padding::horizontal(1)).title(plain(title));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), place);
}

/// Text of others: no control characters and nothing that turns the direction of writing.
fn plain(text: &str) -> String {
    let shown = |character: char| match character {
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        control if control.is_control() => '\u{fffd}',
        other => other,
    };
    text.chars().map(shown).collect()
}

/// `08:40:00` of an instant.
fn clock(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

fn colour(status: &str) -> Color {
    match status {
        "running" | "idle" => Color::Green,
        "starting" | "queued" | "stopping" => Color::Cyan,
        "backing_off" | "unhealthy" | "disabled_by_memory" => Color::Yellow,
        "stopped" | "disabled" => Color::DarkGray,
        _ => Color::Red,
    }
}

fn colour_of_end(end: &str) -> Color {
    match end {
        "succeeded" => Color::Green,
        "failed" | "timed out" | "lost" => Color::Red,
        "refused" | "interrupted" => Color::Yellow,
        _ => Color::Reset,
    }
}

fn colour_of_topic(topic: &str) -> Color {
    let last = topic.rsplit('.').next().unwrap_or_default();
    match last {
        "failed" | "timed_out" | "lost" | "critical" | "rejected" | "degraded" => Color::Red,
        "restarting" | "warning" | "opened" | "disabled" | "added" | "unhealthy" | "refused" => Color::Yellow,
        "recovered" | "ready" | "closed" => Color::Green,
        _ => Color::Reset,
    }
}
