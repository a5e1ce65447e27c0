//! Random commands, sent to the core over rows in a map, to the store in memory and to one in a database: answers and
//! rows must be equal after each of them.

mod beside;
mod exhaustive;
#[path = "../store_conformance/harness.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;
mod model;
mod ops;

use std::collections::BTreeSet;
#[cfg(feature = "postgres-tests")]
use std::sync::Arc;

use beside::{Beside, seen};
use hydra_engine::store::Rules;
#[cfg(feature = "postgres-tests")]
use hydra_engine::store::{ManualClock, Store, StoreOptions};
use hydra_protocol::{Epoch, Execution, Protocol, Reference, Rejection, Settlement, Step, StepState, Time};
use ops::ops;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Which database is compared.
#[derive(Clone, Copy)]
enum Database {
    Sqlite,
    #[cfg(feature = "postgres-tests")]
    Postgres,
}

/// The one database of this test, emptied, by two connections.
#[cfg(feature = "postgres-tests")]
fn postgres(clock: &ManualClock, options: &dyn Fn() -> StoreOptions) -> Vec<Box<dyn Store>> {
    // One for each test: they run side by side.
    thread_local!(static URL: String = harness::server::database());
    let url = &URL.with(String::clone);
    let mut server = hydra_engine::store::PostgresOptions::at(url);
    server.clock = Some(Arc::new(clock.clone()));
    let stores: Vec<Box<dyn Store>> = (0..2).map(|_| Box::new(server.open(options()).unwrap()) as _).collect();
    harness::server::sql(url, &["TRUNCATE hydra.executions RESTART IDENTITY CASCADE"]);
    stores
}

/// Runs random sequences against stores that go by `rules`, and answers with what was seen, or the first difference.
fn compare(rules: Rules, cases: u32, which: Database) -> Result<BTreeSet<String>, String> {
    // Fewer cases, and less shrinking, where each command is several round trips to a server.
    let max_shrink_iters = if cases < 200 { 20 } else { 300 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    // The same sequences every time: a difference found once is found by everybody.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    seen();
    let run = runner.run(&ops(), |ops| {
        let mut beside = match which {
            Database::Sqlite => Beside::sqlite(rules),
            #[cfg(feature = "postgres-tests")]
            Database::Postgres => Beside::over(rules, |clock, options| postgres(clock, options)),
        };
        runtime.block_on(async {
            for op in &ops {
                beside.apply(op).await.map_err(|difference| TestCaseError::fail(format!("at {op:?}: {difference}")))?;
            }
            Ok(())
        })
    });
    run.map_err(|error| error.to_string()).map(|()| seen())
}

#[test]
fn every_store_is_equal_to_the_core_over_plain_rows() {
    let seen = compare(&Reference, 200, Database::Sqlite).unwrap_or_else(|difference| panic!("{difference}"));
    // The sequences go everywhere: otherwise equality means little.
    for goal in [
        "Started",
        "AlreadyStarted",
        "Conflict",
        "Claimed, journal of 0",
        "Claimed, journal of 2",
        "Renewed",
        "Run",
        "Settled(Succeeded",
        "Settled(Failed(Final)",
        "Settled(Failed(Exhausted)",
        "Settled(Failed(Crashed)",
        "Settled(InDoubt",
        "Settled(Unencodable",
        "Settled(Fired",
        "Waiting",
        "Sleeping",
        "Released",
        "Ended(Succeeded)",
        "Ended(Cancelled)",
        "Reopened",
        "Resolved(Succeeded)",
        "Resolved(Failed(Final))",
        "NotDue",
        "NotLeased",
        "StaleEpoch",
        "LeaseExpired",
        "UnknownExecution",
        "UnknownStep",
        "KindMismatch",
        "AttemptMismatch",
        "StepSettled(Succeeded)",
        "NotRunning",
        "NotFailed",
        "Unresolved(InDoubt)",
        "NotInDoubt",
        "Superseded",
        "IllegalSettlement(Keyed)",
        "IllegalEnding(Cancelled)",
        "body dropped",
        "body answered",
        "body kept the other connection out",
    ] {
        assert!(seen.contains(goal), "never seen: {goal}; seen: {seen:?}");
    }
}

/// Known-wrong rules, to see that the comparison sees.
mod wrong {
    use super::*;

    /// Writes of a lost lease are taken.
    pub struct Unfenced;
    impl Protocol for Unfenced {
        fn fence(&self, _: &Execution, _: Epoch) -> Result<(), Rejection> {
            Ok(())
        }
    }

    /// A failed attempt is always tried again, at most as often as the invariants let it.
    pub struct Tireless;
    impl Protocol for Tireless {
        fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
            match settlement {
                Settlement::Failed { .. } if step.attempt < step.attempts_max => StepState::Waiting { due_at: now },
                _ => Reference.settled_state(step, settlement, order, now),
            }
        }
    }

    /// A lease that ended is for nobody.
    pub struct Stuck;
    impl Protocol for Stuck {
        fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
            match execution.status {
                hydra_protocol::Status::Leased { due_at } => Err(Rejection::NotDue { due_at, now }),
                _ => Reference.claimable(execution, now),
            }
        }
    }
}

#[cfg(feature = "postgres-tests")]
#[test]
fn postgresql_is_equal_to_the_core_over_plain_rows() {
    let seen = compare(&Reference, 40, Database::Postgres).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(seen.contains("Reopened") && seen.contains("body answered"), "{seen:?}");
}

#[cfg(feature = "postgres-tests")]
#[test]
fn postgresql_with_wrong_rules_is_told_apart() {
    assert!(compare(&wrong::Unfenced, 20, Database::Postgres).is_err());
}

#[test]
fn a_store_with_wrong_rules_is_told_apart() {
    for rules in [&wrong::Unfenced as Rules, &wrong::Tireless, &wrong::Stuck] {
        assert!(compare(rules, 200, Database::Sqlite).is_err());
    }
}
