//! The step machine against the store, over a network that loses, delays, doubles and reorders, with workers that die:
//! what happens outside the store is counted there, by the receiver of the effects.

use hydra_protocol::worker::step::{Action, BodyEnd, Event, Phase, Plan};
use hydra_protocol::{
    Command, Epoch, Kind, Outcome, Protocol, Reference, Rejection, Reply, Span, StepState, Time, Wake,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::schedule::BACKOFF;
use crate::store::{Defect, Message, Store};

/// An at-most-once body ran again.
pub const AT_MOST_ONCE: &str = "an at-most-once body begins at most once";
/// A body ran more often than its attempts.
pub const BOUNDED: &str = "a body begins at most as often as attempts were granted";
/// A checkpoint without its effect, or the other way round.
pub const TOGETHER: &str = "a transactional effect and its checkpoint commit together, once";
/// A success on record of a body that never ran.
pub const NO_LIES: &str = "a recorded success is of a body that ran";

const ATTEMPTS_MAX: u32 = 3;

/// What happens next.
#[derive(Clone, Copy, Debug)]
pub enum Chance {
    /// The request of this place reaches the store; it may come again.
    Request { at: usize, doubled: bool },
    /// The answer of this place reaches its worker.
    Answer { at: usize },
    /// The worker gives up waiting for an answer.
    GivenUp,
    /// The body ends.
    Body(BodyEnd),
    /// What the worker waits for is due.
    Due,
    /// The worker dies.
    Crash,
    /// Time passes, and another worker claims if it can.
    Takeover,
}

/// One step, its store and its worker.
struct World<'a, P> {
    rules: &'a P,
    kind: Kind,
    store: Store,
    now: Time,
    worker: Option<(Plan, Phase)>,
    requests: Vec<(Epoch, Command, bool)>,
    answers: Vec<(Epoch, Event)>,
    bodies: u32,
    effects: u32,
}

/// Runs one step of this kind through these chances.
pub fn effects_hold<P: Protocol>(rules: &P, kind: Kind, chances: &[Chance]) -> Result<(), Defect> {
    let (requests, answers) = (vec![], vec![]);
    let (store, now) = (Store::default(), Time::default());
    let mut world = World { rules, kind, store, now, worker: None, requests, answers, bodies: 0, effects: 0 };
    let start = Command::Start { due_at: world.now, deadline: None, replays_max: 1_000 };
    let _started = world.ask(start)?;
    world.takeover()?;
    for chance in chances {
        world.step(*chance)?;
        world.judge()?;
    }
    Ok(())
}

