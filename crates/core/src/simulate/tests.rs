use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::agent::Switch;
use crate::event::End;
use crate::schedule::Schedule;
use crate::spec::{Backoff, Dependency, JobSpec, OnUnhealthyDependency, Overlap, Priority, Program};

/// 2026-11-22, a Sunday.
const DAY: Timestamp = Timestamp::from_secs(1_795_305_600);

const NO_RETRY: Backoff =
    Backoff { max: 0, initial: Duration::ZERO, factor: 1.0, cap: Duration::from_secs(1), jitter: 0.0 };

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn program() -> Program {
    Program::Command(vec!["true".to_owned()])
}

fn job(text: &str, change: impl FnOnce(&mut JobSpec)) -> AgentSpec {
    let mut spec = AgentSpec::job_named(name(text), program());
    change(spec.job_mut().unwrap());
    spec
}

fn scheduled(text: &str, schedule: &str) -> AgentSpec {
    job(text, |job| job.triggers.schedule = Some(schedule.to_owned()))
}

/// A member whose successful attempts took so long.
fn taking(spec: AgentSpec, secs: &[u64]) -> Member {
    let durations = secs.iter().map(|secs| Duration::from_secs(*secs)).collect();
    Member { history: History::counted(durations, 10, 0, 0), ..Member::new(spec) }
}

fn plan(members: Vec<Member>, workers: u32, span: Duration) -> Plan {
    Plan { timeline: 100_000, ..Plan::new(members, workers, DAY, DAY + span) }
}

fn run(plan: &Plan) -> Simulation {
    simulate(plan).unwrap()
}

fn forecast<'a>(simulation: &'a Simulation, agent: &str) -> &'a Forecast {
    simulation.agents.iter().find(|forecast| forecast.agent == name(agent)).unwrap()
}

fn entries(simulation: &Simulation) -> &[Planned] {
    &simulation.timeline.as_ref().unwrap().entries
}

/// Seconds since the begin at which executions of an agent started.
fn starts(simulation: &Simulation, agent: &str) -> Vec<u64> {
    let of = entries(simulation).iter().filter(|entry| entry.agent == name(agent));
    of.filter_map(|entry| Some(entry.started_at?.since(simulation.from).as_secs())).collect()
}

fn texts(simulation: &Simulation) -> Vec<&str> {
    simulation.attention.iter().map(|attention| attention.text.as_str()).collect()
}

#[test]
fn an_empty_registry_does_nothing() {
    let simulation = run(&plan(Vec::new(), 4, Duration::from_hours(24)));
    assert_eq!(simulation.totals, Totals::default());
    assert_eq!((simulation.waiting, simulation.attention), (Waits::default(), Vec::new()));
    assert!(simulation.hours.is_empty() || simulation.hours.iter().all(|hour| hour.starts == 0));
}

#[test]
fn what_is_no_plan_is_told() {
    let members = || vec![Member::new(scheduled("sales", "* * * * *"))];
    let backwards = Plan::new(members(), 1, DAY, DAY);
    let error = simulate(&backwards).unwrap_err().to_string();
    assert!(error.ends_with("the end has to be after the begin"), "{error}");
    let month = Duration::from_hours(32 * 24);
    let error = simulate(&plan(members(), 1, month)).unwrap_err().to_string();
    assert_eq!(error, "simulate 32d: at most 31d are simulated at once");
    let unknown = Plan { only: Some(name("slaes")), ..plan(members(), 1, Duration::from_secs(1)) };
    let error = simulate(&unknown).unwrap_err();
    assert_eq!(error.to_string(), "there is no agent slaes; did you mean sales?");
    let broken = simulate(&plan(vec![Member::new(scheduled("sales", "61 * * * *"))], 1, Duration::from_secs(1)));
    assert!(matches!(broken, Err(SimulateError::Schedule { .. })), "{broken:?}");
}

