//! The tray: what the fleet tells its bus and what may not get lost while the bus actor is being started again.
//!
//! A note lies in the tray until the bus actor takes it, and whoever takes the actor's place goes on with what is left.
//! Invariant: notes are carried out in the order in which they were left, each at most once. One that makes the actor
//! panic is gone, so that its successor gets on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;
use werkpilot_bus::switch::Availability;
use werkpilot_core::ids::{AgentIndex, AgentName};

use super::actor::BusActor;
use super::desk::ReplyTo;

/// What the bus is to know or to do.
#[derive(Debug)]
pub enum Note {
    /// What became of agents; `None`: not in the registry any more.
    Availabilities(Vec<(AgentName, Option<Availability>)>),
    /// On which subjects messages trigger jobs.
    Triggers(Vec<(AgentIndex, AgentName, Option<String>)>),
    /// Answers a message that triggered a job.
    Answer {
        /// Where the answer goes.
        to: ReplyTo,
        /// What the job wrote, or a code and a text.
        answer: Result<Vec<u8>, (u16, String)>,
    },
    /// The process with this key has ended: its connections are closed.
    Revoke(u64),
    /// Stops the in-process agent that was started with this key.
    StopResident(u64),
    /// Memory is short: caches are emptied.
    GiveBack,
}

/// There are notes in the tray.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EmptyTray;

/// The tray. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Tray(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    waiting: VecDeque<Note>,
    /// Nobody will take any.
    closed: bool,
}

impl Tray {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a note. Whether the bus actor has to be told: if there were others, it has been, or it is about to look
    /// because it is just being started.
    #[must_use]
    pub fn put(&self, note: Note) -> bool {
        let mut notes = self.notes();
        if notes.closed {
            return false;
        }
        notes.waiting.push_back(note);
        notes.waiting.len() == 1
    }

    /// Takes the oldest note.
    pub fn take(&self) -> Option<Note> {
        self.notes().waiting.pop_front()
    }

    /// There is no bus any more: notes are thrown away from now on.
    pub fn close(&self) {
        *self.notes() = Notes { closed: true, ..Notes::default() };
    }
}

impl Handler<EmptyTray> for BusActor {
    type Result = ();
    fn handle(&mut self, _: EmptyTray, _: &mut Self::Context) {
        self.empty_tray();
    }
}

impl BusActor {
    /// Does what the notes say.
    pub(super) fn empty_tray(&self) {
        while let Some(note) = self.tray().take() {
            self.carry_out(note);
        }
    }

    fn carry_out(&self, note: Note) {
        match note {
            Note::Availabilities(agents) => self.board().with(|switch| {
                for (agent, availability) in agents {
                    switch.set_availability(agent, availability);
                }
            }),
            Note::Revoke(credential) => self.board().with(|switch| switch.revoke(credential)),
            Note::GiveBack => self.board().with(werkpilot_bus::switch::Switch::give_back),
            Note::StopResident(key) => self.board().residents.stop(self.board(), key),
            Note::Triggers(triggers) => {
                for (agent, name, subject) in triggers {
                    self.desk().inspect(|desk| desk.set_trigger(agent, &name, subject.as_deref()));
                }
            }
            Note::Answer { to, answer } => {
                self.desk().inspect(|desk| desk.answer(&to, answer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    use werkpilot_bus::switch::{Access, Settings};
    use werkpilot_core::status::Status;

    use super::*;
    use crate::bus::actor::{Crash, GetBusReport};
    use crate::bus::start::{Bus, BusOptions, FleetOptions};
    use crate::bus::{AgentError, Credentials, Query, RequestError};
    use crate::clock::Clock;

    #[derive(Message, serde::Serialize, serde::Deserialize)]
    #[rtype(result = "Result<(), AgentError>")]
    struct Ask;

    impl Query for Ask {
        type Response = ();
        const ENDPOINT: &'static str = "";
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    fn name(text: &str) -> AgentName {
        AgentName::new(text).unwrap()
    }

    /// A fleet's bus, on which no job can take a message.
    fn bus() -> Bus {
        let fleet = FleetOptions { triggers: Arc::new(|_| false), ends: Arc::new(|_, _| {}), residents: Vec::new() };
        let options = BusOptions {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            access: Access::Fleet(Arc::new(Credentials::default())),
            settings: Settings::default(),
            clock: Clock::start(),
            facts: Arc::new(|_| {}),
            fleet: Some(fleet),
            heard: Arc::default(),
        };
        Bus::start(options).unwrap()
    }

    #[test]
    fn what_is_told_while_the_bus_actor_dies_is_done_by_its_successor() {
        System::new().block_on(async {
            let bus = bus();
            let (office, db) = (name("office"), name("db"));
            for reason in ["first", "second"] {
                // The notes come after the death: who dies does not read them.
                bus.post().tell(Crash);
                let why = Availability { status: Status::Disabled, reason: reason.to_owned() };
                bus.leave(Note::Availabilities(vec![(db.clone(), Some(why))]));
                let answer = loop {
                    let answer = bus.messenger().request(&office, &db, Ask, PATIENCE).await;
                    match answer {
                        Err(RequestError::Unavailable { reason }) if reason.contains("the bus") => {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        answer => break answer,
                    }
                };
                let reason = format!("disabled: {reason}");
                assert_eq!(answer, Err(RequestError::Unavailable { reason }));
            }
        });
    }

    #[test]
    fn messages_that_no_job_can_take_are_counted() {
        System::new().block_on(async {
            let bus = bus();
            let subject = Some("orders.new".to_owned());
            bus.leave(Note::Triggers(vec![(AgentIndex(0), name("clerk"), subject)]));
            bus.post().ask(GetBusReport, PATIENCE).await.unwrap();
            bus.messenger().publish(&name("office"), "orders.new", b"7".to_vec()).unwrap();
            let dropped = async {
                while bus.post().ask(GetBusReport, PATIENCE).await.unwrap().triggers_dropped != 1 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(PATIENCE, dropped).await.unwrap();
        });
    }

    #[test]
    fn the_actor_is_told_of_the_first_note_only_and_takes_them_in_order() {
        let tray = Tray::default();
        assert!(tray.put(Note::Revoke(1)));
        assert!(!tray.put(Note::Revoke(2)));
        assert!(matches!(tray.take(), Some(Note::Revoke(1))));
        assert!(!tray.put(Note::Revoke(3)));
        assert!(matches!(tray.take(), Some(Note::Revoke(2))));
        assert!(matches!(tray.take(), Some(Note::Revoke(3))));
        assert!(tray.take().is_none());
        assert!(tray.put(Note::Revoke(4)));
        tray.close();
        assert!(!tray.put(Note::Revoke(5)) && tray.take().is_none());
    }
}
