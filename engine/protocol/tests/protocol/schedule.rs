//! Random schedules: what clients, operators and several workers, live and dead, may send in any order.

use hydra_protocol::{Backoff, Command, Ending, Epoch, Failure, Kind, Release, Settlement, Span, Time, Verdict, Wake};
use proptest::prelude::*;
use proptest::sample::select;

use super::store::{Message, Store};

/// One thing that happens. Workers are named by how many leases ago they got theirs: 0 is the latest.
#[derive(Clone, Copy, Debug)]
pub enum Move {
    /// Time passes.
    Pass(u64),
    /// A message arrives once more that arrived so many messages ago.
    Again(usize),
    /// A client starts the execution.
    Start { due: u64, deadline: Option<u64>, replays_max: u32, input: bool },
    /// A worker claims it.
    Claim { lease: u64, knows: bool },
    /// A worker renews its lease.
    Heartbeat { by: usize, lease: u64 },
    /// A worker begins an attempt: the next, or one that is `off` it.
    Begin { by: usize, step: u32, mistaken: bool, off: i64, max: u32 },
    /// A worker reports the latest attempt, or one that is `off` it.
    Settle { by: usize, step: u32, off: i64, how: Settlement },
    /// A worker begins a timer.
    Sleep { by: usize, step: u32, wake: Wake },
    /// A worker fires a timer.
    Fire { by: usize, step: u32 },
    /// A worker gives its lease back.
    Release { by: usize, parked: Option<u64> },
    /// A worker ends the execution.
    Finish { by: usize, ending: Ending },
    /// A client cancels it.
    Cancel,
    /// An operator retries it.
    Retry { attempts: u32 },
    /// An operator resolves a step.
    Resolve { step: u32, verdict: Verdict },
}

/// The steps of the workflow, by number: two kinds are there twice, for steps race within a kind too.
pub const STEPS: [Kind; 6] =
    [Kind::Keyed, Kind::Transactional, Kind::AtMostOnce, Kind::Timer, Kind::Keyed, Kind::Timer];

/// The backoff of every step: it doubles, has a cap and jitter.
pub const BACKOFF: Backoff =
    Backoff { initial: Span::from_millis(4), cap: Span::from_millis(24), factor_percent: 200, jitter_percent: 25 };

/// The message that a move sends, given what its sender could know.
pub fn message(choice: Move, store: &Store, grants: &[Epoch]) -> Option<(Message, Option<usize>)> {
    let lease = |by: usize| grants.len().checked_sub(by + 1);
    let about = |step, sender: Option<usize>, command: &dyn Fn(Epoch) -> Command| {
        // A worker that was never granted anything sends epoch 0: it must not get anywhere either.
        let epoch = sender.map_or(Epoch(0), |index| grants[index]);
        Some((Message { command: command(epoch), step, input: true }, Some(sender.unwrap_or(usize::MAX))))
    };
    let by_client = |step, input, command| Some((Message { command, step, input }, None::<usize>));
    let attempt = |step: u32, off: i64| {
        let begun = store.steps.get(&step).map_or(0, |row| row.attempt);
        (i64::from(begun) + off).clamp(0, i64::from(u32::MAX)) as u32
    };
    match choice {
        Move::Pass(_) | Move::Again(_) => None,
        Move::Start { due, deadline, replays_max, input } => {
            let deadline = deadline.map(Time::from_millis);
            by_client(0, input, Command::Start { due_at: Time::from_millis(due), deadline, replays_max })
        }
        Move::Claim { lease, knows } => by_client(0, true, Command::Claim { lease: Span::from_millis(lease), knows }),
        Move::Heartbeat { by, lease: asked } => {
            about(0, lease(by), &|epoch| Command::Heartbeat { epoch, lease: Span::from_millis(asked) })
        }
        Move::Begin { by, step, mistaken, off, max } => {
            let own = STEPS[step as usize - 1];
            let kind = if mistaken { STEPS[step as usize % STEPS.len()] } else { own };
            let attempt = attempt(step, 1 + off);
            about(step, lease(by), &|epoch| Command::Begin { epoch, kind, attempt, attempts_max: max })
        }
        Move::Settle { by, step, off, how } => {
            let attempt = attempt(step, off);
            about(step, lease(by), &|epoch| Command::Settle { epoch, attempt, settlement: how })
        }
        Move::Sleep { by, step, wake } => about(step, lease(by), &|epoch| Command::Sleep { epoch, wake }),
        Move::Fire { by, step } => about(step, lease(by), &|epoch| Command::Fire { epoch }),
        Move::Release { by, parked } => {
            let release = match parked {
                Some(wake) => Release::Parked { wake: Time::from_millis(wake) },
                None => Release::Shutdown,
            };
            about(0, lease(by), &|epoch| Command::Release { epoch, release })
        }
        Move::Finish { by, ending } => about(0, lease(by), &|epoch| Command::Finish { epoch, ending }),
        Move::Cancel => by_client(0, true, Command::Cancel),
        Move::Retry { attempts } => by_client(0, true, Command::Retry { attempts }),
        Move::Resolve { step, verdict } => by_client(step, true, Command::Resolve { verdict }),
    }
}

