//! Faults that wait at their places: what passes a site is counted, and the one that is named is struck.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use crate::boundary::Site;

/// How often each site was passed.
pub type Counts = Arc<Mutex<BTreeMap<Site, u32>>>;

/// The next fault of a worker.
pub type NextTrigger = Arc<Mutex<Option<Trigger>>>;

/// A fault at a place.
pub struct Trigger {
    /// At which site.
    pub site: Site,
    /// At the how-manieth time that it is passed, from 1.
    pub nth: u32,
    /// What to do there.
    pub act: Act,
    /// Told before it is done.
    pub fired: Box<dyn FnMut() + Send>,
}

/// What is done at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Ends the process before the call.
    Kill,
    /// Holds the whole process before the call until it is resumed.
    Hold,
    /// The call fails with this error and does nothing.
    Fail(Errno),
    /// Nothing here: whoever is told does it.
    Tell,
}

/// Counts one more at a site; which one it is.
pub fn count(counts: &Counts, site: &Site) -> u32 {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(site.clone()).or_default();
    *count += 1;
    *count
}

/// Takes the fault, if this is its place. Whoever is told of it may put the next one there.
pub fn take(next: &NextTrigger, site: &Site, nth: u32) -> Option<Trigger> {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    next.take_if(|trigger| trigger.site == *site && trigger.nth == nth)
}
