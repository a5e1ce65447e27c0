//! The properties of the worker's side, each seen failing on a mutant.

use hydra_protocol::worker::lease::LeaseClock;
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{
    Backoff, Command, Epoch, Kind, Protocol, Reference, Rejection, Reply, Settlement, Span, StepNo, Time,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::properties::keys_name_steps;
use crate::{backoff, drive_machine, lease_clock, lossy_network, step_machine};

/// Whether some case breaks a rule, by the rule's own words.
fn falls<S: Strategy>(cases: S, why: &str, holds: impl Fn(S::Value) -> Result<(), String>) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let found = TestRunner::new_with_rng(config, rng).run(&cases, |case| match holds(case) {
        Err(broken) if broken.contains(why) => Err(TestCaseError::fail(broken)),
        Ok(()) | Err(_) => Ok(()),
    });
    assert!(found.is_err(), "`{why}` never fell");
}

fn step_falls<P: Protocol>(rules: &P, why: &str) {
    falls((step_machine::plans(), step_machine::hints()), why, |(plan, hints)| {
        step_machine::trace_holds(rules, &plan, &hints)
    });
}

fn drive_falls<P: Protocol>(rules: &P, why: &str) {
    falls(drive_machine::events(), why, |events| drive_machine::trace_holds(rules, Epoch(1), &events));
}

/// Taking a lost answer for a failure is how a settled step comes to read as failed.
struct LostMeansFailed;
impl Protocol for LostMeansFailed {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match (phase, event) {
            (step::Phase::Asking(Command::Settle { attempt, .. }), step::Event::Lost) => {
                let settlement = Settlement::Failed { retryable: true, backoff: plan.backoff, salt: plan.salt };
                let command = Command::Settle { epoch: plan.epoch, attempt, settlement };
                (step::Phase::Asking(command), step::Action::Ask(command))
            }
            _ => step::next(self, plan, phase, event),
        }
    }
}

/// Taking it for a success is how a step comes to be lost.
struct LostMeansGone;
impl Protocol for LostMeansGone {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match (phase, event) {
            (step::Phase::Asking(_), step::Event::Lost) => (step::Phase::Gone, step::Action::Nothing),
            _ => step::next(self, plan, phase, event),
        }
    }
    fn drive_next(&self, epoch: Epoch, phase: drive::Phase, event: drive::Event) -> (drive::Phase, drive::Action) {
        match (phase, event) {
            (drive::Phase::Asking(_), drive::Event::Lost) => (drive::Phase::Gone, drive::Action::Nothing),
            _ => drive::next(self, epoch, phase, event),
        }
    }
}

/// Any "run" runs the body: the late first answer to a request that was sent twice runs it a second time.
struct RunUponAnyRun;
impl Protocol for RunUponAnyRun {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match (phase, event) {
            (step::Phase::Asking(Command::Settle { .. }), step::Event::Answer(Ok(Reply::Run { attempt }))) => {
                (step::Phase::Running { attempt }, step::Action::RunBody { attempt })
            }
            _ => step::next(self, plan, phase, event),
        }
    }
}

/// A transactional success is reported beside its transaction: settled, though that may roll back.
struct SettleBesideTransaction;
impl Protocol for SettleBesideTransaction {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match step::next(self, plan, phase, event) {
            (next, step::Action::Transact(command)) => (next, step::Action::Ask(command)),
            decided => decided,
        }
    }
}

/// It goes on after its lease is lost.
struct LeaseLossIgnored;
impl Protocol for LeaseLossIgnored {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match event {
            step::Event::LeaseLost => (phase, step::Action::Nothing),
            _ => step::next(self, plan, phase, event),
        }
    }
    fn drive_next(&self, epoch: Epoch, phase: drive::Phase, event: drive::Event) -> (drive::Phase, drive::Action) {
        match event {
            drive::Event::LeaseLost => (phase, drive::Action::Nothing),
            _ => drive::next(self, epoch, phase, event),
        }
    }
}

/// A checkpoint read that takes an error for "not found", and runs the body.
struct RefusalMeansRun;
impl Protocol for RefusalMeansRun {
    fn step_next(&self, plan: &step::Plan, phase: step::Phase, event: step::Event) -> (step::Phase, step::Action) {
        match (phase, event) {
            (step::Phase::Asking(Command::Begin { attempt, .. }), step::Event::Answer(Err(Rejection::UnknownStep))) => {
                (step::Phase::Running { attempt }, step::Action::RunBody { attempt })
            }
            _ => step::next(self, plan, phase, event),
        }
    }
}

/// A result that cannot be encoded is reported as a failure.
struct UnencodableMeansFailed;
impl Protocol for UnencodableMeansFailed {
    fn settlement(&self, kind: Kind, end: step::BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
        match end {
            step::BodyEnd::Unencodable => Settlement::Failed { retryable: true, backoff, salt },
            _ => step::settlement(kind, end, backoff, salt),
        }
    }
}

/// An at-most-once body that panicked is reported as failed for sure.
struct PanicMeansFailed;
impl Protocol for PanicMeansFailed {
    fn settlement(&self, _: Kind, end: step::BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
        step::settlement(Kind::Keyed, end, backoff, salt)
    }
}

/// Counts its lease from the answer, which may have taken as long as the lease.
struct LeaseFromAnswer;
impl Protocol for LeaseFromAnswer {
    fn lease_clock(&self, sent_at: Time, span: Span) -> LeaseClock {
        LeaseClock::granted(sent_at + span, span)
    }
}

