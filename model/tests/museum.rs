//! The museum: every mutant is found, every property is needed.

use hydra_model::museum::{Limits, Source, find, mutants, visit};
use hydra_model::replay::replay;
use hydra_model::scopes::Scope;
use hydra_model::story;
use hydra_model::world::World;
use hydra_model::world::bounds::Defects;
use hydra_protocol::Protocol;
use hydra_schedule::{Property, Schedule};
use std::collections::BTreeSet;

/// One visit to everything, judged from all sides: it is the long part.
#[test]
fn every_mutant_is_killed_and_every_property_kills() {
    let models = Scope::Smoke.models();
    let mut killed = BTreeSet::new();
    for mutant in mutants() {
        let exhibit = visit(mutant, &models, &Limits::default());
        let name = mutant.name;
        assert!(exhibit.takes_effect, "{name}: its rules never answer anything that the reference would not");
        let falls: Vec<_> = exhibit.kills.iter().map(|kill| kill.property).collect();
        for property in mutant.breaks {
            let kill = exhibit.kill(*property).unwrap_or_else(|| panic!("{name} should break {property}: {falls:?}"));
            assert!(kill.steps > 0, "{name}: {property} falls without a step");
            // Told, and found again by its text alone.
            let model = models.iter().find(|model| model.name == kill.model).unwrap();
            let mut bounds = model.bounds.clone();
            bounds.defects = mutant.defects;
            let world = World::<dyn Protocol + Sync>::new(bounds, mutant.rules).unwrap();
            let told = story::retell(&world, kill.model, Some(mutant), *property, &kill.path, &kill.text);
            assert!(!told.moments.is_empty() && told.last_chance.is_some(), "{told}");
            let schedule: Schedule = told.schedule.to_string().parse().unwrap();
            assert_eq!(schedule, told.schedule);
            let replayed =
                replay(&schedule, *property).unwrap_or_else(|why| panic!("{name}, {property}: {why}\n{schedule}"));
            assert!(
                replayed.falls && replayed.subject == name && replayed.model == kill.model,
                "{replayed:?}\n{schedule}"
            );
            let right = Schedule { subject: None, ..schedule };
            let falls = replay(&right, *property).is_ok_and(|replayed| replayed.falls);
            assert!(!falls, "{name}, {property}: the reference breaks it too\n{right}");
        }
        killed.extend(falls);
    }
    let unused: Vec<_> = Property::ALL.iter().filter(|property| !killed.contains(property)).collect();
    assert!(unused.is_empty(), "no mutant breaks {unused:?}");
}

#[test]
fn every_finding_of_the_audit_has_a_mutant_and_every_name_is_one() {
    let findings: BTreeSet<u8> = mutants()
        .filter_map(|mutant| match mutant.source {
            Source::Finding(number) => Some(number),
            Source::All | Source::Beyond => None,
        })
        .collect();
    assert_eq!(findings, (1..=12).collect());
    assert!(mutants().filter(|mutant| mutant.source == Source::Beyond).count() >= 12);
    let names: BTreeSet<_> = mutants().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), mutants().count());
    for name in names {
        assert!(hydra_schedule::Name::new(name).is_ok() && find(name).is_some(), "{name}");
    }
}

/// The museum's own check works: a mutant that overrides nothing takes no effect and breaks nothing.
#[test]
fn a_mutant_that_overrides_nothing_is_noticed() {
    static NOTHING: hydra_model::museum::Mutant = hydra_model::museum::Mutant {
        name: "nothing",
        source: Source::Beyond,
        rule: "none",
        defect: "nothing",
        seen: "nothing",
        breaks: &[],
        rules: &hydra_protocol::Reference,
        defects: Defects { no_unique_key: false, effect_outside_transaction: false },
    };
    let exhibit = visit(&NOTHING, &Scope::Smoke.models(), &Limits::default());
    assert!(!exhibit.takes_effect && exhibit.kills.is_empty());
}
