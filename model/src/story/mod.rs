//! A path of the model, told so that a person can follow it.

mod events;
mod words;

use crate::museum::Mutant;
use crate::replay::{BREAKS, MODEL};
use crate::search::Counterexample as Path;
use crate::world::World;
use crate::world::action::Action;
use crate::world::state::State;
use hydra_protocol::Protocol;
use hydra_schedule::{Counterexample, LastChance, Moment, Name, Pair, Property, Schedule};

pub(crate) use events::program;
pub use words::describe;
pub(crate) use words::told;

/// Retells a path that ends in a violation of `property`.
pub fn retell<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    model: &str,
    mutant: Option<&Mutant>,
    property: Property,
    path: &Path<State, Action>,
    text: &str,
) -> Counterexample {
    let mut schedule = Schedule {
        subject: Name::new(mutant.map_or("reference", |mutant| mutant.name)).ok(),
        workers: u32::try_from(world.bounds.workers).ok(),
        ..Schedule::default()
    };
    for execution in 0..world.bounds.executions {
        schedule.programs.push(events::program(&world.bounds, execution));
    }
    for (key, value) in [(MODEL, model.replace(' ', "-")), (BREAKS, property.id().to_owned())] {
        if let Ok(key) = Name::new(key) {
            schedule.settings.insert(key, value);
        }
    }
    let mut teller = words::Teller::new(world);
    let mut moments = Vec::new();
    let mut places = Vec::new();
    for at in 0..path.steps.len() {
        let (from, (action, to)) = (path.state(at), &path.steps[at]);
        schedule.events.extend(events::of(world, from, action));
        if let Some(moment) = teller.moment(from, action, to) {
            moments.push(moment);
            places.push(at);
        }
    }
    let (pair, contradiction) = contradiction(&moments, property, text, path.cycle_start.is_some());
    let chance = last_chance(world, mutant, path)
        .map(|(at, instead)| (places.iter().rposition(|&place| place <= at).unwrap_or(0), instead));
    let replay = match mutant {
        Some(mutant) => format!("hydra check --mutant {}", mutant.name),
        None => "hydra check".to_owned(),
    };
    let mut story = Counterexample::new(property, schedule, contradiction).with_replay(replay);
    story.last_chance = chance.map(|(moment, instead)| LastChance { moment, instead });
    story.pair = pair;
    story.moments = moments;
    story
}

/// The path that a schedule describes, if this model has one.
pub fn follow<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    schedule: &Schedule,
) -> Option<Vec<(Action, State)>> {
    events::follow(world, schedule, &|_| true)
}

/// A path that a schedule describes and that is accepted, if this model has one.
pub(crate) fn follow_until<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    schedule: &Schedule,
    accept: &events::Accept<'_>,
) -> Option<Vec<(Action, State)>> {
    events::follow(world, schedule, accept)
}

/// The two moments that contradict each other, and the sentence that says so.
fn contradiction(moments: &[Moment], property: Property, text: &str, is_cycle: bool) -> (Option<Pair>, String) {
    let sentence = |moment: &Moment| format!("{} {}", moment.actor, moment.what);
    let Some(last) = moments.last() else {
        return (None, format!("{}: {text}.", property.info().when_broken));
    };
    let second = moments.len() - 1;
    let is_progress = property.info().kind == hydra_schedule::Kind::Progress;
    if is_progress || is_cycle {
        return (None, format!("After step {}: {text}. So {}.", second + 1, property.info().when_broken));
    }
    let earlier = |wanted: &[&str]| {
        moments[..second].iter().rposition(|moment| {
            wanted.iter().any(|verb| moment.what.starts_with(verb)) && !moment.what.contains("refused")
        })
    };
    let first = match property {
        Property::EffectOnceKeyed
        | Property::SuccessNeverRerun
        | Property::BodyAtMostOnce
        | Property::InDoubtShown
        | Property::OutcomeTrue => earlier(&["runs"]),
        Property::CheckpointImmutable | Property::EffectOnceTransactional | Property::ReplayFaithful => {
            earlier(&["settles", "runs"])
        }
        Property::EpochFenced | Property::LeaseExclusive | Property::LeaseKept => earlier(&["claims"]),
        Property::StatusLegal | Property::CancelClean => earlier(&["finishes", "cancels"]),
        Property::TimerNotEarly => earlier(&["sleeps"]),
        Property::StepUnique | Property::AttemptsBounded | Property::BudgetHonest => earlier(&["begins"]),
        Property::StartIdempotent => earlier(&["starts"]),
        Property::BackoffBounded
        | Property::RowsConsistent
        | Property::TimerNotLost
        | Property::NothingStuck
        | Property::CanComplete
        | Property::Terminates
        | Property::OrphansRecovered => None,
    };
    let contradiction = match first {
        Some(first) => format!(
            "{} (step {}), and yet {} (step {}): {}.",
            sentence(&moments[first]),
            first + 1,
            sentence(last),
            second + 1,
            property.info().when_broken
        ),
        None => format!("{} (step {}): {}.", sentence(last), second + 1, property.info().when_broken),
    };
    (Some(Pair { first: first.unwrap_or(second), second }), contradiction)
}

/// The last action of the path at which the reference would have answered otherwise, and what it would have done.
fn last_chance<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    mutant: Option<&Mutant>,
    path: &Path<State, Action>,
) -> Option<(usize, String)> {
    let mutant = mutant?;
    let differs = |at: usize| {
        let fresh = World::new(world.bounds.clone(), world.rules).ok()?.watching_anew();
        let _ = stateright::Model::next_state(&fresh, path.state(at), path.steps[at].0);
        Some(fresh.differs())
    };
    let at = (0..path.steps.len()).rev().find(|&at| differs(at) == Some(true));
    let at = at.unwrap_or(path.steps.len().saturating_sub(1));
    Some((at, format!("by the right rule ({}) it would have gone otherwise. Here, {}.", mutant.rule, mutant.defect)))
}
