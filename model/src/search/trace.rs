//! From a path of stored states to a counterexample that was executed again.

use super::checkable::{Checkable, Judge, Role};
use super::report::Kind;

/// A path of real states: every step is an action that was executed and led to the state beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample<S, A> {
    /// Where the path starts.
    pub initial: S,
    /// What happened, and what came of it.
    pub steps: Vec<(A, S)>,
    /// For a livelock: the last state equals the state after this many steps, and the path goes round from there.
    pub cycle_start: Option<usize>,
}

impl<S, A> Counterexample<S, A> {
    /// The last state of the path.
    pub fn last(&self) -> &S {
        self.state(self.steps.len())
    }

    /// The state after `steps` steps.
    pub fn state(&self, steps: usize) -> &S {
        if steps == 0 { &self.initial } else { &self.steps[steps - 1].1 }
    }
}

/// Executes the model along stored states. `None` means that the path does not exist among real states.
pub(super) struct Replayer<'a, M: Checkable> {
    pub(super) model: &'a M,
    pub(super) symmetry: bool,
}

pub(super) type Trace<M> = Counterexample<<M as stateright::Model>::State, <M as stateright::Model>::Action>;

impl<M: Checkable> Replayer<'_, M> {
    pub(super) fn stored(&self, state: &M::State) -> M::Packed {
        if self.symmetry { self.model.pack(&self.model.canonical(state.clone())) } else { self.model.pack(state) }
    }

    /// A real path through the given stored states, the first of which is initial.
    pub(super) fn path(&self, stored: &[M::Packed]) -> Option<Trace<M>> {
        let (first, rest) = stored.split_first()?;
        let initial = self.model.init_states().into_iter().find(|state| self.stored(state) == *first)?;
        let mut trace = Counterexample { initial, steps: Vec::with_capacity(rest.len()), cycle_start: None };
        for target in rest {
            let step = self.step(trace.last(), |_, to| self.stored(to) == *target)?;
            trace.steps.push(step);
        }
        Some(trace)
    }

    /// The first action from `from` that `accept` takes, and its successor.
    pub(super) fn step(
        &self,
        from: &M::State,
        accept: impl Fn(&M::Action, &M::State) -> bool,
    ) -> Option<(M::Action, M::State)> {
        let mut actions = Vec::new();
        self.model.actions(from, &mut actions);
        actions.into_iter().find_map(|action| {
            let to = self.model.next_state(from, action.clone())?;
            accept(&action, &to).then_some((action, to))
        })
    }

    /// Extends a path to the state of a finding so that it shows the finding, and says why it is one.
    pub(super) fn show(&self, mut trace: Trace<M>, kind: Kind, property: &str) -> Option<(Trace<M>, String)> {
        let from = trace.last().clone();
        match kind {
            Kind::State => {
                let mut judge = Judge::new();
                self.model.check_state(&from, &mut judge);
                let text = text_of(&judge, property)?;
                Some((trace, text))
            }
            Kind::Edge => {
                let judge_of = |action: &M::Action, to: &M::State| {
                    let mut judge = Judge::new();
                    self.model.check_edge(&from, action, to, &mut judge);
                    text_of(&judge, property)
                };
                let (action, to) = self.step(&from, |action, to| judge_of(action, to).is_some())?;
                let text = judge_of(&action, &to)?;
                trace.steps.push((action, to));
                Some((trace, text))
            }
            Kind::Rank => {
                let rank = self.model.rank(&from);
                let falls = |to: &M::State| self.model.rank(to).zip(rank).is_some_and(|(next, rank)| next < rank);
                let is_step = |action: &M::Action| self.model.role(action) == Role::Step;
                let (action, to) = self.step(&from, |action, to| is_step(action) && !falls(to))?;
                let name = |rank: Option<u64>| rank.map_or("nothing".to_string(), |rank| rank.to_string());
                let text = format!("the measure goes from {} to {} on a step", name(rank), name(self.model.rank(&to)));
                trace.steps.push((action, to));
                Some((trace, text))
            }
            Kind::Stuck => {
                let text = self.why_stuck(&from)?;
                Some((trace, text))
            }
            Kind::CannotRecover | Kind::FairLivelock => None,
        }
    }

    fn why_stuck(&self, state: &M::State) -> Option<String> {
        let moves = self.step(state, |action, to| self.model.role(action) != Role::Fault && to != state);
        if moves.is_some() || self.model.is_done(state) {
            return None;
        }
        let text = if self.step(state, |_, _| true).is_none() {
            "not done, and no action is enabled"
        } else if self.step(state, |action, _| self.model.role(action) == Role::Fault).is_some() {
            "not done, and only a fault can move it"
        } else {
            "not done, and every enabled action leads back to it"
        };
        Some(text.to_string())
    }
}

fn text_of(judge: &Judge, property: &str) -> Option<String> {
    judge.violations().iter().find(|(name, _)| *name == property).map(|(_, text)| text.clone())
}
