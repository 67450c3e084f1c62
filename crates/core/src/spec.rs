//! What an agent is: the validated form of one `[[agent]]` of the registry. Defaults have been filled in; nothing here
//! is an `Option` that means "default".

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::ids::AgentName;
use crate::signal::Signal;
use crate::time::exact;

/// An agent of the registry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentSpec {
    /// Unique name.
    pub name: AgentName,
    /// The group that it belongs to.
    pub department: String,
    /// For people.
    pub description: String,
    /// What is run.
    pub program: Program,
    /// The folder it runs in, absolute.
    pub cwd: PathBuf,
    /// Where its environment comes from.
    pub environment: Environment,
    /// Job or service, with what belongs to each.
    pub kind: Kind,
    /// Who goes first.
    pub priority: Priority,
    /// The boot layer asked for; it may only push the agent later than its dependency depth.
    pub layer: Option<u32>,
    /// What has to be well before it starts.
    pub dependencies: Vec<Dependency>,
    /// Exit codes that mean success.
    pub success_codes: Vec<i32>,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// Bytes of memory that its whole process tree may use.
    pub memory_max: Option<u64>,
    /// As whom and within which limits it runs.
    pub identity: Identity,
    /// What happens to an execution of which nobody can say how it ended.
    pub on_lost: OnLost,
    /// How long it may outlive the orchestrator.
    #[serde(serialize_with = "text")]
    pub orphan_ttl: Duration,
    /// Whether the registry switches it on.
    pub enabled: bool,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// Program and arguments, never through a shell. Never empty.
    Command(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

impl Program {
    /// The argument vector that is executed.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Command(argv) => argv.clone(),
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        }
    }
}

/// Where the environment of the program comes from, beside what every child gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Set as they stand. Values are not shown by the API.
    #[serde(serialize_with = "names_only")]
    pub set: BTreeMap<String, String>,
    /// A file of `NAME=value` lines, absolute, read at each start.
    pub file: Option<PathBuf>,
    /// Names taken over from the orchestrator's environment; a trailing `*` takes every name with that beginning.
    pub inherit: Vec<String>,
    /// Variables whose values are read from files at each start.
    pub secrets: BTreeMap<String, PathBuf>,
}

fn names_only<S: serde::Serializer>(set: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(set.keys())
}

/// As the registry writes durations: `"1m30s"`.
fn text<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&exact(*duration))
}

#[expect(clippy::ref_option, reason = "serde's serialize_with takes a reference to the field")]
fn maybe_text<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(exact).serialize(serializer)
}

/// Job or service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Runs to its end when triggered.
    Job(JobSpec),
    /// Should always run.
    Service(ServiceSpec),
}

/// What only a job has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobSpec {
    /// What asks for executions, beside people.
    pub triggers: Triggers,
    /// What a trigger does while an execution is live.
    pub overlap: Overlap,
    /// Which missed times run after a downtime.
    pub catch_up: CatchUp,
    /// How far back `catch_up` looks.
    #[serde(serialize_with = "text")]
    pub catch_up_window: Duration,
    /// Spread of scheduled times: up to this much, stable per agent.
    #[serde(serialize_with = "text")]
    pub jitter: Duration,
    /// What an unhealthy dependency means for an execution.
    pub on_unhealthy_dependency: OnUnhealthyDependency,
    /// The longest an attempt may take.
    #[serde(serialize_with = "maybe_text")]
    pub timeout: Option<Duration>,
    /// When and how often a failed attempt is repeated.
    pub retry: Backoff,
}

/// What asks for executions of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Triggers {
    /// A crontab expression, checked by the config crate with `schedule::Schedule`.
    pub schedule: Option<String>,
    /// IANA name of the zone that `schedule` is evaluated in.
    pub timezone: String,
    /// A fixed interval from boot.
    #[serde(serialize_with = "maybe_text")]
    pub every: Option<Duration>,
    /// A subject of the bus.
    pub subject: Option<String>,
    /// An agent whose success is the trigger.
    pub after: Option<AgentName>,
    /// Once, when its boot layer is reached.
    pub startup: bool,
}

