//! The oracle over thousands of generated histories: a right engine is never accused, and every planted bug is found.

mod engine;

use engine::{Bug, LEASE_MS, run};
use hydra_schedule::Property;
use hydra_simulation::history::History;
use hydra_simulation::oracle::{Contract, Settings, Verdict, judge};

fn contract() -> Contract {
    Contract::everything(Settings {
        attempts_max: Some(3),
        lease_ms: LEASE_MS,
        recovery_ms: Some(60_000),
        backoff_initial_ms: Some(1_000),
        backoff_cap_ms: Some(8_000),
        slack_ms: 100,
        ..Settings::default()
    })
}

#[test]
fn a_right_engine_is_never_accused() {
    let contract = contract();
    let mut all = judge(&run(0, Bug::None), &contract);
    for seed in 1..3_000 {
        let history = run(seed, Bug::None);
        let judgements = judge(&history, &contract);
        let accused: Vec<_> = judgements.broken().map(|finding| &finding.explanation).collect();
        assert!(accused.is_empty(), "seed {seed}: {accused:?}\n{}", history.to_text());
        all = all.merge(judgements);
    }
    // It must have been judged, too: a toy in which nothing happens passes everything.
    for judgement in &all.judgements {
        let judged = matches!(judgement.verdict, Verdict::Kept { over } if over >= 50);
        let impossible = [Property::CanComplete, Property::StatusLegal, Property::OrphansRecovered];
        assert!(judged || impossible.contains(&judgement.property), "{judgement:?}");
    }
}

#[test]
fn every_planted_bug_is_found_by_its_property() {
    let planted = [
        (Bug::KeyFromAttempt, Property::EffectOnceKeyed),
        (Bug::RunsAgainAfterCheckpoint, Property::CheckpointImmutable),
        (Bug::OneAttemptTooMany, Property::AttemptsBounded),
        (Bug::RetriesUnencodable, Property::SuccessNeverRerun),
        (Bug::ShortSleep, Property::TimerNotEarly),
        (Bug::FailsWhatSucceeded, Property::OutcomeTrue),
        (Bug::InDoubtCalledFailed, Property::InDoubtShown),
        (Bug::EpochNeverRaised, Property::EpochFenced),
        (Bug::BackoffFalls, Property::BackoffBounded),
        (Bug::GivesUpEarly, Property::BudgetHonest),
        (Bug::ForgetsTheValue, Property::ReplayFaithful),
        (Bug::NobodyTakesOver, Property::OrphansRecovered),
        (Bug::NobodyTakesOver, Property::NothingStuck),
        (Bug::NobodyTakesOver, Property::Terminates),
    ];
    let contract = contract();
    for (bug, property) in planted {
        let falls =
            |seed: &u64| judge(&run(*seed, bug), &contract).broken().any(|finding| finding.property == property);
        assert!((0..500).any(|seed| falls(&seed)), "{bug:?} is not found by {property}");
    }
}

/// Whatever is missing from a history, nothing panics and every index is within it.
#[test]
fn a_torn_history_is_judged_without_a_panic() {
    let contract = contract();
    for seed in 0..300 {
        let whole = run(seed, Bug::None);
        for keep in [2, 3, 5] {
            let records: Vec<_> = whole
                .records
                .iter()
                .enumerate()
                .filter(|(index, _)| index % keep != 1)
                .map(|(_, record)| record.clone())
                .collect();
            let torn = History { header: whole.header.clone(), records };
            let judgements = judge(&torn, &contract);
            for finding in judgements.broken() {
                assert!(finding.first < torn.records.len() && finding.second < torn.records.len());
            }
        }
    }
}

#[test]
fn the_same_history_is_judged_the_same_after_a_trip_to_the_disk() {
    for seed in 0..100 {
        let history = run(seed, Bug::KeyFromAttempt);
        let again = History::read(history.to_text().as_bytes()).unwrap();
        assert_eq!(judge(&again, &contract()), judge(&history, &contract()));
    }
}
