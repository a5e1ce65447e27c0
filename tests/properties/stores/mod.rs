//! Every store against the model of the rows, as a state machine: random programs of commands and of faults on the way to
//! the store. After each step the answers, all rows and the effects of transactional bodies are what the model says.

mod program;
mod subject;

use program::Program;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use subject::{
    Kept, Kind, Lost, MemoryGroupCommit, MemoryInline, SqliteGroupCommit, SqliteInline, Torn, Under, Zombie,
};

/// Runs `cases` programs against a kind of store; the first that shows a difference is an error.
fn run<K: Kind>(cases: u32) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same programs every time: a difference found once is found by everybody.
    let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let run = runner.run(&Program::sequential_strategy(1..80), |(state, transitions, seen)| {
        subject::Test::<K>::test_sequential(config.clone(), state, transitions, seen);
        Ok(())
    });
    run.map_err(|error| error.to_string())
}

fn holds<K: Kind>() {
    run::<K>(60).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn memory_is_equal_to_the_model_under_faults() {
    holds::<MemoryInline>();
}

#[test]
fn memory_behind_the_group_commit_is_equal_to_the_model_under_faults() {
    holds::<MemoryGroupCommit>();
}

#[test]
fn sqlite_is_equal_to_the_model_under_faults_and_restarts() {
    holds::<SqliteInline>();
}

#[test]
fn sqlite_behind_the_group_commit_is_equal_to_the_model_under_faults_and_restarts() {
    holds::<SqliteGroupCommit>();
}

/// The suite sees what it is there to see.
#[test]
fn a_store_that_is_wrong_is_told_apart() {
    assert!(run::<Under<Zombie>>(60).is_err(), "it lets zombies write");
    assert!(run::<Lost>(60).is_err(), "it loses what it answered when it is opened again");
    assert!(run::<Torn>(60).is_err(), "it commits what a body wrote although the body was dropped");
    assert!(run::<Kept>(60).is_ok(), "the same without the defect is right");
}