#[test]
fn a_day_of_a_job_a_minute_is_counted_to_the_last_run() {
    let member = taking(scheduled("sales", "* * * * *"), &[2]);
    let simulation = run(&plan(vec![member], 1, Duration::from_hours(24)));
    let sales = forecast(&simulation, "sales");
    assert_eq!((sales.triggers, sales.runs, sales.ends.succeeded, sales.left()), (1_440, 1_440, 1_440, 0));
    assert!((sales.busy_ms - 2_880_000.0).abs() < 1.0);
    assert_eq!((sales.waiting.count, sales.waiting.p95_ms, sales.waiting.max_ms), (1_440, Some(0.0), Some(0.0)));
    assert_eq!((sales.takes.known, sales.takes.samples), (true, 1));
    assert_eq!(simulation.hours.len(), 24);
    for hour in &simulation.hours {
        assert_eq!((hour.starts, hour.most_waiting), (60, 0));
        assert!((hour.utilisation - 2.0 / 60.0).abs() < 1e-9, "{hour:?}");
    }
    assert_eq!((simulation.peak_queue.waiting, simulation.collisions.seconds), (0, 0));
    assert_eq!(texts(&simulation), Vec::<&str>::new());
    let first = &entries(&simulation)[0];
    assert_eq!((first.scheduled_for, first.started_at, first.order), (Some(DAY), Some(DAY), Some(1)));
}

#[test]
fn who_has_no_history_takes_what_is_assumed_and_is_flagged() {
    let plan = Plan {
        assumed: Duration::from_secs(7),
        ..plan(vec![Member::new(scheduled("a", "* * * * *"))], 1, Duration::from_hours(1))
    };
    let simulation = run(&plan);
    let takes = &forecast(&simulation, "a").takes;
    assert_eq!((takes.known, takes.samples), (false, 0));
    assert!((takes.p50_ms - 7_000.0).abs() < f64::EPSILON);
    assert!(simulation.assumptions.contains(&"1 agent has no history: an attempt takes 7s".to_owned()));
    assert!((forecast(&simulation, "a").busy_ms - 60.0 * 7_000.0).abs() < 1.0);
}

#[rstest]
#[case::skipped(Overlap::Skip, 30, 30, 0, 30)]
#[case::one_waits(Overlap::QueueOne, 40, 19, 0, 19)]
#[case::all_wait(Overlap::QueueAll, 40, 0, 0, 0)]
#[case::side_by_side(Overlap::Allow, 60, 0, 0, 0)]
#[case::replaced(Overlap::CancelPrevious, 60, 0, 59, 59)]
fn a_run_of_90_seconds_is_due_every_minute(
    #[case] overlap: Overlap,
    #[case] runs: u64,
    #[case] skipped: u64,
    #[case] cancelled: u64,
    #[case] overlapped: u64,
) {
    let mut spec = scheduled("slow", "* * * * *");
    spec.job_mut().unwrap().overlap = overlap;
    let simulation = run(&plan(vec![taking(spec, &[90])], 4, Duration::from_hours(1)));
    let slow = forecast(&simulation, "slow");
    assert_eq!(slow.triggers, 60);
    assert_eq!((slow.runs, slow.ends.skipped, slow.ends.cancelled), (runs, skipped, cancelled));
    assert_eq!(slow.missed.overlapped, overlapped);
}

#[test]
fn what_is_due_while_the_run_before_is_live_is_what_needs_attention_first() {
    let simulation = run(&plan(vec![taking(scheduled("slow", "* * * * *"), &[90])], 4, Duration::from_hours(1)));
    assert_eq!(texts(&simulation), ["slow: due 30 of 60 times while the run before was live (takes 1m 30s at p95)"]);
    let not_run = &forecast(&simulation, "slow").not_run[0];
    assert_eq!((not_run.end, not_run.code.as_str(), not_run.count), (End::Skipped, "overlap", 30));
    assert_eq!(not_run.why, "execution is still live and overlap is \"skip\"");
    assert_eq!(not_run.first, DAY + Duration::from_mins(1));
}

