//! Hydra as the audit found it: the museum's mutant of that name, where a store and a worker can go by it.

use hydra_engine::protocol::transitions::begin::Begin;
use hydra_engine::protocol::worker::{lease::LeaseClock, step};
use hydra_engine::protocol::{
    Backoff, Commit, Ending, Epoch, Execution, Kind, Protocol, Rejection, Rows, Settlement, Span, Step, StepNo,
    StepState, Time,
};

/// Every rule that the mutant overrides is asked of it.
pub struct AsAudited;

fn mutant() -> &'static dyn Protocol {
    match hydra_model::museum::find("hydra-as-audited") {
        Some(mutant) => mutant.rules,
        None => &hydra_engine::protocol::Reference,
    }
}

impl Protocol for AsAudited {
    fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> {
        mutant().next_epoch(epoch)
    }
    fn claimable(&self, execution: &Execution, now: Time) -> Result<(), Rejection> {
        mutant().claimable(execution, now)
    }
    fn settle(
        &self,
        rows: &Rows,
        epoch: Epoch,
        attempt: u32,
        settlement: Settlement,
        now: Time,
    ) -> Result<Commit, Rejection> {
        mutant().settle(rows, epoch, attempt, settlement, now)
    }
    fn key(&self, step: StepNo, attempt: u32) -> u64 {
        mutant().key(step, attempt)
    }
    fn settlement(&self, kind: Kind, end: step::BodyEnd, backoff: Backoff, salt: u64) -> Settlement {
        mutant().settlement(kind, end, backoff, salt)
    }
    fn lease_clock(&self, sent_at: Time, span: Span) -> LeaseClock {
        mutant().lease_clock(sent_at, span)
    }
    fn settled_state(&self, step: &Step, settlement: Settlement, order: u32, now: Time) -> StepState {
        mutant().settled_state(step, settlement, order, now)
    }
    fn backoff(&self, backoff: &Backoff, attempt: u32, salt: u64) -> Span {
        mutant().backoff(backoff, attempt, salt)
    }
    fn begin(&self, rows: &Rows, begin: Begin, now: Time) -> Result<Commit, Rejection> {
        mutant().begin(rows, begin, now)
    }
    fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
        mutant().finish(rows, epoch, ending)
    }
}
