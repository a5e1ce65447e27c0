//! A step's machine under any sequence of events, right ones and wrong ones.

use hydra_protocol::worker::step::{Action, BodyEnd, Event, Phase, Plan, Stop};
use hydra_protocol::{
    Command, Epoch, Kind, Outcome, Protocol, Reference, Rejection, Reply, Settlement, Span, Step, StepState, Time, Wake,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::schedule::BACKOFF;

/// An event, or one that fits the phase when it comes.
#[derive(Clone, Debug)]
pub enum Hint {
    /// A plausible one; the number chooses among them.
    Right(u8),
    /// This one, whether or not it makes sense.
    Any(Event),
}

/// Checks every transition of a sequence; the error says which rule was broken.
pub fn trace_holds<P: Protocol>(rules: &P, plan: &Plan, hints: &[Hint]) -> Result<(), String> {
    let mut phase = Phase::New;
    for hint in hints {
        let event = match hint {
            Hint::Right(choice) => plausible(plan, phase, *choice),
            Hint::Any(event) => *event,
        };
        let (next, action) = rules.step_next(plan, phase, event);
        if let Err(why) = judge(plan, phase, event, next, action) {
            return Err(format!("{why}: {phase:?} + {event:?} -> {next:?}, {action:?}"));
        }
        phase = next;
    }
    Ok(())
}

fn judge(plan: &Plan, phase: Phase, event: Event, next: Phase, action: Action) -> Result<(), &'static str> {
    let over = matches!(phase, Phase::Done | Phase::Gone);
    if over {
        return holds("what is over stays over", (next, action) == (phase, Action::Nothing));
    }
    if event == Event::LeaseLost {
        return holds("a lost lease stops it", (next, action) == (Phase::Gone, Action::Stop(Stop::LeaseLost)));
    }
    judge_action(plan, phase, event, next, action)?;
    // What a phase demands of an event, said once more and by hand.
    match (phase, event) {
        (Phase::Asking(asked), Event::Lost) => {
            let again = matches!(action, Action::Ask(command) | Action::Transact(command) if command == asked);
            holds("an unknown is asked again", again && next == phase)
        }
        (Phase::Asking(_), Event::Answer(Err(rejection))) if !matches!(rejection, Rejection::NotDue { .. }) => {
            holds("a refusal stops it", action == Action::Stop(Stop::Rejected(rejection)))
        }
        (Phase::Asking(_), Event::Answer(Ok(Reply::Settled { order, outcome }))) => {
            holds("an outcome is delivered", action == Action::Deliver { order, outcome })
        }
        (Phase::Running { attempt }, Event::Body(end)) => {
            let Action::Ask(Command::Settle { attempt: told, settlement, .. }) = action else {
                return Err("what a body returned is reported");
            };
            holds("what a body returned is reported", told == attempt && reports(plan.kind, end, settlement))
        }
        (Phase::New, Event::Requested { matches: false, .. }) => {
            holds("another step's row stops it", action == Action::Stop(Stop::Nondeterministic))
        }
        (Phase::New, Event::Requested { .. }) => holds("a request is acted upon", action != Action::Nothing),
        (Phase::Waiting { attempt, .. }, Event::Due) => {
            let fits = match action {
                Action::Ask(Command::Begin { attempt: asked, .. }) => asked == attempt.saturating_add(1),
                Action::Ask(Command::Fire { .. }) => plan.kind == Kind::Timer,
                _ => false,
            };
            holds("what is due is asked for", fits)
        }
        _ => Ok(()),
    }
}

