//! A step has one row.

use hydra_schedule::Property;

use super::super::facts::Facts;
use super::super::{Anomaly, Checked};
use crate::history::Journal;

pub(super) fn check(facts: &Facts<'_>) -> Checked {
    let mut checked = Checked::default();
    for execution in &facts.executions {
        for (index, journal) in &execution.journal {
            let Journal::Rows { rows_per_step_max, .. } = journal else {
                continue;
            };
            // None: no step has a row yet, or they were not counted.
            if *rows_per_step_max == 0 {
                continue;
            }
            checked.case();
            if *rows_per_step_max > 1 {
                let explanation =
                    format!("At {} a step of {} has {rows_per_step_max} rows.", facts.when(*index), execution.name);
                let what = (Property::StepUnique, Anomaly::InconsistentRows);
                checked.find(what, (execution, None), (*index, *index), explanation);
            }
        }
    }
    checked
}
