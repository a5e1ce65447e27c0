//! From what a search saw to its report: counterexamples are executed, passes run, and the verdict is passed.

use super::bfs::Search;
use super::checkable::Checkable;
use super::report::{Finding, Kind, Outcome, Report, Verdict, Why};
use super::termination;
use super::trace::{Counterexample, Replayer, Trace};

use std::sync::atomic::AtomicU32;

impl<M: Checkable> Search<'_, M> {
    /// `why` says why the search was cut short, if it was.
    pub(super) fn conclude(mut self, why: Option<Why>) -> Outcome<M> {
        let seconds = self.started.elapsed().as_secs_f64();
        let bytes = self.bytes() as u64;
        let mut why = why.or(self.is_cut.then_some(Why::Boundary));
        let mut shown: Vec<(Finding, Trace<M>)> = Vec::new();
        let replayer = Replayer { model: self.model, symmetry: self.options.symmetry };
        self.violations.sort_by_key(|violation| violation.steps);
        for violation in &self.violations {
            let path = replayer.path(&self.graph.path_to(violation.source));
            match path.and_then(|path| replayer.show(path, violation.kind, violation.property)) {
                Some((trace, text)) => shown.push((finding(violation.property, violation.kind, text, &trace), trace)),
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
            has_rank: self.has_rank,
            sweeps: AtomicU32::new(0),
        };
        let passes = context.run(is_whole, &mut shown, &mut why);
        let missing: Vec<_> = self.goals.iter().filter(|goal| goal.depth.is_none()).map(|goal| goal.name).collect();
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
        Outcome { report, counterexamples }
    }
}

pub(super) fn finding<S, A>(property: &'static str, kind: Kind, text: String, trace: &Counterexample<S, A>) -> Finding {
    Finding { property, kind, text, steps: trace.cycle_start.unwrap_or(trace.steps.len()) }
}
