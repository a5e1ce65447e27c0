//! What a model tells the search beyond [`stateright::Model`].

use serde::Serialize;
use stateright::Model;
use std::hash::Hash;

/// Who makes an action happen; termination is judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[repr(u8)]
pub enum Role {
    /// The system's own progress. It happens if it stays possible.
    Step = 0,
    /// The world around it, such as a clock that lets a lease expire: it may be counted on to happen in time, but it
    /// may also happen again and again, so a cycle through it says nothing about the system.
    Environment = 1,
    /// A fault. It may never happen, so nothing may depend on it; it may happen again and again.
    Fault = 2,
}

impl Role {
    pub(super) const COUNT: u64 = 3;

    pub(super) fn from_code(code: u64) -> Role {
        match code % Self::COUNT {
            0 => Role::Step,
            1 => Role::Environment,
            _ => Role::Fault,
        }
    }
}

/// A state in words of 64 bits, as it is stored.
pub trait Words: Copy + Eq + Hash + Send + Sync {
    /// Words at most.
    const MAX: usize;

    /// Writes the first `words.len()` words; the others are zero.
    fn put(&self, words: &mut [u64]);

    /// Reads back what was put.
    fn take(words: &[u64]) -> Self;

    /// Whether `words` are what it puts.
    fn is(&self, words: &[u64]) -> bool;
}

impl<const N: usize> Words for [u64; N] {
    const MAX: usize = N;

    #[inline]
    fn put(&self, words: &mut [u64]) {
        words.iter_mut().zip(self).for_each(|(word, own)| *word = *own);
    }

    #[inline]
    fn take(words: &[u64]) -> Self {
        std::array::from_fn(|at| words.get(at).copied().unwrap_or(0))
    }

    #[inline]
    fn is(&self, words: &[u64]) -> bool {
        words.iter().zip(self).all(|(word, own)| word == own)
    }
}

impl Words for u64 {
    const MAX: usize = 1;

    #[inline]
    fn put(&self, words: &mut [u64]) {
        words[0] = *self;
    }

    #[inline]
    fn take(words: &[u64]) -> Self {
        words[0]
    }

    #[inline]
    fn is(&self, words: &[u64]) -> bool {
        words[0] == *self
    }
}

/// A model that [`explore`](super::explore) can check.
///
/// Every method must be a pure function of its arguments, and `actions` must list the actions of a state in the same
/// order each time. Checks are closures over `self`, so a bound of the model may appear in them.
pub trait Checkable: Model<State: Clone + PartialEq + Send + Sync, Action: Clone + Send + Sync> + Sync {
    /// A state in a small number of words: `u64`, `[u64; N]`. Equal packings must mean equal states.
    type Packed: Words;

    /// Words of a packed state that this model uses; the others are always zero, and are not stored.
    fn packed_words(&self) -> usize {
        Self::Packed::MAX
    }

    /// Packs a state without loss.
    fn pack(&self, state: &Self::State) -> Self::Packed;

    /// The state that was packed: `unpack(&pack(s)) == s`.
    fn unpack(&self, packed: &Self::Packed) -> Self::State;

    /// The representative of all states that a permutation of interchangeable parts turns into one another. Used when
    /// [`Options::symmetry`](super::Options::symmetry) is set; then all checks, goals, roles and ranks must be blind to
    /// the permutation too.
    fn canonical(&self, state: Self::State) -> Self::State {
        state
    }

    /// Safety properties of a state; called once for every distinct state.
    fn check_state(&self, state: &Self::State, judge: &mut Judge) {
        let _ = (state, judge);
    }

    /// Safety properties of an edge; called for every edge. `to` is the successor itself, not its representative.
    fn check_edge(&self, from: &Self::State, action: &Self::Action, to: &Self::State, judge: &mut Judge) {
        let _ = (from, action, to, judge);
    }

    /// Names of the goals that a run must reach to mean anything; bit `i` of [`goals`](Self::goals) is the `i`th.
    /// At most 128.
    fn goal_names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The goals that this edge reaches.
    fn goals(&self, from: &Self::State, action: &Self::Action, to: &Self::State) -> u128 {
        let _ = (from, action, to);
        0
    }

    /// Whether everything that had to end has ended. States that are done may have successors.
    fn is_done(&self, state: &Self::State) -> bool;

    /// Who makes this action happen.
    fn role(&self, action: &Self::Action) -> Role {
        let _ = action;
        Role::Step
    }

    /// The weak-fairness class of an action, below 64: an action of a class that stays enabled for ever is taken
    /// sometime. A cycle that neglects such a class is no livelock. `None`: no assumption.
    fn fair_class(&self, action: &Self::Action) -> Option<u8> {
        let _ = action;
        None
    }

    /// A measure that falls on every [`Role::Step`] edge out of a state that is not done. Either
    /// every state has one or none has: `None` for the initial states means that the model has no measure.
    fn rank(&self, state: &Self::State) -> Option<u64> {
        let _ = state;
        None
    }
}

/// Collects the properties that do not hold, the first finding of each.
#[derive(Default)]
pub struct Judge {
    /// Properties whose shortest counterexample is already known.
    known: Vec<&'static str>,
    found: Vec<(&'static str, String)>,
}

impl Judge {
    /// A judge that knows of no violation yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn knowing(known: &[&'static str]) -> Self {
        Judge { known: known.to_vec(), found: Vec::new() }
    }

    /// Demands that `property` holds. `text` explains the violation with the values at hand, and is only called for one.
    #[inline]
    pub fn require(&mut self, property: &'static str, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.record(property, text);
        }
    }

    #[cold]
    fn record(&mut self, property: &'static str, text: impl FnOnce() -> String) {
        let is_known = self.known.contains(&property) || self.found.iter().any(|(name, _)| *name == property);
        if !is_known {
            self.found.push((property, text()));
        }
    }

    /// The violated properties and why, in the order of discovery.
    pub fn violations(&self) -> &[(&'static str, String)] {
        &self.found
    }
}