/// What only a service has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceSpec {
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How long it waits before; `max` is not used.
    pub backoff: Backoff,
    /// Uptime after which backoff and counters start afresh.
    #[serde(serialize_with = "text")]
    pub healthy_for: Duration,
    /// How we know that it is ready.
    pub ready: Ready,
    /// How we know that it is alive.
    pub health: Option<Health>,
    /// Silence on both outputs for so long counts as unhealthy.
    #[serde(serialize_with = "maybe_text")]
    pub max_silence: Option<Duration>,
    /// How many processes it consists of.
    pub instances: u16,
}

/// Who goes first: 1 critical, 2 important, 3 normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "u8")]
pub enum Priority {
    /// 1
    Critical,
    /// 2
    Important,
    /// 3
    #[default]
    Normal,
}

impl Priority {
    /// From 1, 2 or 3.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Critical),
            2 => Some(Self::Important),
            3 => Some(Self::Normal),
            _ => None,
        }
    }

    /// 1, 2 or 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::Critical => 1,
            Self::Important => 2,
            Self::Normal => 3,
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.number()
    }
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// On whom.
    pub agent: AgentName,
    /// What is asked of it.
    pub condition: Condition,
}

/// What a dependency has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not unhealthy (product guide, section 1).
    #[default]
    Healthy,
    /// Started at least once since boot.
    Started,
    /// Succeeded at least once since boot.
    Succeeded,
}

/// What a trigger does while an execution of the same agent is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new one is skipped.
    #[default]
    Skip,
    /// One may wait; further ones are skipped.
    QueueOne,
    /// All wait, one after the other.
    QueueAll,
    /// The live one is cancelled, the new one follows it.
    CancelPrevious,
    /// They run side by side.
    Allow,
}

/// Which missed times run after a downtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None.
    #[default]
    None,
    /// Only the latest.
    Latest,
    /// All of them.
    All,
}

/// What an unhealthy dependency means for an execution of a job. Services always wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnhealthyDependency {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits.
    Wait,
}

/// Exponential backoff: `initial × factor^n`, at most `cap`, spread by ± `jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Backoff {
    /// How many repeats after the first attempt (jobs only).
    pub max: u32,
    /// The first delay.
    #[serde(serialize_with = "text")]
    pub initial: Duration,
    /// At least 1.
    pub factor: f64,
    /// The longest delay.
    #[serde(serialize_with = "text")]
    pub cap: Duration,
    /// Share of the delay, 0 to 1, by which it varies up or down.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { max: 3, initial: Duration::from_secs(1), factor: 2.0, cap: Duration::from_mins(5), jitter: 0.1 }
    }
}

/// When a service that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// However it ended.
    #[default]
    Always,
    /// Only if it failed.
    OnFailure,
    /// Never.
    Never,
}

/// How a service says that it is ready, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// The sign.
    pub check: ReadyCheck,
    /// Not ready after this long: ended as timed out.
    #[serde(serialize_with = "text")]
    pub timeout: Duration,
}

/// The sign of readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyCheck {
    /// It has lived for so long.
    After(#[serde(serialize_with = "text")] Duration),
    /// `READY=1` on its notify socket.
    Notify,
    /// A 2xx answer from this `http://` URL.
    Http(String),
    /// This `host:port` accepts a connection.
    Tcp(String),
    /// A line of its output matches this regular expression.
    Log(String),
    /// It answers `$SRV.PING` on the bus.
    Bus,
}

/// How a service is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What is looked at.
    pub probe: Probe,
    /// How often. For `notify` the longest time between two `WATCHDOG=1`.
    #[serde(serialize_with = "text")]
    pub interval: Duration,
    /// How long one probe may take.
    #[serde(serialize_with = "text")]
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy.
    pub failures: u32,
}

/// What a health check looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A 2xx answer from this `http://` URL.
    Http(String),
    /// This `host:port` accepts a connection.
    Tcp(String),
    /// This command exits with 0.
    Exec(Vec<String>),
    /// It answers `$SRV.PING` on the bus.
    Bus,
    /// It sends `WATCHDOG=1` on its notify socket.
    Notify,
}

/// How a program is stopped: the signal to its whole group, and after `timeout` SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StopPolicy {
    /// The polite signal.
    pub signal: Signal,
    /// How long it may take.
    #[serde(serialize_with = "text")]
    pub timeout: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { signal: Signal::TERM, timeout: Duration::from_secs(10) }
    }
}

