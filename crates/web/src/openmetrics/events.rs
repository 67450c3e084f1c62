//! Events, and who outside hears of them.

use super::family::{Family, Group, Label};

const TARGET: Label = Label::named("target", "a `[[notify]]` of werkpilot.toml");

pub(super) const EVENTS: Group = Group {
    title: "Events",
    note: "`werkpilot events` shows them; the topics are listed in the documentation of the bus.",
    families: &[
        Family::counter(
            "werkpilot_events",
            "Events by topic; a topic is there from its first event on.",
            &[Label::named("topic", "a type of event")],
            |scrape, out| {
                for (topic, count) in &scrape.overview.system.events {
                    out.of([topic], *count);
                }
            },
        ),
        Family::gauge(
            "werkpilot_event_newest_number",
            "Number of the newest event; it goes on after a restart.",
            &[],
            |scrape, out| out.plain(scrape.newest_event),
        ),
        Family::gauge("werkpilot_event_streams", "Clients that follow the event stream.", &[], |scrape, out| {
            out.plain(scrape.streams.open);
        }),
        Family::counter(
            "werkpilot_event_stream_resyncs",
            "How often a client of the event stream was told that it has a gap.",
            &[],
            |scrape, out| out.plain(scrape.streams.resyncs),
        ),
        Family::counter(
            "werkpilot_event_streams_refused",
            "Clients of the event stream that were turned away because there were too many.",
            &[],
            |scrape, out| out.plain(scrape.streams.refused),
        ),
    ],
};

pub(super) const NOTIFICATIONS: Group = Group {
    title: "Notifications",
    note: "All counters count from the start of the orchestrator.",
    families: &[
        Family::counter(
            "werkpilot_notifications",
            "What became of events that a target was to hear of: sent, left out by its rate, or lost.",
            &[TARGET, Label::words("fate", &["sent", "suppressed", "dropped"])],
            |scrape, out| {
                for target in &scrape.notifications {
                    out.of([&target.name, "sent"], target.sent);
                    out.of([&target.name, "suppressed"], target.suppressed);
                    out.of([&target.name, "dropped"], target.dropped);
                }
            },
        ),
        Family::counter(
            "werkpilot_notification_digests",
            "Messages delivered that only told how much was left out.",
            &[TARGET],
            |scrape, out| {
                for target in &scrape.notifications {
                    out.of([&target.name], target.summaries);
                }
            },
        ),
        Family::counter("werkpilot_notification_failures", "Tries that failed.", &[TARGET], |scrape, out| {
            for target in &scrape.notifications {
                out.of([&target.name], target.failed);
            }
        }),
        Family::gauge(
            "werkpilot_notification_failures_in_a_row",
            "Tries that failed since the last success.",
            &[TARGET],
            |scrape, out| {
                for target in &scrape.notifications {
                    out.of([&target.name], target.failures_in_a_row);
                }
            },
        ),
        Family::gauge(
            "werkpilot_notification_queue_length",
            "Messages that wait, the one under way included.",
            &[TARGET],
            |scrape, out| {
                for target in &scrape.notifications {
                    out.of([&target.name], target.queued);
                }
            },
        ),
        Family::gauge(
            "werkpilot_notification_last_success_timestamp_seconds",
            "When one was delivered last.",
            &[TARGET],
            |scrape, out| {
                for target in &scrape.notifications {
                    out.maybe_of([&target.name], target.last_success.map(super::at));
                }
            },
        ),
    ],
};
