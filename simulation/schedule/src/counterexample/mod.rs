//! Counterexamples: a broken property told so that a person can follow it.

mod diagram;
mod text;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::property::Property;
use crate::schedule::{Action, Event, Schedule};

/// One numbered step of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When, in milliseconds of the run's clock, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Who: a worker, `client`, `store`, `time` or `fault`.
    pub actor: String,
    /// What happened, as a sentence without its subject ("claims W1 under epoch 2").
    pub what: String,
    /// Whether it was injected.
    #[serde(default)]
    pub fault: bool,
}

/// The two moments that contradict each other, as indices into the moments, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The earlier one.
    pub first: usize,
    /// The later one; the same as the first where one moment alone is wrong.
    pub second: usize,
}

/// The last moment at which it could still have gone right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChance {
    /// The moment after which it was too late, as an index from 0.
    pub moment: usize,
    /// What should have happened there instead.
    pub instead: String,
}

/// A broken property with the schedule that breaks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The property that falls.
    pub property: Property,
    /// What a user would say.
    pub title: String,
    /// Which engine.
    pub subject: String,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// The moments that contradict each other, if two do; for a lack of progress nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
    /// The contradiction spelled out, in whole sentences.
    pub contradiction: String,
    /// The last moment at which it could still have gone right, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_chance: Option<LastChance>,
    /// The schedule that replays it.
    pub schedule: Schedule,
    /// The command that replays it.
    pub replay: String,
}

impl Moment {
    /// The moment that an event of a schedule tells.
    pub fn of(event: &Event) -> Self {
        let (actor, what, fault) = match &event.action {
            Action::Worker { worker, act } => (worker.to_string(), act.to_string(), false),
            Action::Client(act) => ("client".to_owned(), act.to_string(), false),
            Action::TimePasses { execution } => ("time".to_owned(), format!("passes until {execution} is due"), false),
            Action::StoreExpires { execution } => {
                ("store".to_owned(), format!("expires the lease of {execution}"), false)
            }
            Action::Fault { fault, on: None } => ("fault".to_owned(), fault.to_string(), true),
            Action::Fault { fault, on: Some(on) } => ("fault".to_owned(), format!("{fault} on {on}"), true),
        };
        Moment { at_ms: event.at_ms, actor, what, fault }
    }
}

impl Counterexample {
    /// A counterexample whose story is its schedule. `contradiction` is one or more whole sentences.
    ///
    /// The title is the property's own; set the other fields where more is known.
    pub fn new(property: Property, schedule: Schedule, contradiction: impl Into<String>) -> Self {
        Counterexample {
            property,
            title: property.info().when_broken.to_owned(),
            subject: schedule.subject.as_ref().map_or("the subject", Name::as_str).to_owned(),
            moments: schedule.events.iter().map(Moment::of).collect(),
            pair: None,
            contradiction: contradiction.into(),
            last_chance: None,
            schedule,
            replay: "hydra replay FILE".to_owned(),
        }
    }

    /// Names the two moments that contradict each other.
    pub fn with_pair(mut self, first: usize, second: usize) -> Self {
        self.pair = Some(Pair { first, second });
        self
    }

    /// Names the last moment at which it could still have gone right.
    pub fn with_last_chance(mut self, moment: usize, instead: impl Into<String>) -> Self {
        self.last_chance = Some(LastChance { moment, instead: instead.into() });
        self
    }

    /// Names the command that replays it.
    pub fn with_replay(mut self, command: impl Into<String>) -> Self {
        self.replay = command.into();
        self
    }

    /// Whether the moment at `index` is one of the contradicting pair.
    pub fn contradicts(&self, index: usize) -> bool {
        self.pair.is_some_and(|pair| pair.first == index || pair.second == index)
    }

    /// Who appears, in the order of a diagram: the client, the workers as they come, then the store.
    ///
    /// Faults and passing time strike a lane and have none of their own.
    pub fn lanes(&self) -> Vec<String> {
        let mut workers: Vec<String> = Vec::new();
        for moment in &self.moments {
            let own_lane = !matches!(moment.actor.as_str(), "client" | "store" | "time" | "fault");
            if own_lane && !workers.contains(&moment.actor) {
                workers.push(moment.actor.clone());
            }
        }
        let client = self.moments.iter().any(|moment| moment.actor == "client").then(|| "client".to_owned());
        client.into_iter().chain(workers).chain(["store".to_owned()]).collect()
    }

    /// The lane that a moment stands in: the actor's own, or that of the worker a fault strikes, or the store's.
    pub fn lane_of(&self, moment: &Moment, lanes: &[String]) -> usize {
        let store = lanes.len().saturating_sub(1);
        if let Some(lane) = lanes.iter().position(|lane| *lane == moment.actor) {
            return lane;
        }
        let struck = moment.what.split_whitespace().nth(1).filter(|_| moment.fault);
        struck.and_then(|word| lanes.iter().position(|lane| lane == word)).unwrap_or(store)
    }
}
