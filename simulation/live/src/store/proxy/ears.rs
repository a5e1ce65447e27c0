//! Hears which messages pass, and finds the place of a fault among them.

use std::sync::{Arc, Mutex};

use crate::boundary::Site;
use crate::placed::{self, Counts, NextTrigger, Trigger};
use crate::store::wire::conversation::Message;

/// Where whoever listens is put; nobody does before.
pub(super) type Listener = Arc<Mutex<Option<Ears>>>;

/// Counts the messages of one worker.
pub struct Ears {
    /// Where the worker was last seen: a site's anchor.
    pub anchor: Box<dyn Fn() -> String + Send>,
    /// Where they are counted.
    pub counts: Counts,
    /// The next fault of this worker, if it is put at a message.
    pub trigger: NextTrigger,
}

impl Ears {
    /// A message is about to pass; the fault whose place that is.
    pub(super) fn hear(&self, message: &Message) -> Option<Trigger> {
        let site =
            Site { call: message.name?, target: "store", anchor: (self.anchor)(), request: message.about.clone() };
        let nth = placed::count(&self.counts, &site);
        placed::take(&self.trigger, &site, nth)
    }
}
