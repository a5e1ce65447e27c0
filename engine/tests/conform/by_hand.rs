//! Journals and rows written by hand: what no run comes to, and a store with a fault of its own might.

use hydra_engine::conform::{
    self, Base, BaseStep, DEPARTURES_MAX, Decided, Digest, Entry, Evidence, Found, Report, Verdict,
};
use hydra_engine::protocol::{
    Backoff, Cause, Command, Ending, Epoch, Execution, Failure, Kind, Outcome, Rejection, Reply, Settlement, Span,
    Status, Step, StepNo, StepState, Time,
};
use hydra_engine::store::{ExecutionId, ExecutionKey, StoreError};

const NOW: Time = Time::from_millis(1_000);

/// What a store has on record: the entries under the numbers from 1 on, and the rows.
#[derive(Default)]
struct Record {
    entries: Vec<(u64, Entry)>,
    rows: Vec<Found>,
}

impl Evidence for Record {
    fn entries(&mut self, see: &mut dyn FnMut(u64, &[u8])) -> Result<bool, StoreError> {
        self.entries.iter().for_each(|(number, entry)| see(*number, &entry.encode()));
        Ok(true)
    }

    fn rows(&mut self, see: &mut dyn FnMut(Found)) -> Result<(), StoreError> {
        self.rows.drain(..).for_each(see);
        Ok(())
    }
}

fn judge(entries: impl IntoIterator<Item = Entry>, rows: Vec<Found>) -> Report {
    conform::check(&mut Record { entries: (1..).zip(entries).collect(), rows }).unwrap()
}

#[track_caller]
fn says(report: &Report, wanted: &[&str]) {
    let said: Vec<_> = report.departures.iter().map(ToString::to_string).collect();
    assert_eq!(said, wanted, "{report:#?}");
}

fn id(name: &str) -> ExecutionId {
    ExecutionId { namespace: "default".into(), id: name.into() }
}

fn row(status: Status) -> Execution {
    Execution { status, epoch: Epoch(0), settled: 0, replays: 0, replays_max: 3, deadline: None }
}

/// An execution on record: as a start leaves it.
fn base(key: i64, name: &str) -> Base {
    let (workflow, input) = (Digest::of(b"w"), Digest::of(b"1"));
    let row = row(Status::Ready { due_at: NOW });
    Base { key: ExecutionKey(key), id: id(name), row, workflow, input, output: None, steps: Vec::new() }
}

fn found(base: Base) -> Found {
    let leases = (1..=base.row.epoch.0).map(Epoch).collect();
    Found::Execution { base, broken: Vec::new(), leases }
}

fn decided(target: (Option<&str>, Option<i64>), command: Command, decision: Result<Reply, Rejection>) -> Decided {
    let (id, key) = (target.0.map(id), target.1.map(ExecutionKey));
    Decided { now: NOW, id, key, step: None, command, name: None, value: None, decision }
}

/// A start that was answered so.
fn start(key: i64, name: &str, decision: Result<Reply, Rejection>) -> Entry {
    let command = Command::Start { due_at: NOW, deadline: None, replays_max: 3 };
    let (name_of, value) = (Some(Digest::of(b"w")), Some(Digest::of(b"1")));
    let decided = decided((Some(name), Some(key)), command, decision);
    Entry::Decided(Box::new(Decided { name: name_of, value, ..decided }))
}

fn cancel(name: &str, key: Option<i64>, decision: Result<Reply, Rejection>) -> Entry {
    Entry::Decided(Box::new(decided((Some(name), key), Command::Cancel, decision)))
}

#[test]
fn what_the_others_are_made_of_conforms() {
    let entries = [Entry::Origin(1), Entry::Base(Box::new(base(1, "a"))), start(2, "b", Ok(Reply::Started))];
    let report = judge(entries, vec![found(base(1, "a")), found(base(2, "b"))]);
    says(&report, &[]);
    assert_eq!(report.verdict(), Verdict::Conforms);
}

