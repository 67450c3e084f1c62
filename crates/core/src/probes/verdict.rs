//! What an overall check says of an agent, from what is known of it. No probe is sent for it: those of services have an
//! interval of their own, and their results count here.

use serde::Serialize;

use crate::agent::InstanceView;
use crate::reason::Reason;
use crate::status::Status;

/// What an overall check says of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong with it.
    Healthy,
    /// It does not do what it should.
    Unhealthy {
        /// All that is wrong, the first one first; never empty.
        reasons: Vec<Reason>,
    },
    /// It is not expected to do anything now, or it is too early to say.
    NotCheckable {
        /// Why.
        reason: Reason,
    },
}

/// What is known of a job.
#[derive(Clone, Debug, Default)]
pub struct JobFacts<'a> {
    /// In which status, and why, it takes no executions, if it takes none.
    pub closed: Option<(Status, &'a Reason)>,
    /// What is wrong with its command, if it can't be found.
    pub command_missing: Option<String>,
    /// What its last end left behind, if that was not well: a status and the error.
    pub outcome: Option<(Status, Option<&'a str>)>,
}

impl Verdict {
    /// `healthy`, `unhealthy` or `not_checkable`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy { .. } => "unhealthy",
            Self::NotCheckable { .. } => "not_checkable",
        }
    }

    /// The first reason.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy { reasons } => reasons.first(),
            Self::NotCheckable { reason } => Some(reason),
        }
    }

    /// Of a job: its command is there, its last end was well, its breaker is closed.
    pub fn of_job(facts: JobFacts<'_>) -> Self {
        if let Some((status, reason)) = facts.closed {
            return of_gate(status, reason);
        }
        let missing = facts.command_missing.map(|message| Reason::CommandMissing { message });
        let ended = facts.outcome.map(|(status, error)| Reason::LastEnd { status, error: error.map(str::to_owned) });
        match missing.into_iter().chain(ended).collect::<Vec<_>>() {
            reasons if reasons.is_empty() => Self::Healthy,
            reasons => Self::Unhealthy { reasons },
        }
    }

    /// Of a service: every instance is alive, ready, and well by its probes, its watchdog and its output. `waits` is why
    /// a start of it waits, if one does.
    pub fn of_service(closed: Option<(Status, &Reason)>, instances: &[InstanceView], waits: Option<&Reason>) -> Self {
        if let Some((status, reason)) = closed {
            return of_gate(status, reason);
        }
        let (mut reasons, mut too_early) = (Vec::new(), None);
        for instance in instances {
            match of_instance(instance, waits) {
                Self::Healthy => {}
                Self::Unhealthy { reasons: more } => {
                    reasons.extend(more.into_iter().filter(|reason| !reasons.contains(reason)).collect::<Vec<_>>());
                }
                Self::NotCheckable { reason } => too_early = too_early.or(Some(reason)),
            }
        }
        match too_early {
            _ if !reasons.is_empty() => Self::Unhealthy { reasons },
            Some(reason) => Self::NotCheckable { reason },
            None => Self::Healthy,
        }
    }
}

/// Of an agent that takes no executions: what disabled itself is ill, what somebody switched off is not looked at.
fn of_gate(status: Status, reason: &Reason) -> Verdict {
    let reason = reason.clone();
    match status {
        Status::DisabledByFailure | Status::DisabledByMemory => Verdict::Unhealthy { reasons: vec![reason] },
        _ => Verdict::NotCheckable { reason },
    }
}

