//! The engine itself in the simulator: the same each time, on both stores, clean; and what is wrong with it is seen.

use hydra_schedule::Property;
use hydra_simulation::campaign::Case;
use hydra_simulation::history::{Record, What};
use hydra_simulation::oracle::{self, Finding};
use hydra_simulation::subjects::{self, Subject};

fn subject(name: &str) -> Box<dyn Subject> {
    subjects::find(name).unwrap_or_else(|| panic!("no subject {name}")).make()
}

fn records(subject: &mut dyn Subject, case: &Case) -> Vec<Record> {
    subject.run(case.run());
    subject.history(&case.workload).records
}

fn findings(subject: &mut dyn Subject, seed: u64) -> Vec<Finding> {
    let case = Case::of_seed(seed, &[]);
    subject.run(case.run());
    oracle::findings(&subject.history(&case.workload), &subjects::settings(&case.config))
}

#[test]
fn the_same_seed_gives_the_same_bytes_again_and_on_either_store() {
    let (mut used, mut sqlite) = (subject("engine-on-memory"), subject("engine"));
    for seed in 0..60 {
        let case = Case::of_seed(seed, &[]);
        let once = records(used.as_mut(), &case);
        let twice = records(subject("engine-on-memory").as_mut(), &case);
        assert_eq!(once, twice, "seed {seed}");
        assert_eq!(once, records(sqlite.as_mut(), &case), "seed {seed}: the stores differ");
        assert!(once.iter().any(|record| matches!(record.what, What::Journal(_))), "seed {seed}: nothing happened");
    }
}

#[test]
fn the_engine_keeps_every_promise_on_sqlite() {
    let mut engine = subject("engine");
    // One in a hundred has a zombie refused, the rarest of the paths below.
    for seed in (0..400).chain([582]) {
        let findings = findings(engine.as_mut(), seed);
        assert!(findings.is_empty(), "seed {seed}: {findings:?}");
    }
    // A run that never met a fault or a way back has not tested it.
    let tally = engine.tally();
    let count = |group: &str, goal: &str| {
        tally.goals().into_iter().find(|(of, name, _)| (*of, *name) == (group, goal)).map_or(0, |(_, _, count)| count)
    };
    let faults = ["crash", "reply-lost", "reply-late", "duplicate", "partition", "pause", "clock", "store-restart"];
    let paths = [
        "taken-over",
        "body-cancelled",
        "attempt-crashed",
        "asked-again",
        "stopped-by-clock",
        "zombie-refused",
        "parked",
        "replayed",
    ];
    for (group, goals) in [("faults", faults.as_slice()), ("paths", paths.as_slice())] {
        for goal in goals {
            assert!(count(group, goal) > 0, "{group}: {goal} was never reached");
        }
    }
}

/// Rules that are wrong, how many runs it may take, and what has to fall.
const NOTICED: [(&str, u64, Property); 8] = [
    ("epoch-never-raised", 40, Property::EpochFenced),
    ("encode-failure-is-retried", 40, Property::SuccessNeverRerun),
    ("no-heartbeats", 60, Property::LeaseKept),
    ("sleeper-is-lost", 40, Property::TimerNotLost),
    ("leased-is-never-claimable", 40, Property::Terminates),
    ("key-per-attempt", 120, Property::EffectOnceKeyed),
    ("zombie-settles", 1_000, Property::EpochFenced),
    ("retry-opens-anything", 60, Property::StatusLegal),
];

#[test]
fn the_engine_under_wrong_rules_is_found_out() {
    for (mutant, runs, property) in NOTICED {
        let mut engine = subject(&format!("engine+{mutant}"));
        let found =
            (0..runs).any(|seed| findings(engine.as_mut(), seed).iter().any(|found| found.property == property));
        assert!(found, "{mutant}: {property} did not fall in {runs} runs");
    }
}