#[test]
fn missing_entries_are_told_by_their_numbers() {
    let said = |missing: u64| {
        let entries = vec![(1, Entry::Origin(0)), (2 + missing, start(1, "a", Ok(Reply::Started)))];
        conform::check(&mut Record { entries, rows: vec![found(base(1, "a"))] }).unwrap()
    };
    says(&said(0), &[]);
    says(&said(1), &["entry 2 is missing from the journal"]);
    says(&said(2), &["entries 2 to 3 are missing from the journal"]);
}

#[test]
fn a_second_beginning_is_none() {
    let entries = [Entry::Origin(0), start(1, "a", Ok(Reply::Started)), Entry::Origin(0)];
    says(&judge(entries, vec![found(base(1, "a"))]), &["entry 3: the journal begins a second time"]);
}

#[test]
fn a_key_is_given_once() {
    let entries = [Entry::Origin(0), start(1, "a", Ok(Reply::Started)), start(1, "b", Ok(Reply::Started))];
    let report = judge(entries, vec![found(base(1, "a"))]);
    let what = "entry 3: default/a: start at 1000 ms: the store found an execution that no command has started";
    says(&report, &[what]);
}

/// (1) A and B are there; (2) a client cancels A, and the store finds B, or nobody.
#[test]
fn an_id_leads_to_its_own_execution() {
    let both = || [Entry::Origin(0), start(1, "a", Ok(Reply::Started)), start(2, "b", Ok(Reply::Started))];
    let rows = |cancelled: i64| {
        let ended = |base: Base| Base { row: row(Status::Ended(Ending::Cancelled)), ..base };
        let of = |key, name| if key == cancelled { found(ended(base(key, name))) } else { found(base(key, name)) };
        vec![of(1, "a"), of(2, "b")]
    };
    let cancelled = Ok(Reply::Ended(Ending::Cancelled));
    says(&judge(both().into_iter().chain([cancel("a", Some(1), cancelled)]), rows(1)), &[]);
    let report = judge(both().into_iter().chain([cancel("a", Some(2), cancelled)]), rows(2));
    let other = "cancel at 1000 ms: the store found the execution with key 2, and the id is that of key 1";
    says(&report, &[&format!("entry 4: default/b: {other}")]);
    let report = judge(both().into_iter().chain([cancel("a", None, Err(Rejection::UnknownExecution))]), rows(0));
    let nobody = "cancel at 1000 ms: the store did not find an execution that was started before";
    says(&report, &[&format!("entry 4: default/a: {nobody}")]);
}

#[test]
fn what_was_never_there_cannot_be_deleted() {
    let entries = [Entry::Origin(0), start(1, "a", Ok(Reply::Started)), Entry::Deleted(ExecutionKey(2))];
    let what = "entry 3: the execution with key 2: it was deleted, and was never there";
    says(&judge(entries, vec![found(base(1, "a"))]), &[what]);
}

/// One that departed at its start is told of once; deleted, it leaves its id to another.
#[test]
fn the_id_of_one_that_departed_is_free_once_it_is_deleted() {
    let entries = [
        Entry::Origin(0),
        start(1, "a", Ok(Reply::AlreadyStarted)),
        start(2, "b", Ok(Reply::Started)),
        Entry::Deleted(ExecutionKey(1)),
        start(3, "a", Ok(Reply::Started)),
        cancel("b", Some(2), Err(Rejection::UnknownExecution)),
    ];
    let report = judge(entries, vec![found(base(2, "b")), found(base(3, "a"))]);
    let said: Vec<_> = report.departures.iter().map(|departure| departure.entry).collect();
    assert_eq!(said, [Some(2), Some(6)], "{report:#?}");
}

/// An execution that failed, whose first step succeeded and whose last one failed.
fn failed() -> Base {
    let step = |no: u32, outcome| {
        let state = StepState::Settled { order: no, outcome };
        let row = Step { kind: Kind::Keyed, epoch: Epoch(1), attempt: 1, attempts_max: 1, state };
        BaseStep { no: StepNo(no), name: Digest::of(b"s"), row, output: None }
    };
    let mut first = step(1, Outcome::Succeeded);
    first.output = Some(Digest::of(b"7"));
    let row = Execution { epoch: Epoch(1), settled: 2, ..row(Status::Ended(Ending::Failed(Failure::Workflow))) };
    Base { row, steps: vec![first, step(2, Outcome::Failed(Cause::Exhausted))], ..base(1, "a") }
}

