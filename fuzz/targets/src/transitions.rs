//! Random commands over the core: after each, the row invariants and every property of schedules. Clients, operators and
//! workers, live and dead, send them in any order, late and twice.

use arbitrary::{Result, Unstructured};
use hydra_protocol::{Ending, Failure, Protocol, Settlement, Span, Time, Verdict, Wake};

use crate::core::schedule::{BACKOFF, Move};
use crate::core::watch;
use crate::{Judged, subject};

/// The most moves of one input.
const MOVES_MAX: usize = 200;

/// Judges the rules in `HYDRA_SUBJECT`, or the right ones.
pub fn judge(bytes: &[u8]) -> Judged {
    judge_rules(subject::rules(), bytes)
}

/// Judges these rules.
pub fn judge_rules(rules: &dyn Protocol, bytes: &[u8]) -> Judged {
    let moves = moves(&mut Unstructured::new(bytes));
    match watch::run(rules, &moves) {
        Ok(_) => Ok(()),
        Err(defect) => Err(format!("{}: {}\nafter {moves:#?}", defect.property, defect.detail)),
    }
}

fn moves(bytes: &mut Unstructured<'_>) -> Vec<Move> {
    let mut moves = Vec::new();
    while !bytes.is_empty() && moves.len() < MOVES_MAX {
        match one(bytes) {
            Ok(next) => moves.push(next),
            Err(_) => break,
        }
    }
    moves
}

fn one(bytes: &mut Unstructured<'_>) -> Result<Move> {
    Ok(match bytes.int_in_range(0..=19_u8)? {
        0..=2 => Move::Pass(bytes.arbitrary::<u8>()?.into()),
        3 => Move::Again(bytes.int_in_range(0..=15)?),
        4 => {
            let deadline = if bytes.ratio(1, 4)? { Some(ms(bytes)?) } else { None };
            Move::Start { due: ms(bytes)?, deadline, replays_max: number(bytes)?, input: bytes.arbitrary()? }
        }
        5..=7 => Move::Claim { lease: ms(bytes)?, knows: bytes.ratio(15, 16)? },
        8 => Move::Heartbeat { by: by(bytes)?, lease: ms(bytes)? },
        9 | 10 => {
            let mistaken = bytes.ratio(1, 16)?;
            Move::Begin { by: by(bytes)?, step: step(bytes)?, mistaken, off: off(bytes)?, max: number(bytes)? }
        }
        11 | 12 => Move::Settle { by: by(bytes)?, step: step(bytes)?, off: off(bytes)?, how: settlement(bytes)? },
        13 => {
            let (span, at) = (ms(bytes)?, ms(bytes)?);
            let wake =
                if bytes.arbitrary()? { Wake::After(Span::from_millis(span)) } else { Wake::At(Time::from_millis(at)) };
            Move::Sleep { by: by(bytes)?, step: step(bytes)?, wake }
        }
        14 => Move::Fire { by: by(bytes)?, step: step(bytes)? },
        15 => Move::Release { by: by(bytes)?, parked: if bytes.arbitrary()? { Some(ms(bytes)?) } else { None } },
        16 => Move::Finish { by: by(bytes)?, ending: ending(bytes)? },
        17 => Move::Cancel,
        18 => Move::Retry { attempts: number(bytes)? },
        _ => Move::Resolve { step: step(bytes)?, verdict: *bytes.choose(&[Verdict::Succeeded, Verdict::Failed])? },
    })
}

/// Mostly the latest owner; sometimes a zombie.
fn by(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(bytes.int_in_range(0..=9_usize)?.saturating_sub(6))
}

fn step(bytes: &mut Unstructured<'_>) -> Result<u32> {
    bytes.int_in_range(1..=6)
}

/// Mostly the attempt that is due.
fn off(bytes: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..=15 => -1,
        16..=31 => 1,
        _ => 0,
    })
}

/// A time or span in milliseconds: mostly small, so that times meet; now and then of any size.
fn ms(bytes: &mut Unstructured<'_>) -> Result<u64> {
    Ok(if bytes.ratio(1, 16)? { bytes.arbitrary()? } else { bytes.arbitrary::<u8>()?.into() })
}

/// A count: mostly small; now and then of any size.
fn number(bytes: &mut Unstructured<'_>) -> Result<u32> {
    Ok(if bytes.ratio(1, 16)? { bytes.arbitrary()? } else { bytes.int_in_range(0..=3)? })
}

fn settlement(bytes: &mut Unstructured<'_>) -> Result<Settlement> {
    // One salt for all: the waits of one step never fall.
    let failed = |retryable| Settlement::Failed { retryable, backoff: BACKOFF, salt: 7 << 60 };
    let all = [
        Settlement::Succeeded,
        failed(true),
        failed(true),
        failed(false),
        Settlement::Unencodable,
        Settlement::InDoubt,
    ];
    bytes.choose(&all).copied()
}

fn ending(bytes: &mut Unstructured<'_>) -> Result<Ending> {
    let failures = [
        Failure::Workflow,
        Failure::Panicked,
        Failure::Nondeterministic,
        Failure::Undecodable,
        Failure::Unencodable,
        Failure::DeadlineExceeded,
        Failure::ReplaysExhausted,
    ];
    Ok(match bytes.int_in_range(0..=3_u8)? {
        0 => Ending::Succeeded,
        1 => Ending::Cancelled,
        _ => Ending::Failed(*bytes.choose(&failures)?),
    })
}
