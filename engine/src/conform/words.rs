//! Commands, answers and rows in plain words.

use std::fmt::Write;

use hydra_protocol::{
    Cause, Command, Ending, Execution, Kind, Outcome, Rejection, Release, Reply, Settlement, Step, Time, Verdict, Wake,
    decode,
};

/// What was asked.
pub fn command(command: &Command) -> String {
    match command {
        Command::Start { .. } => "start".to_owned(),
        Command::Claim { lease, .. } => format!("claim for {} ms", lease.as_millis()),
        Command::Heartbeat { epoch, .. } => format!("heartbeat under epoch {}", epoch.0),
        Command::Begin { epoch, kind, attempt, .. } => {
            format!("begin attempt {attempt} ({}) under epoch {}", kind_word(*kind), epoch.0)
        }
        Command::Settle { epoch, attempt, settlement } => {
            format!("settle attempt {attempt} as {} under epoch {}", settlement_word(*settlement), epoch.0)
        }
        Command::Sleep { epoch, wake: Wake::After(span) } => {
            format!("sleep for {} ms under epoch {}", span.as_millis(), epoch.0)
        }
        Command::Sleep { epoch, wake: Wake::At(at) } => format!("sleep until {} under epoch {}", time(*at), epoch.0),
        Command::Fire { epoch } => format!("fire under epoch {}", epoch.0),
        Command::Release { epoch, release: Release::Parked { wake } } => {
            format!("give back epoch {} until {}", epoch.0, time(*wake))
        }
        Command::Release { epoch, release: Release::Shutdown } => format!("give back epoch {}", epoch.0),
        Command::Finish { epoch, ending } => format!("end as {} under epoch {}", ending_word(*ending), epoch.0),
        Command::Cancel => "cancel".to_owned(),
        Command::Retry { attempts } => format!("retry with {attempts} further attempts"),
        Command::Resolve { verdict: Verdict::Succeeded } => "resolve as succeeded".to_owned(),
        Command::Resolve { verdict: Verdict::Failed } => "resolve as failed".to_owned(),
    }
}

/// What was answered.
pub fn answer(answer: &Result<Reply, Rejection>) -> String {
    match answer {
        Err(rejection) => format!("refused ({rejection})"),
        Ok(Reply::Started) => "started".to_owned(),
        Ok(Reply::AlreadyStarted) => "started before".to_owned(),
        Ok(Reply::Claimed { epoch, lease }) => {
            format!("claimed under epoch {} for {} ms", epoch.0, lease.as_millis())
        }
        Ok(Reply::Renewed { lease }) => format!("renewed for {} ms", lease.as_millis()),
        Ok(Reply::Run { attempt }) => format!("run attempt {attempt}"),
        Ok(Reply::Settled { order, outcome }) => format!("settled as {}, number {order}", outcome_word(*outcome)),
        Ok(Reply::Waiting { due_at }) => format!("waiting until {}", time(*due_at)),
        Ok(Reply::Sleeping { due_at }) => format!("sleeping until {}", time(*due_at)),
        Ok(Reply::Released { due_at }) => format!("given back, due at {}", time(*due_at)),
        Ok(Reply::Ended(ending)) => format!("ended as {}", ending_word(*ending)),
        Ok(Reply::Reopened) => "open again".to_owned(),
        Ok(Reply::Resolved(outcome)) => format!("resolved as {}", outcome_word(*outcome)),
    }
}

/// A time as rows hold it.
pub fn time(time: Time) -> String {
    format!("{} ms", time.as_millis())
}

/// How a row differs from what the commands lead to, if it does.
pub fn execution_differs(on_record: &Execution, right: &Execution) -> Option<String> {
    let (row, right) = (decode::raw_execution(on_record), decode::raw_execution(right));
    let mut differs = Differences::default();
    differs.column("status", row.status, right.status);
    differs.column("failure", row.failure, right.failure);
    differs.column("due_at", row.due_at, right.due_at);
    differs.column("epoch", row.epoch, right.epoch);
    differs.column("settled", row.settled, right.settled);
    differs.column("replays", row.replays, right.replays);
    differs.column("replays_max", row.replays_max, right.replays_max);
    differs.column("deadline", row.deadline, right.deadline);
    differs.told()
}

/// The same of a step.
pub fn step_differs(on_record: &Step, right: &Step) -> Option<String> {
    let (row, right) = (decode::raw_step(on_record), decode::raw_step(right));
    let mut differs = Differences::default();
    differs.column("kind", row.kind, right.kind);
    differs.column("state", row.state, right.state);
    differs.column("cause", row.cause, right.cause);
    differs.column("due_at", row.due_at, right.due_at);
    differs.column("order", row.order, right.order);
    differs.column("epoch", row.epoch, right.epoch);
    differs.column("attempt", row.attempt, right.attempt);
    differs.column("attempts_max", row.attempts_max, right.attempts_max);
    differs.told()
}

#[derive(Default)]
struct Differences(String);