/// A retry opens the step that settled last, and no other.
#[test]
fn a_retry_is_decided_of_the_step_that_settled_last() {
    let retry =
        || Entry::Decided(Box::new(decided((Some("a"), Some(1)), Command::Retry { attempts: 2 }, Ok(Reply::Reopened))));
    let mut opened = failed();
    opened.row = Execution { epoch: Epoch(1), settled: 1, ..row(Status::Ready { due_at: NOW }) };
    let last = &mut opened.steps[1].row;
    (last.state, last.attempts_max) = (StepState::Waiting { due_at: NOW }, 3);
    let judge =
        |on_record: Base| judge([Entry::Origin(1), Entry::Base(Box::new(failed())), retry()], vec![found(on_record)]);
    says(&judge(opened), &[]);
    let mut execution_only = failed();
    execution_only.row = Execution { epoch: Epoch(1), settled: 2, ..row(Status::Ready { due_at: NOW }) };
    assert_eq!(judge(execution_only).verdict(), Verdict::Departs);
}

/// What came with an attempt that failed is no output.
#[test]
fn only_a_success_has_an_output() {
    let epoch = Epoch(1);
    let step = |state| Step { kind: Kind::Keyed, epoch, attempt: 1, attempts_max: 1, state };
    let owner = |settled| Execution { epoch, settled, ..row(Status::Leased { due_at: Time::from_millis(9_000) }) };
    let with = |settled: u32, row: Step, output| {
        let step = BaseStep { no: StepNo(1), name: Digest::of(b"s"), row, output };
        Base { row: owner(settled), steps: vec![step], ..base(1, "a") }
    };
    let backoff = Backoff { initial: Span::ZERO, cap: Span::ZERO, factor_percent: 100, jitter_percent: 0 };
    let failure = Settlement::Failed { retryable: true, backoff, salt: 0 };
    let (seven, failed) = (Some(Digest::of(b"7")), Outcome::Failed(Cause::Exhausted));
    for (settlement, outcome, output) in [(Settlement::Succeeded, Outcome::Succeeded, seven), (failure, failed, None)] {
        let command = Command::Settle { epoch, attempt: 1, settlement };
        let settled = decided((None, Some(1)), command, Ok(Reply::Settled { order: 1, outcome }));
        let settled = Decided { step: Some(StepNo(1)), value: seven, ..settled };
        let entries = [
            Entry::Origin(1),
            Entry::Base(Box::new(with(0, step(StepState::Running), None))),
            Entry::Decided(Box::new(settled)),
        ];
        let row = step(StepState::Settled { order: 1, outcome });
        says(&judge(entries, vec![found(with(1, row, output))]), &[]);
    }
}

#[test]
fn steps_that_cannot_be_read_are_counted_with_the_others() {
    let abandoned = Step {
        kind: Kind::Keyed,
        epoch: Epoch(1),
        attempt: 1,
        attempts_max: 1,
        state: StepState::Abandoned { due_at: None },
    };
    let step = |no| BaseStep { no: StepNo(no), name: Digest::of(b"s"), row: abandoned, output: None };
    let row = Execution { epoch: Epoch(1), ..row(Status::Ended(Ending::Cancelled)) };
    let base = Base { row, steps: vec![step(1), step(2)], ..base(1, "a") };
    let broken = vec![(StepNo(3), "of no kind".to_owned())];
    let report = judge([Entry::Origin(0)], vec![Found::Execution { base, broken, leases: vec![Epoch(1)] }]);
    assert_eq!(report.steps, 3);
}

#[test]
fn so_many_departures_are_told_and_the_others_are_counted() {
    let rows = |count: usize| (1..=count as i64).map(|key| found(base(key, &format!("w{key}")))).collect();
    for more in [0, 1, 7] {
        let report = judge([Entry::Origin(0)], rows(DEPARTURES_MAX + more));
        assert_eq!((report.departures.len(), report.departures_more), (DEPARTURES_MAX, more as u64));
    }
}
