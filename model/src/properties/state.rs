//! Safety of states, and which properties a lack of progress breaks.

use crate::search::{Judge, Kind as Tier};
use crate::world::World;
use crate::world::row::{LATEST, Row};
use crate::world::state::State;
use hydra_protocol::{Kind, Outcome, Protocol, Status, StepState};
use hydra_schedule::Property;

pub(crate) fn of_state<P: Protocol + ?Sized + Sync + 'static>(world: &World<P>, state: &State, judge: &mut Judge) {
    for execution in 0..world.layout.executions {
        let holders = (0..world.layout.workers).filter(|&worker| state.holds_latest(worker, execution)).count();
        judge.require(Property::LeaseExclusive.id(), holders < 2, || {
            format!("{holders} workers hold a lease on W{} under the same epoch", execution + 1)
        });
        let is_never_due = state.is_never_due(execution);
        judge.require(Property::NothingStuck.id(), !is_never_due, || {
            format!("W{} is open and never due", execution + 1)
        });
        if !is_never_due && !world.plans.has_transactional() {
            continue;
        }
        let row = state.row(execution, &world.layout, &world.plans);
        judge.require(Property::TimerNotLost.id(), !(is_never_due && has_timer(&row)), || {
            format!("W{} sleeps, and nothing will wake it", execution + 1)
        });
        for (at, step) in row.steps.iter().enumerate() {
            let Some(step) = step else { continue };
            if step.kind == Kind::Transactional {
                let succeeded = step.settled().is_some_and(|(_, outcome)| outcome == Outcome::Succeeded);
                let effects = row.ghosts[at].effects;
                judge.require(Property::EffectOnceTransactional.id(), u8::from(succeeded) == effects, || {
                    let recorded = if succeeded { "as succeeded" } else { "not as succeeded" };
                    format!("W{}/{} has {effects} committed effects and is recorded {recorded}", execution + 1, at + 1)
                });
            }
        }
    }
}

fn has_timer(row: &Row) -> bool {
    row.steps.iter().flatten().any(|step| matches!(step.state, StepState::Sleeping { .. }))
}

/// The properties that a lack of progress breaks which ends in `state`: the tier's own, and what is left lying there.
pub fn blames<P: Protocol + ?Sized + Sync + 'static>(world: &World<P>, tier: Tier, state: &State) -> Vec<Property> {
    let own = match tier {
        Tier::Stuck => Property::NothingStuck,
        Tier::CannotRecover => Property::CanComplete,
        Tier::FairLivelock | Tier::Rank => Property::Terminates,
        Tier::State | Tier::Edge => return Vec::new(),
    };
    let mut blamed = vec![own];
    let rows = (0..world.layout.executions).map(|at| (at, state.row(at, &world.layout, &world.plans)));
    for (at, row) in rows.filter(|(_, row)| !row.is_ended()) {
        let is_held = (0..world.layout.workers).any(|worker| state.holds_latest(worker, at));
        let is_leased = matches!(row.execution.map(|execution| execution.status), Some(Status::Leased { .. }));
        let has_orphan = row
            .steps
            .iter()
            .flatten()
            .any(|step| matches!(step.state, StepState::Running) && (step.epoch != LATEST || !is_held));
        if (is_leased && !is_held) || has_orphan {
            blamed.push(Property::OrphansRecovered);
        }
        if has_timer(&row) {
            blamed.push(Property::TimerNotLost);
        }
    }
    blamed.dedup();
    blamed
}
