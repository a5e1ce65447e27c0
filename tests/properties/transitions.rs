//! One decision over rows of any kind that the invariants allow, with numbers of any size: it never panics, what it would
//! write keeps the invariants, and its times are those that a calculation in wider numbers gives.

use hydra_engine::protocol::invariants::{check_commit, check_rows};
use hydra_engine::protocol::{
    Backoff, Cause, Command, Commit, Ending, Epoch, Execution, Failure, Kind, Outcome, Protocol, Reference, Rejection,
    Release, Reply, Rows, Settlement, Span, Status, Step, StepState, Time, Verdict, Wake, decide,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// Numbers at both ends of their range as often as in between.
pub fn number() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..5_u32, 1 => any::<u32>(), 1 => select(vec![u32::MAX, u32::MAX - 1, 1 << 31])]
}

/// Milliseconds of any size.
pub fn ms() -> impl Strategy<Value = u64> {
    let ends = vec![0, 1, i64::MAX as u64 - 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];
    prop_oneof![4 => 0..100_u64, 1 => any::<u64>(), 1 => select(ends)]
}

fn time() -> impl Strategy<Value = Time> {
    ms().prop_map(Time::from_millis)
}

fn span() -> impl Strategy<Value = Span> {
    ms().prop_map(Span::from_millis)
}

fn kind() -> impl Strategy<Value = Kind> {
    select(vec![Kind::Keyed, Kind::Transactional, Kind::AtMostOnce, Kind::Timer])
}

fn ending() -> impl Strategy<Value = Ending> {
    let failures = [Failure::Workflow, Failure::Panicked, Failure::DeadlineExceeded, Failure::ReplaysExhausted];
    select([vec![Ending::Succeeded, Ending::Cancelled], failures.map(Ending::Failed).to_vec()].concat())
}

