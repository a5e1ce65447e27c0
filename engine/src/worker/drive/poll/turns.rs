//! What comes next when the workflow can do no more: an outcome's turn, the end of the replay, or a wait.

use std::sync::atomic::Ordering;
use std::task::Context;

use hydra_protocol::worker::drive::{Idle, idle};
use hydra_protocol::worker::step::{Event, Phase};
use hydra_protocol::{Kind, StepNo};

use super::{Polled, Poller, nondeterministic, waiting};
use crate::worker::drive::host::Slot;

enum Turn {
    NoneYet,
    HandedOver,
    NeverAsked(String),
}

impl Poller<'_> {
    /// The workflow can do no more with what it has. The next outcome's turn, or going live, or nothing to do.
    pub(super) fn quiet(&mut self, task: &mut Context<'_>, draining: bool) -> Option<Polled> {
        match self.next_turn() {
            Turn::HandedOver => {
                self.woken.flag.store(true, Ordering::Release);
                return None;
            }
            Turn::NeverAsked(why) => return Some(Polled::Ended(nondeterministic(why))),
            Turn::NoneYet => {}
        }
        if let Err(polled) = self.ask_losers(draining) {
            return Some(polled);
        }
        if !self.host.state().live {
            self.host.state().live = true;
            for no in std::mem::take(&mut self.held) {
                let row = self.host.state().journal.get(&no).map(|step| step.row);
                if self.host.state().slots.get(&no).is_some_and(|slot| slot.alive)
                    && let Err(polled) = self.feed(no, Event::Requested { row, matches: true }, draining)
                {
                    return Some(polled);
                }
            }
            self.woken.flag.store(true, Ordering::Release);
            return None;
        }
        self.nothing_to_do(task, draining)
    }

    /// An outcome is known and an earlier one is not, though nothing is asked: what lost its race has settled behind the
    /// worker's back. (1) A timer and a charge race; "fire" is sent, and takes long; (2) asked again, the timer is not
    /// due, for the store's clock lags; (3) the charge wins, and the timer is dropped; (4) the first "fire" arrives and
    /// takes its place in the order; (5) nobody asks, and all that settles later waits for ever.
    fn ask_losers(&mut self, draining: bool) -> Result<(), Polled> {
        if draining || !self.asks.is_empty() {
            return Ok(());
        }
        let losers: Vec<StepNo> = {
            let state = self.host.state();
            let next = state.delivery.delivered().saturating_add(1);
            if state.by_order.range(next..).next().is_none() {
                return Ok(());
            }
            let lost = |slot: &Slot| {
                let is_timer = slot.plan.kind == Kind::Timer;
                is_timer && slot.requested && !slot.alive && waiting(slot.phase).is_some()
            };
            state.slots.iter().filter(|(_, slot)| lost(slot)).map(|(no, _)| *no).collect()
        };
        for no in losers {
            self.feed(no, Event::Due, draining)?;
        }
        Ok(())
    }

    /// Hands over the next outcome, if it is known.
    fn next_turn(&mut self) -> Turn {
        let mut state = self.host.state();
        let order = state.delivery.delivered().saturating_add(1);
        let Some(no) = state.by_order.get(&order).copied() else {
            return Turn::NoneYet;
        };
        let name = state.journal.get(&no).map(|step| step.name.clone()).unwrap_or_default();
        match state.slots.get_mut(&no) {
            Some(slot) if slot.requested => {
                slot.turn = true;
                slot.wake();
                // Taken or not: a step that the workflow holds without awaiting it must not keep back all others.
                state.delivery.handed_over();
                Turn::HandedOver
            }
            Some(_) | None => Turn::NeverAsked(format!(
                "the journal has an outcome of step {} ({name}), and the code does not await that step here",
                no.0
            )),
        }
    }

    fn nothing_to_do(&mut self, task: &mut Context<'_>, draining: bool) -> Option<Polled> {
        let (bodies, wake, open) = {
            let state = self.host.state();
            let alive = || state.slots.values().filter(|slot| slot.alive && slot.requested);
            let bodies = alive().any(|slot| slot.running || slot.body.is_some());
            let wake = alive().filter_map(|slot| waiting(slot.phase)).min();
            (bodies, wake, alive().any(|slot| !matches!(slot.phase, Phase::Done)))
        };
        let busy = bodies || !self.asks.is_empty();
        if draining && !busy {
            return Some(Polled::Drained);
        }
        if !busy && !open {
            return Some(Polled::Ended(nondeterministic(
                "the workflow waits for something that is not a step; a workflow awaits only what its context gives it"
                    .to_owned(),
            )));
        }
        match idle(busy, wake, self.store_now(), self.shop.hold) {
            Idle::Park(wake) => Some(Polled::Blocked(wake)),
            Idle::Hold(_) | Idle::Busy => {
                if let Some(wake) = wake {
                    self.arm(task, wake);
                }
                None
            }
        }
    }
}
