//! Reads a row column by column, in the table's order, after its checksum.

use std::str::FromStr;
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use werkpilot_core::digest::Digest;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::Json;
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

/// A verified row and the place of the next column in it.
pub(crate) struct Columns<'a> {
    table: &'static str,
    row: &'a Row<'a>,
    names: &'a mut Names,
    conn: &'a Connection,
    next: usize,
}

impl<'a> Columns<'a> {
    /// The columns of a row of `SELECT *`, once its checksum is right.
    pub(crate) fn verified(
        table: &'static str,
        row: &'a Row<'a>,
        conn: &'a Connection,
        names: &'a mut Names,
    ) -> Result<Self, RowError> {
        sum::verify(table, row)?;
        Ok(Self { table, row, names, conn, next: 0 })
    }

    /// The next column as it is.
    pub(crate) fn get<T: FromSql>(&mut self) -> Result<T, RowError> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }

    fn wrong(&self, column: &'static str) -> RowError {
        RowError::Value { table: self.table, column }
    }

    pub(crate) fn unsigned<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<T, RowError> {
        T::try_from(self.get::<i64>()?).map_err(|_| self.wrong(column))
    }

    pub(crate) fn maybe<T: TryFrom<i64>>(&mut self, column: &'static str) -> Result<Option<T>, RowError> {
        let number: Option<i64> = self.get()?;
        number.map(|number| T::try_from(number).map_err(|_| self.wrong(column))).transpose()
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, RowError> {
        self.get().map(Timestamp::from_millis)
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Timestamp>, RowError> {
        Ok(self.get::<Option<i64>>()?.map(Timestamp::from_millis))
    }

    pub(crate) fn maybe_span(&mut self, column: &'static str) -> Result<Option<Duration>, RowError> {
        Ok(self.maybe::<u64>(column)?.map(Duration::from_micros))
    }

    pub(crate) fn agent(&mut self) -> Result<AgentName, RowError> {
        let id = self.get()?;
        self.names.agent(self.conn, id)
    }

    pub(crate) fn maybe_agent(&mut self) -> Result<Option<AgentName>, RowError> {
        let id: Option<i64> = self.get()?;
        id.map(|id| self.names.agent(self.conn, id)).transpose()
    }

    pub(crate) fn topic(&mut self) -> Result<String, RowError> {
        let id = self.get()?;
        self.names.name(self.conn, id).map(str::to_owned)
    }

    pub(crate) fn run(&mut self, column: &'static str) -> Result<RunId, RowError> {
        let bytes: [u8; 16] = self.get()?;
        run_of(bytes).ok_or_else(|| self.wrong(column))
    }

    pub(crate) fn maybe_run(&mut self, column: &'static str) -> Result<Option<RunId>, RowError> {
        let bytes: Option<[u8; 16]> = self.get()?;
        bytes.map(|bytes| run_of(bytes).ok_or_else(|| self.wrong(column))).transpose()
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, RowError> {
        self.get().map(Digest::from_bytes)
    }

    /// A column with one of a type's words.
    pub(crate) fn word<T: FromStr>(&mut self, column: &'static str) -> Result<T, RowError> {
        self.get::<String>()?.parse().map_err(|_| self.wrong(column))
    }

    pub(crate) fn json(&mut self) -> Result<Json, RowError> {
        self.get().map(Json::from_text)
    }

    pub(crate) fn maybe_json(&mut self) -> Result<Option<Json>, RowError> {
        Ok(self.get::<Option<String>>()?.map(Json::from_text))
    }

    /// A column of JSON that a type knows.
    pub(crate) fn typed<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, RowError> {
        let text: String = self.get()?;
        serde_json::from_str(&text).map_err(|_| self.wrong(column))
    }

    pub(crate) fn maybe_typed<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<Option<T>, RowError> {
        let text: Option<String> = self.get()?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| self.wrong(column))).transpose()
    }
}

/// The 16 bytes of a run id.
pub(crate) fn run_bytes(run: RunId) -> [u8; 16] {
    // A run id shows nothing of itself but its text, which is that of a UUID.
    Uuid::try_parse(&run.to_string()).map(Uuid::into_bytes).unwrap_or_default()
}

/// The run id of 16 bytes.
pub(crate) fn run_of(bytes: [u8; 16]) -> Option<RunId> {
    let mut buffer = Uuid::encode_buffer();
    Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut buffer).parse().ok()
}

/// A span as it is kept: whole microseconds.
pub(crate) fn span(duration: Option<Duration>) -> Option<i64> {
    duration.map(|duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// A time as it is kept: milliseconds since the epoch.
pub(crate) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// A count as it is kept. Counts above 2^63 do not happen.
pub(crate) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
