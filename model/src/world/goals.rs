//! What a run must reach to mean anything. A bound that rules a goal out takes it off the list; one that is on the list
//! and never reached makes the verdict VACUOUS.

use super::bounds::{Body, Bounds, Shape};
use hydra_protocol::{
    Cause, Command, Commit, Ending, Failure, Kind, Outcome, Rejection, Release, Reply, Settlement, Status, StepState,
};

macro_rules! goals {
    ($($variant:ident = $word:literal, $when:expr;)+) => {
        /// One thing that has to happen somewhere in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Goal { $($variant),+ }

        impl Goal {
            pub(crate) const ALL: &[Goal] = &[$(Goal::$variant),+];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Goal::$variant => $word),+ }
            }

            /// Whether these bounds allow it.
            pub(crate) fn is_wanted(self, bounds: &Bounds) -> bool {
                let b = Facts::of(bounds);
                match self { $(Goal::$variant => ($when)(&b)),+ }
            }
        }
    };
}

/// What the list of goals asks of the bounds.
struct Facts<'a> {
    bounds: &'a Bounds,
    bodies: bool,
    timers: bool,
    amo: bool,
    transactional: bool,
    /// Steps that are tried again after an error.
    retryable: bool,
    fails: bool,
    succeeds: bool,
    /// A lease is lost while its worker goes on.
    zombies: bool,
    /// A worker goes away without a word, or its lease does.
    orphans: bool,
    waits: bool,
}

impl<'a> Facts<'a> {
    fn of(bounds: &'a Bounds) -> Self {
        let f = &bounds.faults;
        let has = |kind| bounds.program.steps.iter().any(|step| step.kind == kind);
        let bodies = bounds.program.steps.iter().any(|step| step.kind != Kind::Timer);
        let fails = bounds.program.steps.iter().any(|step| step.kind != Kind::Timer && step.body != Body::Returns);
        let retryable = (fails || f.panic)
            && bounds.attempts > 1
            && bounds.program.steps.iter().any(|step| matches!(step.kind, Kind::Keyed | Kind::Transactional));
        Facts {
            bounds,
            bodies,
            timers: has(Kind::Timer),
            amo: has(Kind::AtMostOnce),
            transactional: has(Kind::Transactional),
            retryable,
            fails,
            succeeds: bounds.program.steps.iter().all(|step| step.body != Body::Fails),
            zombies: bounds.workers > 1 && (f.expire || f.pause),
            orphans: f.crash || f.expire || f.reply_lost || f.pause || f.partition,
            waits: (has(Kind::Timer) && bounds.program.shape == Shape::Sequence) || retryable,
        }
    }
}

