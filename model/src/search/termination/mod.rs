//! Termination over the finished graph, where stateright's `eventually` is unsound: on cycles and on paths that join.
//!
//! Tiers 1 (*stuck*) and 4 (*rank*) are judged state by state during the exploration; tiers 2 and 3 need all edges.

mod livelock;
mod recover;
mod scc;
mod sweep;

use super::checkable::Checkable;
use super::conclude::finding;
use super::graph::Graph;
use super::options::Options;
use super::report::{Finding, Kind, Pass, PassOutcome, Why};
use super::trace::{Replayer, Trace};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

/// What every pass works on.
pub(super) struct Context<'a, M: Checkable> {
    pub(super) graph: &'a Graph<M>,
    pub(super) replayer: &'a Replayer<'a, M>,
    pub(super) options: &'a Options,
    pub(super) started: Instant,
    pub(super) has_rank: bool,
    /// Sweeps over the edges so far.
    pub(super) sweeps: AtomicU32,
}

/// What a pass may answer: it holds, or a counterexample; or why it could not say.
type Answer<M> = Result<Option<(String, Trace<M>)>, Why>;

impl<M: Checkable> Context<'_, M> {
    /// Runs the passes that were asked for. On a graph that is not whole they are not sound, and are not run.
    pub(super) fn run(&self, is_whole: bool, shown: &mut Vec<(Finding, Trace<M>)>, why: &mut Option<Why>) -> Vec<Pass> {
        let wanted = self.options.passes;
        let rank = if self.has_rank {
            self.judged_before(Kind::Rank, wanted.rank, is_whole, shown)
        } else {
            not_run(Kind::Rank, "the model has no measure")
        };
        // Where a measure falls on every step outside done, no cycle of steps lies outside done.
        let has_no_cycle = rank.outcome == PassOutcome::Held;
        let livelock = |context: &Self| if has_no_cycle { Ok(None) } else { context.livelock() };
        vec![
            self.judged_before(Kind::Stuck, wanted.stuck, is_whole, shown),
            self.pass(Kind::CannotRecover, wanted.recover, is_whole, shown, why, Self::recover),
            self.pass(Kind::FairLivelock, wanted.livelock, is_whole, shown, why, livelock),
            rank,
        ]
    }

    fn judged_before(&self, kind: Kind, wanted: bool, is_whole: bool, shown: &[(Finding, Trace<M>)]) -> Pass {
        let outcome = if !wanted {
            return not_run(kind, "not asked for");
        } else if shown.iter().any(|(finding, _)| finding.kind == kind) {
            PassOutcome::Violated
        } else if is_whole {
            PassOutcome::Held
        } else {
            return not_run(kind, NOT_WHOLE);
        };
        Pass { name: kind.tier(), outcome, sweeps: 0, seconds: 0.0 }
    }

    fn pass(
        &self,
        kind: Kind,
        wanted: bool,
        is_whole: bool,
        shown: &mut Vec<(Finding, Trace<M>)>,
        why: &mut Option<Why>,
        judge: impl Fn(&Self) -> Answer<M>,
    ) -> Pass {
        if !wanted {
            return not_run(kind, "not asked for");
        }
        if !is_whole {
            return not_run(kind, NOT_WHOLE);
        }
        let started = Instant::now();
        let outcome = match judge(self) {
            Ok(None) => PassOutcome::Held,
            Ok(Some((text, trace))) => {
                shown.push((finding(kind.tier(), kind, text, &trace), trace));
                PassOutcome::Violated
            }
            Err(reason) => {
                *why = Some(reason);
                PassOutcome::NotRun("it could not be finished")
            }
        };
        Pass {
            name: kind.tier(),
            outcome,
            sweeps: self.sweeps.swap(0, Relaxed),
            seconds: started.elapsed().as_secs_f64(),
        }
    }

    /// Whether the run may go on and allocate `bytes` more.
    fn may_go_on(&self, bytes: usize) -> Result<(), Why> {
        let Options { stop, time_max, memory_bytes_max, .. } = self.options;
        if stop.as_ref().is_some_and(|stop| stop.load(Relaxed)) {
            return Err(Why::Stopped);
        }
        if time_max.is_some_and(|limit| self.started.elapsed() >= limit) {
            return Err(Why::Time);
        }
        if memory_bytes_max.is_some_and(|limit| (self.graph.bytes() + bytes) as u64 > limit) {
            return Err(Why::Memory);
        }
        Ok(())
    }
}

const NOT_WHOLE: &str = "the graph is not whole";

fn not_run(kind: Kind, why: &'static str) -> Pass {
    Pass { name: kind.tier(), outcome: PassOutcome::NotRun(why), sweeps: 0, seconds: 0.0 }
}
