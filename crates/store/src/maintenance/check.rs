//! Whether the database is what was written: quickly at a start, wholly by `werkpilot state check`.
//!
//! A file up to [`SMALL`] is checked wholly at each start. Of a larger one, the schema and the tables that a start reads are
//! checked wholly; history and events row by row when they are read, and wholly by `state check`.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;

use crate::error::{OpenError, RowError};
use crate::reader::AuditReport;
use crate::reader::access::verified;
use crate::{FILE, schema, sum};

/// Files up to this size are checked wholly at each start: about 50 ms.
const SMALL: i64 = 8 << 20;

/// Dead letters whose checksums are looked at at the start of a large file: the newest ones. All are when they are read.
const NEWEST_LETTERS: u32 = 2_000;

/// What a start reads, and that is bounded by the number of agents.
const VITAL: [&str; 9] =
    ["names", "counters", "agents", "schedules", "triggers", "samples", "decisions", "tokens", "audit_ends"];

/// What grows with time.
const GROWING: [&str; 8] =
    ["dead_letters", "executions", "events", "reports", "digests", "scores", "audit", "idempotency"];

/// What came with the second schema: a backup of the first one has none of it.
const OF_THE_SECOND: [&str; 2] = ["decisions", "reports"];

/// What came with the third.
const OF_THE_THIRD: [&str; 4] = ["tokens", "audit_ends", "audit", "idempotency"];

/// Problems that are told one by one.
const TOLD: usize = 100;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Size of the file.
    pub bytes: u64,
    /// Its schema.
    pub schema: i64,
    /// What was looked at.
    pub tables: Vec<TableReport>,
    /// The audit log; `None`: a backup of an older version, or the file is damaged.
    pub audit: Option<AuditReport>,
    /// What is wrong, at most about a hundred lines; none: the database is what was written.
    pub problems: Vec<String>,
}

/// One table of a [`CheckReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// Its name.
    pub table: &'static str,
    /// Rows in it.
    pub rows: u64,
    /// Rows that are not what was written.
    pub damaged: u64,
}

/// Checks everything: structure, indices, checksums, names. Reads the whole file; an orchestrator may run meanwhile.
///
/// # Errors
/// [`OpenError`]: it is not there, newer, or not ours. Damage is in the report.
pub fn check(state_dir: &Path) -> Result<CheckReport, OpenError> {
    let path = state_dir.join(FILE);
    let mut report = check_file(&path)?;
    // A backup with a broken one is still the best that there is, so that only this tells of it.
    let broken = report.audit.as_ref().and_then(|audit| audit.broken.as_ref());
    report.problems.extend(broken.map(ToString::to_string));
    Ok(report)
}

pub(crate) fn check_file(path: &Path) -> Result<CheckReport, OpenError> {
    let failed = |error| OpenError::of(path, error);
    let damaged = |what: String| CheckReport { problems: vec![what], ..CheckReport::default() };
    let looked = schema::open_for_reading(path).map_err(failed).and_then(|conn| {
        schema::recognise(&conn, path)?;
        whole(&conn).map_err(failed)
    });
    match looked {
        Err(OpenError::Damaged { what, .. }) => Ok(damaged(what)),
        other => other,
    }
}

/// The problem of a file that is about to be used, if it has one.
pub(crate) fn at_start(conn: &Connection) -> rusqlite::Result<Option<String>> {
    if let Some(problem) = schema::compare(conn)? {
        return Ok(Some(problem));
    }
    let bytes: i64 = number(conn, "page_count")?.saturating_mul(number(conn, "page_size")?);
    if bytes <= SMALL {
        return Ok(whole(conn)?.problems.into_iter().next());
    }
    for table in VITAL {
        if let Some(problem) = structure(conn, Some(table), 1)?.pop() {
            return Ok(Some(problem));
        }
        if rows(conn, table, &format!("SELECT * FROM {table}"))?.damaged > 0 {
            return Ok(Some(RowError::Sum { table }.to_string()));
        }
    }
    let newest = format!("SELECT * FROM dead_letters ORDER BY id DESC LIMIT {NEWEST_LETTERS}");
    let live = "SELECT * FROM executions INDEXED BY executions_live WHERE ended_ms IS NULL";
    for (table, sql) in [("dead_letters", newest.as_str()), ("executions", live)] {
        if rows(conn, table, sql)?.damaged > 0 {
            return Ok(Some(RowError::Sum { table }.to_string()));
        }
    }
    Ok(None)
}

