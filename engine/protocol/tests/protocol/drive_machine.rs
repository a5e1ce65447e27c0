//! An execution's machine under any sequence of events.

use hydra_protocol::worker::drive::{Action, Event, Idle, Phase, idle};
use hydra_protocol::worker::step::Stop;
use hydra_protocol::{Command, Ending, Epoch, Failure, Protocol, Reference, Rejection, Release, Reply, Span, Time};
use proptest::prelude::*;
use proptest::sample::select;

/// Checks every transition of a sequence; the error says which rule was broken.
pub fn trace_holds<P: Protocol>(rules: &P, epoch: Epoch, events: &[Event]) -> Result<(), String> {
    let mut phase = Phase::Driving;
    for event in events {
        let (next, action) = rules.drive_next(epoch, phase, *event);
        if (next, action) != expected(epoch, phase, *event) {
            return Err(format!("{phase:?} + {event:?} -> {next:?}, {action:?}"));
        }
        phase = next;
    }
    Ok(())
}

/// The table of the machine's own documentation, line by line.
fn expected(epoch: Epoch, phase: Phase, event: Event) -> (Phase, Action) {
    let ask = |command| (Phase::Asking(command), Action::Ask(command));
    let gone = |action| (Phase::Gone, action);
    match (phase, event) {
        (Phase::Gone, _) => gone(Action::Nothing),
        (_, Event::LeaseLost) => gone(Action::Stop(Stop::LeaseLost)),
        (Phase::Driving, Event::Ended(ending)) => ask(Command::Finish { epoch, ending }),
        (Phase::Driving, Event::Blocked { wake }) => ask(Command::Release { epoch, release: Release::Parked { wake } }),
        (Phase::Driving, Event::Shutdown) => ask(Command::Release { epoch, release: Release::Shutdown }),
        (Phase::Asking(command), Event::Lost) => ask(command),
        (Phase::Asking(_), Event::Answer(Err(rejection))) => gone(Action::Stop(Stop::Rejected(rejection))),
        (Phase::Asking(_), Event::Answer(Ok(reply @ (Reply::Ended(_) | Reply::Released { .. })))) => {
            gone(Action::Done(reply))
        }
        (Phase::Asking(_), Event::Answer(Ok(reply))) => gone(Action::Stop(Stop::Unexpected(reply))),
        (Phase::Driving | Phase::Asking(_), _) => (phase, Action::Nothing),
    }
}

pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let time = || (0..100_u64).prop_map(Time::from_millis);
    let ending = select(vec![Ending::Succeeded, Ending::Failed(Failure::Workflow), Ending::Failed(Failure::Panicked)]);
    let event = prop_oneof![
        2 => ending.prop_map(Event::Ended),
        2 => time().prop_map(|wake| Event::Blocked { wake }),
        1 => Just(Event::Shutdown),
        3 => Just(Event::Lost),
        1 => Just(Event::LeaseLost),
        1 => Just(Event::Answer(Ok(Reply::Ended(Ending::Succeeded)))),
        1 => time().prop_map(|due_at| Event::Answer(Ok(Reply::Released { due_at }))),
        1 => Just(Event::Answer(Ok(Reply::Reopened))),
        1 => Just(Event::Answer(Err(Rejection::NotLeased { latest: Epoch(1) }))),
    ];
    prop::collection::vec(event, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_of_an_execution_hold_under_any_events(epoch: u32, events in events()) {
        if let Err(why) = trace_holds(&Reference, Epoch(epoch), &events) {
            prop_assert!(false, "{why}");
        }
    }

    #[test]
    fn a_short_wait_is_sat_out_and_a_long_one_parked(
        busy: bool,
        wake in prop::option::of(0..100_u64),
        now in 0..100_u64,
        hold in 0..100_u64,
    ) {
        let answer = idle(busy, wake.map(Time::from_millis), Time::from_millis(now), Span::from_millis(hold));
        let wanted = match wake {
            Some(wake) if !busy && wake <= now + hold => Idle::Hold(Time::from_millis(wake)),
            Some(wake) if !busy => Idle::Park(Time::from_millis(wake)),
            _ => Idle::Busy,
        };
        prop_assert_eq!(answer, wanted);
    }
}