fn execution() -> impl Strategy<Value = Execution> {
    let status = prop_oneof![
        1 => time().prop_map(|due_at| Status::Ready { due_at }),
        4 => time().prop_map(|due_at| Status::Leased { due_at }),
        1 => ending().prop_map(Status::Ended),
    ];
    let numbers = (number(), number(), number(), number());
    (status, numbers, prop::option::weighted(0.3, time())).prop_map(
        |(status, (epoch, settled, replays, more), deadline)| {
            // Mostly such as the invariants allow: the others are thrown away.
            let replays = replays.min(epoch);
            let replays_max = replays.saturating_add(more).max(1);
            Execution { status, epoch: Epoch(epoch), settled, replays, replays_max, deadline }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = select(vec![
        Outcome::Succeeded,
        Outcome::Failed(Cause::Final),
        Outcome::Failed(Cause::Exhausted),
        Outcome::Failed(Cause::Crashed),
        Outcome::Unencodable,
        Outcome::InDoubt,
        Outcome::Fired,
    ]);
    let state = prop_oneof![
        3 => Just(StepState::Running),
        1 => time().prop_map(|due_at| StepState::Waiting { due_at }),
        1 => time().prop_map(|due_at| StepState::Sleeping { due_at }),
        2 => (number(), outcome).prop_map(|(order, outcome)| StepState::Settled { order, outcome }),
        1 => prop::option::of(time()).prop_map(|due_at| StepState::Abandoned { due_at }),
    ];
    (kind(), number(), number(), number(), state).prop_map(|(kind, epoch, attempt, more, state)| {
        let (attempt, attempts_max) = match kind {
            Kind::Timer => (0, 0),
            _ => (attempt, attempt.saturating_add(more)),
        };
        Step { kind, epoch: Epoch(epoch), attempt, attempts_max, state }
    })
}

/// Rows that the invariants allow: brought within them where that is plain, thrown away where they still are not.
fn rows() -> impl Strategy<Value = Rows> {
    let rows = (prop::option::weighted(0.95, execution()), prop::option::weighted(0.8, step()), any::<bool>());
    let within = |(execution, step, same_input): (Option<Execution>, Option<Step>, bool)| {
        let execution = execution.map(|row| Execution {
            status: match row.status {
                Status::Ready { due_at } => Status::Ready { due_at: row.not_after_deadline(due_at) },
                Status::Leased { due_at } => Status::Leased { due_at: row.not_after_deadline(due_at) },
                ended => ended,
            },
            settled: if row.epoch == Epoch(0) { 0 } else { row.settled },
            ..row
        });
        let step = execution.zip(step).map(|(row, step)| Step {
            epoch: Epoch(step.epoch.0.clamp(1, row.epoch.0.max(1))),
            // See `a_step_without_a_number_left_is_not_retried`.
            attempt: step.attempt.clamp(u32::from(step.kind != Kind::Timer), u32::MAX - 1),
            attempts_max: step.attempts_max.max(u32::from(step.kind != Kind::Timer)),
            state: match step.state {
                StepState::Settled { order, outcome } => {
                    StepState::Settled { order: order.clamp(1, row.settled.max(1)), outcome }
                }
                state => state,
            },
            ..step
        });
        Rows { execution, step, same_input }
    };
    rows.prop_map(within).prop_filter("the invariants", |rows| check_rows(rows).is_ok())
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let backoff = (span(), span(), number(), number()).prop_map(|(initial, cap, factor_percent, jitter_percent)| {
        Backoff { initial, cap, factor_percent, jitter_percent }
    });
    prop_oneof![
        Just(Settlement::Succeeded),
        Just(Settlement::Unencodable),
        Just(Settlement::InDoubt),
        (any::<bool>(), backoff, any::<u64>()).prop_map(|(retryable, backoff, salt)| Settlement::Failed {
            retryable,
            backoff,
            salt
        }),
    ]
}

/// Commands of any kind; those of a worker mostly under the latest epoch, and about the attempt that is due.
fn command(rows: Rows) -> impl Strategy<Value = Command> {
    let epoch = rows.execution.map_or(Epoch(0), |execution| execution.epoch);
    let attempt = rows.step.map_or(0, |step| step.attempt);
    let row_kind = rows.step.map_or(Kind::Keyed, |step| step.kind);
    let epoch = prop_oneof![7 => Just(epoch), 1 => number().prop_map(Epoch)];
    let attempt = prop_oneof![3 => Just(attempt), 3 => Just(attempt.saturating_add(1)), 1 => number()];
    let kind = prop_oneof![7 => Just(row_kind), 1 => kind()];
    let wake = prop_oneof![span().prop_map(Wake::After), time().prop_map(Wake::At)];
    let release = prop_oneof![time().prop_map(|wake| Release::Parked { wake }), Just(Release::Shutdown)];
    (epoch, attempt).prop_flat_map(move |(epoch, attempt)| {
        prop_oneof![
            (time(), prop::option::of(time()), number()).prop_map(|(due_at, deadline, replays_max)| Command::Start {
                due_at,
                deadline,
                replays_max
            }),
            (span(), any::<bool>()).prop_map(|(lease, knows)| Command::Claim { lease, knows }),
            span().prop_map(move |lease| Command::Heartbeat { epoch, lease }),
            (kind.clone(), number()).prop_map(move |(kind, attempts_max)| Command::Begin {
                epoch,
                kind,
                attempt,
                attempts_max
            }),
            settlement().prop_map(move |settlement| Command::Settle { epoch, attempt, settlement }),
            wake.clone().prop_map(move |wake| Command::Sleep { epoch, wake }),
            Just(Command::Fire { epoch }),
            release.clone().prop_map(move |release| Command::Release { epoch, release }),
            ending().prop_map(move |ending| Command::Finish { epoch, ending }),
            Just(Command::Cancel),
            number().prop_map(|attempts| Command::Retry { attempts }),
            select(vec![Verdict::Succeeded, Verdict::Failed]).prop_map(|verdict| Command::Resolve { verdict }),
        ]
    })
}

const LIMIT: u128 = i64::MAX as u128;

fn wide(time: Time) -> u128 {
    time.as_millis().into()
}

/// What must hold of one decision.
fn holds(rules: &dyn Protocol, rows: &Rows, command: &Command, now: Time) -> Result<(), String> {
    let Ok(commit) = decide(rules, rows, command, now) else { return Ok(()) };
    let evidence = || format!("{rows:?}\n{command:?} at {now:?}\n{commit:?}");
    check_commit(rows, &commit).map_err(|broken| format!("{broken}: {}", evidence()))?;
    match times(rows, command, &commit, now) {
        true => Ok(()),
        false => Err(format!("a time is not what it should be: {}", evidence())),
    }
}

/// Times, calculated anew in numbers that cannot overflow.
fn times(rows: &Rows, command: &Command, commit: &Commit, now: Time) -> bool {
    let after = |span: Span| (wide(now) + u128::from(span.as_millis())).min(LIMIT);
    let before_deadline = |at: u128| {
        let deadline = rows.execution.and_then(|execution| execution.deadline);
        deadline.map_or(at, |deadline| at.min(wide(deadline)))
    };
    let leased = commit.execution.and_then(|execution| match execution.status {
        Status::Leased { due_at } => Some(wide(due_at)),
        _ => None,
    });
    match (*command, commit.reply) {
        (Command::Claim { lease, .. }, Reply::Claimed { lease: told, epoch }) => {
            let end = before_deadline(after(lease));
            let was = rows.execution.map_or(0, |execution| execution.epoch.0);
            // Of a store whose clock went back: a lease may end before it begins, and then lasts no time at all.
            leased == Some(end)
                && u128::from(told.as_millis()) == end.saturating_sub(wide(now))
                && u64::from(epoch.0) == u64::from(was) + 1
        }
        (Command::Heartbeat { lease, .. }, Reply::Renewed { lease: told }) => {
            let held = rows.execution.and_then(|execution| execution.due_at()).map_or(0, wide);
            let end = before_deadline(after(lease)).max(held);
            leased == Some(end) && u128::from(told.as_millis()) == end.saturating_sub(wide(now))
        }
        (Command::Settle { settlement: Settlement::Failed { backoff, .. }, .. }, Reply::Waiting { due_at }) => {
            // What is answered again was written before.
            commit.step.is_none() || wide(due_at) >= wide(now).min(LIMIT) && wide(due_at) <= after(backoff.cap)
        }
        (Command::Sleep { wake: Wake::After(span), .. }, Reply::Sleeping { due_at }) => {
            rows.step.is_some() || wide(due_at) == after(span)
        }
        (Command::Release { release: Release::Parked { wake }, .. }, Reply::Released { due_at }) => {
            commit.execution.is_none() || wide(due_at) == before_deadline(wide(wake))
        }
        _ => true,
    }
}

fn judge(rules: &dyn Protocol, cases: u32) -> Result<(), String> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_local_rejects: u32::MAX,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let decisions = rows().prop_flat_map(|rows| (Just(rows), command(rows), time()));
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let run = runner.run(&decisions, |(rows, command, now)| {
        holds(rules, &rows, &command, now).map_err(proptest::test_runner::TestCaseError::fail)
    });
    run.map_err(|error| error.to_string())
}

#[test]
fn every_decision_over_legal_rows_leaves_legal_rows() {
    judge(&Reference, 20_000).unwrap_or_else(|broken| panic!("{broken}"));
}

/// A lease that is added in 63 bits that wrap, as in a signed number whose sign is dropped.
struct Wraps;
impl Protocol for Wraps {
    fn lease_end(&self, execution: &Execution, lease: Span, now: Time) -> Time {
        let end = now.as_millis().wrapping_add(lease.as_millis()) & i64::MAX as u64;
        execution.not_after_deadline(Time::from_millis(end))
    }
}

#[test]
fn rules_that_are_wrong_are_told_apart() {
    assert!(judge(&Wraps, 20_000).is_err(), "a lease that wraps");
    for name in ["no-retry-limit", "cancel-leaves-steps-open", "lease-outlives-the-deadline"] {
        let mutant = hydra_model::museum::find(name).unwrap_or_else(|| panic!("no mutant {name}"));
        assert!(judge(mutant.rules, 20_000).is_err(), "{name}");
    }
}

/// Found by this suite, when it led to a row that breaks an invariant: attempts that an operator grants end at the
/// largest number.
#[test]
fn a_step_without_a_number_left_is_not_retried() {
    let status = Status::Ended(Ending::Failed(Failure::Workflow));
    let execution = Execution { status, epoch: Epoch(1), settled: 1, replays: 0, replays_max: 1, deadline: None };
    let state = StepState::Settled { order: 1, outcome: Outcome::Failed(Cause::Exhausted) };
    let step = Step { kind: Kind::Keyed, epoch: Epoch(1), attempt: u32::MAX, attempts_max: u32::MAX, state };
    let rows = Rows { execution: Some(execution), step: Some(step), same_input: false };
    let decided = decide(&Reference, &rows, &Command::Retry { attempts: 1 }, Time::default());
    assert_eq!(decided, Err(Rejection::AttemptsExhausted));
}
