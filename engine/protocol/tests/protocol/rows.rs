//! Rows survive their columns, and columns that are no row are refused.

use hydra_protocol::invariants::{check_execution, check_step};
use hydra_protocol::{
    Cause, Ending, Epoch, Execution, Failure, Kind, Outcome, RawExecution, RawStep, Status, Step, StepState, Time,
    decode,
};
use proptest::prelude::*;
use proptest::sample::select;

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![0..20_u64, any::<u64>()].prop_map(Time::from_millis)
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..6_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn ending() -> impl Strategy<Value = Ending> {
    let failures = [
        Failure::Workflow,
        Failure::Panicked,
        Failure::Nondeterministic,
        Failure::Undecodable,
        Failure::Unencodable,
        Failure::DeadlineExceeded,
        Failure::ReplaysExhausted,
    ];
    let failed = failures.map(Ending::Failed);
    select([vec![Ending::Succeeded, Ending::Cancelled], failed.to_vec()].concat())
}

fn execution() -> impl Strategy<Value = Execution> {
    let status = prop_oneof![
        time().prop_map(|due_at| Status::Ready { due_at }),
        time().prop_map(|due_at| Status::Leased { due_at }),
        ending().prop_map(Status::Ended),
    ];
    (status, count(), count(), count(), count(), prop::option::of(time())).prop_map(
        |(status, epoch, settled, replays, replays_max, deadline)| Execution {
            status,
            epoch: Epoch(epoch),
            settled,
            replays,
            replays_max,
            deadline,
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    select(vec![
        Outcome::Succeeded,
        Outcome::Failed(Cause::Final),
        Outcome::Failed(Cause::Exhausted),
        Outcome::Failed(Cause::Crashed),
        Outcome::Unencodable,
        Outcome::InDoubt,
        Outcome::Fired,
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        Just(StepState::Running),
        time().prop_map(|due_at| StepState::Waiting { due_at }),
        time().prop_map(|due_at| StepState::Sleeping { due_at }),
        prop::option::of(time()).prop_map(|due_at| StepState::Abandoned { due_at }),
        (count(), outcome()).prop_map(|(order, outcome)| StepState::Settled { order, outcome }),
    ];
    let kind = select(vec![Kind::Transactional, Kind::Keyed, Kind::AtMostOnce, Kind::Timer]);
    (kind, count(), count(), count(), state).prop_map(|(kind, epoch, attempt, attempts_max, state)| Step {
        kind,
        epoch: Epoch(epoch),
        attempt,
        attempts_max,
        state,
    })
}

fn column() -> impl Strategy<Value = i64> {
    let edges = vec![-1, i64::MIN, i64::MAX, i64::from(u32::MAX), i64::from(u32::MAX) + 1];
    prop_oneof![8 => 0..6_i64, 1 => select(edges), 1 => any::<i64>()]
}

fn raw_execution() -> impl Strategy<Value = RawExecution<'static>> {
    let status = select(vec!["ready", "leased", "succeeded", "failed", "cancelled", "running", "", "Ready"]);
    let failure = prop::option::of(select(vec![
        "workflow",
        "panicked",
        "nondeterministic",
        "undecodable",
        "unencodable",
        "deadline_exceeded",
        "replays_exhausted",
        "bored",
    ]));
    let due_at = || prop::option::of(column());
    (status, due_at(), column(), column(), column(), column(), due_at(), failure).prop_map(
        |(status, due_at, epoch, settled, replays, replays_max, deadline, failure)| RawExecution {
            status,
            due_at,
            epoch,
            settled,
            replays,
            replays_max,
            deadline,
            failure,
        },
    )
}

fn raw_step() -> impl Strategy<Value = RawStep<'static>> {
    let kind = select(vec!["transactional", "keyed", "at_most_once", "timer", "charge"]);
    let state = select(vec![
        "running",
        "waiting",
        "sleeping",
        "abandoned",
        "succeeded",
        "failed",
        "unencodable",
        "in_doubt",
        "fired",
        "completed",
    ]);
    let cause = prop::option::weighted(0.3, select(vec!["final", "exhausted", "crashed", "bored"]));
    let maybe = || prop::option::of(column());
    (kind, column(), column(), column(), state, maybe(), maybe(), cause).prop_map(
        |(kind, epoch, attempt, attempts_max, state, due_at, order, cause)| RawStep {
            kind,
            epoch,
            attempt,
            attempts_max,
            state,
            due_at,
            order,
            cause,
        },
    )
}

/// An execution beside which most steps are legal.
fn roomy(ended: bool) -> Execution {
    let status = if ended { Status::Ended(Ending::Cancelled) } else { Status::Leased { due_at: Time::MAX } };
    Execution { status, epoch: Epoch(u32::MAX), settled: u32::MAX, replays: 0, replays_max: 1, deadline: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_execution_survives_its_columns(row in execution()) {
        let decoded = decode::execution(&decode::raw_execution(&row));
        match check_execution(&row) {
            Ok(()) => prop_assert_eq!(decoded, Ok(row)),
            Err(broken) => prop_assert_eq!(decoded, Err(broken.into())),
        }
    }

    #[test]
    fn a_step_survives_its_columns(row in step(), ended: bool) {
        let execution = roomy(ended);
        let decoded = decode::step(&execution, &decode::raw_step(&row));
        match check_step(&execution, &row) {
            Ok(()) => prop_assert_eq!(decoded, Ok(row)),
            Err(broken) => prop_assert_eq!(decoded, Err(broken.into())),
        }
    }

    #[test]
    fn columns_are_an_execution_or_refused(raw in raw_execution()) {
        if let Ok(row) = decode::execution(&raw) {
            prop_assert_eq!(check_execution(&row), Ok(()));
            prop_assert_eq!(decode::raw_execution(&row), raw);
        }
    }

    #[test]
    fn columns_are_a_step_or_refused(raw in raw_step(), ended: bool) {
        let execution = roomy(ended);
        if let Ok(row) = decode::step(&execution, &raw) {
            prop_assert_eq!(check_step(&execution, &row), Ok(()));
            prop_assert_eq!(decode::raw_step(&row), raw);
        }
    }
}