/// As whom and within which limits a program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// User name or number; `None`: as the orchestrator.
    pub user: Option<String>,
    /// Group name or number; `None`: the user's own group, or as the orchestrator.
    pub group: Option<String>,
    /// File mode creation mask; `None`: as the orchestrator.
    pub umask: Option<u32>,
    /// Niceness, -20 to 19; `None`: as the orchestrator.
    pub nice: Option<i32>,
    /// Resource limits (soft and hard), in the unit of setrlimit(2).
    pub limits: BTreeMap<Resource, u64>,
    /// Whether `no_new_privs` is left unset.
    pub allow_new_privileges: bool,
}

/// Resources that can be limited, named as in setrlimit(2) without `RLIMIT_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Address space, bytes.
    As,
    /// Core file, bytes.
    Core,
    /// CPU time, seconds.
    Cpu,
    /// Data segment, bytes.
    Data,
    /// File size, bytes.
    Fsize,
    /// Locked memory, bytes.
    Memlock,
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Stack, bytes.
    Stack,
}

/// What happens to an execution of which nobody can say how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// It becomes a dead letter.
    #[default]
    DeadLetter,
    /// It is run again.
    Rerun,
    /// Nothing.
    Ignore,
}

/// What a department does when one of its services is restarted (OTP, supervisor strategies).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Only that one.
    #[default]
    OneForOne,
    /// That one and those that depend on it.
    RestForOne,
    /// All of the department.
    OneForAll,
}

/// A whole registry: agents in the order of the files, and the strategies of departments that have one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Registry {
    /// All agents; names are unique, dependencies exist, there is no cycle.
    pub agents: Vec<AgentSpec>,
    /// By department.
    pub strategies: BTreeMap<String, Strategy>,
}

impl AgentSpec {
    /// A job without triggers, everything else as the registry's defaults have it, in the folder `/`.
    pub fn job_named(name: AgentName, program: Program) -> Self {
        let job = JobSpec {
            triggers: Triggers { timezone: "UTC".to_owned(), ..Triggers::default() },
            overlap: Overlap::Skip,
            catch_up: CatchUp::None,
            catch_up_window: Duration::from_hours(1),
            jitter: Duration::ZERO,
            on_unhealthy_dependency: OnUnhealthyDependency::Skip,
            timeout: None,
            retry: Backoff::default(),
        };
        Self::with_defaults(name, program, Kind::Job(job))
    }

    /// A service, everything else as the registry's defaults have it, in the folder `/`.
    pub fn service_named(name: AgentName, program: Program) -> Self {
        let service = ServiceSpec {
            restart: RestartPolicy::Always,
            backoff: Backoff::default(),
            healthy_for: Duration::from_mins(10),
            ready: Ready { check: ReadyCheck::After(Duration::from_secs(1)), timeout: Duration::from_secs(30) },
            health: None,
            max_silence: None,
            instances: 1,
        };
        Self::with_defaults(name, program, Kind::Service(service))
    }

    fn with_defaults(name: AgentName, program: Program, kind: Kind) -> Self {
        Self {
            name,
            department: "default".to_owned(),
            description: String::new(),
            program,
            cwd: PathBuf::from("/"),
            environment: Environment::default(),
            kind,
            priority: Priority::Normal,
            layer: None,
            dependencies: Vec::new(),
            success_codes: vec![0],
            stop: StopPolicy::default(),
            memory_max: None,
            identity: Identity::default(),
            on_lost: OnLost::DeadLetter,
            orphan_ttl: Duration::from_mins(10),
            enabled: true,
        }
    }

    /// The job's part, to change it.
    pub fn job_mut(&mut self) -> Option<&mut JobSpec> {
        match &mut self.kind {
            Kind::Job(job) => Some(job),
            Kind::Service(_) => None,
        }
    }

    /// The service's part, to change it.
    pub fn service_mut(&mut self) -> Option<&mut ServiceSpec> {
        match &mut self.kind {
            Kind::Service(service) => Some(service),
            Kind::Job(_) => None,
        }
    }

    /// The job's part, if it is a job.
    pub fn job(&self) -> Option<&JobSpec> {
        match &self.kind {
            Kind::Job(job) => Some(job),
            Kind::Service(_) => None,
        }
    }

    /// The service's part, if it is a service.
    pub fn service(&self) -> Option<&ServiceSpec> {
        match &self.kind {
            Kind::Service(service) => Some(service),
            Kind::Job(_) => None,
        }
    }
}
