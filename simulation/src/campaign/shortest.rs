//! The shortest counterexamples that are known: what shows a defect in the simulator is searched again in the model,
//! where every shorter way has been tried.

use hydra_model::museum::{self, Exhibit, Kill, Limits, Mutant};
use hydra_model::scopes::{ModelSpec, Scope};
use hydra_model::story;
use hydra_model::world::World;
use hydra_protocol::Protocol;
use hydra_schedule::{Action, ClientAct, Counterexample, Event, Property, WorkerAct};

use crate::history::{Gave, History, Journal, Phase, Record, What};
use crate::oracle::Finding;

/// What the model knows of one subject.
pub struct Known {
    mutant: &'static Mutant,
    models: Vec<ModelSpec>,
    exhibit: Exhibit,
}

impl Known {
    /// Searches the model's small scope for everything that the subject breaks: a second or two. None for a subject
    /// that the model does not know.
    pub fn of(subject: &str) -> Option<Known> {
        let mutant = museum::find(subject)?;
        let models = Scope::Smoke.models();
        let exhibit = museum::visit(mutant, &models, &Limits::default());
        Some(Known { mutant, models, exhibit })
    }

    /// The shortest way to break a property.
    pub fn shortest(&self, property: Property) -> Option<Counterexample> {
        self.told(self.exhibit.kill(property)?)
    }

    /// The shortest way to break what the subject is there to break.
    pub fn emblem(&self) -> Option<Counterexample> {
        let wanted = self.mutant.breaks.iter().find_map(|property| self.exhibit.kill(*property));
        self.told(wanted.or(self.exhibit.kills.first())?)
    }

    fn told(&self, kill: &Kill) -> Option<Counterexample> {
        let mut bounds = self.models.iter().find(|model| model.name == kill.model)?.bounds.clone();
        bounds.defects = self.mutant.defects;
        let world = World::<dyn Protocol + Sync>::new(bounds, self.mutant.rules).ok()?;
        Some(story::retell(&world, kill.model, Some(self.mutant), kill.property, &kill.path, &kill.text))
    }
}

/// How many acts a counterexample of the model has: what clients, workers and the nemesis do. That time passes, or that
/// a worker reads what is there, is no act: a history does not tell it either.
pub fn acts_of(counterexample: &Counterexample) -> usize {
    let acts = |event: &&Event| match &event.action {
        Action::TimePasses { .. } | Action::StoreExpires { .. } => false,
        Action::Worker { act, .. } => !matches!(act, WorkerAct::Replays(_) | WorkerAct::Asks(_) | WorkerAct::Beats),
        Action::Client(act) => !matches!(act, ClientAct::Looks(_) | ClientAct::Awaits(_)),
        Action::Fault { .. } => true,
    };
    counterexample.schedule.events.iter().filter(acts).count()
}

/// The same count over what was observed of a finding's execution up to where it contradicts itself.
pub fn acts_until(history: &History, finding: &Finding) -> usize {
    let acts = |record: &&Record| match &record.what {
        What::Fault { .. } => true,
        _ if record.execution() != Some(&finding.execution) => false,
        What::Call(call) => {
            call.phase == Phase::Invoked && !matches!(call.op, crate::history::Op::Status | crate::history::Op::Result)
        }
        What::Entered(_) => true,
        // That an attempt failed is settled too, and its row is not told.
        What::Left { gave, .. } => matches!(gave, Gave::Failure),
        What::Journal(journal) => match journal {
            Journal::Claimed { .. }
            | Journal::Released { .. }
            | Journal::Began { .. }
            | Journal::Checkpoint { .. }
            | Journal::TimerSet { .. }
            | Journal::TimerFired { .. } => true,
            // The others are told of the claim, the release or the client's call that wrote them.
            Journal::Status { status, .. } => status.is_terminal(),
            Journal::Rows { .. } => false,
        },
        What::Effect(_) | What::Worker { .. } | What::Healed | What::Ended => false,
    };
    let until = finding.second.min(history.records.len().saturating_sub(1));
    // For a lack of progress the story ends with the last thing that anybody did.
    history.records[..=until].iter().filter(acts).count()
}
