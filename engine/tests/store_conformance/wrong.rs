//! The judge judged: rules that are known to be wrong, and a sentence of the contract that each must fail.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use hydra_protocol::{
    Backoff, Commit, Ending, Epoch, Execution, Kind, Protocol, Recovery, Rejection, Release, Rows, Settlement, Span,
    Step, StepState, Time,
};

use crate::harness::Which;
use crate::{executions, leases, steps, transactions};

macro_rules! wrong {
    ($($(#[$doc:meta])* $name:ident fails $group:ident::$sentence:ident: $method:item)*) => {
        $(
            $(#[$doc])*
            struct $name;
            impl Protocol for $name { $method }
        )*

        #[tokio::test]
        async fn wrong_rules_fail() {
            $(
                let judged = AssertUnwindSafe($group::$sentence(Which::Wrong(&$name))).catch_unwind().await;
                assert!(judged.is_err(), concat!(stringify!($name), " passes ", stringify!($sentence)));
            )*
        }
    };
}

wrong! {
    /// A worker whose lease was taken over writes all the same.
    Unfenced fails leases::a_stale_epoch_writes_nothing:
    fn fence(&self, _: &Execution, _: Epoch) -> Result<(), Rejection> {
        Ok(())
    }

    /// Nothing waits until it is due.
    Hasty fails steps::a_timer_sleeps_and_fires_by_the_clock_of_the_store:
    fn due(&self, _: Time, _: Time) -> Result<(), Rejection> {
        Ok(())
    }

    /// The epoch stays the same from one lease to the next.
    Unnumbered fails leases::a_claim_reads_the_journal:
    fn next_epoch(&self, epoch: Epoch) -> Result<Epoch, Rejection> {
        Ok(Epoch(epoch.0.max(1)))
    }

    /// A lease that lasts for ever.
    Endless fails leases::the_next_due_time_is_told:
    fn lease_end(&self, _: &Execution, _: Span, _: Time) -> Time {
        Time::MAX
    }

    /// A body that may have had its effect runs again.
    Careless fails steps::an_orphaned_attempt_is_recovered_by_its_kind:
    fn recover(&self, _: &Step) -> Recovery {
        Recovery::Again
    }

    /// The next attempt comes at once.
    Restless fails steps::a_failed_attempt_waits_and_keeps_its_error:
    fn backoff(&self, _: &Backoff, _: u32, _: u64) -> Span {
        Span::ZERO
    }

    /// A result that is lost counts as a failed attempt.
    Forgetful fails steps::an_unencodable_result_is_an_outcome:
    fn settled_state(&self, _: &Step, _: Settlement, _: u32, now: Time) -> StepState {
        StepState::Waiting { due_at: now }
    }

    /// A parked execution is due at once.
    Sleepless fails leases::a_release_makes_it_due_and_says_so:
    fn wake_at(&self, _: &Execution, _: Release, now: Time) -> Time {
        now
    }

    /// What is there is started anew.
    Double fails executions::another_input_or_workflow_is_a_conflict:
    fn start(&self, rows: &Rows, _: Time, _: Option<Time>, _: u32) -> Result<Commit, Rejection> {
        let rows = Rows { same_input: true, ..*rows };
        hydra_protocol::Reference.start(&rows, Time::default(), None, 3)
    }

    /// An ending leaves running steps behind.
    Untidy fails executions::an_ending_abandons_what_is_open:
    fn finish(&self, rows: &Rows, epoch: Epoch, ending: Ending) -> Result<Commit, Rejection> {
        hydra_protocol::Reference.finish(rows, epoch, ending).map(|commit| Commit { abandon_open: false, ..commit })
    }

    /// Nobody is cancelled.
    Stubborn fails executions::a_cancelled_execution_takes_nothing_from_its_worker:
    fn cancel(&self, rows: &Rows) -> Result<Commit, Rejection> {
        let execution = rows.execution.ok_or(Rejection::UnknownExecution)?;
        Ok(Commit::answer(&execution, hydra_protocol::Reply::Ended(Ending::Cancelled)))
    }

    /// Every step has one attempt.
    Impatient fails steps::a_failed_attempt_waits_and_keeps_its_error:
    fn attempts_granted(&self, _: Kind, _: u32) -> u32 {
        1
    }

    /// A success that is settled already is settled again.
    Repeated fails transactions::no_body_is_opened_for_what_is_settled_or_refused:
    fn settle(&self, rows: &Rows, epoch: Epoch, attempt: u32, how: Settlement, now: Time) -> Result<Commit, Rejection> {
        let running = rows.step.map(|step| Step { state: StepState::Running, ..step });
        hydra_protocol::Reference.settle(&Rows { step: running, ..*rows }, epoch, attempt, how, now)
    }
}
