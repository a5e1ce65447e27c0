//! The reachable graph as far as it is known.

use super::arena::Arena;
use super::bits::Bits;
use super::checkable::Checkable;
use super::edges::Edges;
use super::table::Table;

pub(super) struct Graph<M: Checkable> {
    /// Packed states in the order of discovery; the index is the number.
    pub(super) states: Arena<M::Packed>,
    pub(super) table: Table,
    pub(super) edges: Edges,
    /// Of every expanded state, whether it is done.
    pub(super) done: Bits,
    /// The number of the first state of each level.
    pub(super) levels: Vec<u32>,
}

impl<M: Checkable> Graph<M> {
    pub(super) fn new(width: usize) -> Self {
        Graph {
            states: Arena::new(width),
            table: Table::new(),
            edges: Edges::new(),
            done: Bits::new(),
            levels: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.states.bytes() + self.table.bytes() + self.edges.bytes() + self.done.bytes()
    }

    /// Bytes once it holds `states` states, and `edges` edges of `sources` more of them are written.
    pub(super) fn bytes_for(&self, states: usize, sources: usize, edges: usize) -> usize {
        let edges = self.edges.bytes_for(sources, edges);
        self.states.bytes_for(states) + self.table.bytes_for(states) + edges + self.done.bytes() * 2
    }

    /// The packed states of a shortest path to `id`, both ends included.
    pub(super) fn path_to(&self, id: u32) -> Vec<M::Packed> {
        let ids = std::iter::successors(Some(id), |&id| self.edges.parent(id));
        let mut path: Vec<_> = ids.map(|id| self.states.get(id as usize)).collect();
        path.reverse();
        path
    }
}
