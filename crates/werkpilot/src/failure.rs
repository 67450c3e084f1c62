//! What a command answers when it could not be done: one line what, one line what to do, and an exit code.

use std::fmt;
use std::process::ExitCode;

use serde_json::json;

/// Exit codes of sysexits.h, plus two of our own. `werkpilot help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `run --wait`: the execution did not succeed. `request`: the agent answered with an error.
    Failed = 1,
    /// `EX_USAGE`: the command line.
    Usage = 64,
    /// `EX_DATAERR`: the state folder's database is damaged, or of a newer version.
    Data = 65,
    /// `EX_NOINPUT`: an unknown agent, execution or dead letter; a file that is not there.
    NoInput = 66,
    /// `EX_UNAVAILABLE`: no orchestrator or bus is running, its port is taken, or nobody listens to a request.
    Unavailable = 69,
    /// `EX_SOFTWARE`: a fault of Werkpilot.
    Internal = 70,
    /// `EX_CANTCREAT`: the state folder can't be made or written to.
    CantCreate = 73,
    /// `EX_IOERR`: reading or writing failed.
    Io = 74,
    /// `EX_TEMPFAIL`: refused now, or the agent that is asked is unavailable; trying again may help.
    Refused = 75,
    /// `EX_NOPERM`: not allowed.
    NoPermission = 77,
    /// `EX_CONFIG`: faults in registry or settings.
    Config = 78,
    /// `run --wait`: the execution timed out (as timeout(1) says it). `request`: there was no answer in time.
    TimedOut = 124,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For scripts.
    pub code: Code,
    /// What failed, one line.
    pub what: String,
    /// Lines that are shown before, such as all faults of the files.
    pub report: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), report: None, hint: None }
    }

    /// An error with its causes.
    pub fn of(code: Code, error: &dyn std::error::Error) -> Self {
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !what.ends_with(&text) {
                what = format!("{what}: {text}");
            }
            cause = error.source();
        }
        Self::new(code, what)
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds lines that are shown before.
    #[must_use]
    pub fn report(mut self, report: impl Into<String>) -> Self {
        self.report = Some(report.into());
        self
    }

    /// For stderr: lines for people, or a JSON object.
    pub fn render(&self, json: bool) -> String {
        if json {
            let object =
                json!({ "error": self.what, "report": self.report, "hint": self.hint, "exitCode": self.code as u8 });
            return format!("{object}\n");
        }
        self.to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(report) = &self.report {
            writeln!(f, "{}", report.trim_end())?;
        }
        writeln!(f, "error: {}", self.what.trim_end())?;
        self.hint.as_ref().map_or(Ok(()), |hint| writeln!(f, " hint: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_line_what_and_a_line_what_to_do() {
        let failure = Failure::new(Code::NoInput, "there is no agent sales").hint("`werkpilot agents` lists them");
        assert_eq!(failure.render(false), "error: there is no agent sales\n hint: `werkpilot agents` lists them\n");
        assert_eq!(
            failure.render(true),
            "{\"error\":\"there is no agent sales\",\"exitCode\":66,\"hint\":\"`werkpilot agents` lists them\",\"report\":null}\n"
        );
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to read it")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::of(Code::Io, &Outer(std::io::Error::other("it is gone")));
        assert_eq!(failure.what, "failed to read it: it is gone");
    }
}
