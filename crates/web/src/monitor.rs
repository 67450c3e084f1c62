//! What tools that watch nats-server ask for: `/varz` and `/connz`, with its field names.
//! <https://docs.nats.io/running-a-nats-service/nats_admin/monitoring>

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::{Value, json};
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::bus::{Bus, BusReport, ConnectionView, GetBusReport, GetConnections};

/// The bus answers much sooner.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections of a page of `/connz`, as nats-server has it.
const PAGE: usize = 1_024;
/// Watchers at a time.
const CONNECTIONS: usize = 64;

/// A running monitor.
#[derive(Debug)]
pub struct Monitor {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl Monitor {
    /// Stops it at once.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

struct Watched {
    bus: Bus,
    start: std::time::Instant,
    started_at: Timestamp,
}

/// Serves the figures of a bus. Has to be called inside an actix `System`.
///
/// # Errors
/// The listener can't be used.
pub fn monitor(listener: TcpListener, bus: Bus) -> io::Result<Monitor> {
    let address = listener.local_addr()?;
    let started_at = werkpilot_runtime::clock::Clock::wall();
    let watched = Data::new(Watched { bus, start: std::time::Instant::now(), started_at });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(watched.clone())
            .route("/varz", web::get().to(varz))
            .route("/connz", web::get().to(connz))
            .route("/healthz", web::get().to(healthz))
            .route("/", web::get().to(index))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Monitor { address, handle })
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("/varz\n/connz\n/healthz\n")
}

async fn healthz(watched: Data<Watched>) -> HttpResponse {
    match watched.bus.post().ask(GetBusReport, PATIENCE).await {
        Ok(_) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(error) => HttpResponse::ServiceUnavailable().json(json!({ "status": "error", "error": error.to_string() })),
    }
}

async fn varz(watched: Data<Watched>) -> HttpResponse {
    match watched.bus.post().ask(GetBusReport, PATIENCE).await {
        Ok(report) => HttpResponse::Ok().json(varz_json(&watched, &report)),
        Err(error) => HttpResponse::ServiceUnavailable().json(json!({ "error": error.to_string() })),
    }
}

fn varz_json(watched: &Watched, report: &BusReport) -> Value {
    let (stats, info) = (&report.stats, &report.info);
    json!({
        "server_id": info.server_id,
        "server_name": info.server_name,
        "version": info.version,
        "proto": info.proto,
        "host": info.host,
        "port": info.port,
        "auth_required": info.auth_required,
        "max_payload": info.max_payload,
        "max_connections": report.max_connections,
        "start": watched.started_at.to_string(),
        "now": werkpilot_runtime::clock::Clock::wall().to_string(),
        "uptime": uptime(watched.start.elapsed()),
        "mem": werkpilot_process::memory::own_rss(),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "connections": report.connections,
        "total_connections": stats.total_connections,
        "subscriptions": report.subscriptions,
        "slow_consumers": stats.slow_consumers,
        "in_msgs": stats.traffic.in_msgs,
        "out_msgs": stats.traffic.out_msgs,
        "in_bytes": stats.traffic.in_bytes,
        "out_bytes": stats.traffic.out_bytes,
    })
}

#[derive(serde::Deserialize)]
struct Page {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
    /// Whether the names of users are wanted: `1` or `true`.
    #[serde(default)]
    auth: String,
}

async fn connz(watched: Data<Watched>, page: web::Query<Page>) -> HttpResponse {
    let connections = match watched.bus.post().ask(GetConnections, PATIENCE).await {
        Ok(connections) => connections,
        Err(error) => return HttpResponse::ServiceUnavailable().json(json!({ "error": error.to_string() })),
    };
    let limit = page.limit.unwrap_or(PAGE);
    let total = connections.len();
    let with_user = matches!(page.auth.as_str(), "1" | "true");
    let shown = connections.iter().skip(page.offset).take(limit);
    let shown: Vec<Value> = shown.map(|connection| connection_json(connection, with_user)).collect();
    HttpResponse::Ok().json(json!({
        "now": werkpilot_runtime::clock::Clock::wall().to_string(),
        "num_connections": shown.len(),
        "total": total,
        "offset": page.offset,
        "limit": limit,
        "connections": shown,
    }))
}

fn connection_json(connection: &ConnectionView, with_user: bool) -> Value {
    let mut shown = json!({
        "cid": connection.number,
        "kind": "Client",
        "type": "nats",
        "ip": connection.peer.map(|peer| peer.ip().to_string()),
        "port": connection.peer.map(|peer| peer.port()),
        "uptime": uptime(connection.uptime),
        "idle": uptime(connection.idle),
        "pending_bytes": connection.pending_bytes,
        "in_msgs": connection.traffic.in_msgs,
        "out_msgs": connection.traffic.out_msgs,
        "in_bytes": connection.traffic.in_bytes,
        "out_bytes": connection.traffic.out_bytes,
        "subscriptions": connection.subscriptions,
        "name": connection.name,
        "lang": connection.lang,
        "version": connection.version,
    });
    if with_user && let Some(user) = &connection.user {
        shown["authorized_user"] = user.as_str().into();
    }
    shown
}

/// As nats-server shows it: `1d2h3m4s`, without the parts in front that are zero.
fn uptime(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    let seconds = secs % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, _, _) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_nats_server_writes_them() {
        let shown = [0, 59, 60, 3_661, 90_061].map(|secs| uptime(Duration::from_secs(secs)));
        assert_eq!(shown, ["0s", "59s", "1m0s", "1h1m1s", "1d1h1m1s"]);
    }
}
