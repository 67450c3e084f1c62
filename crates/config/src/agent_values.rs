//! The values of an agent's keys as they would be written in the registry, and what is different between two of them. Of
//! variables and secrets the names only.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value as Json, json};
use werkpilot_core::spec::{AgentSpec, Condition, Health, JobSpec, Probe, Program, Ready, ReadyCheck, ServiceSpec};

use crate::difference::changed_keys;
use crate::values::duration::duration_text;
use crate::values::size::size_text;

/// A key with another value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyChange {
    /// Which.
    pub key: &'static str,
    /// Before.
    pub before: Json,
    /// After.
    pub after: Json,
}

/// The keys whose values differ, with both.
pub fn key_changes(old: &AgentSpec, new: &AgentSpec) -> Vec<KeyChange> {
    let change = |key: &'static str| {
        let before = value_of(old, key).unwrap_or_default();
        let after = match key {
            "env" => names(&new.environment.set, &old.environment.set),
            "secrets" => names(&new.environment.secrets, &old.environment.secrets),
            _ => value_of(new, key).unwrap_or_default(),
        };
        KeyChange { key, before, after }
    };
    changed_keys(old, new).into_iter().map(change).collect()
}

/// Names alone; one whose value is another one than before says so.
fn names<T: PartialEq>(new: &BTreeMap<String, T>, old: &BTreeMap<String, T>) -> Json {
    let name = |(name, value): (&String, &T)| match old.get(name) {
        Some(before) if before != value => format!("{name} (new value)"),
        _ => name.clone(),
    };
    json!(new.iter().map(name).collect::<Vec<_>>())
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The value of a key; `None`: an agent of this kind does not have it.
pub(crate) fn value_of(spec: &AgentSpec, key: &str) -> Option<Json> {
    let value = match key {
        "name" => json!(spec.name),
        "department" => json!(spec.department),
        "description" => json!(spec.description),
        "priority" => json!(spec.priority),
        "layer" => json!(spec.layer),
        "success_codes" => json!(spec.success_codes),
        "memory_max" => json!(spec.memory_max.map(size_text)),
        "on_lost" => json!(spec.on_lost),
        "orphan_ttl" => json!(duration_text(spec.orphan_ttl)),
        "enabled" => json!(spec.enabled),
        "cwd" => json!(spec.cwd),
        "kind" => json!(if spec.job().is_some() { "job" } else { "service" }),
        "dependencies" => dependencies(spec),
        "stop" => json!(spec.stop),
        "command" => match &spec.program {
            Program::Command(argv) => json!(argv),
            _ => return None,
        },
        "shell" => match &spec.program {
            Program::Shell(line) => json!(line),
            _ => return None,
        },
        "retry" => spec.job().map(|job| json!(job.retry)).or_else(|| spec.service().map(|s| json!(s.backoff)))?,
        _ => return environment(spec, key).or_else(|| identity(spec, key)).or_else(|| of_kind(spec, key)),
    };
    Some(value)
}

fn environment(spec: &AgentSpec, key: &str) -> Option<Json> {
    let environment = &spec.environment;
    Some(match key {
        "env" => json!(environment.set.keys().collect::<Vec<_>>()),
        "env_file" => json!(environment.file),
        "env_inherit" => json!(environment.inherit),
        "secrets" => json!(environment.secrets.keys().collect::<Vec<_>>()),
        _ => return None,
    })
}

fn identity(spec: &AgentSpec, key: &str) -> Option<Json> {
    let identity = &spec.identity;
    Some(match key {
        "user" => json!(identity.user),
        "group" => json!(identity.group),
        "umask" => json!(identity.umask.map(|mask| format!("{mask:03o}"))),
        "nice" => json!(identity.nice),
        "limits" => json!(identity.limits),
        "allow_new_privileges" => json!(identity.allow_new_privileges),
        _ => return None,
    })
}

fn of_kind(spec: &AgentSpec, key: &str) -> Option<Json> {
    spec.job().and_then(|job| of_job(job, key)).or_else(|| spec.service().and_then(|service| of_service(service, key)))
}

fn of_job(job: &JobSpec, key: &str) -> Option<Json> {
    let triggers = &job.triggers;
    Some(match key {
        "schedule" => json!(triggers.schedule),
        "timezone" => json!(triggers.timezone),
        "every" => json!(triggers.every.map(duration_text)),
        "subject" => json!(triggers.subject),
        "after" => json!(triggers.after),
        "startup" => json!(triggers.startup),
        "overlap" => json!(job.overlap),
        "catch_up" => json!(job.catch_up),
        "catch_up_window" => json!(duration_text(job.catch_up_window)),
        "jitter" => json!(duration_text(job.jitter)),
        "on_unhealthy_dependency" => json!(job.on_unhealthy_dependency),
        "timeout" => json!(job.timeout.map(duration_text)),
        _ => return None,
    })
}

fn of_service(service: &ServiceSpec, key: &str) -> Option<Json> {
    Some(match key {
        "restart" => json!(service.restart),
        "healthy_for" => json!(duration_text(service.healthy_for)),
        "ready" => ready(&service.ready),
        "health" => service.health.as_ref().map_or(Json::Null, health),
        "max_silence" => json!(service.max_silence.map(duration_text)),
        "instances" => json!(service.instances),
        _ => return None,
    })
}

fn ready(ready: &Ready) -> Json {
    let (key, value) = match &ready.check {
        ReadyCheck::After(after) => ("after", json!(duration_text(*after))),
        ReadyCheck::Notify => ("notify", json!(true)),
        ReadyCheck::Http(url) => ("http", json!(url)),
        ReadyCheck::Tcp(address) => ("tcp", json!(address)),
        ReadyCheck::Log(pattern) => ("log", json!(pattern)),
        ReadyCheck::Bus => ("bus", json!(true)),
    };
    json!({ key: value, "timeout": duration_text(ready.timeout) })
}

fn health(health: &Health) -> Json {
    let value = match &health.probe {
        Probe::Http(text) | Probe::Tcp(text) => json!(text),
        Probe::Exec(argv) => json!(argv),
        Probe::Bus | Probe::Notify => json!(true),
    };
    let (interval, timeout) = (duration_text(health.interval), duration_text(health.timeout));
    json!({ health.probe.as_str(): value, "interval": interval, "timeout": timeout, "failures": health.failures })
}

/// Names, and tables where something else than health is asked.
fn dependencies(spec: &AgentSpec) -> Json {
    let one = |dependency: &werkpilot_core::spec::Dependency| match dependency.condition {
        Condition::Healthy => json!(dependency.agent),
        condition => json!({ "agent": dependency.agent, "condition": condition }),
    };
    json!(spec.dependencies.iter().map(one).collect::<Vec<_>>())
}
