//! The shrinker: makes a failing schedule and its workload short, keeping a cut only if the same property still falls.
//!
//! It knows nothing of what a case means: the caller says whether a case still falls, and every candidate is smaller than
//! the one before, so that it ends. Deterministic: the same case and predicate take the same tries.

mod ddmin;
mod simpler;

use std::collections::HashSet;

use hydra_schedule::{Event, Schedule};

use crate::workload::{Program, Workload};

/// What is made short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The events. Its `program` lines are not looked at; [`Shrunk::schedule`] writes the workload into them.
    pub schedule: Schedule,
    /// The programs.
    pub workload: Workload,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest case found that still falls; the case as given if it did not fall.
    pub case: Case,
    /// How often the predicate was asked.
    pub tries: u32,
    /// How it ended.
    pub end: End,
}

/// How the shrinking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No single cut or simplification of the case falls any more.
    Minimal,
    /// The tries were used up; a smaller case may exist.
    OutOfTries,
    /// The case as given did not fall: it is not deterministic, or not this property.
    NotReproduced,
}

impl Shrunk {
    /// The schedule with its workload in its `program` lines: what a file of a failure holds.
    pub fn schedule(&self) -> Schedule {
        Schedule { programs: self.case.workload.to_lines(), ..self.case.schedule.clone() }
    }
}

/// Makes `case` short. `falls` says whether the same property falls in a candidate; it is asked at most `tries_max` times.
pub fn shrink(case: &Case, tries_max: u32, falls: impl FnMut(&Case) -> bool) -> Shrunk {
    shrink_under_seeds(case, tries_max, 0, falls)
}

/// The same where a seed decides what chance decides: a cut that does not fall is tried under `seeds` others too. A cut
/// shifts all that comes after it, so that it often fails for no other reason than that a message took longer.
pub fn shrink_under_seeds(case: &Case, tries_max: u32, seeds: u64, falls: impl FnMut(&Case) -> bool) -> Shrunk {
    let mut search = Search { best: case.clone(), asked: HashSet::new(), tries: 0, tries_max, seeds, falls };
    if !search.ask(case) {
        return Shrunk { case: case.clone(), tries: search.tries, end: End::NotReproduced };
    }
    loop {
        let before = search.best.clone();
        search.cut_programs();
        search.cut_events();
        search.cut_settings();
        search.simplify_programs();
        search.simplify_events();
        if search.tries >= search.tries_max {
            return Shrunk { case: search.best, tries: search.tries, end: End::OutOfTries };
        }
        if search.best == before {
            return Shrunk { case: search.best, tries: search.tries, end: End::Minimal };
        }
    }
}

struct Search<F> {
    best: Case,
    /// What was asked before, so that no try is spent twice.
    asked: HashSet<String>,
    tries: u32,
    tries_max: u32,
    /// How many other seeds a candidate is tried under.
    seeds: u64,
    falls: F,
}

impl<F: FnMut(&Case) -> bool> Search<F> {
    fn ask(&mut self, case: &Case) -> bool {
        let text = format!("{}{}", case.workload.to_lines().join("\n"), case.schedule);
        if self.tries >= self.tries_max || !self.asked.insert(text) {
            return false;
        }
        self.tries += 1;
        (self.falls)(case)
    }

    /// Takes the candidate if it still falls.
    fn take(&mut self, mut candidate: Case) -> bool {
        let first = candidate.schedule.seed;
        for more in 0..=self.seeds {
            candidate.schedule.seed = first.map(|seed| seed.wrapping_add(more));
            if self.ask(&candidate) {
                self.best = candidate;
                return true;
            }
            if first.is_none() {
                break;
            }
        }
        false
    }

    fn with_events(&self, events: Vec<Event>) -> Case {
        let schedule = Schedule { events, ..self.best.schedule.clone() };
        Case { schedule, workload: self.best.workload.clone() }
    }

    fn with_programs(&self, programs: Vec<Program>) -> Case {
        Case { schedule: self.best.schedule.clone(), workload: Workload { programs } }
    }

    fn cut_events(&mut self) {
        let events = self.best.schedule.events.clone();
        ddmin::minimise(&events, |kept| self.take(self.with_events(kept.to_vec())));
    }

    /// A setting that is left out has its default.
    fn cut_settings(&mut self) {
        for name in self.best.schedule.settings.keys().cloned().collect::<Vec<_>>() {
            let mut candidate = self.best.clone();
            candidate.schedule.settings.remove(&name);
            self.take(candidate);
        }
    }

    /// A program goes with the events that name its execution, one at a time from the last.
    fn cut_programs(&mut self) {
        for index in (0..self.best.workload.programs.len()).rev() {
            if self.best.workload.programs.len() == 1 {
                return;
            }
            let mut candidate = self.best.clone();
            let gone = candidate.workload.programs.remove(index);
            candidate.schedule.events.retain(|event| simpler::execution(event) != Some(&gone.id));
            self.take(candidate);
        }
    }

    fn simplify_events(&mut self) {
        let mut index = 0;
        while let Some(event) = self.best.schedule.events.get(index) {
            let taken = simpler::events(event).into_iter().any(|simpler| {
                let mut events = self.best.schedule.events.clone();
                events[index] = simpler;
                self.take(self.with_events(events))
            });
            // What became simpler may become simpler still.
            index += usize::from(!taken);
        }
    }

    fn simplify_programs(&mut self) {
        let mut index = 0;
        while let Some(program) = self.best.workload.programs.get(index) {
            let taken = simpler::programs(program).into_iter().any(|simpler| {
                let mut programs = self.best.workload.programs.clone();
                programs[index] = simpler;
                self.take(self.with_programs(programs))
            });
            index += usize::from(!taken);
        }
    }
}
