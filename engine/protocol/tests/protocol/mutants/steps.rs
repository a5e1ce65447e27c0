//! Mutants of the rules of steps: attempts, checkpoints, timers.

use hydra_protocol::transitions::begin::{self, Begin};
use hydra_protocol::transitions::{resolve, retry, settle, sleep};
use hydra_protocol::{
    Backoff, Cause, Commit, Epoch, Execution, Kind, Outcome, Protocol, Recovery, Rejection, Rows, Settlement, Span,
    Step, StepState, StepWrite, Time, Verdict, Wake,
};

mutant! {
    /// An orphaned attempt is always tried again: a step that kills its worker never ends.
    RecoverWithoutBound {
        fn recover(&self, step: &Step) -> Recovery {
            match step.kind {
                Kind::AtMostOnce => Recovery::Settle(Outcome::InDoubt),
                Kind::Transactional | Kind::Keyed | Kind::Timer => Recovery::Again,
            }
        }
    }
}
mutant! {
    /// An at-most-once body runs again after its worker died in it.
    RecoverAtMostOnce { fn recover(&self, _: &Step) -> Recovery { Recovery::Again } }
}
mutant! {
    /// The most attempts are stored and never read: a failed attempt always waits for the next.
    RetryWithoutBound {
        fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
            match settlement {
                Settlement::Failed { retryable: true, backoff, salt } => {
                    StepState::Waiting { due_at: now + self.backoff(&backoff, step.attempt, salt) }
                }
                _ => settle::settled_state(self, step, settlement, order, now),
            }
        }
    }
}
mutant! {
    /// A result that cannot be encoded counts as a failed attempt: a known success runs again.
    UnencodableFails {
        fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
            match settlement {
                Settlement::Unencodable if step.attempt < step.attempts_max => StepState::Waiting { due_at: now },
                _ => settle::settled_state(self, step, settlement, order, now),
            }
        }
    }
}
mutant! {
    /// No wait between attempts.
    NoBackoff { fn backoff(&self, _: &Backoff, _: u32, _: u64) -> Span { Span::ZERO } }
}
mutant! {
    /// At most once is granted what was asked for.
    GrantAsked {
        fn attempts_granted(&self, kind: Kind, asked: u32) -> u32 {
            if kind == Kind::Timer { 0 } else { asked.max(1) }
        }
        fn recover(&self, step: &Step) -> Recovery {
            if step.attempt < step.attempts_max { Recovery::Again } else { Recovery::Settle(Outcome::InDoubt) }
        }
    }
}
mutant! {
    /// Asked for no attempts, it grants none, and begins the first nonetheless.
    GrantNone { fn attempts_granted(&self, _: Kind, asked: u32) -> u32 { asked } }
}
mutant! {
    /// A begin does not name its attempt: a late duplicate begins one behind the worker's back.
    BeginUnnamed {
        fn begin(&self, rows: &Rows, begin: Begin, now: Time) -> Result<Commit, Rejection> {
            let attempt = rows.step.map_or(1, |step| step.attempt + 1);
            begin::begin(self, rows, Begin { attempt, ..begin }, now)
        }
    }
}
mutant! {
    /// Two workers see that the step has no row, and both insert one.
    BeginInsertsTwice {
        fn begin(&self, rows: &Rows, begin: Begin, now: Time) -> Result<Commit, Rejection> {
            let commit = begin::begin(self, rows, begin, now)?;
            let step = commit.step.map(|write| StepWrite::Insert(*write.step()));
            Ok(Commit { step, ..commit })
        }
    }
}
mutant! {
    /// A late report of an older attempt, or one of another lease, settles the attempt under way.
    SettleAnyAttempt {
        fn settle(&self, rows: &Rows, epoch: Epoch, _: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
            let step = rows.step.map(|step| Step { epoch, ..step });
            let attempt = step.map_or(0, |step| step.attempt);
            settle::settle(self, &Rows { step, ..*rows }, epoch, attempt, how, now)
        }
    }
}
mutant! {
    /// A lost answer to a settlement is an error to its worker.
    SettleOnlyOnce {
        fn settle(&self, rows: &Rows, epoch: Epoch, attempt: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
            match rows.step.and_then(|step| step.settled()) {
                Some((_, outcome)) => Err(Rejection::StepSettled(outcome)),
                None => settle::settle(self, rows, epoch, attempt, how, now),
            }
        }
    }
}
mutant! {
    /// The order is not counted, so replay cannot tell who was first.
    SettleWithoutOrder {
        fn settle(&self, rows: &Rows, epoch: Epoch, attempt: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
            let commit = settle::settle(self, rows, epoch, attempt, how, now)?;
            Ok(Commit { execution: None, ..commit })
        }
    }
}
mutant! {
    /// A replayed sleep begins anew.
    SleepAnew {
        fn sleep(&self, rows: &Rows, epoch: Epoch, wake: Wake, now: Time) -> Result<Commit, Rejection> {
            let commit = sleep::sleep(self, &Rows { step: None, ..*rows }, epoch, wake, now)?;
            match rows.step {
                Some(step) if matches!(step.state, StepState::Sleeping { .. }) => {
                    Ok(Commit { step: commit.step.map(|write| StepWrite::Update(*write.step())), ..commit })
                }
                _ => sleep::sleep(self, rows, epoch, wake, now),
            }
        }
    }
}
mutant! {
    /// A step in doubt is run again by a retry.
    RetryInDoubt {
        fn retry(&self, rows: &Rows, attempts: u32, now: Time) -> Result<Commit, Rejection> {
            let step = rows.step.map(|step| match step.state {
                StepState::Settled { order, outcome: Outcome::InDoubt | Outcome::Unencodable } => {
                    Step { state: StepState::Settled { order, outcome: Outcome::Failed(Cause::Final) }, ..step }
                }
                _ => step,
            });
            retry::retry(&Rows { step, ..*rows }, attempts, now)
        }
    }
}
mutant! {
    /// An operator resolves a step on which others were built.
    ResolveAnyOrder {
        fn resolve(&self, rows: &Rows, verdict: Verdict) -> Result<Commit, Rejection> {
            let settled = rows.step.and_then(|step| step.settled()).map(|(order, _)| order);
            let execution = rows.execution.map(|row| Execution { settled: settled.unwrap_or(row.settled), ..row });
            let mut commit = resolve::resolve(&Rows { execution, ..*rows }, verdict)?;
            commit.execution = None;
            Ok(commit)
        }
    }
}
