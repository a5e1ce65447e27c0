//! From every state that is reached, a fair continuation ends the execution: time passes, a worker claims, begins what
//! is open, every body succeeds, and it finishes.

use hydra_protocol::{
    Command, Ending, Epoch, Kind, Protocol, Rejection, Release, Reply, Settlement, Span, StepState, Time, Wake,
};

use crate::schedule::{Move, STEPS};
use crate::store::{Defect, Message, Store};
use crate::watch;

/// The property.
pub const ENDS: &str = "from every state, a fair continuation ends the execution in time";

/// No due time of a schedule lies further ahead than this: a wake-up beyond it was lost.
const PATIENCE: Span = Span::from_millis(5_000);
/// Claims that a fair continuation may take: one, and one more for each of its waits and ends.
const ROUNDS: u32 = 40;

/// Checks it after every move of a schedule.
pub fn ends_from_every_state<P: Protocol>(rules: &P, moves: &[Move]) -> Result<(), Defect> {
    for length in 1..=moves.len() {
        // A schedule that breaks another property is that property's business.
        let Ok(watch) = watch::run(rules, &moves[..length]) else { return Ok(()) };
        ends(rules, watch.store.clone(), watch.now)?;
    }
    Ok(())
}

fn ends<P: Protocol>(rules: &P, mut store: Store, mut now: Time) -> Result<(), Defect> {
    let start = store.clone();
    let latest = now + PATIENCE;
    for _ in 0..ROUNDS {
        let Some(execution) = store.execution else { return Ok(()) };
        if store.is_ended() {
            return Ok(());
        }
        now = now.max(execution.due_at().unwrap_or(now));
        if now > latest {
            break;
        }
        let claim = Command::Claim { lease: Span::from_millis(1_000), knows: true };
        if let Ok(Reply::Claimed { epoch, .. }) = ask(rules, &mut store, 0, claim, now)? {
            drive(rules, &mut store, epoch, now)?;
        }
    }
    Err(Defect::new(ENDS, (start, store, now)))
}

/// Drives what the journal holds, and parks where there is something to wait for.
fn drive<P: Protocol>(rules: &P, store: &mut Store, epoch: Epoch, now: Time) -> Result<(), Defect> {
    let mut wake: Option<Time> = None;
    for (number, kind) in (1_u32..).zip(STEPS) {
        let Some(step) = store.steps.get(&number).copied() else { continue };
        // A worker waits for what the row says, and asks only then.
        let answer = match (step.state, kind) {
            (StepState::Settled { .. }, _) => continue,
            (StepState::Waiting { due_at } | StepState::Sleeping { due_at }, _) if now < due_at => {
                Err(Rejection::NotDue { due_at, now })
            }
            (StepState::Sleeping { .. }, _) => ask(rules, store, number, Command::Fire { epoch }, now)?,
            (_, Kind::Timer) => {
                let sleep = Command::Sleep { epoch, wake: Wake::After(Span::ZERO) };
                ask(rules, store, number, sleep, now)?
            }
            (_, Kind::Keyed | Kind::Transactional | Kind::AtMostOnce) => {
                let attempt = step.attempt + 1;
                let begin = Command::Begin { epoch, kind: step.kind, attempt, attempts_max: 1 };
                match ask(rules, store, number, begin, now)? {
                    Ok(Reply::Run { attempt }) => {
                        let settlement = Settlement::Succeeded;
                        ask(rules, store, number, Command::Settle { epoch, attempt, settlement }, now)?
                    }
                    other => other,
                }
            }
        };
        if let Ok(Reply::Sleeping { due_at }) | Err(Rejection::NotDue { due_at, .. }) = answer {
            wake = Some(wake.map_or(due_at, |wake| wake.min(due_at)));
        }
    }
    let last = match wake {
        Some(wake) => Command::Release { epoch, release: Release::Parked { wake } },
        None => Command::Finish { epoch, ending: Ending::Succeeded },
    };
    // Refused, it is claimed again when its lease ends: the rounds are bounded.
    ask(rules, store, 0, last, now).map(|_| ())
}

fn ask<P: Protocol>(
    rules: &P,
    store: &mut Store,
    step: u32,
    command: Command,
    now: Time,
) -> Result<Result<Reply, Rejection>, Defect> {
    store.send(rules, &Message { command, step, input: true }, now)
}
