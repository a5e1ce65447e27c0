//! The simulator's own properties: the same seed gives the same bytes, a right engine is never accused, a wrong one is
//! found, and what is found replays.

use hydra_protocol::{Command, Protocol, Recovery, Reference, Settlement, Span, Step, StepNo, Time, worker};
use hydra_schedule::{Property, Schedule};
use hydra_simulation::campaign::{self, Case, Failure, Plan, Seeds};
use hydra_simulation::cluster::{Cluster, Watch};
use hydra_simulation::subjects::{self, Simulated, Subject};
use hydra_simulation::{oracle, shrink};

fn plan(runs: u64, broken_max: u64) -> Plan {
    Plan { seeds: Seeds::Range(0, runs), part: 1, of: 1, workers: Vec::new(), check_determinism: false, broken_max }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let mut used = Simulated::new("reference", &Reference);
    for seed in 0..300 {
        let case = Case::of_seed(seed, &[]);
        // One that has run before and one that is fresh: nothing of a run may linger.
        used.run(case.run());
        let mut fresh = Simulated::new("reference", &Reference);
        fresh.run(case.run());
        assert_eq!(used.history(&case.workload).to_text(), fresh.history(&case.workload).to_text(), "seed {seed}");
        assert_eq!(used.fingerprint(), fresh.fingerprint());
    }
}

#[test]
fn a_schedule_that_is_written_down_replays_to_the_byte() {
    for seed in 0..300 {
        let case = Case::of_seed(seed, &[]);
        let text = case.schedule("reference").to_string();
        let schedule: Schedule = text.parse().unwrap();
        let read = Case::of_schedule(&schedule).unwrap();
        assert_eq!(read, case, "seed {seed}");
        assert_eq!(read.schedule("reference").to_string(), text);
    }
}

#[test]
fn the_reference_keeps_every_promise_and_reaches_every_goal() {
    let entry = subjects::find("reference").unwrap();
    let outcome = campaign::run(&entry, &plan(12_000, 1), |_| {});
    assert_eq!(outcome.broken, 0, "seed {:?}: {:?}", outcome.first, outcome.fell);
    assert_eq!(outcome.nondeterministic, None);
    assert_eq!(outcome.tally.missed(), [] as [String; 0]);
}

#[test]
fn the_parts_of_a_campaign_are_the_whole() {
    let entry = subjects::find("reference").unwrap();
    let whole = campaign::run(&entry, &plan(300, 1), |_| {});
    let mut sum = hydra_simulation::cluster::Tally::default();
    for part in 1..=3 {
        let outcome = campaign::run(&entry, &Plan { part, of: 3, ..plan(300, 1) }, |_| {});
        sum.add(&outcome.tally);
    }
    assert_eq!(sum, whole.tally);
}

/// The quick look may call a right run strange, but it must not pass what the oracle finds.
#[test]
fn the_quick_look_passes_nothing_that_the_oracle_finds() {
    let mut passed = 0;
    for entry in subjects::all() {
        let mut subject = entry.make();
        for seed in 0..150 {
            let case = Case::of_seed(seed, &[]);
            subject.run(case.run());
            if subject.strange().is_some() {
                continue;
            }
            passed += 1;
            let findings = oracle::findings(&subject.history(&case.workload), &subjects::settings(&case.config));
            assert!(findings.is_empty(), "{} seed {seed}: {findings:?}", entry.name);
        }
    }
    assert!(passed > 1_000, "the quick look passed only {passed} runs, so little was compared");
}

/// The key changes with the attempt: what the audit calls "not exactly once".
struct KeyOfAttempt;
impl Protocol for KeyOfAttempt {
    fn key(&self, step: StepNo, attempt: u32) -> u64 {
        u64::from(step.0) << 32 | u64::from(attempt)
    }
}

#[test]
fn a_failure_is_made_small_and_falls_again() {
    let entry = subjects::find("key-per-attempt").unwrap();
    let outcome = campaign::run(&entry, &plan(5_000, 1), |_| {});
    let seed = outcome.first[&Property::EffectOnceKeyed];
    let case = Case::of_seed(seed, &[]);
    let failure = Failure::of(&entry, &case, Property::EffectOnceKeyed, "hydra replay").unwrap();
    assert_eq!(failure.end, shrink::End::Minimal);
    let (faults, steps) = failure.size();
    assert!(faults <= 2 && steps == 1, "{faults} faults, {steps} steps:\n{}", failure.shrunk);
    // It falls for rules that have the defect, and not for the right ones.
    let small = Case::of_schedule(&failure.shrunk).unwrap();
    for (mut subject, falls) in [
        (Box::new(Simulated::new("mine", &KeyOfAttempt)) as Box<dyn Subject>, true),
        (subjects::find("reference").unwrap().make(), false),
    ] {
        subject.run(small.run());
        let history = subject.history(&small.workload);
        let fell = oracle::falls(&history, &subjects::settings(&small.config), Property::EffectOnceKeyed);
        assert_eq!(fell, falls);
    }
}