goals! {
    Started = "start: started", |_: &Facts| true;
    AlreadyStarted = "start: already started", |b: &Facts| b.bounds.clients;
    Conflict = "start: conflict", |b: &Facts| b.bounds.clients;
    Claimed = "claim: claimed", |_: &Facts| true;
    ClaimedAgain = "recovery: claimed after the lease of another worker ended", |b: &Facts| b.orphans;
    ClaimNotDue = "claim: not due", |_: &Facts| true;
    ClaimEnded = "claim: ended", |_: &Facts| true;
    ClaimDeadline = "claim: the deadline has passed", |b: &Facts| b.bounds.deadline;
    ClaimReplays = "claim: replays exhausted", |b: &Facts| b.bounds.replays.is_some() && b.orphans;
    ClaimStranger = "claim: unknown workflow", |b: &Facts| b.bounds.strangers;
    Renewed = "heartbeat: renewed", |_: &Facts| true;
    BeatExpired = "heartbeat: lease expired", |b: &Facts| b.bounds.faults.expire;
    BeatStale = "heartbeat: stale epoch", |b: &Facts| b.zombies;
    BeatEnded = "heartbeat: ended", |b: &Facts| b.bounds.clients;
    BeatNotLeased = "heartbeat: not leased", |b: &Facts| b.bounds.faults.duplicate && (b.waits || b.bounds.faults.shutdown);
    Run = "begin: run", |b: &Facts| b.bodies;
    RunAgain = "begin: run, asked again after a lost reply", |b: &Facts| b.bodies && b.bounds.faults.reply_lost;
    RunRetry = "begin: the next attempt after an error", |b: &Facts| b.retryable;
    RunOrphan = "recovery: the next attempt of an orphaned step", |b: &Facts| b.orphans && b.bounds.attempts > 1 && b.bodies && b.bounds.program.steps.iter().any(|s| matches!(s.kind, Kind::Keyed | Kind::Transactional));
    BeginCrashed = "recovery: an orphaned step without attempts left", |b: &Facts| b.orphans && b.bounds.program.steps.iter().any(|s| matches!(s.kind, Kind::Keyed | Kind::Transactional));
    BeginInDoubt = "recovery: an orphaned at-most-once step in doubt", |b: &Facts| b.orphans && b.amo;
    BeginNotDue = "begin: not due", |b: &Facts| b.retryable && b.bounds.faults.clock;
    BeginStale = "begin: stale epoch", |b: &Facts| b.zombies && b.bodies;
    BeginEnded = "begin: ended", |b: &Facts| b.bounds.clients && b.bodies;
    BeginMismatch = "begin: attempt mismatch", |b: &Facts| b.bounds.faults.duplicate && b.retryable;
    BeginSettled = "begin: settled already", |b: &Facts| b.bounds.faults.duplicate && b.bodies;
    Succeeded = "settle: succeeded", |b: &Facts| b.bodies && b.bounds.program.steps.iter().any(|s| s.kind != Kind::Timer && s.body != Body::Fails);
    FailedFinal = "settle: failed for good", |b: &Facts| b.amo && b.fails;
    Exhausted = "settle: attempts exhausted", |b: &Facts| b.fails && b.bounds.program.steps.iter().any(|s| matches!(s.kind, Kind::Keyed | Kind::Transactional) && s.body != Body::Returns);
    Waiting = "settle: waits for its next attempt", |b: &Facts| b.retryable;
    Unencodable = "settle: unencodable", |b: &Facts| b.bounds.faults.encode && b.bounds.program.steps.iter().any(|s| matches!(s.kind, Kind::Keyed | Kind::AtMostOnce));
    InDoubt = "settle: in doubt", |b: &Facts| b.bounds.faults.panic && b.amo;
    SettledAgain = "settle: asked again after a lost reply", |b: &Facts| b.bodies && b.bounds.faults.reply_lost;
    SettleStale = "settle: stale epoch", |b: &Facts| b.zombies && b.bodies;
    SettleEnded = "settle: ended", |b: &Facts| b.bounds.clients && b.bodies;
    SettleMismatch = "settle: attempt mismatch", |b: &Facts| b.bounds.faults.duplicate && b.retryable;
    StepSettled = "settle: another outcome is recorded", |b: &Facts| b.bounds.faults.duplicate && b.retryable;
    Slept = "sleep: sleeping", |b: &Facts| b.timers;
    SleptAgain = "sleep: asked again after a lost reply", |b: &Facts| b.timers && b.bounds.faults.reply_lost;
    SleepStale = "sleep: stale epoch", |b: &Facts| b.timers && b.zombies;
    Fired = "fire: fired", |b: &Facts| b.timers && (b.bounds.program.shape == Shape::Race || b.succeeds);
    FireNotDue = "fire: not due", |b: &Facts| b.timers && b.bounds.faults.clock;
    FireStale = "fire: stale epoch", |b: &Facts| b.timers && b.zombies;
    Parked = "release: parked", |b: &Facts| b.waits;
    Shutdown = "release: shut down", |b: &Facts| b.bounds.faults.shutdown;
    ReleasedAgain = "release: asked again after a lost reply", |b: &Facts| b.waits && b.bounds.faults.reply_lost;
    ReleaseStale = "release: stale epoch", |b: &Facts| b.waits && b.zombies;
    FinishedWell = "finish: succeeded", |b: &Facts| b.succeeds || b.bounds.program.shape == Shape::Race;
    FinishedBadly = "finish: failed", |b: &Facts| b.fails;
    Undecodable = "finish: a checkpoint cannot be decoded", |b: &Facts| b.bounds.faults.decode && b.orphans;
    FinishedAgain = "finish: asked again after a lost reply", |b: &Facts| b.bounds.faults.reply_lost;
    FinishStale = "finish: stale epoch", |b: &Facts| b.zombies;
    FinishEnded = "finish: ended otherwise", |b: &Facts| b.bounds.clients;
    Cancelled = "cancel: cancelled", |b: &Facts| b.bounds.clients;
    CancelEnded = "cancel: ended otherwise", |b: &Facts| b.bounds.clients;
    Reopened = "retry: reopened", |b: &Facts| b.bounds.operator;
    RetryRefused = "retry: not failed", |b: &Facts| b.bounds.operator;
    Unresolved = "retry: unresolved", |b: &Facts| b.bounds.operator && (b.bounds.faults.encode && !b.transactional || b.amo && (b.orphans || b.bounds.faults.panic));
    Resolved = "resolve: resolved", |b: &Facts| b.bounds.operator && (b.bounds.faults.encode && !b.transactional || b.amo && (b.orphans || b.bounds.faults.panic));
    RolledBack = "transaction: rolled back with its body", |b: &Facts| b.transactional && (b.fails || b.bounds.faults.encode || b.bounds.faults.panic);
    Replayed = "replay: a checkpoint is handed over", |b: &Facts| b.orphans && b.bounds.program.steps.len() > 1 && b.bounds.program.shape != Shape::Race;
    OutOfTurn = "replay: an outcome waits for its turn", |b: &Facts| b.bounds.program.shape == Shape::Together && b.bounds.faults.reply_lost && b.bounds.program.steps.len() > 1;
    LoserAbandoned = "race: the loser is abandoned", |b: &Facts| b.bounds.program.shape == Shape::Race && b.bounds.program.steps.len() > 1;
    Crash = "fault: crash", |b: &Facts| b.bounds.faults.crash;
    LostBefore = "fault: disconnected before the commit", |b: &Facts| b.bounds.faults.disconnect;
    ReplyLost = "fault: reply lost", |b: &Facts| b.bounds.faults.reply_lost;
    Copied = "fault: request duplicated", |b: &Facts| b.bounds.faults.duplicate;
    Encode = "fault: encode", |b: &Facts| b.bounds.faults.encode && b.bodies;
    Panic = "fault: panic", |b: &Facts| b.bounds.faults.panic && b.bodies;
    Partition = "fault: partition", |b: &Facts| b.bounds.faults.partition;
    Pause = "fault: pause", |b: &Facts| b.bounds.faults.pause;
    Expire = "fault: lease ended early", |b: &Facts| b.bounds.faults.expire;
    LeaseEnded = "time: a lease ended", |b: &Facts| b.bounds.faults.crash || b.bounds.faults.partition || b.bounds.faults.pause;
    Zombie = "recovery: a worker goes on without its lease", |b: &Facts| b.zombies;
}

