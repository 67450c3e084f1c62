//! The programs of a simulation: how long an attempt takes, and whether it fails, drawn from the agent's history.

use std::time::Duration;

use super::{Member, Plan};
use crate::backoff::Dice;
use crate::exit::Exit;
use crate::time::Moment;
use crate::timetable::seed_of;

/// Tells the dice of a program from those of its agent's delays.
const PROGRAMS: u64 = 0x0005_eed0_fa11_9406;

/// No program ends in no time: else a chain of them could stand still.
const SHORTEST: Duration = Duration::from_millis(1);

/// A program that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// Which of its agent's.
    pub serial: u32,
    /// Since when.
    pub began: Moment,
    /// How it will end.
    pub exit: Exit,
}

/// The programs of one agent.
#[derive(Debug)]
pub(super) struct Programs {
    dice: Dice,
    running: Vec<Running>,
}

impl Programs {
    /// Of a member; its own dice, so that what it draws does not depend on what others do.
    pub fn new(member: &Member, plan: &Plan) -> Self {
        let seed = plan.seed ^ seed_of(member.spec.name.as_str()).rotate_left(17) ^ PROGRAMS;
        Self { dice: Dice::new(seed), running: Vec::new() }
    }

    /// Starts one; how long it will take.
    pub fn launch(&mut self, serial: u32, member: &Member, plan: &Plan, now: Moment) -> Duration {
        let (history, codes) = (&member.history, &member.spec.success_codes);
        let fails = history.failed > 0 && self.dice.unit() * (history.attempts as f64) < history.failed as f64;
        let exit = if fails { failure(codes) } else { success(codes) };
        self.running.push(Running { serial, began: now, exit });
        self.draw(&history.durations, plan.assumed).max(SHORTEST)
    }

    fn draw(&mut self, durations: &[Duration], assumed: Duration) -> Duration {
        let count = u64::try_from(durations.len()).unwrap_or(u64::MAX);
        match self.dice.next_u64().checked_rem(count) {
            Some(choice) => durations[usize::try_from(choice).unwrap_or(0)],
            None => assumed,
        }
    }

    /// One is told to end, and does.
    pub fn stop(&mut self, serial: u32, exit: Exit) -> bool {
        let running = self.running.iter_mut().find(|running| running.serial == serial);
        running.map(|running| running.exit = exit).is_some()
    }

    /// Takes out one that has ended; `None`: it ended before.
    pub fn end(&mut self, serial: u32) -> Option<Running> {
        let position = self.running.iter().position(|running| running.serial == serial)?;
        Some(self.running.swap_remove(position))
    }

    /// Those that run.
    pub fn running(&self) -> &[Running] {
        &self.running
    }
}

fn success(codes: &[i32]) -> Exit {
    match codes.first() {
        Some(code) if *code != 0 && !codes.contains(&0) => Exit::Code(*code),
        _ => Exit::Clean,
    }
}

/// The smallest code that is none of success.
fn failure(codes: &[i32]) -> Exit {
    Exit::Code((1..=255).find(|code| !codes.contains(code)).unwrap_or(-1))
}
