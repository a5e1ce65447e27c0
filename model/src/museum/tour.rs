//! A visit to one mutant: what it breaks, how soon, and whether it can take effect at all.

use super::Mutant;
use crate::properties::blames;
use crate::scopes::ModelSpec;
use crate::search::{Counterexample, Options, explore};
use crate::world::World;
use crate::world::action::Action;
use crate::world::state::State;
use hydra_protocol::Protocol;
use hydra_schedule::Property;
use std::time::{Duration, Instant};

/// How far a visit goes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Distinct states of one model.
    pub states_max: u64,
    /// Threads.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { states_max: 30_000, threads: 2 }
    }
}

/// A property that a mutant breaks, by the shortest counterexample of all models.
pub struct Kill {
    /// The property.
    pub property: Property,
    /// The model that shows it.
    pub model: &'static str,
    /// Actions until then.
    pub steps: usize,
    /// Why, with the values at hand.
    pub text: String,
    /// The path.
    pub path: Counterexample<State, Action>,
}

/// What a visit found.
pub struct Exhibit {
    /// The mutant.
    pub mutant: &'static Mutant,
    /// What it breaks, in the order of the table of properties.
    pub kills: Vec<Kill>,
    /// Whether its rules ever answered anything that the reference would not have.
    pub takes_effect: bool,
    /// Distinct states of all models.
    pub states: u64,
    /// Wall-clock time.
    pub elapsed: Duration,
}

/// Searches every model for everything that the mutant breaks.
pub fn visit(mutant: &'static Mutant, models: &[ModelSpec], limits: &Limits) -> Exhibit {
    let started = Instant::now();
    let mut exhibit = Exhibit { mutant, kills: Vec::new(), takes_effect: false, states: 0, elapsed: Duration::ZERO };
    for model in models {
        let mut bounds = model.bounds.clone();
        bounds.defects = mutant.defects;
        let world = World::<dyn Protocol + Sync>::new(bounds, mutant.rules)
            .expect("the museum's models are within bounds")
            .watching();
        let options = Options {
            threads: limits.threads,
            symmetry: true,
            keep_going: true,
            states_max: Some(limits.states_max),
            ..Options::default()
        };
        let outcome = explore(&world, &options, &mut |_| {});
        exhibit.states += outcome.report.distinct;
        exhibit.takes_effect |= world.differs();
        for (finding, path) in outcome.report.findings.iter().zip(outcome.counterexamples) {
            let properties = match finding.property.parse::<Property>() {
                Ok(property) => vec![property],
                Err(_) => blames(&world, finding.kind, path.last()),
            };
            for property in properties {
                exhibit.note(Kill {
                    property,
                    model: model.name,
                    steps: path.steps.len(),
                    text: finding.text.clone(),
                    path: path.clone(),
                });
            }
        }
    }
    exhibit.kills.sort_by_key(|kill| kill.property);
    exhibit.elapsed = started.elapsed();
    exhibit
}

impl Exhibit {
    fn note(&mut self, kill: Kill) {
        match self.kills.iter_mut().find(|known| known.property == kill.property) {
            // A path of no steps says that nothing can ever come of it, and shows nothing: any other tells more.
            Some(known) if known.steps > 0 && (known.steps <= kill.steps || kill.steps == 0) => {}
            Some(known) => *known = kill,
            None => self.kills.push(kill),
        }
    }

    /// How it breaks `property`.
    pub fn kill(&self, property: Property) -> Option<&Kill> {
        self.kills.iter().find(|kill| kill.property == property)
    }
}
