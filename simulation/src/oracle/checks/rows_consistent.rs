//! The rows of an execution never contradict one another.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::Journal;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for (index, journal) in &execution.journal {
            let Journal::Rows { contradiction, .. } = journal else {
                continue;
            };
            checked.case();
            if let Some(contradiction) = contradiction {
                let explanation = format!(
                    "The rows of {} contradict one another at {}: {contradiction}.",
                    execution.name,
                    facts.when(*index)
                );
                let what = (Property::RowsConsistent, Anomaly::InconsistentRows);
                checked.find(what, (execution, None), (*index, *index), explanation);
            }
        }
    }
    checked
}