fn whole(conn: &Connection) -> rusqlite::Result<CheckReport> {
    // One view of the whole, while others write.
    conn.execute_batch("BEGIN")?;
    let report = within(conn);
    conn.execute_batch("COMMIT")?;
    report
}

fn within(conn: &Connection) -> rusqlite::Result<CheckReport> {
    let mut report = CheckReport {
        bytes: number(conn, "page_count")?.saturating_mul(number(conn, "page_size")?).unsigned_abs(),
        schema: number(conn, "user_version")?,
        tables: Vec::new(),
        audit: None,
        problems: structure(conn, None, TOLD)?,
    };
    report.problems.extend(schema::compare(conn)?);
    let there = |table: &&str| {
        (report.schema >= 2 || !OF_THE_SECOND.contains(table)) && (report.schema >= 3 || !OF_THE_THIRD.contains(table))
    };
    let tables: Vec<&'static str> = VITAL.into_iter().chain(GROWING).filter(there).collect();
    for table in tables {
        match rows(conn, table, &format!("SELECT * FROM {table}")) {
            Ok(found) => {
                if found.damaged > 0 {
                    let (damaged, all) = (found.damaged, found.rows);
                    report.problems.push(format!("{damaged} of {all} rows of {table} do not match their checksums"));
                }
                report.tables.push(found);
            }
            Err(error) => report.problems.push(format!("{table} cannot be read: {error}")),
        }
    }
    if report.problems.is_empty() {
        report.problems = strangers(conn, report.schema)?;
        if report.schema >= 3 {
            // Its rows are what was written, so that it can be read.
            report.audit = verified(conn).ok();
        }
    }
    Ok(report)
}

fn number(conn: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Pages, cells and indices of one table, or of all.
fn structure(conn: &Connection, table: Option<&str>, most: usize) -> rusqlite::Result<Vec<String>> {
    let sql = match table {
        Some(table) => format!("PRAGMA integrity_check('{table}')"),
        None => format!("PRAGMA integrity_check({most})"),
    };
    let mut statement = conn.prepare(&sql)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut problems = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    problems.retain(|line| line != "ok");
    Ok(problems)
}

/// Rows and their checksums.
fn rows(conn: &Connection, table: &'static str, sql: &str) -> rusqlite::Result<TableReport> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut report = TableReport { table, rows: 0, damaged: 0 };
    while let Some(row) = rows.next()? {
        report.rows += 1;
        report.damaged += u64::from(sum::verify(table, row).is_err());
    }
    Ok(report)
}

/// Rows of agents and topics without a name.
fn strangers(conn: &Connection, schema: i64) -> rusqlite::Result<Vec<String>> {
    let mut problems = Vec::new();
    let agents = ["agents", "schedules", "triggers", "executions", "events", "samples", "scores", "dead_letters"];
    let decisions = (schema >= 2).then_some("decisions");
    let columns = agents.into_iter().chain(decisions).map(|table| (table, "agent"));
    for (table, column) in columns.chain([("events", "topic"), ("dead_letters", "waits_for")]) {
        let sql = format!(
            "SELECT count(*) FROM {table} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT id FROM names)"
        );
        let nameless: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        if nameless > 0 {
            problems.push(format!("{nameless} rows of {table} have a {column} without a name"));
        }
    }
    Ok(problems)
}
