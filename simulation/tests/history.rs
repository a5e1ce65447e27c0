//! Histories read back as they were written, and a broken line is named.

use std::collections::BTreeMap;

use hydra_schedule::{Name, StepName};
use hydra_simulation::history::{
    Call, Effect, Entered, Gave, Header, History, Journal, Op, Phase, Record, Seen, Status, What,
};
use hydra_simulation::workload::{Shape, Workload};

fn history() -> History {
    let execution = Name::execution(0);
    let step = StepName::numbered(&execution, 1);
    let call = Call::invoked(1, Op::Start, &execution);
    let whats = vec![
        What::Call(call.clone()),
        What::Call(Call { status: Some(Status::Pending), ..call.answered(Phase::Ok) }),
        What::Worker { up: true },
        What::Fault { event: "fault pause A 60000".parse().unwrap() },
        What::Entered(Entered {
            step: step.clone(),
            body: 1,
            attempt: Some(1),
            other_input: false,
            saw: BTreeMap::from([(Name::new("0").unwrap(), Seen::InDoubt)]),
        }),
        What::Effect(Effect { step: step.clone(), body: 1, key: Some("W1/1".into()), epoch: None, applied: true }),
        What::Left { step: step.clone(), body: 1, gave: Gave::Value("v1".into()) },
        What::Journal(Journal::Checkpoint { step: step.clone(), seen: Seen::Value("v1".into()) }),
        What::Journal(Journal::Status { execution, status: Status::Succeeded }),
        What::Healed,
        What::Ended,
    ];
    let records = whats.into_iter().zip(0..).map(|(what, at_ms)| Record { at_ms, who: "A".into(), what }).collect();
    let header = Header {
        subject: "reference".into(),
        seed: Some(7),
        workers: vec![Name::worker(0)],
        workload: Workload::generate(7, &Shape::default()),
    };
    History { header, records }
}

#[test]
fn a_history_reads_back_as_it_was_written() {
    let text = history().to_text();
    assert_eq!(History::read(text.as_bytes()).unwrap(), history());
    assert!(text.starts_with("{\"hydra_history\":1,\"subject\":\"reference\",\"seed\":7"), "{text}");
    let pause = "{\"at_ms\":3,\"who\":\"A\",\"what\":\"fault\",\"event\":\"fault pause A 60000\"}";
    assert!(text.lines().any(|line| line == pause), "{text}");
}

#[test]
fn a_broken_line_is_named() {
    let mut lines: Vec<String> = history().to_text().lines().map(str::to_owned).collect();
    lines[3] = "{\"at_ms\":2,\"who\":\"A\",\"what\":\"danced\"}".into();
    let error = History::read(lines.join("\n").as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("line 4: no record: unknown variant `danced`"), "{error}");

    let error = History::read("{\"hydra_history\":9}\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "line 1: version 9 of the history; this program reads version 1");
    let error = History::read("".as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("line 1: no header"), "{error}");
    let error = History::read("hello\n".as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("line 1: no header"), "{error}");
}