#[test]
fn a_run_that_takes_just_its_period_is_late() {
    let simulation = run(&plan(vec![taking(scheduled("tight", "* * * * *"), &[60])], 1, Duration::from_hours(1)));
    assert_eq!(forecast(&simulation, "tight").ends.skipped, 30);
}

#[test]
fn with_one_worker_priority_goes_before_depth_and_depth_before_the_order_of_the_registry() {
    let member = |text: &str, priority, on: &[&str]| {
        let mut spec = scheduled(text, "0 * * * *");
        spec.priority = priority;
        let on = on.iter().map(|on| Dependency { agent: name(on), condition: Condition::Healthy });
        spec.dependencies = on.collect();
        taking(spec, &[10])
    };
    let members = vec![
        member("late", Priority::Normal, &[]),
        member("deep", Priority::Critical, &["first"]),
        member("second", Priority::Critical, &[]),
        member("first", Priority::Critical, &[]),
        member("middle", Priority::Important, &[]),
    ];
    let simulation = run(&plan(members, 1, Duration::from_mins(30)));
    let begin = |text| starts(&simulation, text)[0];
    assert_eq!(["second", "first", "deep", "middle", "late"].map(begin), [0, 10, 20, 30, 40]);
    assert_eq!((simulation.waiting.p50_ms, simulation.waiting.max_ms), (Some(20_000.0), Some(40_000.0)));
    assert_eq!((simulation.peak_queue.waiting, simulation.peak_queue.at), (4, DAY));
    let collision = &simulation.collisions.worst[0];
    assert_eq!((simulation.collisions.seconds, collision.at, collision.due), (1, DAY, 5));
    assert!(texts(&simulation).iter().any(|text| text.starts_with("once more come due")), "{:?}", simulation.attention);
}

#[test]
fn another_number_of_workers_is_another_answer() {
    let members = || (0..20).map(|n| taking(scheduled(&format!("a{n}"), "*/5 * * * *"), &[30])).collect();
    let p95 = |workers| run(&plan(members(), workers, Duration::from_hours(2))).waiting.p95_ms.unwrap();
    assert!((p95(2) - 270_000.0).abs() < 1.0);
    assert!((p95(10) - 30_000.0).abs() < 1.0);
    assert!(p95(20) < 1.0);
}

#[test]
fn jitter_keeps_apart_what_would_collide() {
    let jittered = |n: u32| {
        let mut spec = scheduled(&format!("a{n}"), "0 * * * *");
        spec.job_mut().unwrap().jitter = Duration::from_mins(30);
        taking(spec, &[10])
    };
    let simulation = run(&plan((0..20).map(jittered).collect(), 4, Duration::from_hours(3)));
    assert_eq!((simulation.collisions.seconds, simulation.totals.runs), (0, 60));
    let late = entries(&simulation).iter().filter(|entry| Some(entry.queued_at) != entry.scheduled_for).count();
    assert!(late > 50, "{late}");
}

#[test]
fn a_full_queue_refuses_and_says_whom() {
    let members = (0..5).map(|n| taking(scheduled(&format!("a{n}"), "0 * * * *"), &[10])).collect();
    let mut plan = plan(members, 1, Duration::from_mins(30));
    plan.queue.capacity = 2;
    let simulation = run(&plan);
    // One runs, two wait, as soon as the first has left the queue.
    let refused: Vec<u64> = simulation.agents.iter().map(|agent| agent.missed.refused).collect();
    assert_eq!(refused, [0, 0, 0, 1, 1]);
    assert_eq!(simulation.totals.ends.refused, 2);
    assert_eq!(simulation.attention[0].concern, Concern::Refused);
    assert_eq!(
        simulation.attention[0].text,
        "a3: 1 of 1 triggers refused, the queue is full (2 waiting; [queue] capacity)"
    );
}

