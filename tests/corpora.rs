//! What the fuzzers found worth keeping, through the very functions that they run: each input without a finding under the
//! right rules, and the corpora of those that rules decide with findings under wrong ones.

use std::path::{Path, PathBuf};

use hydra_engine::protocol::Protocol;
use hydra_fuzz_targets::{Judged, TARGETS, hostile_file, simulation, stores, transitions};
use hydra_model::museum;
use hydra_simulation::subjects;

/// A corpus of fewer says little.
const FILES_MIN: usize = 10;
/// A corpus of more is no longer replayed in passing.
const FILES_MAX: usize = 200;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_input_is_judged_as_right() {
    for target in TARGETS {
        let corpus = corpus(target.name);
        let count = corpus.len();
        assert!((FILES_MIN..=FILES_MAX).contains(&count), "{} has {count} inputs", target.name);
        for (path, bytes) in corpus {
            (target.judge)(&bytes).unwrap_or_else(|finding| panic!("{}: {finding}", path.display()));
        }
    }
}

/// Mutants of the museum, of `names`, that no input of the corpus gives away.
fn unnoticed(
    target: &str,
    names: &[&str],
    judge: impl Fn(&str, &'static dyn Protocol, &[u8]) -> Judged,
) -> Vec<String> {
    let corpus = corpus(target);
    let noticed = |name: &&&str| {
        let mutant = museum::find(name).unwrap_or_else(|| panic!("no mutant {name}"));
        corpus.iter().any(|(_, bytes)| judge(name, mutant.rules, bytes).is_err())
    };
    names.iter().filter(|name| !noticed(name)).map(|name| (*name).to_owned()).collect()
}

const NONE: [String; 0] = [];

#[test]
fn the_corpus_of_transitions_gives_wrong_rules_away() {
    let names = ["zombie-settles", "epoch-never-raised", "no-retry-limit", "cancel-leaves-steps-open", "no-step-lock"];
    let judge = |_: &str, rules, bytes: &[u8]| transitions::judge_rules(rules, bytes);
    assert_eq!(unnoticed("transitions", &names, judge), NONE);
}

#[test]
fn the_corpus_of_stores_gives_wrong_rules_away() {
    let names = ["zombie-settles", "epoch-never-raised", "cancel-leaves-steps-open"];
    let judge = |_: &str, rules, bytes: &[u8]| stores::judge_rules(rules, bytes);
    assert_eq!(unnoticed("stores", &names, judge), NONE);
}

#[test]
fn the_corpus_of_simulations_gives_wrong_engines_away() {
    let names = ["key-per-attempt", "leased-is-never-claimable", "at-most-once-runs-again", "no-heartbeats"];
    let judge = |name: &str, _, bytes: &[u8]| {
        simulation::judge_subject(&subjects::find(name).unwrap_or_else(|| panic!("no subject {name}")), bytes)
    };
    assert_eq!(unnoticed("simulation", &names, judge), NONE);
}

#[test]
fn a_sound_file_gives_an_engine_away_that_runs_checkpointed_steps_again() {
    let mutant = museum::find("checkpoint-error-is-not-found").expect("a mutant");
    assert!(hostile_file::judge_damages_under(mutant.rules, &[]).is_err());
}
