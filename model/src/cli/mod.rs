//! `hydra check`: the command line of the model checker. Exit status: 0 proved, 1 violated, 2 usage, 3 incomplete or
//! vacuous.

mod beside;
mod museum;
mod process;
mod text;

use crate::museum::find;
use crate::run::{Outcome, Request, exit_code, run};
use crate::scopes::{ModelSpec, Scope};
use crate::search::Progress;
use crate::world::World;
use crate::world::bounds::{Bounds, Faults, Program, WrongBounds};
use clap::{Args, ValueEnum};
use hydra_protocol::{Kind, Protocol, Reference};
use indicatif::{ProgressBar, ProgressStyle};
use stateright::Model;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// What went wrong before anything was checked.
const USAGE: u8 = 2;

/// Checks the engine's own rules exhaustively, or shows what a known-wrong engine breaks.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// A scope that has a name: smoke takes seconds, standard minutes, deep what the machine has.
    #[arg(long, value_enum, conflicts_with_all = ["workers", "executions", "steps", "attempts", "faults"])]
    scope: Option<ScopeName>,
    /// Workers (1 to 4).
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Executions (1 or 2).
    #[arg(long, value_name = "N")]
    executions: Option<usize>,
    /// Steps of each execution (1 to 3): a keyed one, a transactional one, an at-most-once one.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Attempts that each step is allowed.
    #[arg(long, value_name = "N")]
    attempts: Option<u32>,
    /// Faults that may happen, separated by commas; `all` or `none`.
    #[arg(long, value_name = "FAULTS")]
    faults: Option<String>,
    /// Checks this known-wrong engine instead of the reference.
    #[arg(long, value_name = "NAME", conflicts_with = "mutants")]
    mutant: Option<String>,
    /// Visits every known-wrong engine and prints which property each breaks.
    #[arg(long)]
    mutants: bool,
    /// Threads that search.
    #[arg(long, value_name = "N", default_value_t = default_threads())]
    threads: usize,
    /// Memory that the search may take, in GiB: 4, for the deep scope 12.
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
    /// Writes everything to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leaves the schedule of every counterexample in this folder, for `hydra replay`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["mutants", "beside", "explore"])]
    out: Option<PathBuf>,
    /// Opens the first model in stateright's Explorer at this address; a bare port means this machine alone.
    #[arg(long, value_name = "ADDR")]
    explore: Option<String>,
    /// Searches the same models with this checker too, and compares counts, speed and memory.
    #[arg(long, value_enum, conflicts_with_all = ["mutant", "mutants", "explore", "json"])]
    beside: Option<Rival>,
    /// What a process that `--beside` starts does, and to which model.
    #[arg(long, value_enum, hide = true, requires = "nth")]
    measure: Option<beside::Search>,
    #[arg(long, hide = true)]
    nth: Option<usize>,
}

/// Another checker of the same models.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rival {
    Stateright,
}

