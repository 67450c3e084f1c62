//! What an agent is: the validated form of one `[[agent]]` of the registry. Defaults have been filled in; nothing here
//! is an `Option` that means "default".

mod policies;
mod probes;
mod program;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::AgentName;
use crate::time::exact;

pub use policies::{
    Backoff, CatchUp, Condition, Dependency, OnLost, OnUnhealthyDependency, Overlap, Priority, RestartPolicy,
    StopPolicy, Strategy,
};
pub use probes::{Health, Probe, Ready, ReadyCheck};
pub use program::{Environment, Identity, Program, Resource};

/// An agent of the registry.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
    #[schema(value_type = String)]
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
    #[schema(value_type = String)]
    pub orphan_ttl: Duration,
    /// Whether the registry switches it on.
    pub enabled: bool,
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = AgentKind)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Runs to its end when triggered.
    Job(JobSpec),
    /// Should always run.
    Service(ServiceSpec),
}

/// What only a job has.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobSpec {
    /// What asks for executions, beside people.
    pub triggers: Triggers,
    /// What a trigger does while an execution is live.
    pub overlap: Overlap,
    /// Which missed times run after a downtime.
    pub catch_up: CatchUp,
    /// How far back `catch_up` looks.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub catch_up_window: Duration,
    /// Spread of scheduled times: up to this much, stable per agent.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub jitter: Duration,
    /// What an unhealthy dependency means for an execution.
    pub on_unhealthy_dependency: OnUnhealthyDependency,
    /// The longest an attempt may take.
    #[serde(serialize_with = "maybe_text")]
    #[schema(value_type = Option<String>)]
    pub timeout: Option<Duration>,
    /// When and how often a failed attempt is repeated.
    pub retry: Backoff,
}

/// What asks for executions of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Triggers {
    /// A crontab expression, checked by the config crate with `schedule::Schedule`.
    pub schedule: Option<String>,
    /// IANA name of the zone that `schedule` is evaluated in.
    pub timezone: String,
    /// A fixed interval from boot.
    #[serde(serialize_with = "maybe_text")]
    #[schema(value_type = Option<String>)]
    pub every: Option<Duration>,
    /// A subject of the bus.
    pub subject: Option<String>,
    /// An agent whose success is the trigger.
    pub after: Option<AgentName>,
    /// Once, when its boot layer is reached.
    pub startup: bool,
}

/// What only a service has.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ServiceSpec {
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How long it waits before; `max` is not used.
    pub backoff: Backoff,
    /// Uptime after which backoff and counters start afresh.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub healthy_for: Duration,
    /// How we know that it is ready.
    pub ready: Ready,
    /// How we know that it is alive.
    pub health: Option<Health>,
    /// Silence on both outputs for so long counts as unhealthy.
    #[serde(serialize_with = "maybe_text")]
    #[schema(value_type = Option<String>)]
    pub max_silence: Option<Duration>,
    /// How many processes it consists of.
    pub instances: u16,
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