impl Differences {
    fn column<T: PartialEq + Cell>(&mut self, name: &str, on_record: T, right: T) {
        if on_record != right {
            let and = if self.0.is_empty() { "on record is" } else { "," };
            let _ = write!(self.0, "{and} {name} {}, and not {}", on_record.cell(), right.cell());
        }
    }

    fn told(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0 + ", which the commands lead to")
    }
}

/// A column's value for people.
trait Cell {
    fn cell(&self) -> String;
}

impl Cell for &str {
    fn cell(&self) -> String {
        (*self).to_owned()
    }
}

impl Cell for i64 {
    fn cell(&self) -> String {
        self.to_string()
    }
}

impl<T: Cell> Cell for Option<T> {
    fn cell(&self) -> String {
        self.as_ref().map_or_else(|| "null".to_owned(), Cell::cell)
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Transactional => "transactional",
        Kind::Keyed => "keyed",
        Kind::AtMostOnce => "at most once",
        Kind::Timer => "timer",
    }
}

fn settlement_word(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Succeeded => "succeeded",
        Settlement::Failed { retryable: true, .. } => "failed",
        Settlement::Failed { retryable: false, .. } => "failed for good",
        Settlement::Unencodable => "unencodable",
        Settlement::InDoubt => "in doubt",
    }
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed(Cause::Final) => "failed for good",
        Outcome::Failed(Cause::Exhausted) => "failed at its last attempt",
        Outcome::Failed(Cause::Crashed) => "failed, its worker having died in its last attempt",
        Outcome::Unencodable => "unencodable",
        Outcome::InDoubt => "in doubt",
        Outcome::Fired => "fired",
    }
}

fn ending_word(ending: Ending) -> String {
    match ending {
        Ending::Succeeded => "succeeded".to_owned(),
        Ending::Failed(failure) => format!("failed ({})", decode::failure_name(failure)),
        Ending::Cancelled => "cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hydra_protocol::{Backoff, Epoch, Span, Status, StepState};

    use super::*;

    const ZERO: Backoff = Backoff { initial: Span::ZERO, cap: Span::ZERO, factor_percent: 100, jitter_percent: 0 };

    #[test]
    fn what_differs_is_told_column_by_column() {
        let status = Status::Ready { due_at: Time::from_millis(5) };
        let right = Execution { status, epoch: Epoch(1), settled: 0, replays: 0, replays_max: 3, deadline: None };
        assert_eq!(execution_differs(&right, &right), None);
        let row = Execution { settled: 2, deadline: Some(Time::from_millis(7)), ..right };
        let said = "on record is settled 2, and not 0, deadline 7, and not null, which the commands lead to";
        assert_eq!(execution_differs(&row, &right).as_deref(), Some(said));

        let state = StepState::Running;
        let right = Step { kind: Kind::Keyed, epoch: Epoch(1), attempt: 1, attempts_max: 3, state };
        assert_eq!(step_differs(&right, &right), None);
        let row = Step { kind: Kind::AtMostOnce, attempt: 2, ..right };
        let said = "on record is kind at_most_once, and not keyed, attempt 2, and not 1, which the commands lead to";
        assert_eq!(step_differs(&row, &right).as_deref(), Some(said));
    }

    #[test]
    fn each_kind_has_its_word() {
        let begin = |kind| command(&Command::Begin { epoch: Epoch(1), kind, attempt: 2, attempts_max: 3 });
        for (kind, word) in [
            (Kind::Transactional, "transactional"),
            (Kind::Keyed, "keyed"),
            (Kind::AtMostOnce, "at most once"),
            (Kind::Timer, "timer"),
        ] {
            assert_eq!(begin(kind), format!("begin attempt 2 ({word}) under epoch 1"));
        }
    }

    #[test]
    fn each_settlement_and_each_outcome_has_its_words() {
        let failed = |retryable| Settlement::Failed { retryable, backoff: ZERO, salt: 0 };
        for (settlement, words) in [
            (Settlement::Succeeded, "succeeded"),
            (failed(true), "failed"),
            (failed(false), "failed for good"),
            (Settlement::Unencodable, "unencodable"),
            (Settlement::InDoubt, "in doubt"),
        ] {
            let said = command(&Command::Settle { epoch: Epoch(1), attempt: 2, settlement });
            assert_eq!(said, format!("settle attempt 2 as {words} under epoch 1"));
        }
        for (outcome, words) in [
            (Outcome::Succeeded, "succeeded"),
            (Outcome::Failed(Cause::Final), "failed for good"),
            (Outcome::Failed(Cause::Exhausted), "failed at its last attempt"),
            (Outcome::Failed(Cause::Crashed), "failed, its worker having died in its last attempt"),
            (Outcome::Unencodable, "unencodable"),
            (Outcome::InDoubt, "in doubt"),
            (Outcome::Fired, "fired"),
        ] {
            assert_eq!(answer(&Ok(Reply::Settled { order: 4, outcome })), format!("settled as {words}, number 4"));
        }
    }
}
