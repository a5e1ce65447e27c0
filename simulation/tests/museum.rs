//! The museum against the simulator: every known-wrong engine is found out soon, and the right one never.

use hydra_schedule::Property;
use hydra_simulation::campaign::museum::{CPU_MAX, RUNS_MAX, search, visit};
use hydra_simulation::campaign::{Case, Failure};
use hydra_simulation::{oracle, subjects};

#[test]
fn every_known_wrong_engine_is_found_within_the_goal() {
    let mut late = Vec::new();
    let wrong: Vec<_> = subjects::all().into_iter().filter(|entry| entry.defect.is_some()).collect();
    assert!(wrong.len() >= 35, "only {} engines are in the museum", wrong.len());
    for entry in wrong {
        let (outcome, cpu) = search(&entry);
        if outcome.fell.is_empty() {
            late.push(format!("{}: not in {} runs and {cpu:?} on the processor", entry.name, outcome.runs));
        }
    }
    assert!(late.is_empty(), "goal: {RUNS_MAX} runs or {CPU_MAX:?}:\n{}", late.join("\n"));
}

/// The same search over right rules finds nothing, so finding something says something.
#[test]
fn the_right_engine_is_not_found_out() {
    let (outcome, _) = search(&subjects::find("reference").unwrap());
    assert_eq!((outcome.runs, outcome.fell.len()), (RUNS_MAX, 0), "{:?}", outcome.first);
    assert_eq!(outcome.tally.missed(), [] as [String; 0], "goals that were never reached");
}

/// Stories that a shrinker which looks only at the size of a case leaves too long: which of two workers comes first, and
/// what others do meanwhile, is no part of it.
#[test]
fn stories_are_about_as_short_as_the_models() {
    for name in ["no-heartbeats", "epoch-never-raised", "at-most-once-runs-again"] {
        let visit = visit(&subjects::find(name).unwrap());
        let found = visit.found.as_ref().unwrap();
        assert!(found.measure().is_some(), "{name}: the model knows a story of it");
        assert!(visit.is_short(), "{name}: {found:?}");
    }
}

/// Made small by what falls alone, this case ends with one worker, which lacks the workflow's code: nobody can do the
/// work, and it stands still by any rules.
#[test]
fn what_falls_under_right_rules_too_is_no_story_of_a_defect() {
    let entry = subjects::find("order-is-lost").unwrap();
    let case = Case::of_seed(14, &[]);
    let failure = Failure::of(&entry, &case, Property::NothingStuck, "").unwrap();
    let small = Case::of_schedule(&failure.shrunk).unwrap();
    let mut right = subjects::find("reference").unwrap().make();
    right.run(small.run());
    let settings = subjects::settings(&small.config);
    assert!(!oracle::falls(&right.history(&small.workload), &settings, Property::NothingStuck), "{}", failure.shrunk);
    assert!(failure.acts > 3, "a start is not all of it: {}", failure.shrunk);
}
