//! `hydra check --beside stateright`: the same models, searched by stateright's own checkers in the same run.
//!
//! Every search runs in a process of its own, so that the peak of its memory is its own. None uses symmetry: stateright
//! knows none that ours could be held against. Ours includes the edges and all four tiers of termination.

use super::process::{cpu_seconds, peak_bytes};
use super::text::grouped;
use crate::scopes::ModelSpec;
use crate::search::{Options, explore};
use crate::world::World;
use crate::world::bounds::WrongBounds;
use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use hydra_protocol::Reference;
use stateright::{Checker, Model};
use std::process::Command;
use std::time::Instant;

/// Whose search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Search {
    Ours,
    Dfs,
    Bfs,
}

const SEARCHES: [(Search, &str); 3] = [(Search::Ours, "ours"), (Search::Dfs, "dfs"), (Search::Bfs, "bfs")];

/// What one search did.
#[derive(Clone, Copy, Default)]
struct Measured {
    states: u64,
    seconds: f64,
    bytes: u64,
}

impl Measured {
    fn speed(self) -> f64 {
        self.states as f64 / self.seconds.max(1e-6)
    }

    fn bytes_per_state(self) -> f64 {
        self.bytes as f64 / self.states.max(1) as f64
    }

    fn add(&mut self, other: Measured) {
        self.states += other.states;
        self.seconds += other.seconds;
        self.bytes += other.bytes;
    }
}

/// Processor time that a measurement takes at least, in seconds; a small model is searched again and again.
const SECONDS_MIN: f64 = 0.3;

/// Searches one model in this process, and prints states, seconds of processor time for each search, and bytes.
pub(super) fn measure(model: &ModelSpec, search: Search, threads: usize) -> Result<u8, WrongBounds> {
    let world = || World::<Reference>::new(model.bounds.clone(), &Reference);
    let (before, started) = (peak_bytes(), Instant::now());
    // Other processes may slow this one down; what it costs stays the same.
    let seconds = || cpu_seconds().unwrap_or_else(|| started.elapsed().as_secs_f64());
    let (first, mut searches) = (seconds(), 0);
    loop {
        let states = match search {
            Search::Ours => explore(&world()?, &Options { threads, ..Options::default() }, &mut |_| {}).report.distinct,
            Search::Dfs => world()?.checker().threads(threads).spawn_dfs().join().unique_state_count() as u64,
            Search::Bfs => world()?.checker().threads(threads).spawn_bfs().join().unique_state_count() as u64,
        };
        searches += 1;
        let spent = seconds() - first;
        if spent >= SECONDS_MIN {
            let bytes = peak_bytes().zip(before).map_or(0, |(after, before)| after - before);
            println!("{states} {} {bytes}", spent / f64::from(searches));
            return Ok(0);
        }
    }
}

/// Measures every model with every search, and prints the ratios. The answer is the exit status: 1 if counts differ.
pub(super) fn show(models: &[ModelSpec], threads: usize) -> Result<u8, WrongBounds> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "model",
        "states",
        "ours states/CPU s",
        "DFS",
        "BFS",
        "speed over DFS",
        "over BFS",
        "bytes/state",
        "DFS",
        "BFS",
    ]);
    let (mut all, mut differ) = ([Measured::default(); 3], Vec::new());
    for (at, model) in models.iter().enumerate() {
        let mut measured = [Measured::default(); 3];
        for (place, (_, word)) in SEARCHES.iter().enumerate() {
            measured[place] = in_a_child(at, word)?;
            all[place].add(measured[place]);
        }
        if measured.iter().any(|other| other.states != measured[0].states) {
            differ.push(format!("{}: {:?} states", model.name, measured.map(|other| other.states)));
        }
        table.add_row(row(model.name, &measured));
    }
    table.add_row(row("all", &all));
    println!("{table}\n");
    println!(
        "{threads} threads each, no symmetry. Speed: states a second of processor time. Bytes: the peak of each process, \
         beyond what it had before. Ours includes the edges and the four tiers of termination."
    );
    if differ.is_empty() {
        println!("All counts are equal.");
        return Ok(0);
    }
    println!("COUNTS DIFFER (ours, DFS, BFS): {}", differ.join("; "));
    Ok(1)
}

fn row(name: &str, [ours, dfs, bfs]: &[Measured; 3]) -> [String; 10] {
    let speed = |measured: &Measured| grouped(measured.speed() as u64);
    let bytes = |measured: &Measured| format!("{:.0}", measured.bytes_per_state());
    [
        name.to_owned(),
        grouped(ours.states),
        speed(ours),
        speed(dfs),
        speed(bfs),
        format!("x{:.1}", ours.speed() / dfs.speed()),
        format!("x{:.1}", ours.speed() / bfs.speed()),
        bytes(ours),
        bytes(dfs),
        bytes(bfs),
    ]
}

/// This program again, with the same words and which search of which model to do.
fn in_a_child(model: usize, search: &str) -> Result<Measured, WrongBounds> {
    let failed = |why: String| WrongBounds(format!("the search {search} could not be measured: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output = Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--measure", search, "--nth", &model.to_string()])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let fields: Vec<f64> = text.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    match fields.as_slice() {
        &[states, seconds, bytes] => Ok(Measured { states: states as u64, seconds, bytes: bytes as u64 }),
        _ => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
