//! A few words to write a history by hand.

use std::collections::BTreeMap;

use hydra_schedule::{Name, Property, StepName};
use hydra_simulation::history::{
    Call, Effect, Entered, Gave, Header, History, Journal, Op, Phase, Record, Seen, Status, What,
};
use hydra_simulation::oracle::{Contract, Judgements, Settings, Verdict, judge};
use hydra_simulation::workload::Workload;

/// A history of the execution W1 with the workers A and B.
pub struct Story {
    history: History,
    at_ms: u64,
    bodies: u64,
    calls: u64,
    pub settings: Settings,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn step(id: &str) -> StepName {
    StepName::new("W1", id).unwrap()
}

impl Story {
    /// `body` is the program's body in JSON, without its brackets. W1 is started at 0.
    pub fn of(body: &str) -> Self {
        let workload = Workload::from_lines(&[format!(r#"{{"id":"W1","body":[{body}]}}"#)]).unwrap();
        let header = Header { subject: "by hand".into(), seed: None, workers: vec![name("A"), name("B")], workload };
        let settings = Settings { recovery_ms: Some(60_000), slack_ms: 100, ..Settings::default() };
        let story = Story { history: History { header, records: Vec::new() }, at_ms: 0, bodies: 0, calls: 0, settings };
        story.call(Op::Start, Phase::Ok, None)
    }

    pub fn at(mut self, at_ms: u64) -> Self {
        assert!(at_ms >= self.at_ms, "a story goes forward");
        self.at_ms = at_ms;
        self
    }

    pub fn push(mut self, who: &str, what: What) -> Self {
        self.history.records.push(Record { at_ms: self.at_ms, who: who.into(), what });
        self
    }

    pub fn call(mut self, op: Op, phase: Phase, status: Option<Status>) -> Self {
        self.calls += 1;
        let call = Call::invoked(self.calls, op, &name("W1"));
        let answer = Call { status, ..call.answered(phase) };
        self.push("client", What::Call(call)).push("client", What::Call(answer))
    }

    pub fn start_other(mut self, phase: Phase) -> Self {
        self.calls += 1;
        let call = Call { other_input: true, ..Call::invoked(self.calls, Op::Start, &name("W1")) };
        let answer = call.answered(phase);
        self.push("client", What::Call(call)).push("client", What::Call(answer))
    }

    pub fn status(self, status: Status) -> Self {
        self.call(Op::Status, Phase::Ok, Some(status))
    }

    /// Enters the body; its number is the count of entries so far.
    pub fn enters(self, who: &str, id: &str) -> Self {
        self.enters_seeing(who, id, &[])
    }

    pub fn enters_seeing(mut self, who: &str, id: &str, saw: &[(&str, Seen)]) -> Self {
        self.bodies += 1;
        let saw: BTreeMap<_, _> = saw.iter().map(|(step, seen)| (name(step), seen.clone())).collect();
        let entered = Entered { step: step(id), body: self.bodies, attempt: None, other_input: false, saw };
        self.push(who, What::Entered(entered))
    }

    pub fn enters_for_other_input(mut self, who: &str, id: &str) -> Self {
        self.bodies += 1;
        let entered =
            Entered { step: step(id), body: self.bodies, attempt: None, other_input: true, saw: BTreeMap::new() };
        self.push(who, What::Entered(entered))
    }

    /// The effect of the body entered last.
    pub fn effect(self, who: &str, id: &str, key: &str, applied: bool) -> Self {
        let effect = Effect { step: step(id), body: self.bodies, key: Some(key.into()), epoch: None, applied };
        self.push(who, What::Effect(effect))
    }

    /// The body entered last is left.
    pub fn leaves(self, who: &str, id: &str, gave: Gave) -> Self {
        let body = self.bodies;
        self.leaves_body(who, id, body, gave)
    }

    pub fn leaves_body(self, who: &str, id: &str, body: u64, gave: Gave) -> Self {
        self.push(who, What::Left { step: step(id), body, gave })
    }

    /// Enters and leaves with a value, with an effect under the key `key`.
    pub fn runs(self, who: &str, id: &str, value_: &str) -> Self {
        self.enters(who, id).effect(who, id, id, true).leaves(who, id, value_of(value_))
    }

    pub fn fails(self, who: &str, id: &str) -> Self {
        self.enters(who, id).leaves(who, id, Gave::Failure)
    }

    pub fn fault(self, fault: &str) -> Self {
        let event = format!("fault {fault}").parse().unwrap();
        self.push("nemesis", What::Fault { event })
    }

    pub fn journal(self, who: &str, journal: Journal) -> Self {
        self.push(who, What::Journal(journal))
    }

    pub fn claims(self, who: &str, epoch: u64) -> Self {
        self.journal(who, Journal::Claimed { execution: name("W1"), epoch: Some(epoch) })
    }

    pub fn checkpoints(self, who: &str, id: &str, seen: Seen) -> Self {
        self.journal(who, Journal::Checkpoint { step: step(id), seen })
    }

    pub fn rows(self, rows_per_step_max: u32, open_steps: u32, contradiction: Option<&str>) -> Self {
        let contradiction = contradiction.map(str::to_owned);
        self.journal("store", Journal::Rows { execution: name("W1"), rows_per_step_max, open_steps, contradiction })
    }

    pub fn healed(self) -> Self {
        self.push("nemesis", What::Healed)
    }

    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub fn judged(self) -> (History, Judgements) {
        let story = self.push("nemesis", What::Ended);
        let judgements = judge(&story.history, &Contract::everything(story.settings));
        // Whatever a checker says must survive the disk.
        let again = History::read(story.history.to_text().as_bytes()).unwrap();
        assert_eq!(again, story.history);
        (story.history, judgements)
    }

    /// The property falls, and the explanation holds each of these texts.
    #[track_caller]
    pub fn breaks(self, property: Property, texts: &[&str]) {
        let (history, judgements) = self.judged();
        let verdict = &judgements.of(property).unwrap().verdict;
        let Verdict::Broken { findings, .. } = verdict else { panic!("{property} did not fall: {verdict:?}") };
        let explanation = &findings[0].explanation;
        for text in texts {
            assert!(explanation.contains(text), "{text:?} is missing in: {explanation}");
        }
        assert!(findings.iter().all(|finding| finding.first <= finding.second));
        assert!(findings.iter().all(|finding| finding.second < history.records.len()));
    }

    /// The property holds over at least one case.
    #[track_caller]
    pub fn keeps(self, property: Property) {
        let (_, judgements) = self.judged();
        let verdict = &judgements.of(property).unwrap().verdict;
        assert!(matches!(verdict, Verdict::Kept { over } if *over > 0), "{property}: {verdict:?}");
    }

    /// Nothing is said of the property, for a reason that holds this text.
    #[track_caller]
    pub fn leaves_open(self, property: Property, text: &str) {
        let (_, judgements) = self.judged();
        let verdict = &judgements.of(property).unwrap().verdict;
        assert!(matches!(verdict, Verdict::NotTested { why } if why.contains(text)), "{property}: {verdict:?}");
    }
}

pub fn value_of(text: &str) -> Gave {
    Gave::Value(text.into())
}

pub fn seen(text: &str) -> Seen {
    Seen::Value(text.into())
}
