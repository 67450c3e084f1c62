//! Giving back what can be done without: answers that the bus keeps, pages that SQLite keeps, pages of the allocator.

use std::time::Duration;

use werkpilot_process::heap;
use werkpilot_process::quiet::quietly;

use crate::bus::Note;
use crate::house::House;

/// How long caches have for it before the allocator gives its pages back.
pub const SETTLE: Duration = Duration::from_millis(200);

/// Tells all caches. Each has its own thread or its turn.
pub fn caches(house: &House) {
    if let Some(side) = &house.bus {
        side.bus.leave(Note::GiveBack);
    }
    if let Some(writer) = house.ledger.writer() {
        // A writer that has no room for this has other worries.
        let _ = writer.shrink();
    }
}

/// Gives free pages of the heap back to the system.
pub fn pages() {
    heap::flush_own_cache();
    if quietly("give-back", heap::purge).is_err() {
        heap::purge();
    }
}