fn of_instance(instance: &InstanceView, waits: Option<&Reason>) -> Verdict {
    let status = instance.status;
    let because = instance.reason.clone().unwrap_or(Reason::NotUp { status });
    match status {
        Status::Running => Verdict::Healthy,
        Status::Unhealthy => {
            let reasons = instance.illness.as_ref().map(|illness| illness.reasons.clone());
            Verdict::Unhealthy { reasons: reasons.unwrap_or_else(|| vec![because]) }
        }
        Status::Starting => Verdict::NotCheckable { reason: Reason::NotUp { status } },
        Status::Queued => match waits {
            Some(reason @ Reason::WaitingForLayer { .. }) => Verdict::NotCheckable { reason: reason.clone() },
            Some(reason) => Verdict::Unhealthy { reasons: vec![reason.clone()] },
            None => Verdict::NotCheckable { reason: because },
        },
        // Nothing was ever asked of it, or it is being stopped on purpose.
        Status::Stopped if instance.reason.is_none() => Verdict::NotCheckable { reason: because },
        Status::Stopping => Verdict::NotCheckable { reason: because },
        _ => Verdict::Unhealthy { reasons: vec![because] },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::agent::IllnessView;
    use crate::exit::Exit;
    use crate::time::Timestamp;

    fn disabled(status: Status) -> Reason {
        Reason::Disabled { status, why: "3 dead letters in a row".to_owned() }
    }

    fn instance(status: Status, reason: Option<Reason>) -> InstanceView {
        InstanceView {
            instance: 0,
            status,
            process: None,
            run: None,
            since: None,
            restarts: 0,
            reason,
            next_attempt: None,
            illness: None,
        }
    }

    fn ill(reasons: &[Reason]) -> InstanceView {
        let illness = IllnessView { since: Timestamp::from_secs(1), reasons: reasons.to_vec(), ends_at: None };
        InstanceView { illness: Some(illness), ..instance(Status::Unhealthy, reasons.first().cloned()) }
    }

    fn exited() -> Reason {
        Reason::Exited { exit: Exit::Code(3) }
    }

    #[rstest]
    #[case::fresh(JobFacts::default(), "healthy", None)]
    #[case::no_command(
        JobFacts { command_missing: Some("find the command `x`".to_owned()), ..JobFacts::default() },
        "unhealthy", Some("failed to find the command `x`")
    )]
    #[case::failed(
        JobFacts { outcome: Some((Status::Timeout, Some("took too long"))), ..JobFacts::default() },
        "unhealthy", Some("its last execution ended as timeout: took too long")
    )]
    fn a_job_is_as_well_as_its_command_and_its_last_end(
        #[case] facts: JobFacts<'static>,
        #[case] word: &str,
        #[case] reason: Option<&str>,
    ) {
        let verdict = Verdict::of_job(facts);
        assert_eq!(verdict.as_str(), word);
        assert_eq!(verdict.reason().map(ToString::to_string).as_deref(), reason);
    }

    #[rstest]
    #[case(Status::DisabledByFailure, "unhealthy")]
    #[case(Status::DisabledByMemory, "unhealthy")]
    #[case(Status::Disabled, "not_checkable")]
    #[case(Status::Stopped, "not_checkable")]
    fn what_disabled_itself_is_ill_and_what_was_switched_off_is_not_looked_at(
        #[case] status: Status,
        #[case] word: &str,
    ) {
        let reason = disabled(status);
        let closed = Some((status, &reason));
        let facts = JobFacts { closed, command_missing: Some("x".to_owned()), ..JobFacts::default() };
        for verdict in [Verdict::of_job(facts), Verdict::of_service(closed, &[ill(&[exited()])], None)] {
            assert_eq!((verdict.as_str(), verdict.reason()), (word, Some(&reason)));
        }
    }

    #[rstest]
    #[case::well(vec![instance(Status::Running, None)], None, "healthy")]
    #[case::starting(vec![instance(Status::Running, None), instance(Status::Starting, None)], None, "not_checkable")]
    #[case::stopping(vec![instance(Status::Stopping, Some(Reason::ConfigChanged))], None, "not_checkable")]
    #[case::not_booted(vec![instance(Status::Stopped, None)], None, "not_checkable")]
    #[case::layer(vec![instance(Status::Queued, None)], Some(Reason::WaitingForLayer { layer: 2 }), "not_checkable")]
    #[case::waits(vec![instance(Status::Queued, None)], Some(Reason::Paused), "unhealthy")]
    #[case::backs_off(vec![instance(Status::BackingOff, Some(exited()))], None, "unhealthy")]
    #[case::left(
        vec![instance(Status::Stopped, Some(Reason::NotRestarted { exit: Exit::Clean }))], None, "unhealthy"
    )]
    #[case::missing(vec![instance(Status::Missing, None), instance(Status::Starting, None)], None, "unhealthy")]
    #[case::ill(vec![ill(&[Reason::WatchdogExpired])], None, "unhealthy")]
    fn a_service_is_as_well_as_its_worst_instance(
        #[case] instances: Vec<InstanceView>,
        #[case] waits: Option<Reason>,
        #[case] word: &str,
    ) {
        assert_eq!(Verdict::of_service(None, &instances, waits.as_ref()).as_str(), word);
    }

    #[test]
    fn all_that_is_wrong_is_told_once() {
        let silent = Reason::Silent { max_silence: std::time::Duration::from_secs(1) };
        let instances = [ill(&[Reason::WatchdogExpired, silent.clone()]), ill(std::slice::from_ref(&silent))];
        let verdict = Verdict::of_service(None, &instances, None);
        assert_eq!(verdict, Verdict::Unhealthy { reasons: vec![Reason::WatchdogExpired, silent] });
        assert_eq!(serde_json::to_value(&verdict).unwrap()["verdict"], "unhealthy");
    }
}