#[test]
fn the_exit_status_says_how_it_went() {
    use hydra_simulation::cli::{BROKEN, GOALS_MISSED, KEPT, Replay, Report, Simulate, USAGE};
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaign");
    // What an earlier run of this test left.
    let _ = std::fs::remove_dir_all(&out);
    let simulate =
        |subject: &str, seeds: Option<(u64, u64)>, part: Option<(u64, u64)>, out: Option<std::path::PathBuf>| {
            let seed = if seeds.is_none() { Some(7) } else { None };
            Simulate {
                subject: subject.to_owned(),
                seed,
                seeds,
                r#for: None,
                shard: part,
                workers: Vec::new(),
                out,
                json: None,
                check_determinism: true,
                museum: false,
                coverage: false,
                broken_max: 1,
            }
            .run()
        };
    assert_eq!(simulate("reference", None, None, None), KEPT);
    assert_eq!(simulate("reference", Some((0, 20)), None, None), GOALS_MISSED);
    assert_eq!(simulate("no-such-engine", None, None, None), USAGE);
    assert_eq!(simulate("key-per-attempt", Some((0, 200)), None, Some(out.clone())), BROKEN);
    let failure =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    for file in [
        "seed",
        "found.schedule",
        "shrunk.schedule",
        "history.jsonl",
        "report.md",
        "report.html",
        "shortest.schedule",
        "commit",
        "replay",
    ] {
        assert!(failure.join(file).exists(), "{file}");
    }
    let replay = |path: std::path::PathBuf, subject: Option<&str>| {
        Replay { path, subject: subject.map(str::to_owned), history: false }.run()
    };
    assert_eq!(replay(failure.clone(), None), BROKEN);
    assert_eq!(replay(failure.clone(), Some("reference")), KEPT);
    assert_eq!(replay(failure.join("nothing"), None), USAGE);
    // Two parts, each too small to reach every goal, and their sum.
    let parts: Vec<_> = (1..=2).map(|part| out.join(format!("part-{part}"))).collect();
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(simulate("reference", Some((0, 40)), Some((index as u64 + 1, 2)), Some(part.clone())), GOALS_MISSED);
    }
    assert_eq!(Report { parts: parts.clone(), json: Some(out.join("sum.json")) }.run(), GOALS_MISSED);
    let sum = hydra_simulation::campaign::Summary::read_all(&[out.join("sum.json")]).unwrap().unwrap();
    assert_eq!((sum.parts, sum.runs), (2, 40));
    // Another subject, and the same seeds twice.
    assert_eq!(Report { parts: vec![parts[0].clone(), out], json: None }.run(), USAGE);
    assert_eq!(Report { parts: vec![parts[0].clone(), parts[0].clone()], json: None }.run(), USAGE);
}

/// Rules that answer differently from run to run: what a campaign has to notice.
#[derive(Default)]
struct Fickle(std::sync::atomic::AtomicU64);
impl Protocol for Fickle {
    fn backoff(&self, backoff: &hydra_protocol::Backoff, attempt: u32, salt: u64) -> Span {
        let more = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Span::from_millis(backoff.wait(attempt, salt).as_millis() + more % 7)
    }
}

#[test]
fn rules_that_are_not_deterministic_are_noticed() {
    static FICKLE: Fickle = Fickle(std::sync::atomic::AtomicU64::new(0));
    let mut subject = Simulated::new("fickle", &FICKLE);
    let differs = (0..200).any(|seed| {
        let case = Case::of_seed(seed, &[]);
        subject.run(case.run());
        let once = subject.fingerprint();
        subject.run(case.run());
        once != subject.fingerprint()
    });
    assert!(differs);
}

/// Orphans are never begun again.
struct NoRecovery;
impl Protocol for NoRecovery {
    fn recover(&self, _: &Step) -> Recovery {
        Recovery::Again
    }
    fn step_next(
        &self,
        plan: &worker::step::Plan,
        phase: worker::step::Phase,
        event: worker::step::Event,
    ) -> (worker::step::Phase, worker::step::Action) {
        match worker::step::next(self, plan, phase, event) {
            // It never asks to settle a success.
            (_, worker::step::Action::Ask(Command::Settle { settlement: Settlement::Succeeded, .. })) => {
                (worker::step::Phase::Waiting { due_at: Time::MAX, attempt: 1 }, worker::step::Action::Nothing)
            }
            next => next,
        }
    }
}

#[test]
fn what_never_ends_is_seen_to_be_stuck() {
    let mut cluster = Cluster::new(&NoRecovery);
    let mut watch = Watch::default();
    let stuck = (0..50).any(|seed| {
        let case = Case::of_seed(seed, &[]);
        cluster.run(case.run());
        assert!(cluster.open() == 0 || cluster.strange(&mut watch).is_some());
        let history = cluster.history("stuck", seed, &case.workload);
        oracle::falls(&history, &subjects::settings(&case.config), Property::NothingStuck)
    });
    assert!(stuck);
}
