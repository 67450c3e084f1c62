//! The terminal: keys in, pictures out, one look at the orchestrator at a time.
//!
//! Invariant: the terminal is given back as it was, whatever ends it: a key, a signal, a panic.

use std::io;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::app::{App, Key, News, Wish};
use super::draw;
use super::link::{self, Sight};
use crate::client::Client;
use crate::commands::now;
use crate::failure::{Code, Failure};

/// Keys that may wait; who types faster is not heard.
const KEYS: usize = 64;
/// How often the reader of keys looks whether the end has come.
const PATIENCE: Duration = Duration::from_millis(100);

/// Gives the terminal back.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What comes from the terminal.
enum Input {
    Key(Key),
    /// It has another size.
    Resized,
}

/// Shows and acts until the end.
pub async fn run(client: Client, mut app: App, every: Duration) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Code::Io, format!("failed to use the terminal: {error}"));
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let _restore = Restore;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut input = keys();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look: Option<LocalBoxFuture<'_, Vec<News>>> = None;
    let mut wanted: Option<LocalBoxFuture<'_, News>> = None;
    let mut seen = Sight::of(&app);
    loop {
        terminal.draw(|frame| draw::picture(frame, &mut app, now())).map_err(failed)?;
        tokio::select! {
            came = input.recv() => match came {
                Some(Input::Key(key)) => match app.on(key) {
                    Wish::None => {}
                    Wish::Quit => return Ok(()),
                    Wish::Look => look = Some(Box::pin(link::look(&client, Sight::of(&app)))),
                    Wish::Act(act) => wanted = Some(Box::pin(link::act(&client, act))),
                    Wish::Why(agent) => wanted = Some(Box::pin(link::why(&client, agent))),
                },
                Some(Input::Resized) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
            news = until(&mut look) => {
                look = None;
                for one in news {
                    app.hear(one);
                }
            }
            news = until(&mut wanted) => {
                wanted = None;
                app.hear(news);
                // What it changed is looked at at once.
                look = Some(Box::pin(link::look(&client, seen.clone())));
            }
            _ = ticks.tick(), if look.is_none() && !app.held => {
                seen = Sight::of(&app);
                look = Some(Box::pin(link::look(&client, seen.clone())));
            }
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
        // Another tab is looked at at once, and not at the next tick.
        if seen != Sight::of(&app) {
            seen = Sight::of(&app);
            look = Some(Box::pin(link::look(&client, seen.clone())));
        }
    }
}

/// What is under way, if anything is.
async fn until<T>(work: &mut Option<LocalBoxFuture<'_, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Reads keys on a thread of its own, since the terminal is read by blocking.
fn keys() -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let came = match event::poll(PATIENCE) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let Ok(came) = came else { return };
            // Whoever is too slow for the keys has lost some.
            let _ = input_of(&came).map(|input| sender.try_send(input));
        }
    });
    receiver
}

fn input_of(event: &Event) -> Option<Input> {
    let Event::Key(key) = event else { return matches!(event, Event::Resize(..)).then_some(Input::Resized) };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(Input::Key(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(_) if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => return None,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Back,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    }))
}
