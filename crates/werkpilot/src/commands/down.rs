//! `werkpilot down`: asks the orchestrator to shut down.

use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Context;
use crate::failure::{Code, Failure};

/// Shut the orchestrator down, and the fleet with it.
///
/// Jobs may finish within shutdown.grace; then everything is ended. A second `down` does not wait for them. Without --wait the command returns as soon as the shutdown has begun.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot down --wait")]
pub struct Args {
    /// Return only when the orchestrator has ended.
    #[arg(long)]
    wait: bool,
}

/// `werkpilot down`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let (answer, process) = context.online(async |client| {
        // Opened before it is asked to end, so that it is this process that is waited for and no later one of its pid.
        let pid = client.holder().and_then(|holder| Pid::from_raw(i32::try_from(holder.pid).ok()?));
        let process = pid.filter(|_| args.wait).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let answer = client.post(&["api", "v1", "shutdown"], None).await?;
        Ok((answer, process))
    })?;
    let code = context.show(&answer, || answer["message"].as_str().unwrap_or("shutting down").to_owned())?;
    match process {
        None if args.wait => Err(unknown_process("its lock file names no process")),
        None => Ok(code),
        Some(process) => {
            let process = process.map_err(|error| unknown_process(&error.to_string()))?;
            wait_for(&process)?;
            Ok(code)
        }
    }
}

fn wait_for(process: &impl std::os::fd::AsFd) -> Result<(), Failure> {
    loop {
        match poll(&mut [PollFd::new(process, PollFlags::IN)], None) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(unknown_process(&error.to_string())),
        }
    }
}

fn unknown_process(why: &str) -> Failure {
    Failure::new(Code::Internal, format!("the shutdown has begun, but its end can't be waited for: {why}"))
}
