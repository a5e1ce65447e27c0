//! A schedule of the model, followed again: whether the property that it is said to break falls here too.
//!
//! A schedule has no line for what only the model knows (that a machine decides to wait, that a copy arrives), and one
//! line for what its reader need not tell apart. So the path is searched for, among those that the lines allow, until
//! one breaks the property.

use crate::museum::{self, Mutant};
use crate::properties::blames;
use crate::scopes::{ModelSpec, Scope};
use crate::search::{Checkable, Judge, Kind, Options, Role, explore};
use crate::story;
use crate::world::World;
use crate::world::action::Action;
use crate::world::bounds::Bounds;
use crate::world::state::State;
use hydra_protocol::{Protocol, Reference};
use hydra_schedule::{Property, Schedule};
use stateright::Model;
use std::cell::Cell;
use std::fmt;

/// The settings of a schedule that say which model it is of, and what it breaks.
pub const MODEL: &str = "model";
/// See [`MODEL`].
pub const BREAKS: &str = "breaks";
/// Distinct states of a search for a lack of progress, and how many such searches are worth it.
const STATES_MAX: u64 = 30_000;
const SEARCHES_MAX: u32 = 50;

/// What came of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The engine: the reference, or a mutant.
    pub subject: &'static str,
    /// The model.
    pub model: &'static str,
    /// Actions of the path.
    pub steps: usize,
    /// Whether the property falls.
    pub falls: bool,
}

/// Why a schedule was not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReplayed {
    /// Its subject is neither the reference nor a mutant.
    Subject(String),
    /// No scope has a model of this name with these workers and programs.
    Model(String),
    /// The lines describe no path of the model.
    NoPath,
}

impl fmt::Display for NotReplayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReplayed::Subject(name) => {
                write!(f, "the model has no engine {name:?}: it has the reference and the mutants")
            }
            NotReplayed::Model(name) => write!(f, "no scope has a model {name:?} with these workers and programs"),
            NotReplayed::NoPath => f.write_str("the model has no path of these events"),
        }
    }
}

impl std::error::Error for NotReplayed {}

/// Follows a schedule until `property` falls.
pub fn replay(schedule: &Schedule, property: Property) -> Result<Replayed, NotReplayed> {
    let mutant = match schedule.subject.as_ref().map(|name| name.as_str()) {
        None | Some("reference") => None,
        Some(name) => Some(museum::find(name).ok_or_else(|| NotReplayed::Subject(name.to_owned()))?),
    };
    let name = schedule.setting(MODEL).unwrap_or_default();
    let model = find(schedule, name).ok_or_else(|| NotReplayed::Model(name.to_owned()))?;
    match mutant {
        None => follow(&|| World::new(model.bounds.clone(), &Reference), schedule, property, &model, None),
        Some(mutant) => {
            let bounds = Bounds { defects: mutant.defects, ..model.bounds.clone() };
            let world = || World::<dyn Protocol + Sync>::new(bounds.clone(), mutant.rules);
            follow(&world, schedule, property, &model, Some(mutant))
        }
    }
}

/// The model that a schedule is of. Scopes share names; workers and programs tell their models apart.
fn find(schedule: &Schedule, name: &str) -> Option<ModelSpec> {
    let is_it = |model: &ModelSpec| {
        let programs: Vec<_> = (0..model.bounds.executions).map(|at| story::program(&model.bounds, at)).collect();
        model.name.replace(' ', "-") == name
            && schedule.workers == u32::try_from(model.bounds.workers).ok()
            && schedule.programs == programs
    };
    [Scope::Smoke, Scope::Standard, Scope::Deep].into_iter().flat_map(Scope::models).find(is_it)
}

fn follow<P: Protocol + ?Sized + Sync + 'static>(
    make: &dyn Fn() -> Result<World<P>, crate::world::bounds::WrongBounds>,
    schedule: &Schedule,
    property: Property,
    model: &ModelSpec,
    mutant: Option<&'static Mutant>,
) -> Result<Replayed, NotReplayed> {
    let new = || make().map_err(|_| NotReplayed::Model(model.name.to_owned()));
    let world = new()?;
    let searches = Cell::new(0);
    let falls = |path: &[(Action, State)]| {
        let from = match path {
            [] => return false,
            [_] => world.init_states()[0],
            [.., (_, from), _] => *from,
        };
        let (action, to) = &path[path.len() - 1];
        is_unsafe(&world, property, &from, action, to) || {
            searches.set(searches.get() + 1);
            searches.get() <= SEARCHES_MAX && new().is_ok_and(|fresh| is_hopeless(fresh.starting_at(*to), property))
        }
    };
    let replayed = |steps, falls| Replayed {
        subject: mutant.map_or("reference", |mutant| mutant.name),
        model: model.name,
        steps,
        falls,
    };
    if let Some(path) = story::follow_until(&world, schedule, &falls) {
        return Ok(replayed(path.len(), true));
    }
    let path = story::follow(&world, schedule).ok_or(NotReplayed::NoPath)?;
    Ok(replayed(path.len(), false))
}

/// Whether an edge, or the state that it leads to, breaks `property`.
fn is_unsafe<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    property: Property,
    from: &State,
    action: &Action,
    to: &State,
) -> bool {
    let mut judge = Judge::new();
    world.check_edge(from, action, to, &mut judge);
    world.check_state(to, &mut judge);
    let rank_falls = || world.rank(to).zip(world.rank(from)).is_some_and(|(to, from)| to < from);
    let is_step = world.role(action) == Role::Step && !world.is_done(from);
    judge.violations().iter().any(|(id, _)| *id == property.id())
        || (is_step && blames(world, Kind::Rank, to).contains(&property) && !rank_falls())
}

/// Whether something from here on never gets anywhere, by which `property` breaks.
fn is_hopeless<P: Protocol + ?Sized + Sync + 'static>(world: World<P>, property: Property) -> bool {
    if property.info().kind != hydra_schedule::Kind::Progress {
        return false;
    }
    let options = Options { symmetry: true, keep_going: true, states_max: Some(STATES_MAX), ..Options::default() };
    let outcome = explore(&world, &options, &mut |_| {});
    let mut ends = outcome.report.findings.iter().zip(&outcome.counterexamples);
    ends.any(|(finding, path)| blames(&world, finding.kind, path.last()).contains(&property))
}
