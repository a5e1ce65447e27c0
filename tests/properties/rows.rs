//! Rows as a database may hold them: any value in any column, past the schema's checks. The engine reads a row or names
//! it as corrupt, never panics, and runs no body whose checkpoint is on record.

use hydra_fuzz_targets::hostile_file::{COLUMNS, Damage, Value, judge_damages, judge_damages_under};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        2 => any::<i8>().prop_map(Value::Small),
        1 => any::<i64>().prop_map(Value::Integer),
        1 => any::<f64>().prop_map(Value::Real),
        3 => any::<u8>().prop_map(Value::Word),
        1 => any::<String>().prop_map(Value::Text),
        1 => any::<Vec<u8>>().prop_map(Value::Blob),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        9 => (0..COLUMNS.len(), 0..32_u32, value()).prop_map(|(column, row, value)| Damage::Column { column, row, value }),
        1 => (0..4_usize, 0..32_u32).prop_map(|(table, row)| Damage::Row { table, row }),
    ]
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn no_value_of_a_column_makes_a_body_run_again() {
    let damages = prop::collection::vec(damage(), 0..3);
    let run = runner(200).run(&damages, |damages| judge_damages(&damages).map_err(TestCaseError::fail));
    run.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn rules_that_run_a_checkpointed_body_again_are_told_apart() {
    let mutant = hydra_model::museum::find("checkpoint-error-is-not-found").expect("a mutant of the museum");
    assert!(judge_damages_under(mutant.rules, &[]).is_err());
}
