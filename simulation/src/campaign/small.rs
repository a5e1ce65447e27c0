//! A broken case made small: first what it holds, then the story that it tells.

use hydra_schedule::{Name, Property};

use super::Case;
use super::shortest::acts_until;
use crate::cluster::Place;
use crate::history::History;
use crate::oracle::{self, Finding};
use crate::shrink::{self, End, Shrunk};
use crate::subjects::{self, Entry, Subject};

/// A case made small, and what it shows.
pub(super) struct Small {
    pub(super) case: Case,
    pub(super) end: End,
    pub(super) history: History,
    pub(super) finding: Finding,
    /// Acts of its story, as [`acts_until`] counts them.
    pub(super) acts: usize,
}

/// Under so many other seeds is a small case run in search of a shorter story.
const SEEDS: u64 = 400;
/// A further fault is tried at so many passings of each place.
const PASSES_MAX: u32 = 4;
/// A worker that is to be silent stands still for so long, in milliseconds: several leases.
const PAUSE_MS: u64 = 60_000;
/// An execution that is to end early is cancelled at these times, in milliseconds.
const CANCELS_MS: [u64; 3] = [5, 50, 1_000];
/// A shorter story may let more be cut, and that a shorter story: so many rounds at most.
const ROUNDS_MAX: u32 = 4;

/// Makes `case` small, as long as `property` falls in it. None if it does not.
pub(super) fn of(entry: &Entry, case: &Case, property: Property) -> Option<Small> {
    let reference = entry.defect.and_then(|_| subjects::find("reference")).map(|reference| reference.make());
    let mut observer = Observer { subject: entry.make(), reference, property };
    let (tries_max, seeds) = (entry.tries_max(), entry.shrinks_under_seeds());
    let whole = shrink::Case { schedule: case.schedule(entry.name), workload: case.workload.clone() };
    let mut shrunk = shrink::shrink_under_seeds(&whole, tries_max, seeds, |case| observer.acts(case).is_some());
    if let Some(smaller) = with_fewer_workers(&shrunk.case, |case| observer.acts(case).is_some()) {
        shrunk = shrink::shrink_under_seeds(&smaller, tries_max, seeds, |case| observer.acts(case).is_some());
    }
    if seeds > 0 {
        shrunk = told_shorter(shrunk, tries_max, seeds, &mut observer);
    }
    observer.show(&shrunk.case).map(|(case, history, finding)| {
        let acts = acts_until(&history, &finding);
        Small { case, end: shrunk.end, history, finding, acts }
    })
}

/// The same property, and fewer acts until it falls. The smallest case does not tell the shortest story by itself: where
/// chance decides which of two workers comes first, one order needs another claim to show what went wrong; and a fault
/// that silences a worker is one act in place of all that it would have done.
fn told_shorter(mut shrunk: Shrunk, tries_max: u32, seeds: u64, observer: &mut Observer) -> Shrunk {
    for _ in 0..ROUNDS_MAX {
        let Some(least) = observer.acts(&shrunk.case) else { break };
        let others = under_other_seeds(&shrunk.case)
            .chain(with_one_fault_more(&shrunk.case))
            .chain(with_one_cancelled(&shrunk.case));
        let told = others.filter_map(|case| Some((observer.acts(&case)?, case)));
        let Some((fewest, case)) = told.min_by_key(|(acts, _)| *acts).filter(|(fewest, _)| *fewest < least) else {
            break;
        };
        shrunk = shrink::shrink_under_seeds(&case, tries_max, seeds, |case| {
            observer.acts(case).is_some_and(|acts| acts <= fewest)
        });
    }
    shrunk
}

fn under_other_seeds(case: &shrink::Case) -> impl Iterator<Item = shrink::Case> {
    let first = case.schedule.seed.unwrap_or(0);
    (1..=SEEDS).map(move |more| {
        let mut case = case.clone();
        case.schedule.seed = Some(first.wrapping_add(more));
        case
    })
}

/// The same with one fault more: each that silences a worker, at each of the first places that it passes.
fn with_one_fault_more(case: &shrink::Case) -> impl Iterator<Item = shrink::Case> {
    let workers = case.schedule.workers.unwrap_or(0);
    let lines = (0..workers).map(|worker| Name::worker(worker as usize)).flat_map(|worker| {
        let faults = [
            format!("crash {worker}"),
            format!("pause {worker} {PAUSE_MS}"),
            format!("disconnect-before {worker}"),
            format!("reply-lost {worker}"),
        ];
        let places = Place::ALL.iter().flat_map(|place| (1..=PASSES_MAX).map(move |nth| (place.word(), nth)));
        places.flat_map(move |(place, nth)| faults.clone().map(|fault| format!("fault {fault} on {place}#{nth}")))
    });
    lines.filter_map(|line| line.parse().ok()).map(|event| {
        let mut case = case.clone();
        case.schedule.events.push(event);
        case
    })
}

/// The same with one execution cancelled early: its end takes one act, and not a whole workflow.
fn with_one_cancelled(case: &shrink::Case) -> impl Iterator<Item = shrink::Case> {
    (0..case.workload.programs.len()).flat_map(|index| {
        CANCELS_MS.map(|at_ms| {
            let mut case = case.clone();
            case.workload.programs[index].cancel_at_ms = Some(at_ms);
            case
        })
    })
}

/// Runs cases of a subject and sees whether a property falls.
struct Observer {
    subject: Box<dyn Subject>,
    /// For a subject that is known to be wrong: right rules, under which the property must not fall. (1) Of two workers
    /// one lacks the workflow's code; (2) the other is cut; (3) nobody can do the work, and by any rules it stands still.
    reference: Option<Box<dyn Subject>>,
    property: Property,
}

impl Observer {
    fn show(&mut self, candidate: &shrink::Case) -> Option<(Case, History, Finding)> {
        let case = Case::of_candidate(candidate).ok()?;
        self.subject.run(case.run());
        let history = self.subject.history(&case.workload);
        let settings = subjects::settings(&case.config);
        let finding = oracle::first(&history, &settings, self.property)?;
        let is_the_cases = self.reference.as_mut().is_some_and(|reference| {
            reference.run(case.run());
            oracle::falls(&reference.history(&case.workload), &settings, self.property)
        });
        (!is_the_cases).then_some((case, history, finding))
    }

    /// How many acts the property takes to fall; none if it does not.
    fn acts(&mut self, candidate: &shrink::Case) -> Option<usize> {
        self.show(candidate).map(|(_, history, finding)| acts_until(&history, &finding))
    }
}

/// The same with the fewest workers with which it still falls, if fewer do.
fn with_fewer_workers(case: &shrink::Case, mut falls: impl FnMut(&shrink::Case) -> bool) -> Option<shrink::Case> {
    let workers = case.schedule.workers?;
    (1..workers).find_map(|fewer| {
        let mut smaller = case.clone();
        smaller.schedule.workers = Some(fewer);
        falls(&smaller).then_some(smaller)
    })
}
