//! Where the engine's code runs: inside one life of one process.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::wire::{Ask, Asker, Outcome};
use super::world::{Shared, World};
use crate::cluster::Place;
use crate::history::What;

/// One life of one process, as the code in it sees the world.
#[derive(Clone)]
pub(super) struct Site {
    pub shared: Shared,
    pub asker: Asker,
    /// When this life began, by its own clock.
    pub origin: Instant,
    /// Tells whoever runs the process that something came out of it.
    pub out: Arc<Notify>,
}

impl Site {
    /// Its own clock, in milliseconds since it began.
    pub fn local_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }

    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.shared.lock())
    }

    pub fn observe(&self, what: What) {
        let local_ms = self.local_ms();
        self.world(|world| world.observe(self.asker, local_ms, what));
    }

    /// A place is passed. If a fault strikes there, nothing further happens in this task before it has.
    pub async fn pass(&self, place: Place) {
        let local_ms = self.local_ms();
        let stands = self.world(|world| {
            if !world.is_live(self.asker) {
                return false;
            }
            world.processes[self.asker.process].clock.came_to(local_ms);
            world.pass(self.asker, place)
        });
        if stands {
            self.out.notify_one();
            tokio::task::yield_now().await;
        }
    }

    /// Sends a request. The answer's place, and whether it is to be waited for without limit.
    pub fn send(&self, ask: Ask) -> (oneshot::Receiver<Outcome>, bool) {
        let (back, answer) = oneshot::channel();
        let local_ms = self.local_ms();
        let patient = self.world(|world| world.send(self.asker, local_ms, ask, Some(back)));
        self.out.notify_one();
        (answer, patient)
    }

    /// Sends what nobody answers.
    pub fn tell(&self, ask: Ask) {
        let local_ms = self.local_ms();
        self.world(|world| world.send(self.asker, local_ms, ask, None));
        self.out.notify_one();
    }
}