#[test]
fn a_time_out_is_met_retried_and_opens_the_breaker() {
    let mut spec = scheduled("slow", "*/5 * * * *");
    let job = spec.job_mut().unwrap();
    job.timeout = Some(Duration::from_secs(10));
    job.retry = Backoff { max: 1, jitter: 0.0, ..Backoff::default() };
    let simulation = run(&plan(vec![taking(spec, &[20])], 2, Duration::from_hours(1)));
    let slow = forecast(&simulation, "slow");
    // Three dead letters at 0, 5 and 10 minutes; a trial at 30 that fails; then the cooldown is 30 minutes.
    assert_eq!((slow.runs, slow.ends.timed_out, slow.missed.timed_out), (4, 4, 8));
    let disabled = slow.not_run.iter().find(|not_run| not_run.code == "disabled").unwrap();
    assert_eq!((disabled.count, slow.triggers), (8, 12));
    let first = &entries(&simulation)[0];
    assert_eq!((first.attempts, first.end), (2, Some(End::TimedOut)));
    assert_eq!(first.ended_at, Some(DAY + Duration::from_secs(21)));
    assert!(
        texts(&simulation)[0].contains("slow: 8 of 12 triggers skipped, disabled_by_failure"),
        "{:?}",
        simulation.attention
    );
}

#[test]
fn attempts_fail_as_often_as_they_did() {
    let mut spec = scheduled("flaky", "* * * * *");
    spec.job_mut().unwrap().retry = NO_RETRY;
    let history = History::counted(vec![Duration::from_secs(1)], 75, 20, 5);
    assert_eq!((history.attempts, history.failed), (100, 25));
    let mut plan = plan(vec![Member { history, ..Member::new(spec) }], 1, Duration::from_hours(24));
    plan.breaker.dead_letters = 0;
    let flaky = &run(&plan).agents[0];
    assert_eq!(flaky.ends.succeeded + flaky.ends.failed, 1_440);
    assert!((288..432).contains(&flaky.ends.failed), "{flaky:?}");
    assert!((flaky.takes.failure_rate - 0.25).abs() < 1e-9);
}

#[test]
fn startup_intervals_and_what_comes_after_are_foreseen() {
    let members = vec![
        taking(job("boot", |job| job.triggers.startup = true), &[3]),
        taking(job("after", |job| job.triggers.after = Some(name("boot"))), &[1]),
        taking(job("often", |job| job.triggers.every = Some(Duration::from_secs(90))), &[1]),
    ];
    let begun = run(&plan(members.clone(), 4, Duration::from_mins(5)));
    assert_eq!(starts(&begun, "boot"), [0]);
    assert_eq!(starts(&begun, "after"), [3]);
    assert_eq!(starts(&begun, "often"), [90, 180, 270]);
    // One that runs already does not boot, and its intervals count from its boot.
    let running = Plan { begin: Begin::Running(Duration::from_secs(100)), ..plan(members, 4, Duration::from_mins(5)) };
    let running = run(&running);
    assert_eq!((starts(&running, "boot"), starts(&running, "after")), (Vec::new(), Vec::new()));
    assert_eq!(starts(&running, "often"), [80, 170, 260]);
}

#[test]
fn who_depends_on_what_fails_is_skipped_or_waits() {
    let dependent = |text: &str, on_unhealthy: OnUnhealthyDependency| {
        let mut spec = scheduled(text, "30 * * * *");
        spec.dependencies = vec![Dependency { agent: name("db"), condition: Condition::Healthy }];
        spec.job_mut().unwrap().on_unhealthy_dependency = on_unhealthy;
        taking(spec, &[1])
    };
    let mut db = taking(scheduled("db", "0 * * * *"), &[1]);
    db.history = History::counted(Vec::new(), 0, 1, 0);
    let job = Arc::make_mut(&mut db.spec);
    job.job_mut().unwrap().retry = NO_RETRY;
    let members =
        vec![db, dependent("skips", OnUnhealthyDependency::Skip), dependent("waits", OnUnhealthyDependency::Wait)];
    let simulation = run(&plan(members, 4, Duration::from_hours(1)));
    assert_eq!(forecast(&simulation, "skips").not_run[0].why, "unhealthy dependencies: db (error)");
    assert_eq!(forecast(&simulation, "waits").left_waiting, 1);
    assert_eq!(forecast(&simulation, "waits").runs, 0);
}

