//! The model: the core's two halves, composed with a world that goes wrong.
//!
//! - `row` is an execution in the store, `drive` what one worker has in memory of it: the core's own rows and machines.
//! - `action` lists what can happen, `enabled` when; `happen`, `store` and `worker` let it happen by calling the core, `seen` collects what was
//!   noticed. There is no rule of the protocol in here.
//! - `clock` rounds times, `layout` and `state` pack a state into 256 bits.
//!
//! What is abstracted: time (see [`clock`]), epochs (the latest and older ones), names and payloads. What is not: every
//! command, every machine, every fault, at every moment, any number of times.

pub mod action;
pub mod bounds;
pub mod clock;
pub mod compose;
pub mod drive;
mod enabled;
pub(crate) mod goals;
mod happen;
pub mod layout;
mod measure;
pub mod program;
pub mod row;
pub mod seen;
pub mod state;
mod store;
mod worker;

use self::action::Action;
use self::bounds::{Bounds, WrongBounds};
use self::goals::Goal;
use self::layout::Layout;
use self::program::Plans;
use self::state::{Packed, State};
use crate::properties;
use crate::search::{Checkable, Judge, Role};
use hydra_protocol::Protocol;
use stateright::Model;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A model: bounds, and the rules to be checked.
pub struct World<P: Protocol + ?Sized + 'static> {
    /// The rules.
    pub rules: &'static P,
    /// What it holds.
    pub bounds: Bounds,
    /// Widths.
    pub layout: Layout,
    /// The program.
    pub plans: Plans,
    /// Whether the rules renew a lease, and make its holder stop in time.
    pub(crate) renews: bool,
    pub(crate) stops_itself: bool,
    /// The place of each goal in the list of those wanted here, and that list.
    wanted: Vec<Goal>,
    goal_places: Vec<Option<u8>>,
    /// Whether the rules have answered anything that the reference would not have.
    differs: AtomicBool,
    watches: bool,
}

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    /// A model of these bounds under these rules.
    pub fn new(bounds: Bounds, rules: &'static P) -> Result<Self, WrongBounds> {
        bounds.check()?;
        let wanted: Vec<Goal> = Goal::ALL.iter().copied().filter(|goal| goal.is_wanted(&bounds)).collect();
        let place = |goal: &Goal| wanted.iter().position(|other| other == goal).map(|place| place as u8);
        let goal_places = Goal::ALL.iter().map(place).collect();
        let (renews, stops_itself) = enabled::lease_duties(rules);
        let (reference_renews, reference_stops) = enabled::lease_duties(&hydra_protocol::Reference);
        Ok(World {
            rules,
            layout: Layout::of(&bounds),
            plans: Plans::of(&bounds),
            renews,
            stops_itself,
            wanted,
            goal_places,
            differs: AtomicBool::new((renews, stops_itself) != (reference_renews, reference_stops)),
            watches: false,
            bounds,
        })
    }

    /// The same, also watching whether the rules ever differ from the reference: see [`World::differs`].
    pub fn watching(mut self) -> Self {
        self.watches = true;
        self
    }

    /// The same, forgetting what was seen so far and what is known of the rules beforehand.
    pub(crate) fn watching_anew(mut self) -> Self {
        self.watches = true;
        self.differs = AtomicBool::new(false);
        self
    }

    /// Whether the rules have answered anything so far that the reference would not have.
    pub fn differs(&self) -> bool {
        self.differs.load(Relaxed)
    }

    /// A defect of the world takes effect.
    pub(crate) fn note_defect(&self) {
        self.differs.store(true, Relaxed);
    }

    /// Notes a difference, if it is one and somebody asks. `ours` and `theirs` are compared only then.
    #[inline]
    pub(crate) fn compare<T: PartialEq>(&self, ours: &T, theirs: impl FnOnce() -> T) {
        if self.watches && !self.differs() && *ours != theirs() {
            self.differs.store(true, Relaxed);
        }
    }
}

impl<P: Protocol + ?Sized + Sync + 'static> Model for World<P> {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::START]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.enumerate(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.happen(state, action))
    }

    fn format_action(&self, action: &Action) -> String {
        crate::story::told(self, &State::START, action)
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        Some(crate::story::describe(self, &self.happen(last, action)))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![stateright::Property::always("what was noticed on the way here is in order", |_, state: &State| {
            state.seen.is_clean()
        })]
    }

    fn within_boundary(&self, state: &State) -> bool {
        // Beyond the highest attempt that can be stored, attempts could not be told apart.
        !state.seen.is_beyond
    }
}

impl<P: Protocol + ?Sized + Sync + 'static> Checkable for World<P> {
    type Packed = Packed;

    fn pack(&self, state: &State) -> Packed {
        state.pack(&self.layout)
    }

    fn unpack(&self, packed: &Packed) -> State {
        State::unpack(packed, &self.layout)
    }

    fn canonical(&self, state: State) -> State {
        state.canonical(&self.layout)
    }

    fn check_state(&self, state: &State, judge: &mut Judge) {
        properties::of_state(self, state, judge);
    }

    fn check_edge(&self, from: &State, action: &Action, to: &State, judge: &mut Judge) {
        if !to.seen.is_clean() {
            for property in to.seen.broken() {
                judge.require(property.id(), false, || properties::why(self, property, from, action, to));
            }
        }
    }

    fn goal_names(&self) -> Vec<&'static str> {
        self.wanted.iter().map(|goal| goal.name()).collect()
    }

    fn goals(&self, _: &State, _: &Action, to: &State) -> u128 {
        let mut seen = to.seen.goals();
        let mut goals = 0;
        while seen != 0 {
            if let Some(place) = self.goal_places[seen.trailing_zeros() as usize] {
                goals |= 1 << place;
            }
            seen &= seen - 1;
        }
        goals
    }

    fn is_done(&self, state: &State) -> bool {
        (0..self.layout.executions).all(|execution| matches!(state.rows[execution] & 15, 7..))
    }

    fn role(&self, action: &Action) -> Role {
        action.role()
    }

    fn rank(&self, state: &State) -> Option<u64> {
        self.measure(state)
    }
}
