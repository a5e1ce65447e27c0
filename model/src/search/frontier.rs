//! Expanding a run of states into candidates: where the model's own code is called, on all threads.

use super::arena::Arena;
use super::checkable::{Checkable, Judge, Role};
use super::hash::hash;
use super::options::Passes;
use super::report::Kind;
use std::ops::Range;

/// A successor that may or may not be a new state.
pub(super) struct Candidate<P> {
    pub(super) packed: P,
    pub(super) hash: u64,
}

/// What expanding a run of consecutive states gave. The buffers are used again for every batch.
pub(super) struct Chunk<P> {
    pub(super) sources: Range<usize>,
    pub(super) candidates: Vec<Candidate<P>>,
    pub(super) roles: Vec<Role>,
    /// Candidates of each source.
    pub(super) degrees: Vec<u32>,
    /// Of each source, whether it is done.
    pub(super) done: Vec<bool>,
    pub(super) found: Vec<Found>,
    pub(super) goals: u128,
    /// A successor lay outside the boundary.
    pub(super) is_cut: bool,
    pub(super) generated: u64,
}

/// A violated property, seen while `source` was expanded.
pub(super) struct Found {
    pub(super) source: u32,
    pub(super) kind: Kind,
    pub(super) property: &'static str,
}

/// What every thread needs to expand a state.
pub(super) struct Expander<'a, M: Checkable> {
    pub(super) model: &'a M,
    pub(super) symmetry: bool,
    pub(super) passes: Passes,
    /// Whether the model measures its states; then it must measure all of them.
    pub(super) has_rank: bool,
    /// Properties whose shortest counterexample is known.
    pub(super) known: &'a [&'static str],
    /// Whether to judge the states only: they lie at the depth limit.
    pub(super) judge_only: bool,
}

impl<P> Chunk<P> {
    pub(super) fn new() -> Self {
        Chunk {
            sources: 0..0,
            candidates: Vec::new(),
            roles: Vec::new(),
            degrees: Vec::new(),
            done: Vec::new(),
            found: Vec::new(),
            goals: 0,
            is_cut: false,
            generated: 0,
        }
    }

    pub(super) fn clear(&mut self, sources: Range<usize>) {
        self.sources = sources;
        self.candidates.clear();
        self.roles.clear();
        self.degrees.clear();
        self.done.clear();
        self.found.clear();
        self.goals = 0;
        self.is_cut = false;
        self.generated = 0;
    }

    pub(super) fn bytes(&self) -> usize {
        self.candidates.capacity() * size_of::<Candidate<P>>()
            + self.roles.capacity()
            + self.degrees.capacity() * size_of::<u32>()
            + self.done.capacity()
    }
}

impl<M: Checkable> Expander<'_, M> {
    pub(super) fn candidate(&self, state: M::State) -> Candidate<M::Packed> {
        let state = if self.symmetry { self.model.canonical(state) } else { state };
        let packed = self.model.pack(&state);
        debug_assert!(self.model.unpack(&packed) == state, "packing loses part of the state");
        Candidate { hash: hash(&packed), packed }
    }

    /// Expands `chunk.sources` in order.
    pub(super) fn expand(&self, states: &Arena<M::Packed>, chunk: &mut Chunk<M::Packed>) {
        let mut actions = Vec::new();
        let mut state_judge = Judge::knowing(self.known);
        let mut edge_judge = Judge::knowing(self.known);
        for source in chunk.sources.clone() {
            let from = self.model.unpack(&states.get(source));
            let before = state_judge.violations().len();
            self.model.check_state(&from, &mut state_judge);
            chunk.note(source, Kind::State, &state_judge, before);
            if self.judge_only {
                continue;
            }
            let before = edge_judge.violations().len();
            self.expand_one(source, &from, &mut actions, &mut edge_judge, chunk);
            chunk.note(source, Kind::Edge, &edge_judge, before);
        }
    }

    fn expand_one(
        &self,
        source: usize,
        from: &M::State,
        actions: &mut Vec<M::Action>,
        judge: &mut Judge,
        chunk: &mut Chunk<M::Packed>,
    ) {
        let done = self.model.is_done(from);
        let is_ranked = self.passes.rank && self.has_rank && !done;
        let rank = if is_ranked { self.model.rank(from) } else { None };
        let (mut can_move, mut rank_falls) = (done, true);
        let candidates_before = chunk.candidates.len();
        actions.clear();
        self.model.actions(from, actions);
        for action in actions.drain(..) {
            let Some(to) = self.model.next_state(from, action.clone()) else {
                continue;
            };
            chunk.generated += 1;
            let role = self.model.role(&action);
            self.model.check_edge(from, &action, &to, judge);
            chunk.goals |= self.model.goals(from, &action, &to);
            if is_ranked && role == Role::Step {
                // A state without a measure is a violation too: `None` would hide the edge.
                rank_falls &= self.model.rank(&to).zip(rank).is_some_and(|(next, rank)| next < rank);
            }
            // A turn on the spot is no way out, but a move to another state of the same class is one.
            let turns_on_the_spot = to == *from;
            can_move = can_move || (role != Role::Fault && !turns_on_the_spot);
            // Nor does it say anything to any pass, unless it is a step; and a model of faults is full of them.
            if turns_on_the_spot && role != Role::Step {
                continue;
            }
            if !self.model.within_boundary(&to) {
                chunk.is_cut = true;
                continue;
            }
            let candidate = self.candidate(to);
            chunk.candidates.push(candidate);
            chunk.roles.push(role);
        }
        chunk.degrees.push((chunk.candidates.len() - candidates_before) as u32);
        chunk.done.push(done);
        for (kind, is_violated) in [(Kind::Stuck, self.passes.stuck && !can_move), (Kind::Rank, !rank_falls)] {
            if is_violated && !self.known.contains(&kind.tier()) {
                chunk.note_tier(source, kind);
            }
        }
    }
}

impl<P> Chunk<P> {
    fn note(&mut self, source: usize, kind: Kind, judge: &Judge, before: usize) {
        for &(property, _) in &judge.violations()[before..] {
            self.found.push(Found { source: source as u32, kind, property });
        }
    }

    #[cold]
    fn note_tier(&mut self, source: usize, kind: Kind) {
        if self.found.iter().all(|found| found.kind != kind) {
            self.found.push(Found { source: source as u32, kind, property: kind.tier() });
        }
    }
}
