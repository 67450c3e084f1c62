//! The OS edge of Werkpilot: the only crate that spawns, signals and reads `/proc`.
//!
//! # Theory of operation
//!
//! A [`Host`] owns everything that the operating system has to do with running programs. Callers put in a [`Launch`],
//! a stop or a kill, and get [`ProcessEvent`]s out of a sink that they gave at the start; nothing here decides. A keeper
//! process can take the same place later, since nothing but these values crosses the line.
//!
//! ```text
//!  launch ──▶ spawner threads ──clone, exec──▶ program
//!                   │                            │ exit (pidfd), output (pipes), notify (datagrams)
//!  stop, kill ──────┼──────────▶ I/O thread ◀────┘
//!                   ▼                │
//!                 sink ◀── events ───┴──▶ logs/<agent>/current.log
//! ```
//!
//! - A *spawner* thread blocks while a program is being started, for as long as `execve` takes. It shares its memory
//!   with the child meanwhile (`CLONE_VM | CLONE_VFORK`), so the cost does not grow with ours.
//! - The *I/O thread* waits with epoll for all programs together and never blocks on one. It alone owns the state of
//!   the live runs; whoever wants something of it puts a command in its inbox.
//! - A run ends when its leader ends. What the leader left behind is ended before [`ProcessEvent::Exited`] is reported.
//!
//! # Invariants
//!
//! - Every launch gets exactly one of [`ProcessEvent::SpawnFailed`] and [`ProcessEvent::Exited`], as its last event.
//! - Nothing that a program writes, however much and however odd, costs more than a bounded buffer or blocks anyone.
//! - One process has at most one [`Host`]: children, the subreaper flag and `SIGCHLD` belong to the whole process.
//!
//! `unsafe` is confined to five modules: `precise_timer` (one registration), `heap` (commands to the allocator), `sys` (system calls without a safe wrapper), `exec` (the child between clone
//! and exec) and `users` (the user database).

mod capture;
mod command;
mod desk;
pub mod disk;
mod ending;
mod env_file;
mod environment;
mod event;
mod exec;
pub mod heap;
mod host;
mod journal;
mod last_line;
mod launch;
pub mod limits;
pub mod logs;
pub mod memory;
mod notify;
mod precise_timer;
pub mod probe;
mod proc_fs;
pub mod quiet;
mod reactor;
mod run;
mod spawner;
mod strays;
pub mod survivors;
mod sys;
mod timers;
mod token;
mod users;

pub use command::find_command;
pub use event::{ExitReport, ProcessEvent, WaitStatus};
pub use host::{Host, HostError, HostOptions, ShutdownReport, become_subreaper};
pub use launch::{Launch, Output, ProcessKey};
pub use precise_timer::PreciseTimer;
pub use token::random_token;