impl<P: Protocol> World<'_, P> {
    fn ask(&mut self, command: Command) -> Result<Result<Reply, Rejection>, Defect> {
        self.store.send(self.rules, &Message { command, step: 1, input: true }, self.now)
    }

    fn takeover(&mut self) -> Result<(), Defect> {
        self.now = self.now + Span::from_millis(60);
        if let Ok(Reply::Claimed { epoch, .. }) =
            self.ask(Command::Claim { lease: Span::from_millis(100), knows: true })?
        {
            let wake = Wake::After(Span::ZERO);
            let plan = Plan { epoch, kind: self.kind, attempts_max: ATTEMPTS_MAX, backoff: BACKOFF, salt: 0, wake };
            // The older worker, if it lives, learns of it from the store alone; here it is not followed any further.
            self.worker = Some((plan, Phase::New));
            let row = self.store.steps.get(&1).copied();
            self.happens(Event::Requested { row, matches: true });
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) {
        let Some((plan, phase)) = &mut self.worker else { return };
        let (next, action) = self.rules.step_next(plan, *phase, event);
        *phase = next;
        match action {
            Action::Ask(command) => self.requests.push((plan.epoch, command, false)),
            Action::Transact(command) => self.requests.push((plan.epoch, command, true)),
            Action::RunBody { .. } => self.bodies += 1,
            Action::Stop(_) => self.worker = None,
            Action::Nothing | Action::Deliver { .. } | Action::WaitUntil(_) => {}
        }
    }

    fn step(&mut self, chance: Chance) -> Result<(), Defect> {
        match chance {
            Chance::Request { at, doubled } if !self.requests.is_empty() => {
                let at = at % self.requests.len();
                let (epoch, command, in_transaction) = self.requests[at];
                if !doubled {
                    self.requests.remove(at);
                }
                let before = self.store.clone();
                let answer = self.ask(command)?;
                // The store decides first, and runs the body only if that would settle the step.
                if in_transaction && answer.is_ok() && self.store != before {
                    self.bodies += 1;
                    self.effects += 1;
                }
                self.answers.push((epoch, Event::Answer(answer)));
            }
            Chance::Answer { at } if !self.answers.is_empty() => {
                let (epoch, event) = self.answers.remove(at % self.answers.len());
                if self.worker.is_some_and(|(plan, _)| plan.epoch == epoch) {
                    self.happens(event);
                }
            }
            Chance::GivenUp => self.happens(Event::Lost),
            Chance::Body(end) => {
                let running = matches!(self.worker, Some((_, Phase::Running { .. })));
                // A transactional body that fails is rolled back where it ran; one that returned may yet be.
                if running || self.kind == Kind::Transactional {
                    self.happens(Event::Body(end));
                }
            }
            Chance::Due => {
                self.now = self.now + Span::from_millis(5);
                self.happens(Event::Due);
            }
            Chance::Crash => self.worker = None,
            Chance::Takeover => self.takeover()?,
            Chance::Request { .. } | Chance::Answer { .. } => {}
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), Defect> {
        let state = self.store.steps.get(&1).map(|row| row.state);
        let succeeded = matches!(state, Some(StepState::Settled { outcome: Outcome::Succeeded, .. }));
        let evidence = (self.kind, state, self.bodies, self.effects);
        let holds = |property, truth: bool| if truth { Ok(()) } else { Err(Defect::new(property, evidence)) };
        holds(AT_MOST_ONCE, self.kind != Kind::AtMostOnce || self.bodies <= 1)?;
        holds(BOUNDED, self.bodies <= ATTEMPTS_MAX)?;
        holds(TOGETHER, self.kind != Kind::Transactional || self.effects == u32::from(succeeded))?;
        holds(NO_LIES, !succeeded || self.bodies > 0)
    }
}

pub fn chances() -> impl Strategy<Value = Vec<Chance>> {
    let ends = select(vec![
        BodyEnd::Returned,
        BodyEnd::Returned,
        BodyEnd::Unencodable,
        BodyEnd::Error { retryable: true },
        BodyEnd::Error { retryable: false },
        BodyEnd::Panicked,
        BodyEnd::TimedOut,
    ]);
    let chance = prop_oneof![
        10 => (0..8_usize, prop::bool::weighted(0.3)).prop_map(|(at, doubled)| Chance::Request { at, doubled }),
        10 => (0..8_usize).prop_map(|at| Chance::Answer { at }),
        4 => Just(Chance::GivenUp),
        5 => ends.prop_map(Chance::Body),
        4 => Just(Chance::Due),
        1 => Just(Chance::Crash),
        2 => Just(Chance::Takeover),
    ];
    prop::collection::vec(chance, 1..60)
}

/// The kinds of step with a body.
pub fn kinds() -> impl Strategy<Value = Kind> {
    select(vec![Kind::Keyed, Kind::Transactional, Kind::AtMostOnce])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn effects_happen_as_promised_over_a_lossy_network(kind in kinds(), chances in chances()) {
        if let Err(defect) = effects_hold(&Reference, kind, &chances) {
            prop_assert!(false, "{defect:#?}");
        }
    }
}

#[test]
fn every_outcome_is_reached_over_a_lossy_network() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3_000 {
        let (kind, chances) = (kinds(), chances()).new_tree(&mut runner).expect("a case").current();
        let mut recorder = Recorder(std::sync::Mutex::default());
        effects_hold(&recorder, kind, &chances).expect("the reference");
        seen.append(recorder.0.get_mut().expect("nobody panicked"));
    }
    let wanted = ["Crashed", "Exhausted", "Final", "InDoubt", "Succeeded", "Unencodable"];
    for outcome in wanted {
        assert!(seen.iter().any(|told: &String| told.contains(outcome)), "never {outcome}: {seen:?}");
    }
}

/// The reference, which writes down the outcomes that its machine delivers.
struct Recorder(std::sync::Mutex<std::collections::BTreeSet<String>>);
impl Protocol for Recorder {
    fn step_next(&self, plan: &Plan, phase: Phase, event: Event) -> (Phase, Action) {
        let (next, action) = Reference.step_next(plan, phase, event);
        if let Action::Deliver { outcome, .. } = action {
            self.0.lock().expect("nobody panicked").insert(format!("{outcome:?}"));
        }
        (next, action)
    }
}
