//! A schedule's text parses back to the same schedule, whatever it says.

use hydra_schedule::{
    Action, Boundary, ClientAct, Direction, Event, ExecutionOutcome, Fault, Name, RESERVED, Schedule, StepName,
    StepOutcome, Target, WorkerAct,
};
use proptest::prelude::*;
use proptest::sample::select;

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9_.:-]{1,12}"
        .prop_filter("reserved", |text| !RESERVED.contains(&text.as_str()))
        .prop_map(|text| Name::new(&text).unwrap())
}

fn step() -> impl Strategy<Value = StepName> {
    (name(), name()).prop_map(|(execution, step)| StepName { execution, step })
}

fn act() -> impl Strategy<Value = WorkerAct> {
    prop_oneof![
        name().prop_map(WorkerAct::Claims),
        (step(), any::<u32>()).prop_map(|(step, attempt)| WorkerAct::Begins { step, attempt }),
        step().prop_map(WorkerAct::Runs),
        (step(), select(StepOutcome::ALL)).prop_map(|(step, outcome)| WorkerAct::Settles { step, outcome }),
        step().prop_map(WorkerAct::Replays),
        step().prop_map(WorkerAct::Sleeps),
        step().prop_map(WorkerAct::Fires),
        name().prop_map(WorkerAct::Releases),
        (name(), select(ExecutionOutcome::ALL))
            .prop_map(|(execution, outcome)| WorkerAct::Finishes { execution, outcome }),
        name().prop_map(WorkerAct::Asks),
        name().prop_map(WorkerAct::Abandons),
        Just(WorkerAct::Beats),
        Just(WorkerAct::Stops),
    ]
}

fn client() -> impl Strategy<Value = ClientAct> {
    prop_oneof![
        (name(), any::<bool>()).prop_map(|(execution, other_input)| ClientAct::Starts { execution, other_input }),
        name().prop_map(ClientAct::Cancels),
        name().prop_map(ClientAct::Retries),
        name().prop_map(ClientAct::Looks),
        name().prop_map(ClientAct::Awaits),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![Just(Target::All), prop::collection::vec(name(), 1..4).prop_map(Target::Workers)]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        name().prop_map(Fault::Crash),
        name().prop_map(Fault::Restart),
        name().prop_map(Fault::DisconnectBefore),
        name().prop_map(Fault::ReplyLost),
        name().prop_map(Fault::ReplyLate),
        name().prop_map(Fault::Duplicate),
        (target(), select(Direction::ALL)).prop_map(|(target, direction)| Fault::Partition { target, direction }),
        target().prop_map(Fault::Heal),
        (name(), any::<u64>()).prop_map(|(worker, for_ms)| Fault::Pause { worker, for_ms }),
        name().prop_map(Fault::Resume),
        (name(), any::<i64>()).prop_map(|(worker, by_ms)| Fault::Clock { worker, by_ms }),
        (name(), any::<i64>()).prop_map(|(worker, ppm)| Fault::Drift { worker, ppm }),
        any::<i64>().prop_map(|by_ms| Fault::StoreClock { by_ms }),
        any::<i64>().prop_map(|ppm| Fault::StoreDrift { ppm }),
        any::<u64>().prop_map(|by_ms| Fault::SlowStore { by_ms }),
        Just(Fault::StoreRestart),
        step().prop_map(Fault::Encode),
        step().prop_map(Fault::Decode),
        (name(), name()).prop_map(|(worker, error)| Fault::CallFails { worker, error }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let boundary = (name(), any::<u32>()).prop_map(|(place, nth)| Boundary { place, nth });
    prop_oneof![
        4 => (name(), act()).prop_map(|(worker, act)| Action::Worker { worker, act }),
        2 => client().prop_map(Action::Client),
        1 => name().prop_map(|execution| Action::TimePasses { execution }),
        1 => name().prop_map(|execution| Action::StoreExpires { execution }),
        4 => (fault(), prop::option::of(boundary)).prop_map(|(fault, on)| Action::Fault { fault, on }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (prop::option::of(any::<u64>()), action()).prop_map(|(at_ms, action)| Event { at_ms, action })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let line = "[!-~]([ -~]{0,20}[!-~])?";
    (
        prop::option::of(name()),
        prop::option::of(any::<u64>()),
        prop::option::of(any::<u32>()),
        prop::collection::vec(line, 0..3),
        prop::collection::btree_map(name(), line, 0..3),
        prop::collection::vec(event(), 0..20),
    )
        .prop_map(|(subject, seed, workers, programs, settings, events)| Schedule {
            subject,
            seed,
            workers,
            programs,
            settings,
            events,
        })
}

proptest! {
    #[test]
    fn a_schedule_parses_back(schedule in schedule()) {
        let text = schedule.to_string();
        let back: Schedule = text.parse().unwrap();
        prop_assert_eq!(&back, &schedule);
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn an_event_parses_back_through_json_too(event in event()) {
        let json = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn no_text_makes_the_reader_panic(lines in prop::collection::vec("[ -~]{0,40}", 0..6)) {
        let _ = format!("hydra schedule 1\n{}", lines.join("\n")).parse::<Schedule>();
    }
}

#[test]
fn every_kind_of_fault_is_listed_and_parses() {
    let examples = [
        "crash A",
        "restart A",
        "disconnect-before A",
        "reply-lost A",
        "reply-late A",
        "duplicate A",
        "partition A,B in",
        "heal all",
        "pause A 60000",
        "resume A",
        "clock A +5000",
        "drift A -200",
        "store-clock -5000",
        "store-drift 200",
        "slow-store 500",
        "store-restart",
        "encode W1/2",
        "decode W1/2",
        "call-fails A ENOSPC on fsync#3",
    ];
    assert_eq!(examples.len(), Fault::KINDS.len());
    for (example, kind) in examples.iter().zip(Fault::KINDS) {
        let event: Event = format!("fault {example}").parse().unwrap();
        assert_eq!(event.to_string(), format!("fault {example}"));
        let Action::Fault { fault, .. } = event.action else { panic!("{example} is a fault") };
        assert_eq!(fault.kind(), kind);
    }
}

/// Found by the fuzzer: it was read as it stands, and written as a space.
#[test]
fn a_carriage_return_within_a_line_is_a_space_from_the_beginning() {
    let text = "hydra schedule 1\nprogram {\"id\":\r\"W1\"}\nset breaks a\rb\n";
    let schedule: Schedule = text.parse().unwrap();
    assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule);
}
