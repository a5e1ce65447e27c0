//! Growing a set of states over the stored edges until nothing changes.

use super::Context;
use crate::search::bits::{Bits, WORD};
use crate::search::checkable::{Checkable, Role};
use crate::search::edges::Block;
use crate::search::report::Why;

/// Sweeps against the breadth-first order, which most edges follow, before sweeps alternate. Alternating bounds the
/// number of sweeps on a long chain of edges that all go against the order.
const REVERSE_SWEEPS: usize = 8;

impl<M: Checkable> Context<'_, M> {
    /// Adds a state to `set` as soon as `belongs` says so of its edges; returns the least fixpoint.
    pub(super) fn close(
        &self,
        mut set: Bits,
        belongs: impl Fn(&[(u32, Role)], &Bits) -> bool,
    ) -> Result<Bits, Why> {
        let blocks = self.graph.edges.blocks();
        let mut block = Block::default();
        for sweep in 0.. {
            self.may_go_on(2 * set.bytes())?;
            let is_reverse = sweep < REVERSE_SWEEPS || sweep % 2 == 0;
            let mut has_changed = false;
            for step in 0..blocks {
                let at = if is_reverse { blocks - 1 - step } else { step };
                if set.is_word_full(at) {
                    continue;
                }
                self.graph.edges.read(at, &mut block);
                let sources = block.sources();
                for step in 0..sources {
                    let source = if is_reverse { sources - 1 - step } else { step };
                    let id = at * WORD + source;
                    if !set.get(id) && belongs(block.of(source), &set) {
                        set.set(id);
                        has_changed = true;
                    }
                }
            }
            if !has_changed {
                break;
            }
        }
        Ok(set)
    }
}
