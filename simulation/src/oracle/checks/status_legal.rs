//! A terminal status is final, but for a failed execution that an operator retries.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::{Op, Status};

const WHAT: (Property, Anomaly) = (Property::StatusLegal, Anomaly::InconsistentStatus);

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        let statuses = execution.statuses();
        for (number, (asked, told, status)) in statuses.iter().enumerate() {
            // Two reads that overlap may be told in either order: the earlier must be over before the later is asked.
            let ended = statuses[..number].iter().rfind(|(_, before, was)| was.is_terminal() && before < asked);
            let Some((_, before, was)) = ended else {
                continue;
            };
            checked.case();
            let reopened = *was == Status::Failed && execution.calls_of(Op::Retry).any(|call| call.invoked < *told);
            if was != status && !reopened {
                let explanation = format!(
                    "{} was {} at {} and {} at {}.",
                    execution.name,
                    was.word(),
                    facts.when(*before),
                    status.word(),
                    facts.when(*told)
                );
                checked.find(WHAT, (execution, None), (*before, *told), explanation);
                break;
            }
        }
    }
    checked
}