/// The goal that an accepted command reaches.
pub(super) fn of_commit(
    command: &Command,
    before: &super::row::Row,
    step: Option<usize>,
    commit: &Commit,
) -> Option<Goal> {
    let writes_step = commit.step.is_some();
    let before_step = step.and_then(|step| before.steps[step]);
    Some(match (*command, commit.reply) {
        (Command::Start { .. }, Reply::Started) => Goal::Started,
        (Command::Start { .. }, _) => Goal::AlreadyStarted,
        (Command::Claim { .. }, Reply::Ended(Ending::Failed(Failure::DeadlineExceeded))) => Goal::ClaimDeadline,
        (Command::Claim { .. }, Reply::Ended(_)) => Goal::ClaimReplays,
        (Command::Claim { .. }, _) => match before.execution.map(|execution| execution.status) {
            Some(Status::Leased { .. }) => Goal::ClaimedAgain,
            _ => Goal::Claimed,
        },
        (Command::Heartbeat { .. }, _) => Goal::Renewed,
        (Command::Begin { .. }, Reply::Run { .. }) => match before_step.map(|step| step.state) {
            None => Goal::Run,
            Some(StepState::Running) if !writes_step => Goal::RunAgain,
            Some(StepState::Waiting { .. }) => Goal::RunRetry,
            Some(_) => Goal::RunOrphan,
        },
        (Command::Begin { .. }, Reply::Settled { .. }) if !writes_step => Goal::BeginSettled,
        (Command::Begin { .. }, Reply::Settled { outcome: Outcome::InDoubt, .. }) => Goal::BeginInDoubt,
        (Command::Begin { .. }, _) => Goal::BeginCrashed,
        (Command::Settle { .. }, _) if !writes_step => Goal::SettledAgain,
        (Command::Settle { settlement: Settlement::Succeeded, .. }, _) => Goal::Succeeded,
        (Command::Settle { settlement: Settlement::Unencodable, .. }, _) => Goal::Unencodable,
        (Command::Settle { settlement: Settlement::InDoubt, .. }, _) => Goal::InDoubt,
        (Command::Settle { settlement: Settlement::Failed { .. }, .. }, reply) => match reply {
            Reply::Settled { outcome: Outcome::Failed(Cause::Exhausted), .. } => Goal::Exhausted,
            Reply::Settled { .. } => Goal::FailedFinal,
            _ => Goal::Waiting,
        },
        (Command::Sleep { .. }, _) if !writes_step => Goal::SleptAgain,
        (Command::Sleep { .. }, _) => Goal::Slept,
        (Command::Fire { .. }, _) => Goal::Fired,
        (Command::Release { .. }, _) if commit.execution.is_none() => Goal::ReleasedAgain,
        (Command::Release { release: Release::Parked { .. }, .. }, _) => Goal::Parked,
        (Command::Release { release: Release::Shutdown, .. }, _) => Goal::Shutdown,
        (Command::Finish { .. }, _) if commit.execution.is_none() => Goal::FinishedAgain,
        (Command::Finish { ending: Ending::Succeeded, .. }, _) => Goal::FinishedWell,
        (Command::Finish { ending: Ending::Failed(Failure::Undecodable), .. }, _) => Goal::Undecodable,
        (Command::Finish { .. }, _) => Goal::FinishedBadly,
        (Command::Cancel, _) => Goal::Cancelled,
        (Command::Retry { .. }, _) => Goal::Reopened,
        (Command::Resolve { .. }, _) => Goal::Resolved,
    })
}

