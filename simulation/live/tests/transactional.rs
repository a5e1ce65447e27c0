//! What a transactional step wrote is read from the store, and counted by the bodies that wrote it.

use std::collections::BTreeMap;

use hydra_live::observer::{Ask, Observer};
use hydra_schedule::{Name, Property, StepName};
use hydra_simulation::history::{Gave, History, What};
use hydra_simulation::oracle::{self, Contract, Settings};
use hydra_simulation::workload::Workload;

const PROGRAM: &str = r#"{"programs": [{"id": "W1", "body": [{"step": {"id": "1", "kind": "transactional"}}]}]}"#;

fn step() -> StepName {
    let workload: Workload = serde_json::from_str(PROGRAM).unwrap();
    workload.programs[0].step_name(&Name::new("1").unwrap())
}

/// Two bodies of the step, one after the other; `committed` of them, by their number, have their row in the store.
fn history(committed: &[usize]) -> History {
    let observer = Observer::new(serde_json::from_str(PROGRAM).unwrap());
    let mut values = Vec::new();
    for worker in [Name::worker(0), Name::worker(1)] {
        observer.worker_up(&worker, 1);
        let (step, saw) = (step(), BTreeMap::new());
        let ask = Ask { worker, life: 1, step, attempt: None, key: None, epoch: None, other_input: false, saw };
        let visit = observer.enter(ask).unwrap();
        visit.effect();
        let Some(Gave::Value(value)) = visit.leave() else { panic!("a body that returns") };
        values.push(value);
    }
    for number in committed {
        observer.committed(&step(), &values[*number], true);
    }
    assert_eq!(observer.problems(), Vec::<String>::new());
    observer.end("toy 1", vec![Name::worker(0), Name::worker(1)])
}

fn falls(history: &History) -> bool {
    let judged = oracle::judge(history, &Contract::everything(Settings::default()));
    judged.broken().any(|judgement| judgement.property == Property::EffectOnceTransactional)
}

#[test]
fn the_door_sees_no_effect_and_the_store_shows_who_committed() {
    let history = history(&[1]);
    let effects: Vec<u64> = history
        .records
        .iter()
        .filter_map(|record| match &record.what {
            What::Effect(effect) => Some(effect.body),
            _ => None,
        })
        .collect();
    assert_eq!(effects, [2]);
    assert!(!falls(&history));
}

#[test]
fn an_engine_that_commits_the_effect_apart_from_the_checkpoint_is_found() {
    // 1. A's row commits. 2. A dies before the checkpoint. 3. B does it again, and its row commits too.
    assert!(falls(&history(&[0, 1])));
}

#[test]
fn a_row_that_no_body_wrote_is_the_adapters_fault() {
    let observer = Observer::new(serde_json::from_str(PROGRAM).unwrap());
    observer.committed(&step(), "nonsense", true);
    assert!(observer.problems()[0].contains("no body returned that"));
}