#[test]
fn what_a_dependency_has_done_already_is_not_asked_for_again() {
    let mut spec = scheduled("report", "0 * * * *");
    spec.dependencies = vec![Dependency { agent: name("load"), condition: Condition::Succeeded }];
    let load = || Member::new(scheduled("load", "0 0 1 1 *"));
    let fresh = run(&plan(vec![load(), Member::new(spec.clone())], 4, Duration::from_hours(2)));
    assert_eq!(forecast(&fresh, "report").ends.skipped, 2);
    let met = Member { met: vec![name("load")], ..Member::new(spec) };
    let running = run(&plan(vec![load(), met], 4, Duration::from_hours(2)));
    assert_eq!(forecast(&running, "report").ends.succeeded, 2);
}

#[test]
fn services_are_ready_and_who_is_switched_off_stays_so() {
    let db = Member::new(AgentSpec::service_named(name("db"), program()));
    let mut spec = scheduled("sales", "0 * * * *");
    spec.dependencies = vec![Dependency { agent: name("db"), condition: Condition::Healthy }];
    let on = run(&plan(vec![db.clone(), Member::new(spec.clone())], 4, Duration::from_hours(3)));
    assert_eq!(forecast(&on, "sales").ends.succeeded, 3);
    let kept = Kept { switch: Some(Switch::Off { by: "me".to_owned() }), ..Kept::default() };
    let off = Member { kept: Some(kept), ..db };
    let off = run(&plan(vec![off, Member::new(spec.clone())], 4, Duration::from_hours(3)));
    assert_eq!(forecast(&off, "sales").not_run[0].why, "unhealthy dependencies: db (disabled)");
    spec.enabled = false;
    spec.dependencies.clear();
    let disabled = run(&plan(vec![Member::new(spec)], 4, Duration::from_hours(3)));
    assert_eq!(disabled.agents[0].not_run[0].code, "disabled_in_registry");
    assert_eq!(texts(&disabled), Vec::<&str>::new(), "as somebody wants it");
}

#[rstest]
// The clocks go forward at 01:00 UTC: there is no 02:30, so it runs at the end of the gap.
#[case::spring(1_774_738_800, 23, "2026-03-29T01:00:00.000Z")]
// They go back at 01:00 UTC: 02:30 comes twice and counts once.
#[case::autumn(1_792_879_200, 25, "2026-10-25T00:30:00.000Z")]
fn days_on_which_the_clocks_change_have_their_own_hours(
    #[case] midnight: i64,
    #[case] hours: usize,
    #[case] fixed_at: &str,
) {
    let zurich = |text: &str, schedule: &str| {
        let mut spec = scheduled(text, schedule);
        spec.job_mut().unwrap().triggers.timezone = "Europe/Zurich".to_owned();
        Member::new(spec)
    };
    let from = Timestamp::from_secs(midnight);
    let to = from + Duration::from_hours(u64::try_from(hours).unwrap());
    let members = vec![zurich("hourly", "0 * * * *"), zurich("fixed", "30 2 * * *"), zurich("daily", "0 0 * * *")];
    let simulation = run(&Plan { timeline: 1_000, ..Plan::new(members, 4, from, to) });
    assert_eq!(starts(&simulation, "hourly").len(), hours);
    assert_eq!(starts(&simulation, "daily"), [0]);
    let fixed: Vec<String> = entries(&simulation)
        .iter()
        .filter(|entry| entry.agent == name("fixed"))
        .map(|entry| entry.started_at.unwrap().to_string())
        .collect();
    assert_eq!(fixed, [fixed_at]);
}

