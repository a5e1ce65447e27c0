//! Reports: the same judgements give the same bytes, in every form, and nothing that a subject names becomes markup.

use hydra_schedule::{Name, Property, Schedule, StepName};
use hydra_simulation::history::{
    Call, Effect, Entered, Gave, Header, History, Journal, Op, Phase, Record, Seen, Status, What,
};
use hydra_simulation::oracle::{Contract, Settings, judge};
use hydra_simulation::report::{Case, Overall, Report, Tone};
use hydra_simulation::workload::Workload;

/// A zombie: A is paused in its body, B takes over, A's value is taken, and the keys differ.
fn history() -> History {
    let line = r#"{"id":"W1","body":[{"step":{"id":"charge","kind":"keyed"}},{"step":{"id":"ship","kind":"keyed"}}]}"#;
    let execution = Name::execution(0);
    let step = StepName::new("W1", "charge").unwrap();
    let ship = StepName::new("W1", "ship").unwrap();
    let start = Call::invoked(1, Op::Start, &execution);
    let entered = |step: &StepName, body, saw: &[(&str, &str)]| {
        let saw = saw.iter().map(|(step, value)| (Name::new(step).unwrap(), Seen::Value((*value).into()))).collect();
        What::Entered(Entered { step: step.clone(), body, attempt: Some(body as u32), other_input: false, saw })
    };
    let effect = |body, key: &str| {
        What::Effect(Effect { step: step.clone(), body, key: Some(key.into()), epoch: None, applied: true })
    };
    let left =
        |step: &StepName, body, value: &str| What::Left { step: step.clone(), body, gave: Gave::Value(value.into()) };
    let fault = |text: &str| What::Fault { event: text.parse().unwrap() };
    let claimed = |epoch| What::Journal(Journal::Claimed { execution: execution.clone(), epoch: Some(epoch) });
    let status = Call::invoked(2, Op::Status, &execution);
    let told = vec![
        (0, "client", What::Call(start.clone())),
        (4, "client", What::Call(start.answered(Phase::Ok))),
        (20, "A", claimed(1)),
        (1_200, "A", entered(&step, 1, &[])),
        (1_210, "A", effect(1, "W1/charge/<1>")),
        (1_300, "nemesis", fault("fault pause A 45000 on reply#1")),
        (31_400, "B", claimed(2)),
        (31_500, "B", entered(&step, 2, &[])),
        (31_510, "B", effect(2, "W1/charge/<2>")),
        (46_300, "A", left(&step, 1, "v1")),
        (46_310, "A", What::Journal(Journal::Checkpoint { step: step.clone(), seen: Seen::Value("v1".into()) })),
        (46_400, "B", left(&step, 2, "v2")),
        (46_500, "B", entered(&ship, 3, &[("charge", "v1")])),
        (46_600, "B", left(&ship, 3, "v3")),
        (46_700, "client", What::Call(status.clone())),
        (46_710, "client", What::Call(Call { status: Some(Status::Succeeded), ..status.answered(Phase::Ok) })),
        (46_800, "nemesis", What::Healed),
        (50_000, "nemesis", What::Ended),
    ];
    let record = |(at_ms, who, what): (u64, &str, What)| Record { at_ms, who: who.into(), what };
    History {
        header: Header {
            subject: "example <engine> 1.0".into(),
            seed: None,
            workers: vec![Name::worker(0), Name::worker(1)],
            workload: Workload::from_lines(&[line]).unwrap(),
        },
        records: told.into_iter().map(record).collect(),
    }
}

fn report() -> Report {
    let history = history();
    let settings = Settings { recovery_ms: Some(60_000), attempts_max: Some(3), ..Settings::default() };
    let mut contract = Contract::everything(settings);
    contract.promises.retain(|promise| promise.property != Property::BodyAtMostOnce);
    let judgements = judge(&history, &contract);
    let schedule: Schedule =
        "hydra schedule 1\n\nA claims W1\nfault pause A 45000 on reply#1\ntime passes W1\nB claims W1\n"
            .parse()
            .unwrap();
    let mut report = Report::new(judgements.clone(), "One run with one pause.", "hydra audit example");
    report.facts.push(("lease".into(), "30 s & more".into()));
    let mut told = Vec::new();
    for finding in judgements.broken() {
        if !told.contains(&finding.property) {
            told.push(finding.property);
            report.cases.push(Case::from_history(&history, finding, schedule.clone(), "hydra replay case.schedule"));
        }
    }
    report
}

#[test]
fn the_verdict_comes_first_and_names_the_numbers() {
    let report = report();
    assert_eq!(report.overall(), Overall::Broken);
    let broken: Vec<Property> = report.cases.iter().map(|case| case.counterexample.property).collect();
    assert_eq!(broken, [Property::EffectOnceKeyed, Property::EpochFenced]);
    assert!(report.headline().starts_with("example <engine> 1.0 breaks 2 of 24 promises"), "{}", report.headline());
}

