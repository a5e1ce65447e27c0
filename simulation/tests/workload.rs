//! Workloads: the JSON form, what is refused, and seeds that mean the same for ever.

use hydra_simulation::workload::{Ends, Feature, Item, Shape, StepKind, Workload};

#[test]
fn the_form_of_a_driver_reads_and_writes() {
    let line = r#"{"id":"W1","body":[{"step":{"id":"1","kind":"keyed","lasts_ms":200,"ends":{"fails":{"times":2}}}},{"parallel":[{"id":"2a","kind":"transactional"},{"id":"2b","kind":"at-most-once","ends":"unencodable","caught":true}]},{"sleep":{"id":"3","ms":5000}},{"race":{"steps":[{"id":"4","kind":"keyed","lasts_ms":90}],"sleep":{"id":"5","ms":50}}}],"delay_ms":7,"deadline_ms":60000,"starts_again":[{"at_ms":10,"other_input":true}],"cancel_at_ms":900}"#;
    let workload = Workload::from_lines(&[line]).unwrap();
    assert_eq!(workload.to_lines(), [line]);
    assert_eq!(workload.programs[0].steps().count(), 4);
    assert_eq!(workload.programs[0].lasts_ms(), 7 + 5_200 + 50);
}

#[test]
fn every_problem_is_named_at_once() {
    let text = r#"{"programs":[
        {"id":"W1","body":[{"step":{"id":"1","kind":"keyed","attempts_max":0}},{"sleep":{"id":"1","ms":99999999999}}]},
        {"id":"W1","body":[{"parallel":[]},{"race":{"steps":[]}}],"deadline_ms":99999999999}]}"#;
    let problems = Workload::from_json(text).unwrap_err().to_string();
    for wanted in [
        "W1/1: attempts_max is 0; it must be 1 to 1000",
        "W1/1: is used twice",
        "W1/1: sleeps 99999999999 ms",
        "W1: is the id of two programs",
        "W1: has a parallel group without steps",
        "W1: has a race without steps",
        "W1: has a deadline after 99999999999 ms",
    ] {
        assert!(problems.contains(wanted), "{wanted} is missing in: {problems}");
    }
    let unknown = Workload::from_lines(&[r#"{"id":"W1","body":[{"step":{"id":"1","kind":"once"}}]}"#]).unwrap_err();
    assert!(unknown.to_string().contains("program 1: unknown variant `once`, expected one of"), "{unknown}");
}

/// What there was before races, deadlines and delays.
fn first_features() -> Vec<Feature> {
    let later = [Feature::Races, Feature::Deadlines, Feature::Delays];
    Feature::ALL.into_iter().filter(|feature| !later.contains(feature)).collect()
}

#[test]
fn a_seed_means_the_same_for_ever() {
    let shape = Shape { executions: 3, swarm: false, ..Shape::default() };
    let first = Workload::generate(42, &Shape { features: first_features(), ..shape.clone() });
    let pinned = include_str!("workload-seed-42.txt");
    assert_eq!(first.to_lines().join("\n") + "\n", pinned, "a change here changes every seed on disk");
    let all = Workload::generate(42, &shape);
    let pinned = include_str!("workload-seed-42-all.txt");
    assert_eq!(all.to_lines().join("\n") + "\n", pinned, "a change here changes every seed on disk");
}

/// What was thought of later adds to a seed's programs, and changes nothing else in them.
#[test]
fn a_later_feature_only_adds() {
    for seed in 0..100 {
        let before = Workload::generate(seed, &Shape { features: first_features(), ..Shape::default() });
        let after = Workload::generate(seed, &Shape::default());
        for (before, after) in before.programs.iter().zip(&after.programs) {
            assert!(before.steps().eq(after.steps()), "seed {seed}");
            assert_eq!((before.start_at_ms, before.cancel_at_ms), (after.start_at_ms, after.cancel_at_ms));
        }
    }
}

#[test]
fn every_generated_workload_is_valid_and_everything_occurs() {
    let mut met = [false; 13];
    for seed in 0..400 {
        let workload = Workload::generate(seed, &Shape::default());
        workload.check().unwrap();
        assert_eq!(Workload::from_lines(&workload.to_lines()).unwrap(), workload);
        for program in &workload.programs {
            met[0] |= program.cancel_at_ms.is_some();
            met[1] |= !program.starts_again.is_empty();
            met[2] |= program.body.iter().any(|item| matches!(item, Item::Sleep(_)));
            met[3] |= program.body.iter().any(|item| matches!(item, Item::Parallel(_)));
            met[9] |= program.deadline_ms.is_some();
            met[10] |= program.delay_ms > 0;
            for item in &program.body {
                let Item::Race(race) = item else { continue };
                met[11] |= race.sleep.is_some();
                met[12] |= race.steps.len() > 1;
            }
            for step in program.steps() {
                met[4] |= step.kind == StepKind::Transactional;
                met[5] |= step.kind == StepKind::AtMostOnce;
                met[6] |= step.ends == Ends::Unencodable;
                met[7] |= matches!(step.ends, Ends::Fails { .. });
                met[8] |= step.lasts_ms >= 30_000;
            }
        }
    }
    assert_eq!(met, [true; 13]);
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
