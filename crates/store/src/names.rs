//! Names of agents and topics as small numbers, remembered on both sides of the database.
//!
//! A name that has a number keeps it for ever. What is remembered here may be forgotten at any time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension};
use werkpilot_core::ids::AgentName;

use crate::error::RowError;
use crate::sum;

pub(crate) const TABLE: &str = "names";

/// What is remembered of the names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    ids: HashMap<Box<str>, i64>,
    texts: HashMap<i64, Box<str>>,
    agents: HashMap<i64, AgentName>,
}

impl Names {
    /// Forgets everything: the transaction that gave some of the numbers was taken back.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The number of a name, if it has one.
    pub(crate) fn find(&mut self, conn: &Connection, name: &str) -> Result<Option<i64>, RowError> {
        if let Some(id) = self.ids.get(name) {
            return Ok(Some(*id));
        }
        let mut statement = conn.prepare_cached("SELECT * FROM names WHERE name = ?1")?;
        let mut rows = statement.query([name])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        sum::verify(TABLE, row)?;
        let id = row.get(0)?;
        self.ids.insert(name.into(), id);
        Ok(Some(id))
    }

    /// The number of a name; a new name gets the next one. For the writer only.
    pub(crate) fn number(&mut self, conn: &Connection, name: &str) -> Result<i64, RowError> {
        if let Some(id) = self.find(conn, name)? {
            return Ok(id);
        }
        let newest: Option<i64> = conn.query_row("SELECT max(id) FROM names", [], |row| row.get(0))?;
        let id = newest.unwrap_or(0) + 1;
        sum::write(conn, "INSERT INTO names VALUES (?1, ?2, ?3)", TABLE, &[&id, &name])?;
        self.ids.insert(name.into(), id);
        Ok(id)
    }

    /// The name of a number.
    pub(crate) fn name(&mut self, conn: &Connection, id: i64) -> Result<&str, RowError> {
        match self.texts.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let name = look_up(conn, id)?.ok_or(RowError::Value { table: TABLE, column: "id" })?;
                Ok(unknown.insert(name.into()))
            }
        }
    }

    /// The agent of a number.
    pub(crate) fn agent(&mut self, conn: &Connection, id: i64) -> Result<AgentName, RowError> {
        if let Some(agent) = self.agents.get(&id) {
            return Ok(agent.clone());
        }
        let name = AgentName::new(self.name(conn, id)?);
        let agent = name.map_err(|_| RowError::Value { table: TABLE, column: "name" })?;
        self.agents.insert(id, agent.clone());
        Ok(agent)
    }
}

fn look_up(conn: &Connection, id: i64) -> Result<Option<String>, RowError> {
    let mut statement = conn.prepare_cached("SELECT * FROM names WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok(sum::verify(TABLE, row).map(|()| row.get::<_, String>(1))));
    match found.optional()? {
        None => Ok(None),
        Some(checked) => Ok(Some(checked??)),
    }
}
