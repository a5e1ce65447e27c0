//! The last look at a run: what clients are told, what the rows hold, and what the user's table does.

use std::collections::BTreeMap;
use std::sync::Arc;

use hydra_engine::Client;
use hydra_engine::protocol::{StepState, invariants};
use hydra_engine::store::{Store, StoreError};

use super::cluster::Cluster;
use super::journal::status_of;
use super::program::Saw;
use super::server::Server;
use crate::history::{Effect, Status, What};

/// What was seen of one execution.
pub(super) struct Look {
    pub status: Status,
    /// What its workflow had of each step when it returned.
    pub saw: Option<Saw>,
    pub rows_per_step_max: u32,
    pub open_steps: u32,
    pub contradiction: Option<String>,
}

pub(super) async fn look(store: Arc<dyn Store>, name: &str) -> Look {
    let mut look =
        Look { status: Status::Missing, saw: None, rows_per_step_max: 0, open_steps: 0, contradiction: None };
    let view = match store.execution(&Server::id(name)).await {
        Ok(Some(view)) => view,
        Ok(None) => return look,
        Err(error) => {
            (look.status, look.contradiction) = (Status::Running, Some(error.to_string()));
            return look;
        }
    };
    look.status = status_of(&view.row);
    if look.status == Status::Succeeded {
        look.saw = Client::new(store.clone()).result::<Saw>(name).await.ok();
    }
    match store.history(view.key).await {
        Err(StoreError::Corrupt { row, what }) => look.contradiction = Some(format!("{row}: {what}")),
        Err(error) => look.contradiction = Some(error.to_string()),
        Ok(history) => {
            let mut rows: BTreeMap<u32, u32> = BTreeMap::new();
            let mut orders = Vec::new();
            for step in &history.steps {
                *rows.entry(step.step.no.0).or_default() += 1;
                match step.step.row.state {
                    StepState::Running | StepState::Waiting { .. } | StepState::Sleeping { .. } => look.open_steps += 1,
                    StepState::Settled { order, .. } => orders.push(order),
                    StepState::Abandoned { .. } => {}
                }
                if let Err(broken) = invariants::check_step(&view.row, &step.step.row) {
                    look.contradiction.get_or_insert_with(|| broken.to_string());
                }
            }
            look.rows_per_step_max = rows.values().copied().max().unwrap_or(0);
            orders.sort_unstable();
            let checks =
                [invariants::check_execution(&view.row), invariants::check_orders(&view.row, orders.into_iter())];
            for broken in checks.into_iter().filter_map(Result::err) {
                look.contradiction.get_or_insert_with(|| broken.to_string());
            }
        }
    }
    if !look.status.is_terminal() {
        look.open_steps = 0;
    }
    look
}

impl Cluster {
    /// What the user's table holds must be what was seen to be committed to it: effects are counted from there.
    pub fn effects_held(&mut self) {
        let mut seen = std::mem::take(&mut self.teller.effects);
        for body in self.server.effects() {
            match seen.iter().position(|known| *known == body) {
                Some(at) => drop(seen.swap_remove(at)),
                None => {
                    let step = self.plan.steps[self.shared.lock().step_of(body)].name.clone();
                    let effect = Effect { step, body, key: None, epoch: None, applied: true };
                    self.note("store", What::Effect(effect));
                }
            }
        }
        // Said to be committed, and not there.
        for record in &mut self.shared.lock().records {
            if let What::Effect(effect) = &mut record.what
                && seen.contains(&effect.body)
            {
                effect.applied = false;
            }
        }
    }
}
