//! The orchestrator itself: its life, its health, its event loop, its disk.

use werkpilot_core::vitals::{Part, PartState};
use werkpilot_runtime::view::Scrape;

use super::family::{Family, Group, Label};
use super::text::seconds;

const PHASES: &[&str] = &["booting", "running", "shutting_down"];
const PARTS: &[&str] = &["phase", "actors", "event_loop", "store", "disk", "schedule"];
const STATES: &[&str] = &["ok", "warning", "failing"];

const fn word_of_part(part: Part) -> &'static str {
    match part {
        Part::Phase => PARTS[0],
        Part::Actors => PARTS[1],
        Part::EventLoop => PARTS[2],
        Part::Store => PARTS[3],
        Part::Disk => PARTS[4],
        Part::Schedule => PARTS[5],
    }
}

const fn word_of_state(state: PartState) -> &'static str {
    match state {
        PartState::Ok => STATES[0],
        PartState::Warning => STATES[1],
        PartState::Failing => STATES[2],
    }
}

fn started_at(scrape: &Scrape) -> f64 {
    scrape.at.as_millis() as f64 / 1_000.0 - scrape.overview.system.uptime_seconds
}

pub(super) const LIFE: Group = Group {
    title: "The orchestrator",
    note: "",
    families: &[
        Family::info(
            "werkpilot_build",
            "The orchestrator.",
            &[Label::named("version", "of the binary")],
            |scrape, out| out.of([scrape.overview.system.version], 1_u64),
        ),
        Family::gauge(
            "werkpilot_phase",
            "1 for the phase that the orchestrator is in.",
            &[Label::words("phase", PHASES)],
            |scrape, out| out.one_of(PHASES, scrape.overview.system.phase),
        ),
        Family::gauge("werkpilot_uptime_seconds", "Since the start.", &[], |scrape, out| {
            out.plain(scrape.overview.system.uptime_seconds);
        }),
        Family::gauge("werkpilot_start_timestamp_seconds", "When it was started.", &[], |scrape, out| {
            out.plain(started_at(scrape));
        }),
        Family::gauge("werkpilot_boot_duration_seconds", "What the boot took, once it is over.", &[], |scrape, out| {
            out.maybe(scrape.boot.map(|boot| boot.duration.as_secs_f64()));
        }),
        Family::gauge("werkpilot_boot_layers", "Layers of the boot.", &[], |scrape, out| {
            out.maybe(scrape.boot.map(|boot| boot.layers));
        }),
        Family::gauge(
            "werkpilot_boot_late_services",
            "Services that were not ready in time when the boot went on.",
            &[],
            |scrape, out| out.maybe(scrape.boot.map(|boot| boot.late)),
        ),
        Family::gauge("werkpilot_triggers_paused", "Whether triggers are paused.", &[], |scrape, out| {
            out.plain(scrape.overview.system.paused);
        }),
    ],
};

pub(super) const HEALTH: Group = Group {
    title: "Health of the orchestrator",
    note: "The same as `/healthz` and `/readyz` tell.",
    families: &[
        Family::gauge("werkpilot_ready", "Whether the boot is over and no shutdown has begun.", &[], |scrape, out| {
            out.plain(scrape.health.ready);
        }),
        Family::gauge("werkpilot_healthy", "Whether no part that matters fails.", &[], |scrape, out| {
            out.plain(scrape.health.healthy);
        }),
        Family::gauge(
            "werkpilot_part_state",
            "1 for the state that the part is in.",
            &[Label::words("part", PARTS), Label::words("state", STATES)],
            |scrape, out| {
                for report in &scrape.health.parts {
                    for state in [PartState::Ok, PartState::Warning, PartState::Failing] {
                        out.of([word_of_part(report.part), word_of_state(state)], report.state == state);
                    }
                }
            },
        ),
        Family::gauge("werkpilot_actors_missing", "System actors that are not there.", &[], |scrape, out| {
            out.plain(scrape.health.missing_actors.len());
        }),
        Family::gauge("werkpilot_event_loop_lag_seconds", "How late the event loop is.", &[], |scrape, out| {
            out.maybe(scrape.health.event_loop.lag_ms.map(seconds));
        }),
        Family::gauge(
            "werkpilot_event_loop_worst_lag_seconds",
            "How late the event loop was at worst within the last minute.",
            &[],
            |scrape, out| out.maybe(scrape.health.event_loop.worst_lag_ms.map(seconds)),
        ),
        Family::gauge(
            "werkpilot_schedule_lag_seconds",
            "From the time that the last scheduled executions were due until they were in the queue.",
            &[],
            |scrape, out| out.maybe(scrape.health.schedule.map(|batch| seconds(batch.lag_ms))),
        ),
        Family::gauge(
            "werkpilot_disk_free_bytes",
            "What the orchestrator may still write on the disk of its state.",
            &[],
            |scrape, out| out.maybe(scrape.health.disk.map(|disk| disk.free_bytes)),
        ),
        Family::gauge("werkpilot_disk_size_bytes", "Size of the disk of its state.", &[], |scrape, out| {
            out.maybe(scrape.health.disk.map(|disk| disk.total_bytes));
        }),
        Family::gauge("werkpilot_probed_processes", "Processes whose health is probed.", &[], |scrape, out| {
            out.plain(scrape.probing.watched);
        }),
        Family::gauge("werkpilot_probes_in_flight", "Health probes that wait for their answer.", &[], |scrape, out| {
            out.plain(scrape.probing.in_flight);
        }),
        Family::gauge(
            "werkpilot_overall_check_timestamp_seconds",
            "When the overall check looked at some agents last.",
            &[],
            |scrape, out| out.maybe(scrape.health.last_overall_check.map(super::at)),
        ),
    ],
};