/// Schedules of up to `length` moves, after a start.
pub fn schedules(length: usize) -> impl Strategy<Value = Vec<Move>> {
    let start = (0..50_u64, prop::option::weighted(0.3, 0..600_u64), 0..5_u32)
        .prop_map(|(due, deadline, replays_max)| Move::Start { due, deadline, replays_max, input: true });
    // Now and then nobody starts it, or late.
    (start, prop::bool::weighted(0.97), prop::collection::vec(moves(), 0..=length)).prop_map(
        |(start, first, mut moves)| {
            if first {
                moves.insert(0, start);
            }
            moves
        },
    )
}

fn moves() -> impl Strategy<Value = Move> {
    // Mostly the latest owner, sometimes a zombie.
    let by = || select(vec![0_usize, 0, 0, 0, 0, 1, 1, 2]);
    // Mostly the one that can be in doubt.
    let doubted = || select(vec![3_u32, 3, 3, 3, 1, 2, 4, 5]);
    let timer = || select(vec![4_u32, 6]);
    let body = || select(vec![1_u32, 2, 3, 5]);
    let off = || select(vec![0_i64, 0, 0, 0, 0, 0, -1, 1]);
    let rarely = || prop::bool::weighted(0.05);
    prop_oneof![
        16 => select(vec![1_u64, 5, 20, 60]).prop_map(Move::Pass),
        8 => (0..12_usize).prop_map(Move::Again),
        1 => (0..50_u64, any::<bool>())
            .prop_map(|(due, input)| Move::Start { due, deadline: None, replays_max: 3, input }),
        14 => (1..80_u64, prop::bool::weighted(0.9)).prop_map(|(lease, knows)| Move::Claim { lease, knows }),
        5 => (by(), 1..80_u64).prop_map(|(by, lease)| Move::Heartbeat { by, lease }),
        20 => (by(), body(), rarely(), off(), 0..4_u32)
            .prop_map(|(by, step, mistaken, off, max)| Move::Begin { by, step, mistaken, off, max }),
        14 => (by(), body(), off(), settlements()).prop_map(|(by, step, off, how)| Move::Settle { by, step, off, how }),
        8 => (by(), timer(), wakes()).prop_map(|(by, step, wake)| Move::Sleep { by, step, wake }),
        8 => (by(), timer()).prop_map(|(by, step)| Move::Fire { by, step }),
        1 => (by(), body()).prop_map(|(by, step)| Move::Fire { by, step }),
        1 => (by(), body(), wakes()).prop_map(|(by, step, wake)| Move::Sleep { by, step, wake }),
        1 => (by(), timer(), settlements()).prop_map(|(by, step, how)| Move::Settle { by, step, off: 0, how }),
        1 => (by(), timer()).prop_map(|(by, step)| Move::Begin { by, step, mistaken: false, off: 0, max: 1 }),
        4 => (by(), prop::option::of(0..400_u64)).prop_map(|(by, parked)| Move::Release { by, parked }),
        4 => (by(), endings()).prop_map(|(by, ending)| Move::Finish { by, ending }),
        1 => Just(Move::Cancel),
        5 => (0..3_u32).prop_map(|attempts| Move::Retry { attempts }),
        8 => (doubted(), select(vec![Verdict::Succeeded, Verdict::Failed]))
            .prop_map(|(step, verdict)| Move::Resolve { step, verdict }),
    ]
}

/// How an attempt may be said to have ended, whether or not its kind can end so.
fn settlements() -> impl Strategy<Value = Settlement> {
    let failed = |retryable| Settlement::Failed { retryable, backoff: BACKOFF, salt: 7 << 60 };
    select(vec![
        Settlement::Succeeded,
        Settlement::Succeeded,
        failed(true),
        failed(true),
        failed(true),
        failed(false),
        Settlement::Unencodable,
        Settlement::InDoubt,
    ])
}

fn wakes() -> impl Strategy<Value = Wake> {
    prop_oneof![
        (0..120_u64).prop_map(|after| Wake::After(Span::from_millis(after))),
        (0..400_u64).prop_map(|at| Wake::At(Time::from_millis(at))),
    ]
}

/// Every ending that a worker might name, and mostly failures: those go on.
fn endings() -> impl Strategy<Value = Ending> {
    select(vec![
        Ending::Succeeded,
        Ending::Cancelled,
        Ending::Failed(Failure::Workflow),
        Ending::Failed(Failure::Workflow),
        Ending::Failed(Failure::Panicked),
        Ending::Failed(Failure::Nondeterministic),
        Ending::Failed(Failure::Undecodable),
        Ending::Failed(Failure::Unencodable),
        Ending::Failed(Failure::DeadlineExceeded),
        Ending::Failed(Failure::ReplaysExhausted),
    ])
}
