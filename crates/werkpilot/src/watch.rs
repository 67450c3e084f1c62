//! Notices changes of registry and settings, and has them read again.
//!
//! The folders are watched, since editors replace files. Nothing wakes up while nothing changes (unlike
//! notify-debouncer-full, whose thread ticks four times per time-out).

use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;
use werkpilot_runtime::Handle;

use crate::source::Source;

/// Silence after which a change counts as complete: editors and `git checkout` write several files within this.
const SETTLE: Duration = Duration::from_millis(300);
/// A folder in which something changes all the time is read at least so often.
const PATIENCE: Duration = Duration::from_secs(3);

/// Watches until it is dropped. Has to be called inside an actix `System`.
pub(crate) fn start(source: &Source, handle: Handle) -> notify::Result<RecommendedWatcher> {
    // One place is enough: a second change before the first is looked at is the same news.
    let (sender, receiver) = mpsc::channel(1);
    // What was changed since they were read for the start, which may be seconds ago, was watched by nobody.
    let _ = sender.try_send(());
    let concerned = source.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let relevant = match event {
            // Our own reading is an access.
            Ok(event) => !event.kind.is_access() && event.paths.iter().any(|path| concerned.concerns(path)),
            // Events were lost; the files may be among them.
            Err(_) => true,
        };
        if relevant {
            let _ = sender.try_send(());
        }
    })?;
    for folder in source.folders() {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    }
    actix_rt::spawn(reload_on(receiver, handle));
    Ok(watcher)
}

async fn reload_on(mut changes: mpsc::Receiver<()>, handle: Handle) {
    while changes.recv().await.is_some() {
        let _ = timeout(PATIENCE, async { while let Ok(Some(())) = timeout(SETTLE, changes.recv()).await {} }).await;
        // What went wrong is in the log and in an event already.
        handle.reload_by_itself("a changed file", "file", true).await;
    }
}
