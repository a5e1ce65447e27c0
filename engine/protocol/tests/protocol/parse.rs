//! Words of a script as values of the core.

use hydra_protocol::worker::{drive, step};
use hydra_protocol::{
    Backoff, Cause, Ending, Epoch, Execution, Failure, Kind, Outcome, RawExecution, RawStep, Rejection, Release, Reply,
    Settlement, Span, Step, Time, Wake, decode,
};

use crate::words::Words;

/// What a workflow asks for.
pub fn plan(words: &mut Words) -> step::Plan {
    let kind = kind(words);
    let wake = if kind == Kind::Timer { wake(words) } else { Wake::After(Span::ZERO) };
    step::Plan {
        epoch: Epoch(words.number("epoch")),
        kind,
        attempts_max: words.number_or_none("max").unwrap_or(0),
        backoff: backoff(words),
        salt: 0,
        wake,
    }
}

/// An event of a step.
pub fn step_event(words: &mut Words) -> step::Event {
    match words.next() {
        "requested" => match words.maybe() {
            None => step::Event::Requested { row: None, matches: true },
            Some("other_step") => step::Event::Requested { row: None, matches: false },
            Some("row") => {
                // The row is decoded beside an execution that allows for it.
                let raw = RawExecution {
                    status: "ready",
                    due_at: Some(0),
                    epoch: u32::MAX.into(),
                    settled: u32::MAX.into(),
                    replays: 0,
                    replays_max: 1,
                    deadline: None,
                    failure: None,
                };
                let execution = decode::execution(&raw).expect("legal");
                let row = row(&execution, words).unwrap_or_else(|error| words.fail(&error.to_string()));
                step::Event::Requested { row: Some(row), matches: true }
            }
            Some(other) => words.fail(other),
        },
        "answer" => step::Event::Answer(answer(words)),
        "lost" => step::Event::Lost,
        "body" => step::Event::Body(match words.next() {
            "returned" => step::BodyEnd::Returned,
            "unencodable" => step::BodyEnd::Unencodable,
            "error" => step::BodyEnd::Error { retryable: retryable(words) },
            "panicked" => step::BodyEnd::Panicked,
            "timed_out" => step::BodyEnd::TimedOut,
            other => words.fail(other),
        }),
        "due" => step::Event::Due,
        "lease_lost" => step::Event::LeaseLost,
        other => words.fail(other),
    }
}

/// An event of an execution.
pub fn drive_event(words: &mut Words) -> drive::Event {
    match words.next() {
        "ended" => drive::Event::Ended(ending(words)),
        "blocked" => drive::Event::Blocked { wake: Time::from_millis(words.number("wake")) },
        "shutdown" => drive::Event::Shutdown,
        "answer" => drive::Event::Answer(answer(words)),
        "lost" => drive::Event::Lost,
        "lease_lost" => drive::Event::LeaseLost,
        other => words.fail(other),
    }
}

/// A store's answer.
pub fn answer(words: &mut Words) -> Result<Reply, Rejection> {
    let due_at = |words: &mut Words| Time::from_millis(words.number("due"));
    Ok(match words.next() {
        "started" => Reply::Started,
        "already_started" => Reply::AlreadyStarted,
        "claimed" => Reply::Claimed { epoch: Epoch(words.number("epoch")), lease: span(words, "lease") },
        "renewed" => Reply::Renewed { lease: span(words, "lease") },
        "run" => Reply::Run { attempt: words.number("attempt") },
        "settled" => Reply::Settled { order: words.number("order"), outcome: outcome(words) },
        "waiting" => Reply::Waiting { due_at: due_at(words) },
        "sleeping" => Reply::Sleeping { due_at: due_at(words) },
        "released" => Reply::Released { due_at: due_at(words) },
        "ended" => Reply::Ended(ending(words)),
        "reopened" => Reply::Reopened,
        "resolved" => Reply::Resolved(outcome(words)),
        "not_due" => {
            let now = Time::from_millis(words.number("now"));
            return Err(Rejection::NotDue { due_at: due_at(words), now });
        }
        "stale" => {
            let (held, latest) = (Epoch(words.number("held")), Epoch(words.number("latest")));
            return Err(Rejection::StaleEpoch { held, latest });
        }
        other => words.fail(other),
    })
}

