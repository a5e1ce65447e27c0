//! The journal's encoding: whatever is put can be got, and bytes that are nothing are refused.

use hydra_engine::conform::{Base, BaseStep, Decided, Digest, Entry};
use hydra_engine::protocol::{
    Backoff, Cause, Command, Ending, Epoch, Execution, Failure, Kind, Outcome, Rejection, Release, Reply, Settlement,
    Span, Status, Step, StepNo, StepState, Time, Verdict, Wake,
};
use hydra_engine::store::{ExecutionId, ExecutionKey};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn time() -> impl Strategy<Value = Time> + Clone {
    any::<u64>().prop_map(Time::from_millis)
}
fn span() -> impl Strategy<Value = Span> + Clone {
    any::<u64>().prop_map(Span::from_millis)
}
fn epoch() -> impl Strategy<Value = Epoch> + Clone {
    any::<u32>().prop_map(Epoch)
}
fn kind() -> impl Strategy<Value = Kind> + Clone {
    select(vec![Kind::Transactional, Kind::Keyed, Kind::AtMostOnce, Kind::Timer])
}
fn outcome() -> impl Strategy<Value = Outcome> + Clone {
    let failed = [Cause::Final, Cause::Exhausted, Cause::Crashed].map(Outcome::Failed);
    let others = [Outcome::Succeeded, Outcome::Unencodable, Outcome::InDoubt, Outcome::Fired];
    select([failed.as_slice(), &others].concat())
}
fn ending() -> impl Strategy<Value = Ending> + Clone {
    let failed = [
        Failure::Workflow,
        Failure::Panicked,
        Failure::Nondeterministic,
        Failure::Undecodable,
        Failure::Unencodable,
        Failure::DeadlineExceeded,
        Failure::ReplaysExhausted,
    ];
    select([failed.map(Ending::Failed).as_slice(), &[Ending::Succeeded, Ending::Cancelled]].concat())
}
fn settlement() -> impl Strategy<Value = Settlement> {
    let failed = (any::<bool>(), span(), span(), any::<u32>(), any::<u32>(), any::<u64>()).prop_map(
        |(retryable, initial, cap, factor_percent, jitter_percent, salt)| Settlement::Failed {
            retryable,
            backoff: Backoff { initial, cap, factor_percent, jitter_percent },
            salt,
        },
    );
    prop_oneof![failed, select(vec![Settlement::Succeeded, Settlement::Unencodable, Settlement::InDoubt])]
}
fn command() -> impl Strategy<Value = Command> {
    let number = any::<u32>;
    let wake = prop_oneof![span().prop_map(Wake::After), time().prop_map(Wake::At)];
    let release = prop_oneof![time().prop_map(|wake| Release::Parked { wake }), Just(Release::Shutdown)];
    prop_oneof![
        (time(), option::of(time()), number()).prop_map(|(due_at, deadline, replays_max)| Command::Start {
            due_at,
            deadline,
            replays_max
        }),
        (span(), any::<bool>()).prop_map(|(lease, knows)| Command::Claim { lease, knows }),
        (epoch(), span()).prop_map(|(epoch, lease)| Command::Heartbeat { epoch, lease }),
        (epoch(), kind(), number(), number()).prop_map(|(epoch, kind, attempt, attempts_max)| Command::Begin {
            epoch,
            kind,
            attempt,
            attempts_max
        }),
        (epoch(), number(), settlement()).prop_map(|(epoch, attempt, settlement)| Command::Settle {
            epoch,
            attempt,
            settlement
        }),
        (epoch(), wake).prop_map(|(epoch, wake)| Command::Sleep { epoch, wake }),
        epoch().prop_map(|epoch| Command::Fire { epoch }),
        (epoch(), release).prop_map(|(epoch, release)| Command::Release { epoch, release }),
        (epoch(), ending()).prop_map(|(epoch, ending)| Command::Finish { epoch, ending }),
        Just(Command::Cancel),
        number().prop_map(|attempts| Command::Retry { attempts }),
        select(vec![Verdict::Succeeded, Verdict::Failed]).prop_map(|verdict| Command::Resolve { verdict }),
    ]
}
fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        select(vec![Reply::Started, Reply::AlreadyStarted, Reply::Reopened]),
        (epoch(), span()).prop_map(|(epoch, lease)| Reply::Claimed { epoch, lease }),
        span().prop_map(|lease| Reply::Renewed { lease }),
        any::<u32>().prop_map(|attempt| Reply::Run { attempt }),
        (any::<u32>(), outcome()).prop_map(|(order, outcome)| Reply::Settled { order, outcome }),
        time().prop_map(|due_at| Reply::Waiting { due_at }),
        time().prop_map(|due_at| Reply::Sleeping { due_at }),
        time().prop_map(|due_at| Reply::Released { due_at }),
        ending().prop_map(Reply::Ended),
        outcome().prop_map(Reply::Resolved),
    ]
}
fn rejection() -> impl Strategy<Value = Rejection> {
    let plain = vec![
        Rejection::UnknownExecution,
        Rejection::Conflict,
        Rejection::UnknownWorkflow,
        Rejection::EpochExhausted,
        Rejection::AttemptsExhausted,
        Rejection::UnknownStep,
        Rejection::NotRunning,
        Rejection::NotFailed,
        Rejection::NotInDoubt,
    ];
    prop_oneof![
        select(plain),
        ending().prop_map(Rejection::Ended),
        (time(), time()).prop_map(|(due_at, now)| Rejection::NotDue { due_at, now }),
        epoch().prop_map(|latest| Rejection::NotLeased { latest }),
        (epoch(), epoch()).prop_map(|(held, latest)| Rejection::StaleEpoch { held, latest }),
        (time(), time()).prop_map(|(due_at, now)| Rejection::LeaseExpired { due_at, now }),
        (kind(), kind()).prop_map(|(row, asked)| Rejection::KindMismatch { row, asked }),
        any::<(u32, u32)>().prop_map(|(row, asked)| Rejection::AttemptMismatch { row, asked }),
        outcome().prop_map(Rejection::StepSettled),
        outcome().prop_map(Rejection::Unresolved),
        any::<(u32, u32)>().prop_map(|(order, last)| Rejection::Superseded { order, last }),
        kind().prop_map(Rejection::IllegalSettlement),
        ending().prop_map(Rejection::IllegalEnding),
    ]
}
fn digest() -> impl Strategy<Value = Digest> {
    any::<Vec<u8>>().prop_map(|bytes| Digest::of(&bytes))
}
fn id() -> impl Strategy<Value = ExecutionId> {
    (".*", ".*").prop_map(|(namespace, id)| ExecutionId { namespace, id })
}
fn decided() -> impl Strategy<Value = Entry> {
    let decision = prop_oneof![reply().prop_map(Ok), rejection().prop_map(Err)];
    let named = (option::of(id()), option::of(any::<i64>().prop_map(ExecutionKey)));
    let step = option::of(any::<u32>().prop_map(StepNo));
    (time(), named, step, command(), option::of(digest()), option::of(digest()), decision).prop_map(
        |(now, (id, key), step, command, name, value, decision)| {
            Entry::Decided(Box::new(Decided { now, id, key, step, command, name, value, decision }))
        },
    )
}
fn row() -> impl Strategy<Value = Execution> {
    let status = prop_oneof![
        time().prop_map(|due_at| Status::Ready { due_at }),
        time().prop_map(|due_at| Status::Leased { due_at }),
        ending().prop_map(Status::Ended),
    ];
    (status, epoch(), any::<(u32, u32, u32)>(), option::of(time())).prop_map(
        |(status, epoch, (settled, replays, replays_max), deadline)| Execution {
            status,
            epoch,
            settled,
            replays,
            replays_max,
            deadline,
        },
    )
}
fn step() -> impl Strategy<Value = BaseStep> {
    let state = prop_oneof![
        Just(StepState::Running),
        time().prop_map(|due_at| StepState::Waiting { due_at }),
        time().prop_map(|due_at| StepState::Sleeping { due_at }),
        (any::<u32>(), outcome()).prop_map(|(order, outcome)| StepState::Settled { order, outcome }),
        option::of(time()).prop_map(|due_at| StepState::Abandoned { due_at }),
    ];
    (any::<(u32, u32, u32)>(), kind(), epoch(), state, digest(), option::of(digest())).prop_map(
        |((no, attempt, attempts_max), kind, epoch, state, name, output)| {
            let row = Step { kind, epoch, attempt, attempts_max, state };
            BaseStep { no: StepNo(no), name, row, output }
        },
    )
}
fn base() -> impl Strategy<Value = Entry> {
    let steps = proptest::collection::vec(step(), 0..4);
    (any::<i64>(), id(), row(), digest(), digest(), option::of(digest()), steps).prop_map(
        |(key, id, row, workflow, input, output, steps)| {
            Entry::Base(Box::new(Base { key: ExecutionKey(key), id, row, workflow, input, output, steps }))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_put_is_got(entry in prop_oneof![8 => decided(), 1 => base(), 1 => any::<u64>().prop_map(Entry::Origin)]) {
        let bytes = entry.encode();
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
        // Nothing is left over, and nothing is missing.
        for cut in 0..bytes.len() {
            prop_assert!(Entry::decode(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
        prop_assert!(Entry::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn bytes_that_are_nothing_are_refused(mut bytes in any::<Vec<u8>>(), kind in 0..3_u8) {
        bytes.splice(0..0, [1, kind]);
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }
}

/// A settled step takes about so much of the file.
#[test]
fn an_entry_is_small() {
    let command = Command::Settle { epoch: Epoch(3), attempt: 1, settlement: Settlement::Succeeded };
    let entry = Decided {
        now: Time::from_millis(1_795_000_000_000),
        id: None,
        key: Some(ExecutionKey(1_000_000)),
        step: Some(StepNo(3)),
        command,
        name: None,
        value: Some(Digest::of(b"42")),
        decision: Ok(Reply::Settled { order: 3, outcome: Outcome::Succeeded }),
    };
    assert!(Entry::Decided(Box::new(entry)).encode().len() <= 36);
}