/// Uses its lease up to the last millisecond.
struct LeaseWithoutMargin;
impl Protocol for LeaseWithoutMargin {
    fn lease_clock(&self, sent_at: Time, span: Span) -> LeaseClock {
        LeaseClock { stop_at: sent_at + span, ..LeaseClock::granted(sent_at, span) }
    }
}

/// Beats when its lease is almost over: the first lost heartbeat costs it.
struct BeatLate;
impl Protocol for BeatLate {
    fn lease_clock(&self, sent_at: Time, span: Span) -> LeaseClock {
        let clock = LeaseClock::granted(sent_at, span);
        LeaseClock { beat_at: clock.stop_at, ..clock }
    }
}

/// The audited engine: shifts before it clamps.
struct BackoffOverflows;
impl Protocol for BackoffOverflows {
    fn backoff(&self, backoff: &Backoff, attempt: u32, _: u64) -> Span {
        let shifted = (backoff.initial.as_millis() as i64).wrapping_mul(1_i64.wrapping_shl(attempt));
        Span::from_millis(shifted.clamp(0, backoff.cap.as_millis() as i64) as u64)
    }
}

/// The jitter is drawn anew for each attempt, so a wait may be shorter than the one before.
struct JitterByAttempt;
impl Protocol for JitterByAttempt {
    fn backoff(&self, backoff: &Backoff, attempt: u32, salt: u64) -> Span {
        backoff.wait(attempt, salt.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(attempt.into())))
    }
}

/// The key is the attempt's.
struct KeyByAttempt;
impl Protocol for KeyByAttempt {
    fn key(&self, step: StepNo, attempt: u32) -> u64 {
        u64::from(step.0) << 32 | u64::from(attempt)
    }
}

/// All steps of an execution share one key.
struct KeyByExecution;
impl Protocol for KeyByExecution {
    fn key(&self, _: StepNo, _: u32) -> u64 {
        0
    }
}

#[test]
fn a_lost_answer_taken_for_a_failure_or_an_end() {
    step_falls(&LostMeansFailed, "an unknown is asked again");
    step_falls(&LostMeansGone, "changes nothing");
    drive_falls(&LostMeansGone, "Lost");
}

#[test]
fn a_body_run_upon_the_wrong_answer() {
    step_falls(&RunUponAnyRun, "a body runs upon the answer for that very attempt");
    step_falls(&RefusalMeansRun, "a body runs upon the answer for that very attempt");
}

#[test]
fn a_success_reported_beside_its_transaction() {
    step_falls(&SettleBesideTransaction, "never outside its transaction");
}

/// The same two defects, seen by the receiver of the effects.
#[test]
fn a_second_body_and_a_lost_effect_over_a_lossy_network() {
    let cases = || (lossy_network::kinds(), lossy_network::chances());
    falls(cases(), lossy_network::AT_MOST_ONCE, |(kind, chances)| {
        lossy_network::effects_hold(&RunUponAnyRun, kind, &chances).map_err(|defect| defect.property.into())
    });
    falls(cases(), lossy_network::TOGETHER, |(kind, chances)| {
        lossy_network::effects_hold(&SettleBesideTransaction, kind, &chances).map_err(|defect| defect.property.into())
    });
    falls(cases(), lossy_network::BOUNDED, |(kind, chances)| {
        lossy_network::effects_hold(&RunUponAnyRun, kind, &chances).map_err(|defect| defect.property.into())
    });
}

#[test]
fn a_lost_lease_ignored() {
    step_falls(&LeaseLossIgnored, "a lost lease stops it");
    drive_falls(&LeaseLossIgnored, "LeaseLost");
}

#[test]
fn a_body_reported_as_what_it_was_not() {
    step_falls(&UnencodableMeansFailed, "what a body returned is reported");
    step_falls(&PanicMeansFailed, "what a body returned is reported");
}

#[test]
fn a_lease_overstayed_or_renewed_too_late() {
    let cases = || (0..100_000_u64, 0..100_000_u64, 0..100_000_u64);
    let holds = |rules: &dyn Fn(Time, Span, Span) -> Result<(), String>, (sent, span, delay): (u64, u64, u64)| {
        rules(Time::from_millis(sent), Span::from_millis(span), Span::from_millis(delay))
    };
    falls(cases(), "after its lease has ended", |case| {
        holds(&|sent, span, delay| lease_clock::stops_in_time(&LeaseFromAnswer, sent, span, delay), case)
    });
    falls(cases(), "no margin", |case| {
        holds(&|sent, span, delay| lease_clock::stops_in_time(&LeaseWithoutMargin, sent, span, delay), case)
    });
    falls(cases(), "no time for a second", |case| {
        holds(&|sent, span, delay| lease_clock::stops_in_time(&BeatLate, sent, span, delay), case)
    });
}

#[test]
fn a_backoff_that_overflows_or_falls() {
    let cases = || (backoff::backoffs(), 1..100_u32, any::<u64>());
    falls(cases(), "falls", |(plan, attempt, salt)| backoff::waits_hold(&BackoffOverflows, &plan, attempt, salt));
    falls(cases(), "out of bounds", |(plan, attempt, salt)| {
        backoff::waits_hold(&BackoffOverflows, &plan, attempt, salt)
    });
    falls(cases(), "falls", |(plan, attempt, salt)| backoff::waits_hold(&JitterByAttempt, &plan, attempt, salt));
}

#[test]
fn a_key_of_the_attempt_or_of_the_execution() {
    assert!(!keys_name_steps(&KeyByAttempt, 1, 2, 1, 2));
    assert!(!keys_name_steps(&KeyByExecution, 1, 2, 1, 1));
    assert!(keys_name_steps(&Reference, 1, 2, 1, 2));
}
