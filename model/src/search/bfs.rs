//! The level-synchronous search.
//!
//! A level is taken in batches of consecutive states; what becomes of a batch is told in `batch`.

use super::batch::{CHUNKS, Resolved};
use super::checkable::Checkable;
use super::frontier::{Chunk, Expander};
use super::graph::Graph;
use super::options::Options;
use super::report::{Goal, Kind, Outcome, Progress, Why};
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Visits every reachable state of `model`, breadth first, and judges it. `progress` is called after every batch.
///
/// # Panics
/// If the model names more than 128 goals, or has no initial state.
pub fn explore<M: Checkable>(model: &M, options: &Options, progress: &mut dyn FnMut(&Progress)) -> Outcome<M> {
    let goal_names = model.goal_names();
    assert!(goal_names.len() <= 128, "at most 128 goals");
    let started = Instant::now();
    let goals = goal_names.into_iter().map(|name| Goal { name, depth: None }).collect();
    let mut search = Search {
        model,
        options,
        started,
        graph: Graph::new(model.packed_words()),
        chunks: (0..CHUNKS).map(|_| Chunk::new()).collect(),
        resolved: (0..CHUNKS).map(|_| Resolved::new(options.passes.needs_edges())).collect(),
        violations: Vec::new(),
        known: Vec::new(),
        goals,
        goal_bits: 0,
        generated: 0,
        is_cut: false,
        has_rank: model.init_states().iter().any(|state| model.rank(state).is_some()),
    };
    let why = search.run(progress);
    search.conclude(why)
}

/// A violated property before its counterexample is made.
pub(super) struct Violation {
    pub(super) property: &'static str,
    pub(super) kind: Kind,
    pub(super) source: u32,
    /// Actions from the start.
    pub(super) steps: u32,
}

pub(super) struct Search<'a, M: Checkable> {
    pub(super) model: &'a M,
    pub(super) options: &'a Options,
    pub(super) started: Instant,
    pub(super) graph: Graph<M>,
    pub(super) chunks: Vec<Chunk<M::Packed>>,
    pub(super) resolved: Vec<Resolved>,
    pub(super) violations: Vec<Violation>,
    /// Properties of `violations` for which no shorter counterexample can come.
    pub(super) known: Vec<&'static str>,
    pub(super) goals: Vec<Goal>,
    pub(super) goal_bits: u128,
    pub(super) generated: u64,
    pub(super) is_cut: bool,
    /// Whether the model measures its states.
    pub(super) has_rank: bool,
}

impl<M: Checkable> Search<'_, M> {
    /// Explores; says why if it could not finish. A violation also ends it.
    fn run(&mut self, progress: &mut dyn FnMut(&Progress)) -> Option<Why> {
        if let Err(why) = self.start() {
            return Some(why);
        }
        let mut level = 0..self.graph.states.len();
        for depth in 0.. {
            self.graph.levels.push(level.start as u32);
            self.known = self.violations.iter().map(|violation| violation.property).collect();
            let at_limit = self.options.depth_max.is_some_and(|limit| depth >= limit);
            let mut batch_start = level.start;
            while batch_start < level.end {
                let batch = batch_start..(batch_start + CHUNKS * self.options.chunk_states.max(1)).min(level.end);
                batch_start = batch.end;
                if let Err(why) = self.batch(batch, depth, at_limit) {
                    return Some(why);
                }
                progress(&Progress {
                    distinct: self.graph.states.len() as u64,
                    generated: self.generated,
                    depth,
                    queue: (self.graph.states.len() - batch_start) as u64,
                    bytes: self.bytes() as u64,
                    elapsed: self.started.elapsed(),
                });
                // A violated state of this level cannot be beaten; a violated edge can, by a state yet to come.
                let is_shortest = self.violations.iter().any(|violation| violation.steps <= depth);
                if is_shortest && !self.options.keep_going {
                    return None;
                }
            }
            if !self.violations.is_empty() && !self.options.keep_going {
                return None;
            }
            if at_limit {
                return Some(Why::Depth);
            }
            level = level.end..self.graph.states.len();
            if level.is_empty() {
                break;
            }
        }
        None
    }

    fn start(&mut self) -> Result<(), Why> {
        let initial = self.model.init_states();
        assert!(!initial.is_empty(), "the model has no initial state");
        let (inside, outside): (Vec<_>, Vec<_>) =
            initial.into_iter().partition(|state| self.model.within_boundary(state));
        self.is_cut = !outside.is_empty();
        let expander = self.expander(false);
        let candidates: Vec<_> = inside.into_iter().map(|state| expander.candidate(state)).collect();
        self.chunks[0].clear(0..0);
        self.chunks[0].candidates = candidates;
        self.resolve(1)?;
        self.number(0);
        Ok(())
    }

    pub(super) fn expander(&self, judge_only: bool) -> Expander<'_, M> {
        Expander {
            model: self.model,
            symmetry: self.options.symmetry,
            passes: self.options.passes,
            known: &self.known,
            judge_only,
            has_rank: self.has_rank,
        }
    }

    fn batch(&mut self, batch: Range<usize>, depth: u32, judge_only: bool) -> Result<(), Why> {
        self.check_limits()?;
        let used = self.expand(batch, judge_only);
        self.resolve(used)?;
        for at in 0..used {
            self.note_chunk(at, depth);
            self.number(at);
        }
        if !judge_only {
            self.write(used);
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Why> {
        let Options { stop, time_max, states_max, memory_bytes_max, .. } = self.options;
        if stop.as_ref().is_some_and(|stop| stop.load(Relaxed)) {
            return Err(Why::Stopped);
        }
        if time_max.is_some_and(|limit| self.started.elapsed() >= limit) {
            return Err(Why::Time);
        }
        if states_max.is_some_and(|limit| self.graph.states.len() as u64 > limit) {
            return Err(Why::States);
        }
        // The buffers of the next batch may turn out twice as large.
        if memory_bytes_max.is_some_and(|limit| (self.bytes() + self.buffer_bytes()) as u64 > limit) {
            return Err(Why::Memory);
        }
        Ok(())
    }

    fn note_chunk(&mut self, number: usize, depth: u32) {
        let chunk = &self.chunks[number];
        self.generated += chunk.generated;
        self.is_cut |= chunk.is_cut;
        let fresh = chunk.goals & !self.goal_bits;
        self.goal_bits |= fresh;
        for (at, goal) in self.goals.iter_mut().enumerate() {
            if fresh >> at & 1 == 1 {
                goal.depth = Some(depth + 1);
            }
        }
        for found in &chunk.found {
            let steps = depth + u32::from(matches!(found.kind, Kind::Edge | Kind::Rank));
            let violation = Violation { property: found.property, kind: found.kind, source: found.source, steps };
            match self.violations.iter_mut().find(|known| known.property == found.property) {
                Some(known) if known.steps <= steps => {}
                Some(known) => *known = violation,
                None => self.violations.push(violation),
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.graph.bytes() + self.buffer_bytes()
    }

    pub(super) fn buffer_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Chunk::bytes).sum();
        chunks + self.resolved.iter().map(Resolved::bytes).sum::<usize>()
    }
}
