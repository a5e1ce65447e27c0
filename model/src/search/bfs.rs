//! The level-synchronous search.
//!
//! A level is taken in batches of consecutive states. Each batch passes through four stages:
//! 1. *expand* (all threads): chunks of the batch become candidates, in order;
//! 2. *resolve* (all threads): each candidate is looked up, or entered as pending with its place in the batch;
//! 3. *number* (one thread): pending candidates are walked in order, first occurrences get the next number;
//! 4. *write* (all threads): the edges of each chunk are encoded, then appended in order.
//!
//! Only stage 3 gives numbers, and it sees the candidates in the order of one thread.

use super::checkable::Checkable;
use super::encoder::Encoder;
use super::frontier::{Chunk, Expander};
use super::graph::Graph;
use super::options::Options;
use super::report::{Goal, Kind, Outcome, Progress, Why};
use super::table::{STATES_MAX, Seen};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

/// Chunks a batch. With 24 bits for the candidate it makes a place of 31 bits.
const CHUNKS: usize = 32;
const PLACE_BITS: u32 = 24;

/// Visits every reachable state of `model`, breadth first, and judges it. `progress` is called after every batch.
///
/// # Panics
/// If the model names more than 128 goals, or has no initial state.
pub fn explore<M: Checkable>(
    model: &M,
    options: &Options,
    progress: &mut dyn FnMut(&Progress),
) -> Outcome<M> {
    let goal_names = model.goal_names();
    assert!(goal_names.len() <= 128, "at most 128 goals");
    let started = Instant::now();
    let goals = goal_names
        .into_iter()
        .map(|name| Goal { name, depth: None })
        .collect();
    let mut search = Search {
        model,
        options,
        started,
        graph: Graph::new(),
        chunks: (0..CHUNKS).map(|_| Chunk::new()).collect(),
        resolved: (0..CHUNKS)
            .map(|_| Resolved::new(options.passes.needs_edges()))
            .collect(),
        violations: Vec::new(),
        known: Vec::new(),
        goals,
        goal_bits: 0,
        generated: 0,
        is_cut: false,
        has_rank: model
            .init_states()
            .iter()
            .any(|state| model.rank(state).is_some()),
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

/// What became of the candidates of the chunk at the same place.
pub(super) struct Resolved {
    /// The number of each candidate's state.
    targets: Vec<u32>,
    /// Candidates whose states were new to the table when the batch began, and the slots that will hold their numbers.
    pending: Vec<(u32, u32)>,
    encoder: Encoder,
}

impl Resolved {
    fn new(keep_edges: bool) -> Self {
        Resolved {
            targets: Vec::new(),
            pending: Vec::new(),
            encoder: Encoder::new(keep_edges),
        }
    }

    fn bytes(&self) -> usize {
        let pending = self.pending.capacity() * size_of::<(u32, u32)>();
        self.targets.capacity() * size_of::<u32>() + pending + self.encoder.bytes_held()
    }
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
            self.known = self
                .violations
                .iter()
                .map(|violation| violation.property)
                .collect();
            let at_limit = self.options.depth_max.is_some_and(|limit| depth >= limit);
            let mut batch_start = level.start;
            while batch_start < level.end {
                let batch = batch_start
                    ..(batch_start + CHUNKS * self.options.chunk_states.max(1)).min(level.end);
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
                let is_shortest = self
                    .violations
                    .iter()
                    .any(|violation| violation.steps <= depth);
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
        let (inside, outside): (Vec<_>, Vec<_>) = initial
            .into_iter()
            .partition(|state| self.model.within_boundary(state));
        self.is_cut = !outside.is_empty();
        let expander = self.expander(false);
        let candidates: Vec<_> = inside
            .into_iter()
            .map(|state| expander.candidate(state))
            .collect();
        self.chunks[0].clear(0..0);
        self.chunks[0].candidates = candidates;
        self.resolve(1)?;
        self.number(0);
        Ok(())
    }

    fn expander(&self, judge_only: bool) -> Expander<'_, M> {
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
        let Options {
            stop,
            time_max,
            states_max,
            memory_bytes_max,
            ..
        } = self.options;
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
        if memory_bytes_max.is_some_and(|limit| (self.bytes() + self.buffer_bytes()) as u64 > limit)
        {
            return Err(Why::Memory);
        }
        Ok(())
    }

    /// Stage 1. Returns the number of chunks used.
    fn expand(&mut self, batch: Range<usize>, judge_only: bool) -> usize {
        let size = self.options.chunk_states.max(1);
        let used = batch.len().div_ceil(size);
        let mut chunks = std::mem::take(&mut self.chunks);
        for (at, chunk) in chunks[..used].iter_mut().enumerate() {
            let start = batch.start + at * size;
            chunk.clear(start..(start + size).min(batch.end));
        }
        let expander = self.expander(judge_only);
        let states = &self.graph.states;
        share(self.options.threads, &mut chunks[..used], |_, chunk| {
            expander.expand(states, chunk)
        });
        self.chunks = chunks;
        used
    }

    /// Stage 2, for the first `used` chunks. Fails, before anything is touched, where the next growth would pass a limit.
    fn resolve(&mut self, used: usize) -> Result<(), Why> {
        let chunks = &self.chunks[..used];
        let candidates: usize = chunks.iter().map(|chunk| chunk.candidates.len()).sum();
        let widest = chunks
            .iter()
            .map(|chunk| chunk.candidates.len())
            .max()
            .unwrap_or(0);
        assert!(
            widest < 1 << PLACE_BITS,
            "too many successors in a chunk: choose a smaller chunk_states"
        );
        let states = self.graph.states.len() + candidates;
        if states > STATES_MAX {
            return Err(Why::States);
        }
        if let Some(limit) = self.options.memory_bytes_max {
            let sources = chunks.iter().map(|chunk| chunk.degrees.len()).sum();
            if (self.graph.bytes_for(states, sources, candidates) + self.buffer_bytes()) as u64
                > limit
            {
                return Err(Why::Memory);
            }
        }
        let Graph {
            states: stored,
            table,
            ..
        } = &mut self.graph;
        table.reserve(states, stored, self.options.threads);
        let (stored, table) = (&*stored, &*table);
        share(
            self.options.threads,
            &mut self.resolved[..used],
            |number, resolved| {
                let Resolved {
                    targets, pending, ..
                } = resolved;
                targets.clear();
                pending.clear();
                for (at, candidate) in chunks[number].candidates.iter().enumerate() {
                    let place = (number << PLACE_BITS | at) as u32;
                    let is_state = |id: u32| stored[id as usize] == candidate.packed;
                    let is_candidate = |place: u32| {
                        let (number, at) = (place >> PLACE_BITS, place & ((1 << PLACE_BITS) - 1));
                        chunks[number as usize].candidates[at as usize].packed == candidate.packed
                    };
                    targets.push(
                        match table.resolve(candidate.hash, place, is_state, is_candidate) {
                            Seen::Known(id) => id,
                            Seen::Pending(slot) => {
                                pending.push((at as u32, slot));
                                u32::MAX
                            }
                        },
                    );
                }
            },
        );
        Ok(())
    }

    /// Stage 3: the pending candidates of a chunk get their numbers.
    fn number(&mut self, chunk: usize) {
        let Resolved {
            targets,
            pending,
            encoder,
        } = &mut self.resolved[chunk];
        let Graph { states, table, .. } = &mut self.graph;
        encoder.restart(self.chunks[chunk].sources.start, states.len() as u32);
        for &(at, slot) in pending.iter() {
            targets[at as usize] = table.numbered(slot).unwrap_or_else(|| {
                let id = states.len() as u32;
                table.number(slot, id);
                states.push(self.chunks[chunk].candidates[at as usize].packed);
                id
            });
        }
    }

    /// Stage 4, for the first `used` chunks.
    fn write(&mut self, used: usize) {
        let chunks = &self.chunks;
        share(
            self.options.threads,
            &mut self.resolved[..used],
            |number, resolved| {
                let mut edges = resolved
                    .targets
                    .iter()
                    .copied()
                    .zip(chunks[number].roles.iter().copied());
                for &degree in &chunks[number].degrees {
                    resolved.encoder.write(edges.by_ref().take(degree as usize));
                }
            },
        );
        for (chunk, resolved) in chunks[..used].iter().zip(&self.resolved) {
            self.graph.edges.append(&resolved.encoder);
            chunk
                .done
                .iter()
                .for_each(|&done| self.graph.done.push(done));
        }
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
            let violation = Violation {
                property: found.property,
                kind: found.kind,
                source: found.source,
                steps,
            };
            match self
                .violations
                .iter_mut()
                .find(|known| known.property == found.property)
            {
                Some(known) if known.steps <= steps => {}
                Some(known) => *known = violation,
                None => self.violations.push(violation),
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.graph.bytes() + self.buffer_bytes()
    }

    fn buffer_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Chunk::bytes).sum();
        chunks + self.resolved.iter().map(Resolved::bytes).sum::<usize>()
    }
}

/// Works on every item, each on whichever thread is free. A single item stays on this thread.
fn share<T: Send>(threads: usize, items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    let helpers = threads.min(items.len()).saturating_sub(1);
    let queue = Mutex::new(items.iter_mut().enumerate());
    let drain = || {
        loop {
            let item = queue
                .lock()
                .expect("no thread panics while it takes an item")
                .next();
            let Some((number, item)) = item else { return };
            work(number, item);
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(drain);
        }
        drain();
    });
}
