//! All open connections of a door.

use std::collections::HashMap;
use std::rc::Rc;

use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

use super::connection::{Connection, Verdict};
use crate::counters::{Counters, Cut};

/// Places are made for so many at a time, of all there may be: looking for the idlest of ten thousand connections takes
/// a millisecond, which a flood should not cost with every newcomer.
const BATCH_SHARE: usize = 128;

struct Entry {
    connection: Rc<Connection>,
    task: AbortHandle,
}

/// See the module.
#[derive(Default)]
pub(super) struct Roll(HashMap<Id, Entry>);

impl Roll {
    pub fn enter(&mut self, connection: Rc<Connection>, task: AbortHandle) {
        self.0.insert(task.id(), Entry { connection, task });
    }

    pub fn strike(&mut self, id: Id) {
        self.0.remove(&id);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Closes those that have been idle for longest. `false`: none is idle.
    pub fn make_room(&mut self, counters: &Counters) -> bool {
        let idle = self.0.iter().filter_map(|(id, entry)| Some((entry.connection.idle_since()?, *id)));
        let mut idle: Vec<(Instant, Id)> = idle.collect();
        let batch = (self.0.len() / BATCH_SHARE).max(1);
        if idle.len() > batch {
            idle.select_nth_unstable_by_key(batch - 1, |(since, _)| *since);
            idle.truncate(batch);
        }
        for (_, id) in &idle {
            self.close(*id, Cut::Full, counters);
        }
        !idle.is_empty()
    }

    /// Refuses or closes who had time enough.
    pub fn sweep(&mut self, now: Instant, counters: &Counters) {
        let mut late = Vec::new();
        for (id, entry) in &self.0 {
            match entry.connection.verdict(now) {
                Verdict::Well => {}
                Verdict::Refuse(refusal) => entry.connection.refuse(refusal),
                Verdict::Idle => late.push((*id, Cut::Idle)),
                Verdict::Stalled => late.push((*id, Cut::Stalled)),
            }
        }
        for (id, why) in late {
            self.close(id, why, counters);
        }
    }

    fn close(&mut self, id: Id, why: Cut, counters: &Counters) {
        if let Some(entry) = self.0.remove(&id) {
            counters.cut(why);
            entry.task.abort();
        }
    }
}
