//! The bus as people use it: its figures, a question, a message.

use std::time::Duration;

use super::{ANSWER, ControlError, Handle, NO_BUS};
use crate::bus::{ConsoleError, ConsoleNote, GetRequests, Reply};
use crate::view::{BusDetail, request_times};

impl Handle {
    /// The figures of the bus, and what became of requests.
    ///
    /// # Errors
    /// If the bus does not answer.
    pub async fn bus_detail(&self) -> Result<BusDetail, ControlError> {
        let side = self.bus.as_ref().ok_or(NO_BUS)?;
        let figures = self.bus_report().await?;
        let requests = side.bus.post().ask(GetRequests, ANSWER).await?;
        let times = self.consult(request_times).await?;
        Ok(BusDetail::of(figures, requests, &times))
    }

    /// How long a question on the bus waits for its answer, unless it says otherwise.
    ///
    /// # Errors
    /// If there is no bus.
    pub fn bus_patience(&self) -> Result<Duration, ControlError> {
        Ok(self.bus.as_ref().ok_or(NO_BUS)?.bus.messenger().timeout())
    }

    /// The subject of a question to an agent, or to one of its endpoints.
    ///
    /// # Errors
    /// If there is no such agent.
    pub async fn bus_subject(&self, agent: &str, endpoint: Option<&str>) -> Result<String, ControlError> {
        let agent = self.known(agent).await?;
        Ok(endpoint.map_or_else(|| format!("rpc.{agent}"), |endpoint| format!("rpc.{agent}.{endpoint}")))
    }

    /// Asks on the bus, in the operator's name.
    ///
    /// # Errors
    /// If there is no bus; [`ConsoleError`] in the answer.
    pub async fn bus_ask(
        &self,
        note: ConsoleNote,
        timeout: Duration,
    ) -> Result<Result<Reply, ConsoleError>, ControlError> {
        let side = self.bus.as_ref().ok_or(NO_BUS)?;
        Ok(side.bus.messenger().ask_as_operator(note, timeout).await)
    }

    /// Publishes on the bus, in the operator's name.
    ///
    /// # Errors
    /// If there is no bus; [`ConsoleError`] in the answer.
    pub async fn bus_publish(&self, note: ConsoleNote) -> Result<Result<(), ConsoleError>, ControlError> {
        let side = self.bus.as_ref().ok_or(NO_BUS)?;
        Ok(side.bus.messenger().publish_as_operator(note).await)
    }
}
