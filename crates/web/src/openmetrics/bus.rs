//! The bus.

use werkpilot_runtime::view::{BusView, Scrape};

use super::family::{Family, Group, Label};
use super::text::Samples;

const WAYS: Label = Label::words("direction", &["in", "out"]);

/// A bus that is just being started again has no figures for a moment.
fn with(scrape: &Scrape, out: &mut Samples<'_>, write: impl FnOnce(&BusView, &mut Samples<'_>)) {
    if let Some(bus) = &scrape.bus {
        write(bus, out);
    }
}

pub(super) const BUS: Group = Group {
    title: "The bus",
    note: "",
    families: &[
        Family::gauge("werkpilot_bus_connections", "Clients that are connected.", &[], |scrape, out| {
            with(scrape, out, |bus, out| out.plain(bus.connections));
        }),
        Family::gauge("werkpilot_bus_connections_limit", "Clients that may be connected.", &[], |scrape, out| {
            with(scrape, out, |bus, out| out.plain(bus.max_connections));
        }),
        Family::counter("werkpilot_bus_clients", "Clients that ever connected.", &[], |scrape, out| {
            with(scrape, out, |bus, out| out.plain(bus.total_connections));
        }),
        Family::gauge("werkpilot_bus_subscriptions", "Subscriptions.", &[], |scrape, out| {
            with(scrape, out, |bus, out| out.plain(bus.subscriptions));
        }),
        Family::counter("werkpilot_bus_messages", "Messages by direction.", &[WAYS], |scrape, out| {
            with(scrape, out, |bus, out| {
                out.of(["in"], bus.in_msgs);
                out.of(["out"], bus.out_msgs);
            });
        }),
        Family::counter("werkpilot_bus_message_bytes", "Their bytes.", &[WAYS], |scrape, out| {
            with(scrape, out, |bus, out| {
                out.of(["in"], bus.in_bytes);
                out.of(["out"], bus.out_bytes);
            });
        }),
        Family::gauge("werkpilot_bus_requests_pending", "Requests that wait for their answers.", &[], |scrape, out| {
            with(scrape, out, |bus, out| out.plain(bus.pending_requests));
        }),
        Family::counter(
            "werkpilot_bus_requests",
            "What became of requests to programs.",
            &[Label::words(
                "fate",
                &["delivered", "answered", "cached", "unavailable", "overloaded", "timed_out", "undelivered"],
            )],
            |scrape, out| {
                with(scrape, out, |bus, out| {
                    let requests = &bus.requests;
                    out.of(["delivered"], requests.delivered);
                    out.of(["answered"], requests.answered);
                    out.of(["cached"], requests.cached);
                    out.of(["unavailable"], requests.unavailable);
                    out.of(["overloaded"], requests.overloaded);
                    out.of(["timed_out"], requests.timed_out);
                    out.of(["undelivered"], requests.undelivered);
                });
            },
        ),
        Family::counter(
            "werkpilot_bus_replies_dropped",
            "Replies that were thrown away.",
            &[Label::words("reason", &["late", "foreign"])],
            |scrape, out| {
                with(scrape, out, |bus, out| {
                    out.of(["late"], bus.requests.late_replies);
                    out.of(["foreign"], bus.requests.rejected_replies);
                });
            },
        ),
        Family::counter(
            "werkpilot_bus_slow_consumers",
            "Clients that were cut off because they did not keep up.",
            &[],
            |scrape, out| with(scrape, out, |bus, out| out.plain(bus.slow_consumers)),
        ),
        Family::counter("werkpilot_bus_violations", "What somebody was not allowed to do.", &[], |scrape, out| {
            with(scrape, out, |bus, out| out.plain(bus.violations));
        }),
        Family::counter(
            "werkpilot_bus_triggers_dropped",
            "Messages for jobs that were not taken because too many of them wait.",
            &[],
            |scrape, out| with(scrape, out, |bus, out| out.plain(bus.triggers_dropped)),
        ),
    ],
};
