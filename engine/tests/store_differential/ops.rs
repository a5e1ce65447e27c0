//! Random sequences of commands.

use hydra_protocol::{Backoff, Ending, Failure, Kind, Settlement, Span, Verdict};
use proptest::prelude::*;

/// What is done next. Small numbers, so that commands meet; epochs and attempts are relative to the rows, so that most
/// are right and some are stale.
#[derive(Clone, Debug)]
pub enum Op {
    Advance(u64),
    Start { execution: u8, due_in_ms: u64, deadline_in_ms: Option<u64>, input: u8 },
    Claim { limit: usize, lease_ms: u64 },
    Heartbeat { epochs_back: Vec<u32> },
    Command { execution: u8, step: u32, epochs_back: u32, attempt: u32, what: What },
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    Begin(Option<Kind>, u32),
    Settle(Settlement),
    Body { commit: bool },
    Sleep(u64),
    Fire,
    Release(Option<u64>),
    Finish(Ending),
    Cancel,
    Retry,
    Resolve(Verdict),
}

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    let kind = prop_oneof![Just(Kind::Keyed), Just(Kind::Transactional), Just(Kind::AtMostOnce), Just(Kind::Timer)];
    let (initial, cap) = (Span::from_millis(20), Span::from_millis(50));
    let backoff = Backoff { initial, cap, factor_percent: 200, jitter_percent: 50 };
    let settlement = prop_oneof![
        3 => Just(Settlement::Succeeded),
        3 => any::<(bool, u64)>().prop_map(move |(retryable, salt)| Settlement::Failed { retryable, backoff, salt }),
        1 => Just(Settlement::Unencodable),
        1 => Just(Settlement::InDoubt),
    ];
    let ending = prop_oneof![
        Just(Ending::Succeeded),
        Just(Ending::Failed(Failure::Workflow)),
        Just(Ending::Failed(Failure::Nondeterministic)),
        Just(Ending::Cancelled),
    ];
    // Which kind a step is depends on its number, mostly.
    let begin = (prop::option::weighted(0.1, kind), 0..3_u32).prop_map(|(kind, max)| What::Begin(kind, max));
    let what = prop_oneof![
        24 => begin,
        24 => settlement.prop_map(What::Settle),
        8 => any::<bool>().prop_map(|commit| What::Body { commit }),
        6 => (0..40_u64).prop_map(What::Sleep),
        6 => Just(What::Fire),
        3 => prop::option::of(0..60_u64).prop_map(What::Release),
        3 => ending.prop_map(What::Finish),
        1 => Just(What::Cancel),
        4 => Just(What::Retry),
        4 => prop_oneof![Just(Verdict::Succeeded), Just(Verdict::Failed)].prop_map(What::Resolve),
    ];
    let rarely = || prop_oneof![19 => Just(0_u32), 1 => Just(1_u32)];
    let execution = || prop_oneof![4 => Just(0_u8), 1 => 1..3_u8];
    let attempt = prop_oneof![12 => Just(1_u32), 1 => Just(0), 1 => Just(2)];
    let command =
        (execution(), 1..5_u32, rarely(), attempt, what).prop_map(|(execution, step, epochs_back, attempt, what)| {
            Op::Command { execution, step, epochs_back, attempt, what }
        });
    let lease_ms = prop_oneof![3 => 500..2_000_u64, 1 => 1..60_u64];
    let due_in_ms = prop_oneof![2 => Just(0), 1 => 0..30_u64];
    let start = (execution(), due_in_ms, prop::option::weighted(0.2, 0..900_u64), 0..8_u8).prop_map(
        |(execution, due_in_ms, deadline_in_ms, input)| Op::Start {
            execution,
            due_in_ms,
            deadline_in_ms,
            input: input / 7,
        },
    );
    let op = prop_oneof![
        6 => (0..50_u64).prop_map(Op::Advance),
        1 => (500..2_500_u64).prop_map(Op::Advance),
        3 => start,
        5 => (0..3_usize, lease_ms).prop_map(|(limit, lease_ms)| Op::Claim { limit, lease_ms }),
        1 => prop::collection::vec(rarely(), 0..3).prop_map(|epochs_back| Op::Heartbeat { epochs_back }),
        40 => command,
    ];
    let beginning = [
        Op::Start { execution: 0, due_in_ms: 0, deadline_in_ms: None, input: 0 },
        Op::Claim { limit: 1, lease_ms: 1_000 },
    ];
    // An execution that fails after a step nobody can vouch for: rarely met by chance.
    let doubt = (2..5_u32, any::<(bool, bool, bool)>()).prop_map(|(step, (in_doubt, later, success))| {
        let settlement = if in_doubt { Settlement::InDoubt } else { Settlement::Unencodable };
        let verdict = if success { Verdict::Succeeded } else { Verdict::Failed };
        let command = |step, what| Op::Command { execution: 0, step, epochs_back: 0, attempt: 1, what };
        let mut ops = vec![command(step, What::Begin(None, 1)), command(step, What::Settle(settlement))];
        if later {
            ops.extend([command(1, What::Begin(None, 1)), command(1, What::Settle(Settlement::Succeeded))]);
        }
        let failed = What::Finish(Ending::Failed(Failure::Workflow));
        ops.extend([failed, What::Retry, What::Resolve(verdict), What::Retry].map(|what| command(step, what)));
        ops
    });
    let some = prop_oneof![40 => op.prop_map(|op| vec![op]), 1 => doubt.clone()];
    let (early, later) = (prop::option::weighted(0.2, doubt), prop::collection::vec(some, 1..100));
    (early, later).prop_map(move |(early, later)| {
        beginning.iter().cloned().chain(early.into_iter().chain(later).flatten()).collect()
    })
}
