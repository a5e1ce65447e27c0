//! The checkers: one property a file, each over one history.

mod attempts_bounded;
mod backoff_bounded;
mod body_at_most_once;
mod budget_honest;
mod cancel_clean;
mod checkpoint_immutable;
mod effect_once_keyed;
mod effect_once_transactional;
mod epoch_fenced;
mod in_doubt_shown;
mod lease_exclusive;
mod lease_kept;
mod nothing_stuck;
mod orphans_recovered;
mod outcome_true;
mod replay_faithful;
mod rows_consistent;
mod start_idempotent;
mod status_legal;
mod step_unique;
mod success_never_rerun;
mod terminates;
mod timer_not_early;
mod timer_not_lost;

use hydra_schedule::{Property, StepName};

use super::facts::{Execution, Facts};
use super::{Anomaly, Checked, Finding};

/// One checker.
pub(super) struct Check {
    pub property: Property,
    /// Why nothing can be said where there was no case.
    pub needs: &'static str,
    pub run: fn(&Facts<'_>) -> Checked,
}

/// One checker for each property, in the order of the table of properties.
pub(super) const CHECKS: [Check; Property::ALL.len()] = [
    Check {
        property: Property::CheckpointImmutable,
        needs: "no step was seen to be settled",
        run: checkpoint_immutable::check,
    },
    Check {
        property: Property::EffectOnceTransactional,
        needs: "no transactional step had an effect",
        run: effect_once_transactional::check,
    },
    Check { property: Property::EffectOnceKeyed, needs: "no keyed step had an effect", run: effect_once_keyed::check },
    Check {
        property: Property::BodyAtMostOnce,
        needs: "no at-most-once step was entered",
        run: body_at_most_once::check,
    },
    Check {
        property: Property::SuccessNeverRerun,
        needs: "no body succeeded on a healthy worker",
        run: success_never_rerun::check,
    },
    Check { property: Property::LeaseExclusive, needs: "no body was entered", run: lease_exclusive::check },
    Check { property: Property::EpochFenced, needs: "no execution changed hands", run: epoch_fenced::check },
    Check {
        property: Property::AttemptsBounded,
        needs: "no step that has a maximum of attempts was entered",
        run: attempts_bounded::check,
    },
    Check {
        property: Property::BudgetHonest,
        needs: "no failing step was given up without faults",
        run: budget_honest::check,
    },
    Check {
        property: Property::BackoffBounded,
        needs: "no step failed twice in a row without faults",
        run: backoff_bounded::check,
    },
    Check {
        property: Property::StatusLegal,
        needs: "no status was seen after a terminal one",
        run: status_legal::check,
    },
    Check { property: Property::OutcomeTrue, needs: "no execution was seen to end", run: outcome_true::check },
    Check {
        property: Property::RowsConsistent,
        needs: "the rows of this subject were not read",
        run: rows_consistent::check,
    },
    Check { property: Property::StepUnique, needs: "the rows of this subject were not read", run: step_unique::check },
    Check {
        property: Property::ReplayFaithful,
        needs: "no value of a step was seen by a later one",
        run: replay_faithful::check,
    },
    Check { property: Property::TimerNotEarly, needs: "nothing was seen after a sleep", run: timer_not_early::check },
    Check { property: Property::TimerNotLost, needs: "no execution slept", run: timer_not_lost::check },
    Check { property: Property::StartIdempotent, needs: "no id was started twice", run: start_idempotent::check },
    Check { property: Property::CancelClean, needs: "no execution was seen to end", run: cancel_clean::check },
    Check {
        property: Property::InDoubtShown,
        needs: "no worker died inside an at-most-once body",
        run: in_doubt_shown::check,
    },
    Check { property: Property::NothingStuck, needs: "nothing was started", run: nothing_stuck::check },
    Check {
        property: Property::CanComplete,
        needs: "a history cannot show what was possible; the model checker explores it",
        run: nothing_to_see,
    },
    Check { property: Property::Terminates, needs: "nothing was started", run: terminates::check },
    Check { property: Property::OrphansRecovered, needs: "no worker died in a body", run: orphans_recovered::check },
    Check {
        property: Property::LeaseKept,
        needs: "no healthy worker was inside a body for longer than a lease",
        run: lease_kept::check,
    },
];

/// Nothing in a history can show it either way.
fn nothing_to_see(_: &Facts<'_>) -> Checked {
    Checked::default()
}

/// Milliseconds with separators for thousands: `9,400 ms`.
pub(crate) fn ms(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + 6);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " ms"
}

impl Facts<'_> {
    /// When a record was made, for people.
    fn when(&self, index: usize) -> String {
        ms(self.at_ms(index))
    }

    fn who(&self, index: usize) -> &str {
        &self.records[index].who
    }

    /// From when on a worker must have been cut off, if it is not to know at `entered` what had happened at `done`: within
    /// a lease of its first word with the store it holds one anew, or is told that it has none.
    fn ignorant_since_ms(&self, done: usize, entered: usize) -> u64 {
        let lease_ms = self.settings.lease_ms;
        let told_ms = lease_ms.saturating_add(self.settings.slack_ms);
        let at_done_ms = self.at_ms(done).saturating_sub(lease_ms);
        at_done_ms.max(self.at_ms(entered).saturating_sub(told_ms))
    }
}

impl Checked {
    fn case(&mut self) {
        self.over += 1;
    }

    /// Adds a finding over two records, the earlier first.
    fn find(
        &mut self,
        (property, anomaly): (Property, Anomaly),
        (execution, step): (&Execution<'_>, Option<&StepName>),
        (first, second): (usize, usize),
        explanation: String,
    ) {
        let execution = execution.name.clone();
        self.findings.push(Finding {
            property,
            anomaly,
            execution,
            step: step.cloned(),
            run: 0,
            first,
            second,
            explanation,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkers_follow_the_table_of_properties() {
        for (check, property) in CHECKS.iter().zip(Property::ALL) {
            assert_eq!(check.property, *property);
        }
    }
}
