//! The level-synchronous search.
//!
//! A level is taken in batches of consecutive states. Each batch passes through three stages:
//! 1. *expand* (all threads): chunks of the batch become candidates, in order;
//! 2. *resolve* (all threads): each candidate is looked up, or entered as pending with its place in the batch;
//! 3. *number* (one thread): candidates are walked in order, first occurrences get the next number, edges are written.
//!
//! Only stage 3 gives numbers, and it sees the candidates in the order of one thread.

use super::checkable::Checkable;
use super::frontier::{Chunk, Expander};
use super::graph::Graph;
use super::options::Options;
use super::report::{Finding, Goal, Kind, Outcome, Progress, Report, Verdict, Why};
use super::table::{STATES_MAX, Seen};
use super::termination;
use super::trace::{Replayer, Trace};
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
        graph: Graph::new(options.passes.needs_edges()),
        chunks: (0..CHUNKS).map(|_| Chunk::new()).collect(),
        resolved: (0..CHUNKS).map(|_| Vec::new()).collect(),
        violations: Vec::new(),
        known: Vec::new(),
        goals,
        goal_bits: 0,
        generated: 0,
        is_cut: false,
    };
    let why = search.run(progress);
    search.conclude(why)
}

/// A violated property before its counterexample is made.
struct Violation {
    property: &'static str,
    kind: Kind,
    source: u32,
    /// Actions from the start.
    steps: u32,
}

struct Search<'a, M: Checkable> {
    model: &'a M,
    options: &'a Options,
    started: Instant,
    graph: Graph<M>,
    chunks: Vec<Chunk<M::Packed>>,
    /// What the table says of each candidate of the chunk at the same place.
    resolved: Vec<Vec<Seen>>,
    violations: Vec<Violation>,
    /// Properties of `violations` for which no shorter counterexample can come.
    known: Vec<&'static str>,
    goals: Vec<Goal>,
    goal_bits: u128,
    generated: u64,
    is_cut: bool,
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
        for at in 0..self.resolved[0].len() {
            self.number(0, at);
        }
        self.graph.edges.set_initial(self.graph.states.len() as u32);
        Ok(())
    }

    fn expander(&self, judge_only: bool) -> Expander<'_, M> {
        Expander {
            model: self.model,
            symmetry: self.options.symmetry,
            passes: self.options.passes,
            known: &self.known,
            judge_only,
        }
    }

    fn batch(&mut self, batch: Range<usize>, depth: u32, judge_only: bool) -> Result<(), Why> {
        self.check_limits()?;
        let used = self.expand(batch, judge_only);
        self.resolve(used)?;
        for at in 0..used {
            self.note_chunk(at, depth);
            self.write_chunk(at);
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
                resolved.clear();
                resolved.extend(chunks[number].candidates.iter().enumerate().map(
                    |(at, candidate)| {
                        let place = (number << PLACE_BITS | at) as u32;
                        let is_state = |id: u32| stored[id as usize] == candidate.packed;
                        let is_candidate = |place: u32| {
                            let (number, at) =
                                (place >> PLACE_BITS, place & ((1 << PLACE_BITS) - 1));
                            chunks[number as usize].candidates[at as usize].packed
                                == candidate.packed
                        };
                        table.resolve(candidate.hash, place, is_state, is_candidate)
                    },
                ));
            },
        );
        Ok(())
    }

    /// Stage 3 for one candidate.
    #[inline]
    fn number(&mut self, chunk: usize, at: usize) -> u32 {
        match self.resolved[chunk][at] {
            Seen::Known(id) => id,
            Seen::Pending(slot) => self.graph.table.numbered(slot).unwrap_or_else(|| {
                let id = self.graph.states.len() as u32;
                self.graph.table.number(slot, id);
                self.graph
                    .states
                    .push(self.chunks[chunk].candidates[at].packed);
                id
            }),
        }
    }

    fn write_chunk(&mut self, number: usize) {
        let mut at = 0;
        for source in 0..self.chunks[number].degrees.len() {
            self.graph.done.push(self.chunks[number].done[source]);
            self.graph.edges.begin();
            for _ in 0..self.chunks[number].degrees[source] {
                let target = self.number(number, at);
                self.graph.edges.push(target, self.chunks[number].roles[at]);
                at += 1;
            }
            self.graph.edges.end();
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

    fn bytes(&self) -> usize {
        self.graph.bytes() + self.buffer_bytes()
    }

    fn buffer_bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::bytes).sum()
    }

    fn conclude(mut self, why: Option<Why>) -> Outcome<M> {
        let seconds = self.started.elapsed().as_secs_f64();
        let bytes = self.bytes() as u64;
        let mut why = why.or(self.is_cut.then_some(Why::Boundary));
        let mut shown: Vec<(Finding, Trace<M>)> = Vec::new();
        let replayer = Replayer {
            model: self.model,
            symmetry: self.options.symmetry,
        };
        self.violations.sort_by_key(|violation| violation.steps);
        for violation in &self.violations {
            let path = replayer.path(&self.graph.path_to(violation.source));
            match path.and_then(|path| replayer.show(path, violation.kind, violation.property)) {
                Some((trace, text)) => shown.push((
                    finding(violation.property, violation.kind, text, &trace),
                    trace,
                )),
                None => why = Some(Why::NotReproducible),
            }
        }
        // The buffers are not needed any more, the passes may need the room.
        self.chunks = Vec::new();
        self.resolved = Vec::new();
        let is_whole = why.is_none() && (shown.is_empty() || self.options.keep_going);
        let context = termination::Context {
            graph: &self.graph,
            replayer: &replayer,
            options: self.options,
            started: self.started,
        };
        let passes = context.run(is_whole, &mut shown, &mut why);
        let missing: Vec<_> = self
            .goals
            .iter()
            .filter(|goal| goal.depth.is_none())
            .map(|goal| goal.name)
            .collect();
        let verdict = if !shown.is_empty() {
            Verdict::Violated
        } else if let Some(why) = why {
            Verdict::Incomplete(why)
        } else if !missing.is_empty() {
            Verdict::Vacuous(missing)
        } else {
            Verdict::ProvedInScope
        };
        let distinct = self.graph.states.len() as u64;
        let (findings, counterexamples) = shown.into_iter().unzip();
        let report = Report {
            verdict,
            findings,
            bounds: self.options.clone(),
            distinct,
            generated: self.generated,
            depth: self.graph.levels.len().saturating_sub(1) as u32,
            seconds,
            bytes,
            bytes_per_state: bytes as f64 / distinct.max(1) as f64,
            collision_probability: 0.0,
            goals: self.goals,
            passes,
        };
        Outcome {
            report,
            counterexamples,
        }
    }
}

pub(super) fn finding<S, A>(
    property: &'static str,
    kind: Kind,
    text: String,
    trace: &super::trace::Counterexample<S, A>,
) -> Finding {
    Finding {
        property,
        kind,
        text,
        steps: trace.cycle_start.unwrap_or(trace.steps.len()),
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
