//! The four stages of a batch of consecutive states:
//! 1. *expand* (all threads): chunks of the batch become candidates, in order;
//! 2. *resolve* (all threads): each candidate is looked up, or entered as pending with its place in the batch;
//! 3. *number* (one thread): pending candidates are walked in order, first occurrences get the next number;
//! 4. *write* (all threads): the edges of each chunk are encoded, then appended in order.
//!
//! Only stage 3 gives numbers, and it sees the candidates in the order of one thread.

use super::arena::Arena;
use super::bfs::Search;
use super::checkable::{Checkable, Role, Words};
use super::edges::EDGE_BYTES_MAX;
use super::encoder::Encoder;
use super::frontier::Candidate;
use super::graph::Graph;
use super::report::Why;
use super::table::{GROUP, STATES_MAX, Seen, Table};
use std::hint::black_box;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;

/// Chunks a batch. With 24 bits for the candidate it makes a place of 31 bits.
pub(super) const CHUNKS: usize = 32;
const PLACE_BITS: u32 = 24;

/// What became of the candidates of the chunk at the same place.
pub(super) struct Resolved {
    /// The number of each candidate's state.
    targets: Vec<u32>,
    /// Candidates whose states were new to the table when the batch began, and the slots that will hold their numbers.
    pending: Vec<(u32, u32)>,
    encoder: Encoder,
}

impl Resolved {
    /// Bytes that a candidate may add to the buffers: its target, its slot and its edge, in vectors that double.
    const CANDIDATE_BYTES_MAX: usize = 2 * (size_of::<u32>() + size_of::<(u32, u32)>() + EDGE_BYTES_MAX);

    pub(super) fn new(keep_edges: bool) -> Self {
        Resolved { targets: Vec::new(), pending: Vec::new(), encoder: Encoder::new(keep_edges) }
    }

    pub(super) fn bytes(&self) -> usize {
        let pending = self.pending.capacity() * size_of::<(u32, u32)>();
        self.targets.capacity() * size_of::<u32>() + pending + self.encoder.bytes_held()
    }
}

impl<M: Checkable> Search<'_, M> {
    /// Stage 1. Returns the number of chunks used.
    pub(super) fn expand(&mut self, batch: Range<usize>, judge_only: bool) -> usize {
        let size = self.options.chunk_states.max(1);
        let used = batch.len().div_ceil(size);
        let mut chunks = std::mem::take(&mut self.chunks);
        for (at, chunk) in chunks[..used].iter_mut().enumerate() {
            let start = batch.start + at * size;
            chunk.clear(start..(start + size).min(batch.end));
        }
        let expander = self.expander(judge_only);
        let states = &self.graph.states;
        share(self.options.threads, &mut chunks[..used], |_, chunk| expander.expand(states, chunk));
        self.chunks = chunks;
        used
    }

    /// Stage 2, for the first `used` chunks. Fails, before anything is touched, where the next growth would pass a limit.
    pub(super) fn resolve(&mut self, used: usize) -> Result<(), Why> {
        let chunks = &self.chunks[..used];
        let candidates: usize = chunks.iter().map(|chunk| chunk.candidates.len()).sum();
        let widest = chunks.iter().map(|chunk| chunk.candidates.len()).max().unwrap_or(0);
        assert!(widest < 1 << PLACE_BITS, "too many successors in a chunk: choose a smaller chunk_states");
        let states = self.graph.states.len() + candidates;
        if states > STATES_MAX {
            return Err(Why::States);
        }
        if let Some(limit) = self.options.memory_bytes_max {
            let sources = chunks.iter().map(|chunk| chunk.degrees.len()).sum();
            let buffers = self.buffer_bytes() + candidates * Resolved::CANDIDATE_BYTES_MAX;
            if (self.graph.bytes_for(states, sources, candidates) + buffers) as u64 > limit {
                return Err(Why::Memory);
            }
        }
        let Graph { states: stored, table, .. } = &mut self.graph;
        table.reserve(states, stored, self.options.threads);
        let (stored, table) = (&*stored, &*table);
        share(self.options.threads, &mut self.resolved[..used], |number, resolved| {
            let Resolved { targets, pending, .. } = resolved;
            targets.clear();
            pending.clear();
            let candidates = &chunks[number].candidates;
            for (at, candidate) in candidates.iter().enumerate() {
                if at.is_multiple_of(GROUP) {
                    fetch(table, stored, &candidates[at..(at + GROUP).min(candidates.len())]);
                }
                let place = (number << PLACE_BITS | at) as u32;
                let is_state = |id: u32| stored.is(id as usize, &candidate.packed);
                let is_candidate = |place: u32| {
                    let (number, at) = (place >> PLACE_BITS, place & ((1 << PLACE_BITS) - 1));
                    chunks[number as usize].candidates[at as usize].packed == candidate.packed
                };
                targets.push(match table.resolve(candidate.hash, place, is_state, is_candidate) {
                    Seen::Known(id) => id,
                    Seen::Pending(slot) => {
                        pending.push((at as u32, slot));
                        u32::MAX
                    }
                });
            }
        });
        Ok(())
    }

    /// Stage 3: the pending candidates of a chunk get their numbers.
    pub(super) fn number(&mut self, chunk: usize) {
        let Resolved { targets, pending, encoder } = &mut self.resolved[chunk];
        let Graph { states, table, .. } = &mut self.graph;
        encoder.restart(self.chunks[chunk].sources.start, states.len() as u32);
        for &(at, slot) in pending.iter() {
            targets[at as usize] = table.numbered(slot).unwrap_or_else(|| {
                let id = states.len() as u32;
                table.number(slot, id);
                states.push(&self.chunks[chunk].candidates[at as usize].packed);
                id
            });
        }
    }

    /// Stage 4, for the first `used` chunks.
    pub(super) fn write(&mut self, used: usize) {
        let chunks = &self.chunks;
        share(self.options.threads, &mut self.resolved[..used], |number, resolved| {
            let mut edges = resolved.targets.iter().copied().zip(chunks[number].roles.iter().copied());
            for (source, &degree) in chunks[number].sources.clone().zip(&chunks[number].degrees) {
                // As for turns on the spot among real states.
                let edges = edges.by_ref().take(degree as usize);
                resolved.encoder.write(edges.filter(|&(target, role)| target as usize != source || role == Role::Step));
            }
        });
        for (chunk, resolved) in chunks[..used].iter().zip(&self.resolved) {
            self.graph.edges.append(&resolved.encoder);
            chunk.done.iter().for_each(|&done| self.graph.done.push(done));
        }
    }
}

/// Waits for the memory of all these candidates at once: no read depends on another.
#[inline]
fn fetch<P: Words>(table: &Table, stored: &Arena<P>, group: &[Candidate<P>]) {
    let mut ids = [None; GROUP];
    for (id, candidate) in ids.iter_mut().zip(group) {
        *id = table.glance(candidate.hash);
    }
    for id in ids.into_iter().flatten() {
        black_box(stored.glance(id as usize));
    }
}

/// Works on every item, each on whichever thread is free. A single item stays on this thread.
fn share<T: Send>(threads: usize, items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    let helpers = threads.min(items.len()).saturating_sub(1);
    let queue = Mutex::new(items.iter_mut().enumerate());
    let drain = || {
        loop {
            let item = queue.lock().expect("no thread panics while it takes an item").next();
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
