//! Growing a set of states over the stored edges until nothing changes.

use super::Context;
use crate::search::bits::{Bits, WORD};
use crate::search::checkable::{Checkable, Role};
use crate::search::report::Why;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Sweeps against the breadth-first order, which most edges follow, before sweeps alternate. Alternating bounds the
/// number of sweeps on a long chain of edges that all go against the order.
const REVERSE_SWEEPS: usize = 8;
/// Blocks of 64 states that a thread takes at a time.
const SHARE_BLOCKS: usize = 256;

/// When a state joins the set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joins {
    /// As soon as one of its edges counts.
    OnAny,
    /// Unless one of its edges counts.
    OnNone,
}

impl<M: Checkable> Context<'_, M> {
    /// The least set that contains `seeds` and that no further state joins. Whether an edge counts is said of its role
    /// and of whether its target is in the set.
    ///
    /// Threads read words that others are writing. That is harmless: the set only grows and the least fixpoint is one,
    /// so a word read too early only costs another sweep.
    pub(super) fn close(
        &self,
        seeds: &Bits,
        joins: Joins,
        counts: impl Fn(Role, bool) -> bool + Sync,
    ) -> Result<Bits, Why> {
        self.may_go_on(2 * seeds.bytes())?;
        let set: Vec<AtomicU64> = seeds.words().iter().map(|&word| AtomicU64::new(word)).collect();
        for sweep in 0.. {
            self.may_go_on(2 * seeds.bytes())?;
            self.sweeps.fetch_add(1, Relaxed);
            let is_reverse = sweep < REVERSE_SWEEPS || sweep % 2 == 0;
            let has_changed = AtomicBool::new(false);
            let taken = AtomicUsize::new(0);
            let work = || {
                loop {
                    let start = taken.fetch_add(SHARE_BLOCKS, Relaxed);
                    if start >= set.len() {
                        return;
                    }
                    for step in start..(start + SHARE_BLOCKS).min(set.len()) {
                        let at = if is_reverse { set.len() - 1 - step } else { step };
                        if self.grow_block(at, seeds.mask(at), &set, joins, &counts) {
                            has_changed.store(true, Relaxed);
                        }
                    }
                }
            };
            thread::scope(|scope| {
                let helpers = self.options.threads.min(set.len().div_ceil(SHARE_BLOCKS)).saturating_sub(1);
                (0..helpers).for_each(|_| drop(scope.spawn(work)));
                work();
            });
            if !has_changed.into_inner() {
                break;
            }
        }
        Ok(seeds.with_words(set.into_iter().map(AtomicU64::into_inner).collect()))
    }

    /// Whether the `at`th block of 64 states gained one. Only the thread that holds the block writes its word.
    fn grow_block(
        &self,
        at: usize,
        mask: u64,
        set: &[AtomicU64],
        joins: Joins,
        counts: impl Fn(Role, bool) -> bool,
    ) -> bool {
        let first = set[at].load(Relaxed);
        let mut before = first;
        while before & mask != mask {
            let (mut counted, mut waits_for_itself) = (0_u64, false);
            self.graph.edges.scan(at, |source, target, role| {
                let is_in = set[target as usize / WORD].load(Relaxed) >> (target % 64) & 1 == 1;
                counted |= u64::from(counts(role, is_in)) << source;
                waits_for_itself |= !is_in && target as usize / WORD == at;
            });
            let joined = if joins == Joins::OnAny { counted } else { !counted };
            let after = before | (joined & mask);
            set[at].store(after, Relaxed);
            // States of the block that lead to one another need no sweep each.
            if after == before || !waits_for_itself {
                return after != first;
            }
            before = after;
        }
        before != first
    }
}
