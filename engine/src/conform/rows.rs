//! Rows on their own: what must hold of them whatever commands led to them.

use hydra_protocol::invariants;

use super::{Departure, Found, Report};

/// Checks the invariants of one execution and its steps, beside each other.
pub fn check(found: &Found, report: &mut Report) {
    report.executions += 1;
    let (base, broken, leases) = match found {
        Found::Execution { base, broken, leases } => (base, broken, leases),
        Found::Broken { key, what } => {
            let execution = Some(format!("the execution with key {}", key.0));
            report.add(Departure { entry: None, execution, step: None, what: format!("its row is corrupt: {what}") });
            return;
        }
    };
    report.steps += (base.steps.len() + broken.len()) as u64;
    let mut say = |step, what| {
        report.add(Departure { entry: None, execution: Some(base.id.to_string()), step, what });
    };
    if let Err(wrong) = invariants::check_execution(&base.row) {
        say(None, format!("its row breaks an invariant: {wrong}"));
    }
    for (no, what) in broken {
        say(Some(no.0), format!("its row is corrupt: {what}"));
    }
    for step in &base.steps {
        if let Err(wrong) = invariants::check_step(&base.row, &step.row) {
            say(Some(step.no.0), format!("its row breaks an invariant: {wrong}"));
        }
    }
    if broken.is_empty() {
        let mut orders: Vec<_> = base.steps.iter().filter_map(|step| Some(step.row.settled()?.0)).collect();
        orders.sort_unstable();
        if let Err(wrong) = invariants::check_orders(&base.row, orders.into_iter()) {
            say(None, format!("its rows break an invariant: {wrong}"));
        }
    }
    if !leases.iter().map(|epoch| epoch.0).eq(1..=base.row.epoch.0) {
        say(None, format!("its epoch is {}, and {} leases are on record", base.row.epoch.0, leases.len()));
    }
}
