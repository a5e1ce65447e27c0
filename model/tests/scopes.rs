//! The reference under the smoke scope: proved, and by counts that are pinned. A changed count is explained in the
//! commit that changes it.

use hydra_model::run::{Request, exit_code, run};
use hydra_model::scopes::Scope;
use hydra_model::search::{Options, PassOutcome, Verdict, explore};
use hydra_model::world::World;
use hydra_protocol::Reference;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Model, distinct states and edges, with symmetry.
const PINNED: [(&str, u64, u64); 11] = [
    ("crashes", 6_012, 51_939),
    ("at-most-once", 6_430, 67_151),
    ("timers", 3_928, 31_441),
    ("limits", 884, 8_198),
    ("operator", 1_003, 8_848),
    ("partitions", 10_750, 53_050),
    ("copies", 9_422, 70_928),
    ("together", 561, 2_295),
    ("race", 4_094, 36_796),
    ("two executions", 1_380, 7_164),
    ("backoff", 1_267, 2_783),
];

#[test]
fn the_reference_is_proved_in_the_smoke_scope_and_its_counts_are_pinned() {
    let request =
        Request { models: Scope::Smoke.models(), mutant: None, threads: 2, memory_bytes_max: None, symmetry: true };
    let outcome = run(&request, &mut |_, _| {}, &Arc::new(AtomicBool::new(false))).unwrap();
    for model in &outcome.models {
        assert_eq!(model.report.verdict, Verdict::ProvedInScope, "{}", model.name);
        let held = model.report.passes.iter().filter(|pass| pass.outcome == PassOutcome::Held).count();
        assert_eq!(held, 4, "{}: {:?}", model.name, model.report.passes);
    }
    assert_eq!(exit_code(&outcome.verdict), 0);
    let counts: Vec<_> =
        outcome.models.iter().map(|model| (model.name, model.report.distinct, model.report.generated)).collect();
    assert_eq!(counts, PINNED);
}

/// Symmetry hides nothing: without it there are more states and the same verdict.
#[test]
fn without_symmetry_the_verdict_is_the_same() {
    for model in Scope::Smoke.models() {
        let world = World::new(model.bounds.clone(), &Reference).unwrap();
        let report = |symmetry| explore(&world, &Options { symmetry, ..Options::default() }, &mut |_| {}).report;
        let (whole, canonical) = (report(false), report(true));
        assert_eq!(whole.verdict, canonical.verdict, "{}", model.name);
        let permutations = if model.bounds.executions == 2 { 4 } else { model.bounds.workers as u64 };
        assert!(whole.distinct >= canonical.distinct && whole.distinct <= permutations * canonical.distinct);
    }
}

#[test]
fn a_run_that_is_stopped_is_incomplete() {
    let request =
        Request { models: Scope::Smoke.models(), mutant: None, threads: 1, memory_bytes_max: None, symmetry: true };
    let outcome = run(&request, &mut |_, _| {}, &Arc::new(AtomicBool::new(true))).unwrap();
    assert_eq!(exit_code(&outcome.verdict), 3, "{:?}", outcome.verdict);
}

#[test]
fn every_model_of_every_scope_is_within_bounds() {
    for scope in [Scope::Smoke, Scope::Standard, Scope::Deep] {
        for model in scope.models() {
            assert_eq!(model.bounds.check(), Ok(()), "{} of {}", model.name, scope.name());
        }
    }
}
