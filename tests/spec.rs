//! SPEC.md's properties and its map are what the code has: an id without a check, or a check without an id, fails.

use std::collections::BTreeSet;
use std::path::Path;

use hydra_model::museum;
use hydra_schedule::Property;

fn spec() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SPEC.md")).unwrap()
}

/// A section, from its heading to the next of the same or a higher rank.
fn section<'s>(spec: &'s str, heading: &str) -> &'s str {
    let rank = heading.split(' ').next().unwrap().len();
    let from = spec.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("SPEC.md has no {heading}")) + 1;
    let body = &spec[from + heading.len()..];
    let to = body
        .match_indices("\n#")
        .find(|(at, _)| body[at + 1..].chars().take_while(|c| *c == '#').count() <= rank)
        .map_or(body.len(), |(at, _)| at);
    &body[..to]
}

/// The rows of the tables in a section, as cells, without their headings.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let lines: Vec<_> = section.lines().map(str::trim).collect();
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("|--");
    let mut rows = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_heading = lines.get(at + 1).is_some_and(|next| next.starts_with("|--"));
        if is_row(line) && !is_heading {
            rows.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
    }
    rows
}

/// What stands in backticks.
fn quoted(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn ids() -> BTreeSet<&'static str> {
    Property::ALL.iter().map(|property| property.id()).collect()
}

#[test]
fn the_properties_are_those_that_are_checked_in_the_same_words() {
    let spec = spec();
    let rows = rows(section(&spec, "## Properties"));
    let listed: BTreeSet<_> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(listed, ids());
    for property in Property::ALL {
        let row = rows.iter().find(|row| quoted(row[0]).contains(property.id())).unwrap();
        assert_eq!(row[1], property.info().sentence, "{}", property.id());
        assert_eq!(row[2], property.info().precise, "{}", property.id());
    }
}

#[test]
fn every_property_is_broken_by_a_mutant_of_the_museum() {
    let broken: BTreeSet<_> =
        museum::mutants().flat_map(|mutant| mutant.breaks).map(|property| property.id()).collect();
    let unbroken: Vec<_> = ids().into_iter().filter(|id| !broken.contains(id)).collect();
    assert!(unbroken.is_empty(), "no mutant is there to break {unbroken:?}");
}

#[test]
fn the_map_names_properties_mutants_and_tests_that_are_there() {
    let spec = spec();
    let map = section(&spec, "## The map");
    let mutants: BTreeSet<_> = museum::mutants().map(|mutant| mutant.name).collect();
    let mut checked = 0;
    for heading in ["### Findings", "### Its list of fixes", "### Its properties and scenarios"] {
        for row in rows(section(map, heading)) {
            let [.., properties, named, test] = row.as_slice() else {
                panic!("a row of {heading} is too short: {row:?}")
            };
            for id in quoted(properties) {
                assert!(ids().contains(id), "{heading}: no property {id}");
            }
            for name in quoted(named) {
                assert!(mutants.contains(name), "{heading}: no mutant {name}");
            }
            let files = quoted(test);
            assert!(!files.is_empty() && !quoted(properties).is_empty() && !quoted(named).is_empty(), "{row:?}");
            for file in files {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
                let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{heading}: no test {file}"));
                assert!(text.contains("#[test]") || text.contains("fn "), "{file} has no test");
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 12 + 11 + 10, "the audit has 12 findings, 11 fixes, 5 properties and 5 scenarios");
}

/// README.md's table says of each finding what SPEC.md says, and the command that shows it.
#[test]
fn the_readme_maps_each_finding_as_the_specification_does() {
    let (spec, root) = (spec(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (right, short) = (rows(section(&spec, "### Findings")), rows(section(&readme, "## Findings of the audit")));
    assert_eq!(short.len(), 12);
    for (right, short) in right.iter().zip(&short) {
        let [number, _, _, properties, mutants, test] = right.as_slice() else { panic!("{right:?}") };
        let [its_number, _, rule, its_properties, its_mutants, its_test, command] = short.as_slice() else {
            panic!("{short:?}")
        };
        assert_eq!((number, properties, mutants), (its_number, its_properties, its_mutants));
        let file = quoted(test).into_iter().next().unwrap();
        assert!(its_test.ends_with(&format!("]({file})")), "{its_test} is not {file}");
        assert!(!rule.is_empty());
        let shown = command.trim_matches('`').strip_prefix("check --mutant ").unwrap();
        assert!(quoted(mutants).contains(shown), "`{command}` shows none of {mutants}");
    }
}

#[test]
fn every_finding_of_the_audit_has_a_mutant() {
    for number in 1..=12 {
        assert!(
            museum::mutants().any(|mutant| mutant.source == museum::Source::Finding(number)),
            "no mutant stands for finding {number}"
        );
    }
    let beyond = museum::mutants().filter(|mutant| mutant.source == museum::Source::Beyond).count();
    assert!(beyond >= 12, "only {beyond} mutants from beyond the audit");
}
