//! The orchestrator's own log: to stderr, and to `<state>/logs/orchestrator/`.
//!
//! What is logged is `info` and above, unless `WERKPILOT_LOG` or `RUST_LOG` says otherwise (in `env_logger`'s way, such
//! as `debug` or `werkpilot_runtime=trace`).

mod format;
mod rotate;

use std::io;
use std::path::Path;

use env_logger::{Builder, Logger, Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};
use werkpilot_core::settings::{LogFormat, Logs};

use rotate::RotatingFile;

/// The HTTP server tells of its threads at `info`, which concerns nobody.
const DEFAULT: &str = "info,rusqlite_migration=warn,actix_server=warn,actix_web=warn,actix_http=warn";

/// Starts logging for this process. A second call changes nothing.
///
/// # Errors
/// The file can't be written; nothing is logged then.
pub fn start(logs: &Logs, state_dir: &Path) -> io::Result<()> {
    let filter = filter();
    let file = RotatingFile::open(state_dir.join("logs/orchestrator"), logs.max_file, logs.files)?;
    let stderr = builder(&filter, logs.format).target(Target::Stderr).build();
    let file =
        builder(&filter, logs.format).target(Target::Pipe(Box::new(file))).write_style(WriteStyle::Never).build();
    let level = stderr.filter();
    if log::set_boxed_logger(Box::new(Both { stderr, file })).is_ok() {
        log::set_max_level(level);
    }
    Ok(())
}

/// Starts logging to stderr only. A second call changes nothing.
pub fn start_plain() {
    // Somebody else's logger is as good.
    let _ = builder(&filter(), LogFormat::Text).target(Target::Stderr).try_init();
}

fn filter() -> String {
    let names = ["WERKPILOT_LOG", "RUST_LOG"];
    let wanted = names.iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    wanted.unwrap_or_else(|| DEFAULT.to_owned())
}

/// The crate that watches files.
const WATCHER: &str = "notify";

fn builder(filter: &str, format: LogFormat) -> Builder {
    let mut builder = Builder::new();
    // It tells of each write beside the settings file. Where stderr goes to a file there, that is its own line, and so on.
    builder.filter_module(WATCHER, LevelFilter::Info);
    builder.parse_filters(filter).format(match format {
        LogFormat::Text => format::text,
        LogFormat::Json => format::json,
    });
    builder
}

/// Two loggers, since only one of them may have colours.
struct Both {
    stderr: Logger,
    file: Logger,
}

impl Log for Both {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.stderr.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.stderr.log(record);
        self.file.log(record);
    }

    fn flush(&self) {
        self.stderr.flush();
        self.file.flush();
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    #[test]
    fn a_line_of_the_log_is_not_told_of_in_another_line() {
        let tells = |filter: &str, target: &str| {
            let logger = builder(filter, LogFormat::Text).build();
            logger.enabled(&Metadata::builder().level(Level::Trace).target(target).build())
        };
        assert!(tells("trace", "werkpilot_runtime") && !tells("trace", "notify::inotify"));
        assert!(tells("notify=trace", "notify::inotify"), "who wants it gets it");
    }
}
