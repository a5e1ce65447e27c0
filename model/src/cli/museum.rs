//! `hydra check --mutants`: the matrix of properties and mutants.

use super::text::grouped;
use crate::museum::{Exhibit, Limits, Source, mutants, visit};
use crate::scopes::ModelSpec;
use crate::world::bounds::WrongBounds;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use hydra_schedule::Property;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Columns of a terminal that the tables are laid out for.
const WIDTH: u16 = 120;

/// One row of the matrix, for JSON.
#[derive(Serialize)]
struct Row {
    mutant: &'static str,
    source: String,
    rule: &'static str,
    defect: &'static str,
    seen: &'static str,
    takes_effect: bool,
    states: u64,
    seconds: f64,
    breaks: Vec<Broken>,
}

#[derive(Serialize)]
struct Broken {
    property: Property,
    model: &'static str,
    steps: usize,
}

pub(super) fn show(
    models: &[ModelSpec],
    threads: usize,
    stop: &Arc<AtomicBool>,
    json: Option<&Path>,
) -> Result<u8, WrongBounds> {
    let bar = super::progress_bar();
    let limits = Limits { threads, ..Limits::default() };
    let mut exhibits = Vec::new();
    let all: Vec<_> = mutants().collect();
    for mutant in &all {
        if stop.load(Relaxed) {
            break;
        }
        bar.set_message(format!("{} ({} of {})", mutant.name, exhibits.len() + 1, all.len()));
        exhibits.push(visit(mutant, models, &limits));
    }
    bar.finish_and_clear();
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["mutant", "finding", "what falls, and after how many steps", "states", "seconds"]);
    for exhibit in &exhibits {
        let falls = exhibit.kills.iter().map(|kill| {
            let mark = if exhibit.mutant.breaks.contains(&kill.property) { "" } else { "(" };
            let end = if mark.is_empty() { "" } else { ")" };
            format!("{mark}{} {}{end}", kill.property, kill.steps)
        });
        table.add_row([
            exhibit.mutant.name.to_owned(),
            source(exhibit),
            falls.collect::<Vec<_>>().join(", "),
            grouped(exhibit.states),
            format!("{:.2}", exhibit.elapsed.as_secs_f64()),
        ]);
    }
    println!("{table}\n");
    by_property(&exhibits);
    let faults = complaints(&exhibits);
    for fault in &faults {
        println!("{fault}");
    }
    let rows: Vec<Row> = exhibits.iter().map(row).collect();
    super::write_json(json, &rows)?;
    let is_whole = exhibits.len() == all.len();
    println!(
        "{} of {} mutants visited; in brackets: what falls besides what the mutant is there for.",
        exhibits.len(),
        all.len()
    );
    Ok(match (is_whole, faults.is_empty()) {
        (false, _) => 3,
        (true, false) => 1,
        (true, true) => 0,
    })
}

/// The same matrix from the other side: no property without a mutant that breaks it.
fn by_property(exhibits: &[Exhibit]) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["property", "mutants that break it"]);
    for property in Property::ALL {
        let breakers = exhibits.iter().filter(|exhibit| exhibit.kill(*property).is_some());
        let names: Vec<_> = breakers.map(|exhibit| exhibit.mutant.name).collect();
        table.add_row([property.id().to_owned(), names.join(", ")]);
    }
    println!("{table}\n");
}

fn source(exhibit: &Exhibit) -> String {
    match exhibit.mutant.source {
        Source::Finding(number) => number.to_string(),
        Source::All => "all".to_owned(),
        Source::Beyond => "beyond".to_owned(),
    }
}

fn row(exhibit: &Exhibit) -> Row {
    let mutant = exhibit.mutant;
    let broken = |kill: &crate::museum::Kill| Broken { property: kill.property, model: kill.model, steps: kill.steps };
    Row {
        mutant: mutant.name,
        source: source(exhibit),
        rule: mutant.rule,
        defect: mutant.defect,
        seen: mutant.seen,
        takes_effect: exhibit.takes_effect,
        states: exhibit.states,
        seconds: exhibit.elapsed.as_secs_f64(),
        breaks: exhibit.kills.iter().map(broken).collect(),
    }
}

/// What is wrong with the museum itself.
fn complaints(exhibits: &[Exhibit]) -> Vec<String> {
    let mut faults = Vec::new();
    for property in Property::ALL {
        if !exhibits.iter().any(|exhibit| exhibit.kill(*property).is_some()) {
            faults.push(format!("no mutant breaks {property}"));
        }
    }
    for exhibit in exhibits {
        let name = exhibit.mutant.name;
        if !exhibit.takes_effect {
            faults.push(format!("{name} never takes effect"));
        }
        if exhibit.kills.is_empty() {
            faults.push(format!("{name} survives"));
        }
        for property in exhibit.mutant.breaks.iter().filter(|property| exhibit.kill(**property).is_none()) {
            faults.push(format!("{name} does not break {property}"));
        }
    }
    faults
}