#[test]
fn the_same_judgements_give_the_same_bytes() {
    assert_eq!(report().to_html(), report().to_html());
    assert_eq!(report().to_markdown(), report().to_markdown());
    assert_eq!(report().to_junit(), report().to_junit());
    assert_eq!(serde_json::from_str::<Report>(&report().to_json()).unwrap(), report());
}

#[test]
fn the_page_needs_nothing_else_and_escapes_what_it_shows() {
    let html = report().to_html();
    for outside in ["http://", "https://", "<script", "url(", "@import", "<link", "src="] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside}");
    }
    assert!(!html.contains("<engine>") && html.contains("example &lt;engine&gt; 1.0"));
    assert!(html.contains("30 s &amp; more"));
    assert!(html.contains("finding-2") && html.contains("class=\"outage\"") && html.contains("class=\"bracket\""));
    assert!(html.find("BROKEN").unwrap() < html.find("<table>").unwrap(), "the verdict comes before the table");
    if let Some(path) = std::env::var_os("HYDRA_WRITE_PAGE") {
        std::fs::write(path, html).unwrap();
    }
}

#[test]
fn the_timeline_marks_the_pair_the_fault_and_the_bodies() {
    let case = &report().cases[1];
    let timeline = &case.timeline;
    assert_eq!(timeline.lanes, ["client", "A", "B", "store", "receivers"]);
    let pair: Vec<&str> = timeline.rows.iter().filter(|row| row.pair.is_some()).map(|row| row.text.as_str()).collect();
    assert_eq!(pair, ["claims W1, epoch 2", "checkpoints W1/charge: \"v1\""]);
    let fault = timeline.rows.iter().find(|row| row.tone == Tone::Fault).unwrap();
    assert_eq!((fault.text.as_str(), fault.lane), ("pause A 45000 on reply#1", 1));
    let body = timeline.rows.iter().find(|row| row.text == "enters W1/charge, attempt 1").unwrap();
    assert_eq!(timeline.rows[body.until.unwrap()].text, "leaves W1/charge with v1");
    let text = case.counterexample.to_string();
    assert!(text.contains("FAULT: pause A 45000 on reply#1") && text.contains("Replay: hydra replay"), "{text}");
}

#[test]
fn a_long_history_is_cut_around_the_pair() {
    let mut long = history();
    let call = Call { status: Some(Status::Running), ..Call::invoked(9, Op::Status, &Name::execution(0)) };
    let poll = Record { at_ms: 31_520, who: "client".into(), what: What::Call(call.answered(Phase::Ok)) };
    let polls = std::iter::repeat_n(poll, 500);
    long.records.splice(9..9, polls);
    let judgements = judge(&long, &Contract::everything(Settings::default()));
    let finding = judgements.broken().find(|finding| finding.property == Property::EpochFenced).unwrap();
    let case = Case::from_history(&long, finding, Schedule::default(), "hydra replay FILE");
    assert!(case.timeline.rows.len() <= 60, "{} rows", case.timeline.rows.len());
    assert!(case.timeline.rows.iter().any(|row| row.text.ends_with("more left out here")));
    let second = case.timeline.pair_row(2).unwrap();
    assert_eq!(case.timeline.rows[second].text, "checkpoints W1/charge: \"v1\"");
    let rows = case.timeline.rows.len();
    assert!(case.timeline.rows.iter().filter_map(|row| row.until).all(|until| until < rows));
}

#[test]
fn junit_counts_and_names_what_failed() {
    let junit = report().to_junit();
    assert!(junit.contains("tests=\"25\" failures=\"2\""), "{junit}");
    assert!(junit.contains("<testcase classname=\"example &lt;engine&gt; 1.0\" name=\"effect-once-keyed\">"));
    assert!(junit.contains("Replay: hydra replay case.schedule</failure>"));
    assert!(junit.contains("<skipped message=\"NOT PROMISED: no case\"/>"));
    assert_eq!(junit.matches("<testcase").count(), 25);
}

#[test]
fn markdown_holds_the_table_and_the_findings() {
    let markdown = report().to_markdown();
    let row = "| BROKEN | The customer is charged once. | `effect-once-keyed` | once; 1 case judged |";
    assert!(markdown.contains(row), "{markdown}");
    assert!(markdown.contains("```mermaid"));
    assert!(markdown.contains("- lease: 30 s & more"));
    assert!(markdown.trim_end().ends_with("Made by `hydra audit example`."));
}

#[test]
fn a_run_that_was_cut_never_reads_as_kept() {
    let mut history = history();
    history.records.truncate(5);
    let judgements = judge(&history, &Contract::everything(Settings::default()));
    assert_eq!(Report::new(judgements, "", "").overall(), Overall::Incomplete);
    history.records.clear();
    let nothing = judge(&history, &Contract::everything(Settings::default()));
    assert_eq!(Report::new(nothing, "", "").overall(), Overall::Incomplete);
}