/// GiB that a search may take if nothing is said; the deep scope may take more.
const MEMORY_GIB: f64 = 4.0;
const DEEP_MEMORY_GIB: f64 = 12.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScopeName {
    Smoke,
    Standard,
    Deep,
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl CheckArgs {
    /// Runs the subcommand; the answer is the exit status.
    pub fn run(&self) -> u8 {
        match self.attempt() {
            Ok(code) => code,
            Err(wrong) => {
                eprintln!("{wrong}");
                USAGE
            }
        }
    }

    fn attempt(&self) -> Result<u8, WrongBounds> {
        if self.threads == 0 {
            return Err(WrongBounds("threads must be at least 1".to_owned()));
        }
        let is_deep = matches!(self.scope, Some(ScopeName::Deep));
        let memory = self.memory.unwrap_or(if is_deep { DEEP_MEMORY_GIB } else { MEMORY_GIB });
        if memory.is_nan() || memory <= 0.0 {
            return Err(WrongBounds(format!("memory must be more than 0 GiB, not {memory}")));
        }
        let models = self.models()?;
        if let Some((search, model)) = self.measure.zip(self.nth.and_then(|nth| models.get(nth))) {
            return beside::measure(model, search, self.threads);
        }
        if let Some(Rival::Stateright) = self.beside {
            return beside::show(&models, self.threads);
        }
        if let Some(address) = &self.explore {
            return self.serve(&models[0], address);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        // Fails only where a handler is set already; then Ctrl-C is somebody else's.
        let _ = ctrlc::set_handler(move || flag.store(true, Relaxed));
        if self.mutants {
            return museum::show(&models, self.threads, &stop, self.json.as_deref());
        }
        let mutant = match &self.mutant {
            None => None,
            Some(name) => Some(find(name).ok_or_else(|| {
                let names: Vec<_> = crate::museum::mutants().map(|mutant| mutant.name).collect();
                WrongBounds(format!("{name:?} is no mutant; the mutants are {}", names.join(", ")))
            })?),
        };
        let request = Request {
            models,
            mutant,
            threads: self.threads,
            memory_bytes_max: Some((memory * f64::from(1 << 30)) as u64),
            symmetry: true,
        };
        eprintln!("models to search: {}; Ctrl-C ends the run with what was seen so far", request.models.len());
        let bar = progress_bar();
        let outcome = run(&request, &mut |model, seen| tick(&bar, model, seen), &stop)?;
        bar.finish_and_clear();
        text::print(&outcome, mutant);
        write_json(self.json.as_deref(), &outcome)?;
        if let Some(folder) = &self.out {
            keep(folder, &outcome)?;
        }
        Ok(exit_code(&outcome.verdict))
    }

    fn models(&self) -> Result<Vec<ModelSpec>, WrongBounds> {
        let is_custom = self.workers.is_some()
            || self.executions.is_some()
            || self.steps.is_some()
            || self.attempts.is_some()
            || self.faults.is_some();
        if is_custom {
            let bounds = self.bounds()?;
            return Ok(vec![ModelSpec { name: "custom", covers: "the bounds given", bounds }]);
        }
        let scope = match self.scope {
            Some(ScopeName::Smoke) | None => Scope::Smoke,
            Some(ScopeName::Standard) => Scope::Standard,
            Some(ScopeName::Deep) => Scope::Deep,
        };
        Ok(scope.models())
    }

    fn bounds(&self) -> Result<Bounds, WrongBounds> {
        let kinds = [Kind::Keyed, Kind::Transactional, Kind::AtMostOnce];
        let steps = self.steps.unwrap_or(2);
        if !(1..=kinds.len()).contains(&steps) {
            return Err(WrongBounds(format!("steps must be from 1 to {}, not {steps}", kinds.len())));
        }
        let bounds = Bounds {
            workers: self.workers.unwrap_or(2),
            executions: self.executions.unwrap_or(1),
            program: Program::sequence(&kinds[..steps]),
            attempts: self.attempts.unwrap_or(2),
            faults: parse_faults(self.faults.as_deref().unwrap_or("crash,disconnect,reply-lost,encode,expire"))?,
            ..Bounds::smallest()
        };
        bounds.check()?;
        Ok(bounds)
    }

    fn serve(&self, model: &ModelSpec, address: &str) -> Result<u8, WrongBounds> {
        let address = parse_address(address)?;
        println!("http://{address} shows the model \"{}\"; Ctrl-C ends it", model.name);
        match self.mutant.as_deref().map(|name| find(name).ok_or_else(|| name.to_owned())) {
            None => drop(World::<Reference>::new(model.bounds.clone(), &Reference)?.checker().serve(address)),
            Some(Ok(mutant)) => {
                let bounds = Bounds { defects: mutant.defects, ..model.bounds.clone() };
                drop(World::<dyn Protocol + Sync>::new(bounds, mutant.rules)?.checker().serve(address));
            }
            Some(Err(name)) => return Err(WrongBounds(format!("{name:?} is no mutant"))),
        }
        Ok(0)
    }
}

fn parse_faults(words: &str) -> Result<Faults, WrongBounds> {
    let mut faults = Faults::NONE;
    for word in words.split(',').map(str::trim) {
        match word {
            "all" => faults = Faults::ALL,
            "none" | "" => {}
            word if faults.allow(word) => {}
            word => {
                let words = Faults::WORDS.join(", ");
                return Err(WrongBounds(format!("{word:?} is no fault; the faults are {words}, or all, or none")));
            }
        }
    }
    Ok(faults)
}

/// A port alone is bound to loopback, so that nobody else can look on unless told so.
fn parse_address(address: &str) -> Result<SocketAddr, WrongBounds> {
    let port = address.trim_start_matches(':');
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    address
        .replace("localhost", "127.0.0.1")
        .parse()
        .map_err(|_| WrongBounds(format!("{address:?} is no address; write a port such as 3000, or 127.0.0.1:3000")))
}

/// Writes the schedule of every counterexample to a file of its own, and says how to replay it.
fn keep(folder: &Path, outcome: &Outcome) -> Result<(), WrongBounds> {
    for model in &outcome.models {
        for told in &model.counterexamples {
            let name = format!("{}-{}-{}.schedule", outcome.subject, model.name.replace(' ', "-"), told.property.id());
            let file = folder.join(name);
            let written =
                std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, told.schedule.to_string()));
            written.map_err(|error| WrongBounds(format!("{}: {error}", file.display())))?;
            println!("hydra replay {}", file.display());
        }
    }
    Ok(())
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn tick(bar: &ProgressBar, model: &str, seen: &Progress) {
    let rate = seen.distinct as f64 / seen.elapsed.as_secs_f64().max(0.001);
    bar.set_message(format!(
        "{model}: {} states, {rate:.0} states/s, depth {}, queue {}, {:.1} MiB",
        seen.distinct,
        seen.depth,
        seen.queue,
        seen.bytes as f64 / f64::from(1 << 20)
    ));
}

fn write_json(path: Option<&std::path::Path>, value: &impl serde::Serialize) -> Result<(), WrongBounds> {
    let Some(path) = path else { return Ok(()) };
    let failed = |error: &dyn std::fmt::Display| WrongBounds(format!("{}: {error}", path.display()));
    let file = std::fs::File::create(path).map_err(|error| failed(&error))?;
    serde_json::to_writer_pretty(file, value).map_err(|error| failed(&error))
}