/// A step's columns, decoded.
pub fn row(execution: &Execution, words: &mut Words) -> Result<Step, decode::DecodeError> {
    let raw = RawStep {
        kind: words.next(),
        state: words.next(),
        epoch: words.number("epoch"),
        attempt: words.number_or_none("attempt").unwrap_or(0),
        attempts_max: words.number_or_none("max").unwrap_or(0),
        due_at: words.number_or_none("due"),
        order: words.number_or_none("order"),
        cause: words.value("cause"),
    };
    decode::step(execution, &raw)
}

/// A kind.
pub fn kind(words: &mut Words) -> Kind {
    match words.next() {
        "transactional" => Kind::Transactional,
        "keyed" => Kind::Keyed,
        "at_most_once" => Kind::AtMostOnce,
        "timer" => Kind::Timer,
        other => words.fail(other),
    }
}

/// How an attempt ended.
pub fn settlement(words: &mut Words) -> Settlement {
    match words.next() {
        "succeeded" => Settlement::Succeeded,
        "failed" => Settlement::Failed { retryable: retryable(words), backoff: backoff(words), salt: 0 },
        "unencodable" => Settlement::Unencodable,
        "in_doubt" => Settlement::InDoubt,
        other => words.fail(other),
    }
}

/// `retryable` or `final`.
pub fn retryable(words: &mut Words) -> bool {
    match words.next() {
        "retryable" => true,
        "final" => false,
        other => words.fail(other),
    }
}

/// `wait=` is the first wait; it doubles, up to ten times that.
pub fn backoff(words: &mut Words) -> Backoff {
    let initial: u64 = words.number_or_none("wait").unwrap_or(0);
    let (initial, cap) = (Span::from_millis(initial), Span::from_millis(initial.saturating_mul(10)));
    Backoff { initial, cap, factor_percent: 200, jitter_percent: 0 }
}

/// `after=` or `at=`.
pub fn wake(words: &mut Words) -> Wake {
    match words.number_or_none("after") {
        Some(after) => Wake::After(Span::from_millis(after)),
        None => Wake::At(Time::from_millis(words.number("at"))),
    }
}

/// Why a lease is given back.
pub fn release(words: &mut Words) -> Release {
    match words.next() {
        "parked" => Release::Parked { wake: Time::from_millis(words.number("wake")) },
        "shutdown" => Release::Shutdown,
        other => words.fail(other),
    }
}

/// An outcome.
pub fn outcome(words: &mut Words) -> Outcome {
    match words.next() {
        "succeeded" => Outcome::Succeeded,
        "failed" => Outcome::Failed(Cause::Final),
        "unencodable" => Outcome::Unencodable,
        "in_doubt" => Outcome::InDoubt,
        "fired" => Outcome::Fired,
        other => words.fail(other),
    }
}

/// An ending.
pub fn ending(words: &mut Words) -> Ending {
    match words.next() {
        "succeeded" => Ending::Succeeded,
        "cancelled" => Ending::Cancelled,
        "failed" => Ending::Failed(match words.next() {
            "workflow" => Failure::Workflow,
            "panicked" => Failure::Panicked,
            "nondeterministic" => Failure::Nondeterministic,
            "undecodable" => Failure::Undecodable,
            "unencodable" => Failure::Unencodable,
            "deadline_exceeded" => Failure::DeadlineExceeded,
            "replays_exhausted" => Failure::ReplaysExhausted,
            other => words.fail(other),
        }),
        other => words.fail(other),
    }
}

/// A span in milliseconds.
pub fn span(words: &mut Words, name: &str) -> Span {
    Span::from_millis(words.number(name))
}
