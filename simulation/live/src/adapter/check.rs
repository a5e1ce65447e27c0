//! `hydra adapter check`: tries an adapter without faults, and says what is wrong in plain words.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use hydra_schedule::Name;
use hydra_simulation::history::{Op, Seen, Status, What};
use hydra_simulation::oracle;
use hydra_simulation::workload::{Ends, Item, Program, Step, Workload};

use super::{Adapter, install};
use crate::scenario::{self, Outcome, Scenario, World};

/// Checks; the exit code.
pub fn check(what: &str, folder: &Path, stop: &AtomicBool) -> anyhow::Result<u8> {
    let adapter = Adapter::find(what)?;
    println!("{}: adapter.toml is understood", adapter.subject());
    let open = to_fill_in(&adapter.folder)?;
    if !open.is_empty() {
        println!("{} places of the skeleton are to be filled in (take the mark away then):", open.len());
        open.iter().for_each(|place| println!("  {place}"));
        return Ok(1);
    }
    install::install(&adapter, stop, |step| println!("installing: {step}"))?;
    let world = World::new(adapter, folder)?;
    let adapter = &world.adapter;
    let mut wrong = Vec::new();

    let kind = adapter.supports.kinds[0];
    let steps = adapter.supports.steps_max.min(2);
    let id = |number: usize| Name::new(&number.to_string()).expect("digits are a name");
    let plain: Vec<Item> = (1..=steps).map(|number| Item::Step(Step::new(id(number), kind))).collect();
    let outcome = try_it(&world, "two steps", plain)?;
    let entered = entered(&outcome);
    if entered.len() < steps {
        wrong.push(format!("{} of {steps} step bodies asked the door (POST $HYDRA_DOOR/effect)", entered.len()));
    }
    if steps == 2 && !outcome_saw(&outcome, "1") {
        wrong.push("the body of step 2 does not send the value of step 1 in \"saw\"".to_owned());
    }
    wrong.extend(end(&outcome, Status::Succeeded, "two plain steps"));
    // A job queue keeps no results.
    if adapter.supports.steps_max > 1 && !result_saw(&outcome) {
        wrong.push("the result of the execution does not say in \"saw\" what it had of its steps".to_owned());
    }
    let findings = oracle::findings(&outcome.history, &adapter.contract.settings);
    for finding in findings {
        wrong.push(format!("without any fault, {}: {}", finding.property, finding.explanation));
    }
    println!("two steps: {} bodies, {} records", entered.len(), outcome.history.records.len());

    let fails =
        vec![Item::Step(Step { ends: Ends::Fails { times: 1 }, attempts_max: Some(3), ..Step::new(id(1), kind) })];
    let outcome = try_it(&world, "a step that fails once", fails)?;
    wrong.extend(end(&outcome, Status::Succeeded, "a step that fails once and then succeeds"));
    println!("a step that fails once: {} bodies", self::entered(&outcome).len());

    if wrong.is_empty() {
        println!("nothing is wrong with it; audit it with: hydra audit {what} --quick");
        return Ok(0);
    }
    for what in &wrong {
        println!("WRONG: {what}");
    }
    Ok(1)
}

/// The places of a skeleton that still wait for the engine: `driver.py:12: ENGINE: ...`.
fn to_fill_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut open = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.')) else {
            continue;
        };
        // What cannot be read as text is no part of a skeleton.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (index, line) in text.lines().enumerate() {
            let marks = ["ENGINE: ", "ENGINE==", "ENGINE@"];
            if let Some(at) = marks.iter().find_map(|mark| line.find(mark)) {
                open.push(format!("{name}:{}: {}", index + 1, line[at..].trim_end()));
            }
        }
    }
    Ok(open)
}

fn try_it(world: &World, name: &str, body: Vec<Item>) -> anyhow::Result<Outcome> {
    let workload = Workload { programs: vec![Program::new(Name::execution(0), body)] };
    let scenario = Scenario { name: name.to_owned(), workload, workers: 1, strikes: Vec::new(), counts: false };
    let outcome = scenario::run(world, &scenario)?;
    for problem in &outcome.problems {
        println!("WRONG: {problem}");
    }
    for record in &outcome.history.records {
        if let What::Call(call) = &record.what
            && let Some(error) = &call.error
        {
            println!("WRONG: {name}: the client says of {}: {error}", call.execution);
        }
    }
    for death in &outcome.deaths {
        println!("WRONG: {death}");
    }
    Ok(outcome)
}

fn entered(outcome: &Outcome) -> Vec<&hydra_simulation::history::Entered> {
    let entered = outcome.history.records.iter().filter_map(|record| match &record.what {
        What::Entered(entered) => Some(entered),
        _ => None,
    });
    entered.collect()
}

fn outcome_saw(outcome: &Outcome, step: &str) -> bool {
    entered(outcome)
        .iter()
        .any(|entered| entered.saw.iter().any(|(name, seen)| name.as_str() == step && matches!(seen, Seen::Value(_))))
}

fn result_saw(outcome: &Outcome) -> bool {
    outcome.history.records.iter().any(|record| match &record.what {
        What::Call(call) => call.op == Op::Result && !call.saw.is_empty(),
        _ => false,
    })
}

fn end(outcome: &Outcome, wanted: Status, what: &str) -> Option<String> {
    let last = outcome.history.records.iter().rev().find_map(|record| match &record.what {
        What::Call(call) if call.op == Op::Result => call.status,
        _ => None,
    });
    let told = last.map_or("nothing", Status::word);
    (last != Some(wanted)).then(|| format!("{what}: the client says {told}; it should be {}", wanted.word()))
}