#[test]
fn one_agent_may_be_told_of_alone() {
    let members = vec![taking(scheduled("a", "* * * * *"), &[90]), taking(scheduled("b", "* * * * *"), &[1])];
    let plan = Plan { only: Some(name("b")), timeline: 10, ..plan(members, 4, Duration::from_hours(1)) };
    let simulation = run(&plan);
    assert_eq!(simulation.agents.len(), 1);
    assert_eq!(simulation.totals.triggers, 120, "the whole fleet is simulated");
    let timeline = simulation.timeline.unwrap();
    assert_eq!((timeline.entries.len(), timeline.omitted), (10, 50));
    assert!(timeline.entries.iter().all(|entry| entry.agent == name("b")));
    assert_eq!(simulation.attention, Vec::new());
}

#[test]
fn too_much_is_cut_off_and_says_where() {
    let often = Member::new(job("often", |job| job.triggers.every = Some(Duration::from_millis(10))));
    let plan = Plan { steps: 1_000, ..plan(vec![often], 4, Duration::from_hours(24)) };
    let simulation = run(&plan);
    let at = simulation.cut_off_at.unwrap();
    assert!(at.since(DAY) < Duration::from_mins(1), "{at}");
    assert_eq!(simulation.attention[0].concern, Concern::CutOff);
    assert_eq!(simulation.totals.triggers, simulation.totals.ends.all() + simulation.totals.left_running);
}

#[test]
fn the_same_seed_gives_the_same_answer_and_another_one_another() {
    let members = || (0..10).map(|n| taking(scheduled(&format!("a{n}"), "* * * * *"), &[1, 5, 20, 70])).collect();
    let of = |seed| run(&Plan { seed, ..plan(members(), 4, Duration::from_hours(2)) });
    assert_eq!(of(1), of(1));
    assert_ne!(of(1).agents, of(2).agents);
}

#[test]
fn the_answer_reads_back_from_json() {
    let simulation = run(&plan(vec![taking(scheduled("a", "* * * * *"), &[90])], 1, Duration::from_hours(1)));
    let json = serde_json::to_string(&simulation).unwrap();
    let read: Simulation = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert!(json.contains("\"skipped\":30") && json.contains("\"p95Ms\""), "{json}");
}

/// Schedules of the property: some collide, one is rare, some have seconds.
const SCHEDULES: [&str; 5] = ["* * * * *", "*/5 * * * *", "0 * * * *", "*/20 * * * * *", "30 2 * * *"];

#[derive(Clone, Debug)]
struct Sketch {
    schedule: usize,
    overlap: usize,
    priority: i64,
    jitter: u64,
    durations: Vec<u64>,
    failed: u64,
    retries: u32,
    timeout: Option<u64>,
    on: Option<usize>,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let who = (0..SCHEDULES.len(), 0..5_usize, 1..=3_i64, prop::sample::select(vec![0, 0, 30]));
    let what = (prop::collection::vec(0..200_u64, 0..4), 0..10_u64, 0..2_u32, prop::option::of(1..60_u64));
    (who, what, prop::option::of(0..8_usize)).prop_map(|((schedule, overlap, priority, jitter), what, on)| {
        let (durations, failed, retries, timeout) = what;
        Sketch { schedule, overlap, priority, jitter, durations, failed, retries, timeout, on }
    })
}