fn judge_action(plan: &Plan, phase: Phase, event: Event, next: Phase, action: Action) -> Result<(), &'static str> {
    match action {
        Action::RunBody { attempt } => {
            let told = event == Event::Answer(Ok(Reply::Run { attempt }));
            let asked = matches!(phase, Phase::Asking(Command::Begin { attempt: asked, .. }) if asked == attempt);
            holds("a body runs upon the answer for that very attempt", told && asked)?;
            holds("a transactional body runs in its transaction", plan.kind != Kind::Transactional)?;
            holds("a running body is known to run", next == Phase::Running { attempt })
        }
        Action::Transact(command) => {
            let success = matches!(command, Command::Settle { settlement: Settlement::Succeeded, .. });
            holds("a transaction reports its success", success && plan.kind == Kind::Transactional)?;
            holds("what is asked is awaited", next == Phase::Asking(command))
        }
        Action::Ask(command) => {
            let fits = match command {
                Command::Begin { epoch, kind, attempts_max, .. } => {
                    epoch == plan.epoch && kind == plan.kind && attempts_max == plan.attempts_max && kind != Kind::Timer
                }
                Command::Settle { epoch, settlement, .. } => {
                    let alone = plan.kind == Kind::Transactional && settlement == Settlement::Succeeded;
                    epoch == plan.epoch && !alone
                }
                Command::Sleep { epoch, wake } => epoch == plan.epoch && wake == plan.wake && plan.kind == Kind::Timer,
                Command::Fire { epoch } => epoch == plan.epoch && plan.kind == Kind::Timer,
                _ => false,
            };
            holds("it asks as planned, and never outside its transaction for a success", fits)?;
            holds("what is asked is awaited", next == Phase::Asking(command))
        }
        Action::Deliver { order, outcome } => {
            let told = match event {
                Event::Answer(Ok(reply)) => reply == Reply::Settled { order, outcome },
                Event::Requested { row: Some(row), .. } => row.settled() == Some((order, outcome)),
                _ => false,
            };
            holds("only a checkpoint is delivered", told && next == Phase::Done)
        }
        Action::WaitUntil(time) => {
            holds("a wait is known", matches!(next, Phase::Waiting { due_at, .. } if due_at == time))
        }
        Action::Stop(_) => holds("what stops is gone", next == Phase::Gone),
        Action::Nothing => holds("nothing to do changes nothing", next == phase),
    }
}

/// What may be said of a body that ended so.
fn reports(kind: Kind, end: BodyEnd, settlement: Settlement) -> bool {
    match end {
        BodyEnd::Returned => settlement == Settlement::Succeeded,
        BodyEnd::Unencodable => settlement == Settlement::Unencodable,
        BodyEnd::Error { retryable } => {
            let again = retryable && kind != Kind::AtMostOnce;
            matches!(settlement, Settlement::Failed { retryable, .. } if retryable == again)
        }
        BodyEnd::Panicked | BodyEnd::TimedOut if kind == Kind::AtMostOnce => settlement == Settlement::InDoubt,
        BodyEnd::Panicked | BodyEnd::TimedOut => matches!(settlement, Settlement::Failed { retryable: true, .. }),
    }
}

