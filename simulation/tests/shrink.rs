//! The shrinker over predicates that need no engine.

use hydra_schedule::{Event, Schedule};
use hydra_simulation::shrink::{Case, End, shrink};
use hydra_simulation::workload::{Ends, Shape, Workload};

fn event(text: &str) -> Event {
    text.parse().unwrap()
}

/// Much noise around a crash of A, a pause of B for more than 30,000 ms, and W2.
fn case() -> Case {
    let mut events = Vec::new();
    for round in 0..30 {
        events.push(event(&format!("at {} client looks W1", round * 10)));
        events.push(event("fault reply-lost C"));
        events.push(event("client looks W2"));
        match round {
            7 => events.push(event("fault crash A on write#3")),
            21 => events.push(event("fault pause B 250000")),
            _ => events.push(event("fault slow-store 100")),
        }
    }
    let shape = Shape { swarm: false, ..Shape::default() };
    Case { schedule: Schedule { events, ..Schedule::default() }, workload: Workload::generate(5, &shape) }
}

fn crash_then_long_pause(case: &Case) -> bool {
    let events = &case.schedule.events;
    let crash = events.iter().position(|event| event.to_string().starts_with("fault crash A"));
    let pause = events.iter().position(|event| match &event.action {
        hydra_schedule::Action::Fault { fault: hydra_schedule::Fault::Pause { for_ms, .. }, .. } => *for_ms > 30_000,
        _ => false,
    });
    let w2 = case.workload.program("W2").is_some();
    crash.zip(pause).is_some_and(|(crash, pause)| crash < pause) && w2
}

#[test]
fn what_matters_stays_and_nothing_else() {
    let shrunk = shrink(&case(), 10_000, crash_then_long_pause);
    assert_eq!(shrunk.end, End::Minimal);
    let events: Vec<String> = shrunk.case.schedule.events.iter().map(Event::to_string).collect();
    assert_eq!(events[0], "fault crash A on write#1");
    assert!(events[1].starts_with("fault pause B 31250"), "{events:?}");
    assert_eq!(events.len(), 2);
    assert_eq!(shrunk.case.workload.programs.len(), 1);
    let program = &shrunk.case.workload.programs[0];
    assert_eq!((program.body.len(), program.start_at_ms, program.cancel_at_ms), (1, 0, None));
    assert_eq!(shrunk.schedule().to_string().parse::<Schedule>().unwrap(), shrunk.schedule());
    assert!(shrunk.tries < 400, "{} tries", shrunk.tries);
}

#[test]
fn the_same_case_takes_the_same_tries() {
    assert_eq!(shrink(&case(), 10_000, crash_then_long_pause), shrink(&case(), 10_000, crash_then_long_pause));
}

#[test]
fn the_tries_are_bounded_and_what_was_reached_is_kept() {
    let mut asked = 0;
    let shrunk = shrink(&case(), 12, |case| {
        asked += 1;
        crash_then_long_pause(case)
    });
    assert_eq!((asked, shrunk.tries, shrunk.end), (12, 12, End::OutOfTries));
    assert!(crash_then_long_pause(&shrunk.case));
    assert!(shrunk.case.schedule.events.len() < case().schedule.events.len());
}

#[test]
fn a_case_that_does_not_fall_is_handed_back() {
    let shrunk = shrink(&case(), 100, |_| false);
    assert_eq!((shrunk.case, shrunk.tries, shrunk.end), (case(), 1, End::NotReproduced));
}

/// A cut after which *another* property falls must not be taken: the predicate names one, and slippage would end at the
/// empty schedule, where "something falls" holds for any reason.
#[test]
fn a_cut_that_falls_for_another_reason_is_not_taken() {
    let falls = |case: &Case| -> Option<&str> {
        match case.schedule.events.iter().any(|event| event.is_fault()) {
            true => Some("effect-once-keyed"),
            false => Some("terminates"),
        }
    };
    let same = shrink(&case(), 10_000, |case| falls(case) == Some("effect-once-keyed"));
    assert_eq!(same.case.schedule.events.len(), 1);
    let planted = shrink(&case(), 10_000, |case| falls(case).is_some());
    assert_eq!(planted.case.schedule.events.len(), 0, "any failure slips to nothing");
}

#[test]
fn a_step_that_matters_keeps_what_matters_of_it() {
    let mut case = case();
    let line = r#"{"id":"W1","body":[{"sleep":{"id":"0","ms":900}},{"parallel":[{"id":"1","kind":"at-most-once","lasts_ms":800},{"id":"2","kind":"transactional","ends":{"fails":{"times":5}},"caught":true},{"id":"3","kind":"keyed"}]}]}"#;
    case.workload = Workload::from_lines(&[line]).unwrap();
    let fails_twice = |case: &Case| {
        let mut steps = case.workload.programs.iter().flat_map(|program| program.steps());
        steps.any(|step| matches!(step.ends, Ends::Fails { times } if times >= 2))
    };
    let shrunk = shrink(&case, 10_000, fails_twice);
    let wanted = r#"{"id":"W1","body":[{"step":{"id":"2","kind":"keyed","ends":{"fails":{"times":2}}}}]}"#;
    assert_eq!(shrunk.case.workload.to_lines(), [wanted]);
    shrunk.case.workload.check().unwrap();
}
