//! The fleet's side of its bus: how to reach it, and what programs are told of it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use werkpilot_bus::switch::{Access, Settings};
use werkpilot_core::ids::AgentName;
use werkpilot_core::settings;

use super::credentials::{Credentials, OPERATOR};
use super::executions::{TellLast, TriggeredBy};
use super::link::{BusFacts, BusLink, ResidentEnded};
use super::resident::InProcess;
use super::start::{Bus, BusOptions, BusStartError, FleetOptions};
use crate::clock::Clock;
use crate::post::Post;

/// The link tells its last answers within half a second; it hangs if that takes longer than this.
const LAST: Duration = Duration::from_secs(1);

/// The fleet's side of its bus.
#[derive(Clone, Debug)]
pub struct BusSide {
    /// The bus.
    pub bus: Bus,
    /// Who may connect.
    pub credentials: Arc<Credentials>,
    /// Whether somebody listens to the system's events.
    pub heard: Arc<AtomicBool>,
    /// Bytes of a message at most.
    pub max_payload: usize,
    link: Post<BusLink>,
}

/// How an operator's tools reach a bus.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OperatorAccess {
    /// `nats://host:port`
    pub url: String,
    /// The user name.
    pub user: &'static str,
    /// The password.
    pub password: String,
}

impl BusSide {
    /// Starts a bus for a fleet.
    ///
    /// # Errors
    /// [`BusStartError`].
    pub fn start(
        listener: TcpListener,
        settings: &settings::Bus,
        clock: Clock,
        link: &Post<BusLink>,
        residents: Vec<InProcess>,
    ) -> Result<Self, BusStartError> {
        let credentials = Arc::new(Credentials::default());
        let max_payload = usize::try_from(settings.max_payload).unwrap_or(usize::MAX);
        let heard = Arc::new(AtomicBool::new(false));
        let (for_facts, for_triggers, for_ends) = (link.clone(), link.clone(), link.clone());
        let bus = Bus::start(BusOptions {
            listener,
            access: Access::Fleet(credentials.clone()),
            settings: Settings {
                max_payload,
                max_pending_requests: usize::try_from(settings.max_pending_requests).unwrap_or(usize::MAX),
                reply_window: settings.reply_window,
                ..Settings::default()
            },
            clock,
            facts: Arc::new(move |facts| for_facts.tell(BusFacts(facts))),
            fleet: Some(FleetOptions {
                triggers: Arc::new(move |triggered| {
                    for_triggers.addr().is_some_and(|link| link.try_send(TriggeredBy(triggered)).is_ok())
                }),
                ends: Arc::new(move |key, panicked| for_ends.tell(ResidentEnded { key, panicked })),
                residents,
            }),
            heard: heard.clone(),
        })?;
        bus.set_request_timeout(settings.request_timeout);
        Ok(Self { bus, credentials, heard, max_payload, link: link.clone() })
    }

    /// Whether somebody listens to the system's events.
    pub fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Closes the bus, once all who wait for executions have their answers. What runs has to have been ended before.
    pub async fn close(&self) {
        // A link that does not answer has nothing more to tell.
        let _ = self.link.ask(TellLast, LAST).await;
        self.bus.close().await;
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.bus.address()
    }

    /// What a process of an agent has in its environment. Some clients ignore credentials in a URL, so they are there on
    /// their own, too.
    pub fn environment(&self, key: u64, agent: &AgentName) -> Vec<(String, String)> {
        let password = self.credentials.issue(key, agent);
        let address = self.address();
        let set = |name: &str, value: String| (name.to_owned(), value);
        vec![
            set("NATS_URL", format!("nats://{agent}:{password}@{address}")),
            set("NATS_SERVER", format!("nats://{address}")),
            set("NATS_USER", agent.to_string()),
            set("NATS_PASSWORD", password),
        ]
    }

    /// How operators' tools reach it.
    pub fn operator(&self) -> OperatorAccess {
        OperatorAccess {
            url: format!("nats://{}", self.address()),
            user: OPERATOR,
            password: self.credentials.operator().to_owned(),
        }
    }
}
