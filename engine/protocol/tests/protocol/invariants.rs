//! The invariants that need more than one row: of orders, of what is loaded together, of a commit beside its rows.
//! (Those of single rows are in the transcript of rows.)

use hydra_protocol::invariants::{check_commit, check_orders, check_rows};
use hydra_protocol::{
    Broken, Commit, Ending, Epoch, Execution, Kind, Outcome, Reply, Rows, Status, Step, StepState, StepWrite, Time,
};
use proptest::prelude::*;

fn execution() -> Execution {
    let status = Status::Leased { due_at: Time::from_millis(9) };
    Execution { status, epoch: Epoch(2), settled: 1, replays: 1, replays_max: 3, deadline: None }
}

fn step() -> Step {
    Step { kind: Kind::Keyed, epoch: Epoch(2), attempt: 1, attempts_max: 3, state: StepState::Running }
}

fn rows() -> Rows {
    Rows { execution: Some(execution()), step: Some(step()), same_input: false }
}

#[test]
fn rows_are_checked_together() {
    assert_eq!(check_rows(&Rows::default()), Ok(()));
    assert_eq!(check_rows(&rows()), Ok(()));
    assert_eq!(check_rows(&Rows { execution: None, ..rows() }), Err(Broken::StepWithoutExecution));
    let late = Execution { epoch: Epoch(1), ..execution() };
    assert_eq!(check_rows(&Rows { execution: Some(late), ..rows() }), Err(Broken::StepEpoch));
    let bare = Execution { replays_max: 0, ..execution() };
    assert_eq!(check_rows(&Rows { execution: Some(bare), ..rows() }), Err(Broken::NoReplaysAllowed));
    assert_eq!(check_rows(&Rows { execution: Some(bare), step: None, ..rows() }), Err(Broken::NoReplaysAllowed));
}

#[test]
fn a_commit_is_checked_beside_its_rows() {
    let reply = Reply::Reopened;
    let answer = Commit::answer(&execution(), reply);
    assert_eq!(check_commit(&rows(), &answer), Ok(()));
    assert_eq!(check_commit(&rows(), &Commit { guard: Some(Epoch(1)), ..answer }), Err(Broken::GuardMismatch));
    assert_eq!(check_commit(&rows(), &Commit { guard: None, ..answer }), Err(Broken::GuardMismatch));
    assert_eq!(check_commit(&Rows::default(), &answer), Err(Broken::GuardMismatch));

    let lowered = Execution { epoch: Epoch(1), ..execution() };
    let lower = Commit::write(Some(Epoch(2)), lowered, reply);
    assert_eq!(check_commit(&Rows { step: None, ..rows() }, &lower), Err(Broken::EpochFell));
    let raised = Execution { epoch: Epoch(3), ..execution() };
    assert_eq!(check_commit(&rows(), &Commit::write(Some(Epoch(2)), raised, reply)), Ok(()));

    // The step that is written is judged, not the one that was there; and beside the execution that is written.
    let settled = StepState::Settled { order: 2, outcome: Outcome::Succeeded };
    let ahead = answer.with_step(StepWrite::Update(Step { state: settled, ..step() }));
    assert_eq!(check_commit(&rows(), &ahead), Err(Broken::OrderOutOfRange));
    let counted = Execution { settled: 2, ..execution() };
    assert_eq!(check_commit(&rows(), &Commit { execution: Some(counted), ..ahead }), Ok(()));

    // An ending leaves no step open, unless it abandons it.
    let ended = Execution { status: Status::Ended(Ending::Succeeded), ..execution() };
    let end = Commit::write(Some(Epoch(2)), ended, reply);
    assert_eq!(check_commit(&rows(), &end), Err(Broken::OpenAfterEnd));
    assert_eq!(check_commit(&rows(), &end.abandoning()), Ok(()));
}

#[test]
fn orders_are_counted_from_one_without_a_gap() {
    let of = |settled| Execution { settled, ..execution() };
    assert_eq!(check_orders(&of(0), [].into_iter()), Ok(()));
    assert_eq!(check_orders(&of(3), [1, 2, 3].into_iter()), Ok(()));
    for wrong in [&[1, 2][..], &[1, 2, 3, 4], &[0, 1, 2], &[2, 3, 4], &[1, 1, 2], &[1, 3, 3], &[]] {
        assert_eq!(check_orders(&of(3), wrong.iter().copied()), Err(Broken::OrdersNotConsecutive), "{wrong:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Due at the deadline is still in time.
    #[test]
    fn the_due_time_lies_at_the_deadline_at_the_latest(due in 0..9_u64, deadline in 0..9_u64) {
        let status = Status::Ready { due_at: Time::from_millis(due) };
        let row = Execution { status, deadline: Some(Time::from_millis(deadline)), ..execution() };
        let wanted = if due > deadline { Err(Broken::DueAfterDeadline) } else { Ok(()) };
        prop_assert_eq!(check_rows(&Rows { execution: Some(row), ..Rows::default() }), wanted);
    }
}

/// Every invariant and every refused column says something of its own.
#[test]
fn every_broken_invariant_has_words_of_its_own() {
    let all = [
        Broken::NeverClaimed,
        Broken::NoReplaysAllowed,
        Broken::TooManyReplays,
        Broken::DueAfterDeadline,
        Broken::NoDeadline,
        Broken::StepEpoch,
        Broken::OpenAfterEnd,
        Broken::OrderOutOfRange,
        Broken::OrdersNotConsecutive,
        Broken::AttemptOutOfRange,
        Broken::NoAttemptLeft,
        Broken::StateOfOtherKind,
        Broken::StepWithoutExecution,
        Broken::EpochFell,
        Broken::GuardMismatch,
    ];
    let mut words: Vec<String> = all.iter().map(Broken::to_string).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), all.len());
    assert!(words.iter().all(|words| !words.is_empty()));
}
