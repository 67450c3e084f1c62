//! What keys lead to, and how the picture looks.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;
use werkpilot_core::time::Timestamp;

use super::super::draw;
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_250_400_123);

fn app() -> App {
    let fleet = json!({
        "system": {
            "phase": "running", "uptimeSeconds": 3_725.4, "executionQueueSize": 1, "deadLetterQueueSize": 2,
            "restartsLastHour": 3, "paused": false, "workersBusy": 1, "workers": 4, "memory": { "heapPercent": 41.6 },
            "store": { "state": "ok", "reason": null },
        },
        "agents": [
            { "name": "agent-db", "department": "data", "kind": "service", "status": "running", "reason": null,
              "uptimeSeconds": 65.3, "restarts": 0, "memoryBytes": 1_048_576, "score": 99.97 },
            { "name": "agent-sales", "department": "sales", "kind": "job", "status": "error",
              "reason": "exited with code 1\u{1b}[2J\u{202e}", "nextRun": "2026-11-21T08:42:00.123Z",
              "lastRun": { "end": "failed" }, "restarts": 3, "p95": 1_250.0 },
            { "name": "agent-report", "department": "sales", "kind": "job", "status": "disabled" },
        ],
    });
    let mut app = App::new(Tab::Agents);
    app.hear(News::Fleet(Box::new(serde_json::from_value(fleet).unwrap())));
    let letters = json!({ "deadLetters": [
        { "id": 6, "agentName": "agent-sales", "error": "exited with code 1", "timestamp": "2026-11-21T08:00:00.123Z",
          "restartCount": 4, "state": "open" },
        { "id": 7, "agentName": "agent-report", "error": "timed out after 5s", "timestamp": "2026-11-21T08:39:00.123Z",
          "restartCount": 1, "state": "open" },
    ] });
    app.hear(News::Letters(serde_json::from_value(letters).unwrap()));
    let queue = json!({ "waiting": [{ "run": "0199", "agent": "agent-sales", "trigger": { "kind": "schedule" }, "attempt": 1,
        "priority": 3, "waiting_ms": 1_500.0, "position": 1, "reason": { "code": "waiting_for_worker" } }] });
    app.hear(News::Queue(serde_json::from_value(queue).unwrap()));
    app
}

fn drawn(app: &mut App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(112, 14)).unwrap();
    terminal.draw(|frame| draw::picture(frame, app, NOW)).unwrap();
    let shown = terminal.backend().to_string();
    shown.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
}

fn keys(app: &mut App, keys: &str) -> Wish {
    let mut last = Wish::None;
    for key in keys.chars() {
        last = app.on(match key {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Esc,
            letter => Key::Char(letter),
        });
    }
    last
}

fn post(path: &[&str]) -> Vec<String> {
    path.iter().map(|&part| part.to_owned()).collect()
}

#[test]
fn the_picture_has_a_line_per_agent_with_what_there_is_of_it() {
    insta::assert_snapshot!(drawn(&mut app()));
}

#[test]
fn a_filter_is_typed_and_esc_ends_it() {
    let mut app = app();
    let _ = keys(&mut app, "/error sales");
    assert!(app.typing && app.lists.agents().len() == 1);
    let _ = keys(&mut app, "\n");
    assert!(!app.typing && app.lists.agents().len() == 1);
    let _ = keys(&mut app, "\u{1b}");
    assert_eq!(app.lists.agents().len(), 3);
}

#[test]
fn what_ends_something_is_asked_about_first() {
    for (letter, verb) in [('x', "stop"), ('R', "restart"), ('d', "disable")] {
        let mut app = app();
        assert_eq!(keys(&mut app, &letter.to_string()), Wish::None);
        assert!(matches!(&app.over, Some(Over::Question(text, _)) if text.contains("agent-sales")));
        assert_eq!(keys(&mut app, "n"), Wish::None);
        assert_eq!(app.over, None);
        let Wish::Act(act) = keys(&mut app, &format!("{letter}y")) else { panic!("{verb} is done") };
        assert_eq!(act.path, post(&["agents", "agent-sales", verb]));
    }
}