fn holds(why: &'static str, truth: bool) -> Result<(), &'static str> {
    if truth { Ok(()) } else { Err(why) }
}

fn plausible(plan: &Plan, phase: Phase, choice: u8) -> Event {
    let due_at = Time::from_millis(u64::from(choice));
    let settled = Event::Answer(Ok(Reply::Settled { order: 1, outcome: Outcome::Succeeded }));
    let early = Event::Answer(Err(Rejection::NotDue { due_at, now: Time::default() }));
    match (phase, choice % 4) {
        (Phase::New | Phase::Done | Phase::Gone, _) => Event::Requested { row: None, matches: true },
        (Phase::Asking(_), 0) => Event::Lost,
        (Phase::Asking(Command::Begin { .. } | Command::Fire { .. }), 1) => early,
        (Phase::Asking(Command::Begin { attempt, .. }), _) => Event::Answer(Ok(Reply::Run { attempt })),
        (Phase::Asking(Command::Settle { .. }), 1) => Event::Answer(Ok(Reply::Waiting { due_at })),
        (Phase::Asking(Command::Settle { .. }), 2) if plan.kind == Kind::Transactional => {
            Event::Body(BodyEnd::Panicked)
        }
        (Phase::Asking(Command::Sleep { .. }), _) => Event::Answer(Ok(Reply::Sleeping { due_at })),
        (Phase::Asking(_), _) => settled,
        (Phase::Running { .. }, 0) => Event::Body(BodyEnd::Returned),
        (Phase::Running { .. }, 1) => Event::Body(BodyEnd::Unencodable),
        (Phase::Running { .. }, 2) => Event::Body(BodyEnd::Error { retryable: choice > 100 }),
        (Phase::Running { .. }, _) => Event::Body(BodyEnd::Panicked),
        (Phase::Waiting { .. }, _) => Event::Due,
    }
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let kind = select(vec![Kind::Transactional, Kind::Keyed, Kind::AtMostOnce, Kind::Timer]);
    (kind, 1..9_u32, 1..4_u32, any::<u64>()).prop_map(|(kind, epoch, attempts_max, salt)| Plan {
        epoch: Epoch(epoch),
        kind,
        attempts_max,
        backoff: BACKOFF,
        salt,
        wake: Wake::After(Span::from_millis(salt % 100)),
    })
}

pub fn hints() -> impl Strategy<Value = Vec<Hint>> {
    prop::collection::vec(prop_oneof![4 => any::<u8>().prop_map(Hint::Right), 1 => events().prop_map(Hint::Any)], 1..24)
}

fn events() -> impl Strategy<Value = Event> {
    let due_at = || (0..100_u64).prop_map(Time::from_millis);
    let outcome = || select(vec![Outcome::Succeeded, Outcome::InDoubt, Outcome::Unencodable, Outcome::Fired]);
    let replies = prop_oneof![
        (0..4_u32).prop_map(|attempt| Reply::Run { attempt }),
        (1..4_u32, outcome()).prop_map(|(order, outcome)| Reply::Settled { order, outcome }),
        due_at().prop_map(|due_at| Reply::Waiting { due_at }),
        due_at().prop_map(|due_at| Reply::Sleeping { due_at }),
        due_at().prop_map(|due_at| Reply::Released { due_at }),
        Just(Reply::Reopened),
        Just(Reply::Started),
    ];
    let rejections = select(vec![
        Rejection::UnknownStep,
        Rejection::NotRunning,
        Rejection::StaleEpoch { held: Epoch(1), latest: Epoch(2) },
        Rejection::NotDue { due_at: Time::from_millis(9), now: Time::default() },
    ]);
    let ends = select(vec![
        BodyEnd::Returned,
        BodyEnd::Unencodable,
        BodyEnd::Error { retryable: true },
        BodyEnd::Error { retryable: false },
        BodyEnd::Panicked,
        BodyEnd::TimedOut,
    ]);
    let states = prop_oneof![
        Just(StepState::Running),
        due_at().prop_map(|due_at| StepState::Waiting { due_at }),
        due_at().prop_map(|due_at| StepState::Sleeping { due_at }),
        Just(StepState::Abandoned { due_at: None }),
        (1..4_u32, outcome()).prop_map(|(order, outcome)| StepState::Settled { order, outcome }),
    ];
    let rows = (states, 0..3_u32).prop_map(|(state, attempt)| Step {
        kind: Kind::Keyed,
        epoch: Epoch(1),
        attempt,
        attempts_max: 3,
        state,
    });
    prop_oneof![
        4 => (prop::option::of(rows), prop::bool::weighted(0.9))
            .prop_map(|(row, matches)| Event::Requested { row, matches }),
        6 => replies.prop_map(|reply| Event::Answer(Ok(reply))),
        1 => rejections.prop_map(|rejection| Event::Answer(Err(rejection))),
        3 => ends.prop_map(Event::Body),
        2 => Just(Event::Lost),
        2 => Just(Event::Due),
        1 => Just(Event::LeaseLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_of_a_step_hold_under_any_events(plan in plans(), hints in hints()) {
        if let Err(why) = trace_holds(&Reference, &plan, &hints) {
            prop_assert!(false, "{why}");
        }
    }
}