/// The goal that a rejection reaches; not every one is a goal.
pub(super) fn of_rejection(command: &Command, rejection: Rejection) -> Option<Goal> {
    Some(match (command, rejection) {
        (Command::Start { .. }, Rejection::Conflict) => Goal::Conflict,
        (Command::Claim { .. }, Rejection::NotDue { .. }) => Goal::ClaimNotDue,
        (Command::Claim { .. }, Rejection::Ended(_)) => Goal::ClaimEnded,
        (Command::Claim { .. }, Rejection::UnknownWorkflow) => Goal::ClaimStranger,
        (Command::Heartbeat { .. }, Rejection::LeaseExpired { .. }) => Goal::BeatExpired,
        (Command::Heartbeat { .. }, Rejection::StaleEpoch { .. }) => Goal::BeatStale,
        (Command::Heartbeat { .. }, Rejection::Ended(_)) => Goal::BeatEnded,
        (Command::Heartbeat { .. }, Rejection::NotLeased { .. }) => Goal::BeatNotLeased,
        (Command::Begin { .. }, Rejection::NotDue { .. }) => Goal::BeginNotDue,
        (Command::Begin { .. }, Rejection::StaleEpoch { .. }) => Goal::BeginStale,
        (Command::Begin { .. }, Rejection::Ended(_)) => Goal::BeginEnded,
        (Command::Begin { .. }, Rejection::AttemptMismatch { .. }) => Goal::BeginMismatch,
        (Command::Settle { .. }, Rejection::StaleEpoch { .. }) => Goal::SettleStale,
        (Command::Settle { .. }, Rejection::Ended(_)) => Goal::SettleEnded,
        (Command::Settle { .. }, Rejection::AttemptMismatch { .. }) => Goal::SettleMismatch,
        (Command::Settle { .. }, Rejection::StepSettled(_)) => Goal::StepSettled,
        (Command::Sleep { .. }, Rejection::StaleEpoch { .. }) => Goal::SleepStale,
        (Command::Fire { .. }, Rejection::NotDue { .. }) => Goal::FireNotDue,
        (Command::Fire { .. }, Rejection::StaleEpoch { .. }) => Goal::FireStale,
        (Command::Release { .. }, Rejection::StaleEpoch { .. }) => Goal::ReleaseStale,
        (Command::Finish { .. }, Rejection::StaleEpoch { .. }) => Goal::FinishStale,
        (Command::Finish { .. }, Rejection::Ended(_)) => Goal::FinishEnded,
        (Command::Cancel, Rejection::Ended(_)) => Goal::CancelEnded,
        (Command::Retry { .. }, Rejection::NotFailed) => Goal::RetryRefused,
        (Command::Retry { .. }, Rejection::Unresolved(_)) => Goal::Unresolved,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Goal;
    use crate::scopes::Scope;

    #[test]
    fn every_goal_is_wanted_by_some_model_of_the_smoke_scope() {
        let models = Scope::Smoke.models();
        for goal in Goal::ALL {
            assert!(models.iter().any(|model| goal.is_wanted(&model.bounds)), "{}", goal.name());
        }
    }
}