#[test]
fn a_job_is_run_and_a_service_is_started() {
    let mut app = app();
    let Wish::Act(run) = keys(&mut app, "r") else { panic!("it is run") };
    assert_eq!(run.path, post(&["agents", "agent-sales", "trigger"]));
    let Wish::Act(start) = keys(&mut app, "Gr") else { panic!("it is started") };
    assert_eq!(start.path, post(&["agents", "agent-db", "start"]));
}

#[test]
fn dead_letters_are_replayed_at_once_and_thrown_away_after_a_yes() {
    let mut app = app();
    assert_eq!(keys(&mut app, "4"), Wish::Look);
    let Wish::Act(replay) = keys(&mut app, "y") else { panic!("it is replayed") };
    assert_eq!(replay.path, post(&["dead-letters", "7", "replay"]));
    let Wish::Act(discard) = keys(&mut app, "jDy") else { panic!("it is thrown away") };
    assert_eq!(discard.path, post(&["dead-letters", "6", "discard"]));
}

#[test]
fn what_waits_can_be_cancelled() {
    let mut app = app();
    let _ = keys(&mut app, "2");
    let Wish::Act(cancel) = keys(&mut app, "cy") else { panic!("it is cancelled") };
    assert_eq!(cancel.path, post(&["executions", "0199", "cancel"]));
}

#[test]
fn a_log_is_that_of_the_chosen_agent_and_late_lines_of_another_are_left_out() {
    let mut app = app();
    let line = |text: &str| serde_json::from_value(json!({ "time": NOW, "stream": "stdout", "text": text })).unwrap();
    assert_eq!(keys(&mut app, "\n"), Wish::Look);
    assert_eq!((app.tab, app.log_of.as_deref()), (Tab::Logs, Some("agent-sales")));
    app.hear(News::Log("agent-db".to_owned(), vec![line("late")]));
    assert!(app.lists.log().is_empty());
    app.hear(News::Log("agent-sales".to_owned(), (0..30).map(|n| line(&format!("line {n}"))).collect()));
    assert!(drawn(&mut app).contains("line 29"));
    let _ = keys(&mut app, "g");
    assert!(drawn(&mut app).contains("line 0") && !drawn(&mut app).contains("line 29"));
}

#[test]
fn triggers_are_paused_after_a_yes_and_resumed_at_once() {
    let mut app = app();
    let Wish::Act(pause) = keys(&mut app, "Py") else { panic!("they are paused") };
    assert_eq!(pause.path, post(&["pause"]));
    app.lists.fleet.system.paused = true;
    let Wish::Act(resume) = keys(&mut app, "P") else { panic!("they are resumed") };
    assert_eq!(resume.path, post(&["resume"]));
}

#[test]
fn help_and_questions_lie_over_the_picture() {
    let mut app = app();
    let _ = keys(&mut app, "?");
    assert!(drawn(&mut app).contains("why it is as it is"));
    let _ = keys(&mut app, "qx");
    assert!(drawn(&mut app).contains("Stop agent-sales?"), "the first key has closed the help");
}

#[test]
fn every_tab_draws_on_a_tiny_terminal_and_without_anything() {
    for tab in Tab::ALL {
        for app in [&mut App::new(tab), &mut app()] {
            app.tab = tab;
            for (width, height) in [(1, 1), (20, 5), (300, 3)] {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                let _ = app.on(Key::Char('?'));
                terminal.draw(|frame| draw::picture(frame, app, NOW)).unwrap();
                let _ = app.on(Key::PageDown);
                let _ = app.on(Key::PageUp);
                terminal.draw(|frame| draw::picture(frame, app, NOW)).unwrap();
            }
        }
    }
}

#[test]
fn ctrl_c_ends_it_from_everywhere() {
    for before in ["", "/abc", "?", "x"] {
        let mut app = app();
        let _ = keys(&mut app, before);
        assert_eq!(app.on(Key::Interrupt), Wish::Quit);
    }
}