fn member_of(slot: usize, sketch: &Sketch) -> Member {
    let overlaps = [Overlap::Skip, Overlap::QueueOne, Overlap::QueueAll, Overlap::CancelPrevious, Overlap::Allow];
    let mut spec = scheduled(&format!("a{slot}"), SCHEDULES[sketch.schedule]);
    spec.priority = Priority::from_number(sketch.priority).unwrap();
    let on = sketch.on.filter(|on| *on < slot);
    spec.dependencies =
        on.into_iter().map(|on| Dependency { agent: name(&format!("a{on}")), condition: Condition::Healthy }).collect();
    let job = spec.job_mut().unwrap();
    job.overlap = overlaps[sketch.overlap];
    job.jitter = Duration::from_secs(sketch.jitter);
    job.timeout = sketch.timeout.map(Duration::from_secs);
    job.retry = Backoff { max: sketch.retries, ..Backoff::default() };
    let durations = sketch.durations.iter().map(|secs| Duration::from_secs(*secs)).collect();
    Member { history: History::counted(durations, 10 - sketch.failed, sketch.failed, 0), ..Member::new(spec) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_due_time_is_accounted_for_and_no_worker_works_twice(
        sketches in prop::collection::vec(sketch(), 1..8),
        workers in 1..4_u32,
        capacity in prop::sample::select(vec![1_u32, 3, 1_000]),
        seed in 0..1_000_u64,
    ) {
        let members: Vec<Member> = sketches.iter().enumerate().map(|(slot, sketch)| member_of(slot, sketch)).collect();
        let mut plan = Plan { seed, ..plan(members.clone(), workers, Duration::from_hours(3)) };
        plan.queue.capacity = capacity;
        let simulation = run(&plan);
        prop_assert!(simulation.hours.iter().all(|hour| hour.utilisation <= 1.0 + 1e-9));
        prop_assert!(simulation.peak_queue.waiting <= capacity + workers, "those that back off wait, too");

        // Each time that a schedule names, as the schedule itself tells them, comes once.
        for (sketch, member) in sketches.iter().zip(&members) {
            let forecast = forecast(&simulation, member.spec.name.as_str());
            let schedule = Schedule::parse(SCHEDULES[sketch.schedule], "UTC").unwrap();
            let offset = Entry::all_of(&member.spec).unwrap()[0].offset();
            // With jitter, times of before the begin come in it.
            let just_before = Timestamp::from_millis(plan.from.as_millis() - 1 - i64::try_from(offset.as_millis()).unwrap());
            let due: Vec<Timestamp> = schedule.upcoming(just_before).take_while(|at| *at + offset < plan.to).collect();
            let mut told: BTreeMap<Timestamp, u32> = BTreeMap::new();
            for entry in entries(&simulation).iter().filter(|entry| entry.agent == member.spec.name) {
                *told.entry(entry.scheduled_for.unwrap()).or_default() += 1;
            }
            prop_assert_eq!(told.keys().copied().collect::<Vec<_>>(), due);
            prop_assert!(told.values().all(|count| *count == 1));
            prop_assert_eq!(forecast.triggers, told.len() as u64);
            prop_assert_eq!(forecast.triggers, forecast.ends.all() + forecast.left());
            let not_run: u64 = forecast.not_run.iter().map(|not_run| not_run.count).sum();
            // What is left waiting may have had its worker, and back off.
            let accounted = forecast.runs + not_run;
            prop_assert!((accounted..=accounted + forecast.left_waiting).contains(&forecast.triggers));
        }

        // Without retries an execution has its worker from its start to its end.
        if sketches.iter().all(|sketch| sketch.retries == 0) {
            let mut changes: Vec<(Timestamp, i32)> = Vec::new();
            for entry in entries(&simulation) {
                let Some(start) = entry.started_at else { continue };
                changes.push((start, 1));
                changes.push((entry.ended_at.unwrap_or(plan.to), -1));
            }
            // At one instant ends come first.
            changes.sort_unstable();
            let mut busy = 0;
            for (at, change) in changes {
                busy += change;
                prop_assert!(busy <= i32::try_from(workers).unwrap(), "{} at {}", busy, at);
            }
        }
    }
}
