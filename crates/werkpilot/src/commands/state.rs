//! `werkpilot state`: looks after the database of the state folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use werkpilot_store::maintenance::{self, CheckReport, MaintenanceError};
use werkpilot_store::{FILE, LockError, OpenError};

use super::{Context, now};
use crate::failure::{Code, Failure};
use crate::find;
use crate::output::{bytes, count};

/// Check, back up, restore or tidy up what is kept on disk.
///
/// History, events, dead letters, accepted triggers, the audit log, tokens, the state of agents and schedules are in one file of the state folder,
/// werkpilot.db. Copying it with `cp` while an orchestrator runs does not give a whole copy: use `state backup`.
#[derive(Debug, Subcommand)]
#[command(after_long_help = EXAMPLES)]
pub enum Command {
    /// Read everything, compare it with its checksums, and follow the chain of the audit log. An orchestrator may run meanwhile.
    ///
    /// The exit code is 65 if something is not what was written.
    #[command(after_long_help = "Example:\n  werkpilot state check && echo whole")]
    Check,
    /// Copy everything into a new file, and check the copy. An orchestrator may run meanwhile.
    #[command(after_long_help = "Example:\n  werkpilot state backup /backups/werkpilot-$(date +%F).db")]
    Backup {
        /// The new file; it must not be there.
        file: PathBuf,
    },
    /// Put a backup in the place of what is there, which is kept beside it. No orchestrator may run.
    #[command(
        after_long_help = "Example:\n  werkpilot down && werkpilot state restore /backups/werkpilot-2026-11-21.db"
    )]
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Rewrite the file without its gaps. No orchestrator may run: one that runs tidies by itself.
    #[command(after_long_help = "Example:\n  werkpilot down && werkpilot state vacuum")]
    Vacuum,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot state check
  werkpilot state backup /backups/werkpilot.db
  werkpilot state restore /backups/werkpilot.db";

/// `werkpilot state`.
pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    let dir = find::state_dir(&context.options)?;
    if !matches!(command, Command::Restore { .. }) && !dir.join(FILE).is_file() {
        let what = format!("there is no state in {}: {FILE} is not there", dir.display());
        return Err(
            Failure::new(Code::NoInput, what).hint("say which state folder is meant: --state-dir DIR or --config FILE")
        );
    }
    match command {
        Command::Check => check(&dir, context),
        Command::Backup { file } => {
            let report = maintenance::backup(&dir, file).map_err(|error| failure(&error))?;
            let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
            let answer = json!({ "file": file, "bytes": report.bytes, "rows": rows });
            let size = bytes(report.bytes as f64);
            context.show(&answer, || format!("backed up to {} and checked: {size}, {rows} rows\n", file.display()))
        }
        Command::Restore { file } => {
            let kept = maintenance::restore(&dir, file, now()).map_err(|error| failure(&error))?;
            let answer = json!({ "restored": file, "kept": kept });
            context.show(&answer, || {
                let kept = kept.as_ref().map(|kept| format!("what was there before is {}\n", kept.display()));
                format!("restored {} to {}\n{}", file.display(), dir.join(FILE).display(), kept.unwrap_or_default())
            })
        }
        Command::Vacuum => {
            let vacuumed = maintenance::vacuum(&dir, now()).map_err(|error| failure(&error))?;
            let (before, after) = (bytes(vacuumed.bytes_before as f64), bytes(vacuumed.bytes_after as f64));
            context.show(&vacuumed, || format!("rewritten: {before} before, {after} now\n"))
        }
    }
}

fn check(dir: &Path, context: &Context) -> Result<ExitCode, Failure> {
    let report = maintenance::check(dir).map_err(|error| failure(&error.into()))?;
    context.show(&report, || check_text(&report))?;
    if report.problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let what = format!("{} is damaged", dir.join(FILE).display());
    Err(Failure::new(Code::Data, what).hint("`werkpilot state restore FILE` brings back a backup"))
}

fn check_text(report: &CheckReport) -> String {
    let mut text = String::new();
    for table in &report.tables {
        let damaged = if table.damaged > 0 { format!(", {} damaged", table.damaged) } else { String::new() };
        let _ = writeln!(
            text,
            "  {:<14}{}{damaged}",
            table.table,
            count(usize::try_from(table.rows).unwrap_or(usize::MAX), "row")
        );
    }
    if let Some(audit) = report.audit.as_ref().filter(|audit| audit.broken.is_none() && audit.head.id > 0) {
        let _ = writeln!(text, "  the audit log's chain holds up to entry {}, {}", audit.head.id, audit.head.hash);
    }
    for problem in &report.problems {
        let _ = writeln!(text, "  problem: {problem}");
    }
    let verdict = if report.problems.is_empty() { "everything is what was written" } else { "it is damaged" };
    let _ = writeln!(text, "{verdict} ({}, schema {})", bytes(report.bytes as f64), report.schema);
    text
}

fn failure(error: &MaintenanceError) -> Failure {
    let code = match error {
        MaintenanceError::Lock(LockError::Locked { .. })
        | MaintenanceError::Open(OpenError::Lock(LockError::Locked { .. })) => Code::Refused,
        MaintenanceError::Exists { .. } => Code::CantCreate,
        MaintenanceError::Damaged { .. }
        | MaintenanceError::Open(OpenError::Damaged { .. } | OpenError::Newer { .. } | OpenError::NotOurs { .. }) => {
            Code::Data
        }
        _ => Code::Io,
    };
    let failure = Failure::of(code, error);
    let what = format!("failed to {}", failure.what);
    let failure = Failure { what, ..failure };
    match error {
        MaintenanceError::Lock(LockError::Locked { .. }) => failure.hint("`werkpilot down` ends it"),
        MaintenanceError::Exists { .. } => failure.hint("name a file that is not there yet"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_store::maintenance::TableReport;

    use super::*;

    #[test]
    fn a_check_tells_what_it_found() {
        let tables = vec![
            TableReport { table: "executions", rows: 1, damaged: 0 },
            TableReport { table: "events", rows: 9, damaged: 2 },
        ];
        let problems = vec!["2 rows of events do not match their checksums".to_owned()];
        let report = CheckReport { bytes: 4_096, schema: 1, tables, audit: None, problems };
        insta::assert_snapshot!(check_text(&report), @r"
          executions    1 row
          events        9 rows, 2 damaged
          problem: 2 rows of events do not match their checksums
        it is damaged (4.0 KiB, schema 1)
        ");
    }
}
