//! Retry arithmetic over the whole range of every number, against a calculation in floating point: what the code does in
//! 128 bits, with a clamped exponent and products cut at the cap.

use hydra_engine::protocol::{Backoff, Protocol, Reference, Span};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::transitions::ms;

fn percent() -> impl Strategy<Value = u32> {
    prop_oneof![select(vec![0, 1, 99, 100, 101, 125, 150, 200, 1_000, u32::MAX]), any::<u32>()]
}

fn attempt() -> impl Strategy<Value = u32> {
    prop_oneof![1..70_u32, select(vec![0, 1, 54, 63, 64, 65, 1_023, 1_024, 1_025, u32::MAX]), any::<u32>()]
}

fn backoff() -> impl Strategy<Value = Backoff> {
    (ms(), ms(), percent(), percent()).prop_map(|(initial, cap, factor_percent, jitter_percent)| {
        let (initial, cap) = (Span::from_millis(initial), Span::from_millis(cap));
        Backoff { initial, cap, factor_percent, jitter_percent }
    })
}

/// What must hold of one wait.
fn holds(rules: &dyn Protocol, backoff: &Backoff, attempt: u32, salt: u64) -> Result<(), String> {
    let wait = rules.backoff(backoff, attempt, salt).as_millis() as f64;
    let next = rules.backoff(backoff, attempt.saturating_add(1), salt).as_millis() as f64;
    let evidence = || format!("{backoff:?} attempt {attempt} salt {salt}: {wait} ms, then {next} ms");
    // As SPEC.md has it: the exponent is clamped, the product is cut at the cap.
    let exponent = f64::from(attempt.clamp(1, 1_024) - 1);
    let growth = (f64::from(backoff.factor_percent.max(100)) / 100.0).powf(exponent);
    let (initial, cap) = (backoff.initial.as_millis() as f64, backoff.cap.as_millis() as f64);
    let most = if initial == 0.0 { 0.0 } else { (initial * growth).min(cap) };
    let least = most * (1.0 - f64::from(backoff.jitter_percent.min(100)) / 100.0);
    // Each of up to 1,023 products may be cut by a millionth of a millisecond, and the last one to a whole one.
    let slack = most * 0.002 + 1.0;
    if wait > most + slack || wait < least - slack {
        return Err(format!("not in [{least}, {most}]: {}", evidence()));
    }
    if wait > cap {
        return Err(format!("over the cap: {}", evidence()));
    }
    if next < wait {
        return Err(format!("falls: {}", evidence()));
    }
    Ok(())
}

fn judge(rules: &dyn Protocol, cases: u32) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let run = runner.run(&(backoff(), attempt(), any::<u64>()), |(backoff, attempt, salt)| {
        holds(rules, &backoff, attempt, salt).map_err(TestCaseError::fail)
    });
    run.map_err(|error| error.to_string())
}

#[test]
fn every_wait_is_the_formula_and_none_falls() {
    judge(&Reference, 30_000).unwrap_or_else(|broken| panic!("{broken}"));
}

/// Jitter drawn anew for each attempt: a later wait may be shorter.
struct DrawnAnew;
impl Protocol for DrawnAnew {
    fn backoff(&self, backoff: &Backoff, attempt: u32, salt: u64) -> Span {
        backoff.wait(attempt, salt.wrapping_mul(u64::from(attempt) | 1))
    }
}

/// The factor is applied to the wait before, which was rounded down to a whole millisecond: small waits never grow.
struct Rounds;
impl Protocol for Rounds {
    fn backoff(&self, backoff: &Backoff, attempt: u32, _: u64) -> Span {
        let wait = (1..attempt.min(1_024)).fold(u128::from(backoff.initial.as_millis()), |wait, _| {
            (wait * u128::from(backoff.factor_percent.max(100)) / 100).min(backoff.cap.as_millis().into())
        });
        Span::from_millis(wait.min(backoff.cap.as_millis().into()) as u64)
    }
}

#[test]
fn arithmetic_that_is_wrong_is_told_apart() {
    let audited = hydra_model::museum::find("backoff-overflows").expect("the audit's finding");
    let wrong: [(&str, &dyn Protocol); 3] =
        [("the audited engine's", audited.rules), ("drawn anew", &DrawnAnew), ("rounded", &Rounds)];
    for (name, rules) in wrong {
        assert!(judge(rules, 30_000).is_err(), "{name}");
    }
}
