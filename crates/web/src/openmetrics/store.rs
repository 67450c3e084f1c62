//! The state on disk.

use super::family::{Family, Group};

pub(super) const STORE: Group = Group {
    title: "The state on disk",
    note: "Counters count from the start of the writer.",
    families: &[
        Family::gauge(
            "werkpilot_store_degraded",
            "Whether the disk refuses what is to be kept.",
            &[],
            |scrape, out| out.plain(!scrape.overview.system.store.is_well()),
        ),
        Family::gauge("werkpilot_store_waiting", "Batches that wait for the disk.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.waiting);
        }),
        Family::counter("werkpilot_store_commits", "Transactions of the store.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.commits);
        }),
        Family::counter("werkpilot_store_batches", "Batches that were kept.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.batches);
        }),
        Family::counter("werkpilot_store_changes", "Changes that were kept.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.changes);
        }),
        Family::counter("werkpilot_store_conflicts", "Batches that did not fit what was there.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.conflicts);
        }),
        Family::counter("werkpilot_store_refused", "Batches refused because of the disk.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.refused);
        }),
        Family::counter("werkpilot_store_dropped", "Batches lost because of the disk.", &[], |scrape, out| {
            out.plain(scrape.overview.system.store.dropped);
        }),
    ],
};
