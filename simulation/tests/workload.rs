//! Workloads: the JSON form, what is refused, and seeds that mean the same for ever.

use hydra_simulation::workload::{Ends, Feature, Item, Shape, StepKind, Workload};

#[test]
fn the_form_of_a_driver_reads_and_writes() {
    let line = r#"{"id":"W1","body":[{"step":{"id":"1","kind":"keyed","lasts_ms":200,"ends":{"fails":{"times":2}}}},{"parallel":[{"id":"2a","kind":"transactional"},{"id":"2b","kind":"at-most-once","ends":"unencodable","caught":true}]},{"sleep":{"id":"3","ms":5000}}],"starts_again":[{"at_ms":10,"other_input":true}],"cancel_at_ms":900}"#;
    let workload = Workload::from_lines(&[line]).unwrap();
    assert_eq!(workload.to_lines(), [line]);
    assert_eq!(workload.programs[0].steps().count(), 3);
    assert_eq!(workload.programs[0].lasts_ms(), 5_200);
}

#[test]
fn every_problem_is_named_at_once() {
    let text = r#"{"programs":[
        {"id":"W1","body":[{"step":{"id":"1","kind":"keyed","attempts_max":0}},{"sleep":{"id":"1","ms":99999999999}}]},
        {"id":"W1","body":[{"parallel":[]}]}]}"#;
    let problems = Workload::from_json(text).unwrap_err().to_string();
    for wanted in [
        "W1/1: attempts_max is 0; it must be 1 to 1000",
        "W1/1: is used twice",
        "W1/1: sleeps 99999999999 ms",
        "W1: is the id of two programs",
        "W1: has a parallel group without steps",
    ] {
        assert!(problems.contains(wanted), "{wanted} is missing in: {problems}");
    }
    let unknown = Workload::from_lines(&[r#"{"id":"W1","body":[{"step":{"id":"1","kind":"once"}}]}"#]).unwrap_err();
    assert!(unknown.to_string().contains("program 1: unknown variant `once`, expected one of"), "{unknown}");
}

#[test]
fn a_seed_means_the_same_for_ever() {
    let workload = Workload::generate(42, &Shape { executions: 3, swarm: false, ..Shape::default() });
    let pinned = include_str!("workload-seed-42.txt");
    assert_eq!(workload.to_lines().join("\n") + "\n", pinned, "a change here changes every seed on disk");
}

#[test]
fn every_generated_workload_is_valid_and_everything_occurs() {
    let mut met = [false; 9];
    for seed in 0..400 {
        let workload = Workload::generate(seed, &Shape::default());
        workload.check().unwrap();
        assert_eq!(Workload::from_lines(&workload.to_lines()).unwrap(), workload);
        for program in &workload.programs {
            met[0] |= program.cancel_at_ms.is_some();
            met[1] |= !program.starts_again.is_empty();
            met[2] |= program.body.iter().any(|item| matches!(item, Item::Sleep(_)));
            met[3] |= program.body.iter().any(|item| matches!(item, Item::Parallel(_)));
            for step in program.steps() {
                met[4] |= step.kind == StepKind::Transactional;
                met[5] |= step.kind == StepKind::AtMostOnce;
                met[6] |= step.ends == Ends::Unencodable;
                met[7] |= matches!(step.ends, Ends::Fails { .. });
                met[8] |= step.lasts_ms >= 30_000;
            }
        }
    }
    assert_eq!(met, [true; 9]);
}

#[test]
fn what_is_left_out_never_occurs() {
    let shape = Shape { features: vec![Feature::Failures], swarm: false, ..Shape::default() };
    for seed in 0..100 {
        for program in Workload::generate(seed, &shape).programs {
            assert!(program.cancel_at_ms.is_none() && program.starts_again.is_empty());
            assert!(program.body.iter().all(|item| matches!(item, Item::Step(_))));
            assert!(program.steps().all(|step| step.kind == StepKind::Keyed && step.lasts_ms < 30_000));
        }
    }
}
