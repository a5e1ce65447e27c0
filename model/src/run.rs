//! One run of the checker over a list of models: what the command line asks for, and what it gets.

use crate::museum::Mutant;
use crate::properties::blames;
use crate::scopes::ModelSpec;
use crate::search::{Options, Progress, Report, Verdict, explore};
use crate::story;
use crate::world::World;
use crate::world::bounds::{Bounds, WrongBounds};
use hydra_protocol::{Protocol, Reference};
use hydra_schedule::{Counterexample, Property};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What to check, and with what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The models, in order.
    pub models: Vec<ModelSpec>,
    /// The engine: the reference, or a mutant.
    pub mutant: Option<&'static Mutant>,
    /// Threads that search.
    pub threads: usize,
    /// Bytes that one search may allocate.
    pub memory_bytes_max: Option<u64>,
    /// Whether to store one state for all that differ only in which worker or execution is which.
    pub symmetry: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The engine.
    pub subject: &'static str,
    /// The answer over all models: the worst of theirs.
    pub verdict: Verdict,
    /// Every model that was searched.
    pub models: Vec<ModelOutcome>,
}

/// What came of one model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelOutcome {
    /// Its name.
    pub name: &'static str,
    /// What it is there for.
    pub covers: &'static str,
    /// What the verdict holds under.
    pub bounds: Bounds,
    /// The search in numbers.
    pub report: Report,
    /// Every finding as a story; a lack of progress is told once for each property that it breaks.
    pub counterexamples: Vec<Counterexample>,
}

/// Checks the models one after the other. Ends early once `stop` is set.
pub fn run(
    request: &Request,
    progress: &mut dyn FnMut(&str, &Progress),
    stop: &Arc<AtomicBool>,
) -> Result<Outcome, WrongBounds> {
    let mut models = Vec::new();
    for model in &request.models {
        let outcome = match request.mutant {
            None => check::<Reference>(request, model, &Reference, progress, stop)?,
            Some(mutant) => check::<dyn Protocol + Sync>(request, model, mutant.rules, progress, stop)?,
        };
        models.push(outcome);
        if stop.load(Relaxed) {
            break;
        }
    }
    let verdict = models
        .iter()
        .map(|model| &model.report.verdict)
        .max_by_key(|verdict| severity(verdict))
        .cloned()
        .unwrap_or(Verdict::Incomplete(crate::search::Why::Stopped));
    Ok(Outcome { subject: request.mutant.map_or("reference", |mutant| mutant.name), verdict, models })
}

fn severity(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::ProvedInScope => 0,
        Verdict::Vacuous(_) => 1,
        Verdict::Incomplete(_) => 2,
        Verdict::Violated => 3,
    }
}

fn check<P: Protocol + ?Sized + Sync + 'static>(
    request: &Request,
    model: &ModelSpec,
    rules: &'static P,
    progress: &mut dyn FnMut(&str, &Progress),
    stop: &Arc<AtomicBool>,
) -> Result<ModelOutcome, WrongBounds> {
    let mut bounds = model.bounds.clone();
    if let Some(mutant) = request.mutant {
        bounds.defects = mutant.defects;
    }
    let world = World::new(bounds, rules)?;
    let options = Options {
        threads: request.threads,
        symmetry: request.symmetry,
        memory_bytes_max: request.memory_bytes_max,
        stop: Some(Arc::clone(stop)),
        ..Options::default()
    };
    let outcome = explore(&world, &options, &mut |seen| progress(model.name, seen));
    let mut counterexamples = Vec::new();
    for (finding, path) in outcome.report.findings.iter().zip(&outcome.counterexamples) {
        let properties = match finding.property.parse::<Property>() {
            Ok(property) => vec![property],
            Err(_) => blames(&world, finding.kind, path.last()),
        };
        for property in properties {
            counterexamples.push(story::retell(&world, model.name, request.mutant, property, path, &finding.text));
        }
    }
    Ok(ModelOutcome {
        name: model.name,
        covers: model.covers,
        bounds: world.bounds,
        report: outcome.report,
        counterexamples,
    })
}

/// The status that the command line exits with.
pub fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::ProvedInScope => 0,
        Verdict::Violated => 1,
        Verdict::Incomplete(_) | Verdict::Vacuous(_) => 3,
    }
}
