//! A history, indexed once for every checker.

use std::collections::HashMap;
use std::ops::Range;

use hydra_schedule::{Action, Fault, Name, StepName};

use super::contract::Settings;
use super::health::Health;
use crate::clock::Clock;
use crate::history::{Call, Effect, Entered, Gave, History, Journal, Op, Phase, Record, Seen, Status, What};
use crate::workload::{Item, Program, Step, StepKind};

/// One entry into a body.
#[derive(Debug)]
pub struct Body<'a> {
    /// The step.
    pub step: &'a StepName,
    /// The worker.
    pub worker: &'a str,
    /// The record of its entry.
    pub entered: usize,
    /// What was told at the door.
    pub door: &'a Entered,
    /// The records of its effects.
    pub effects: Vec<(usize, &'a Effect)>,
    /// The record of its end and what it gave, if it ended.
    pub left: Option<(usize, &'a Gave)>,
}

impl Body<'_> {
    /// Whether its effect happened and the worker was told so.
    pub fn succeeded(&self) -> bool {
        matches!(self.left, Some((_, Gave::Value(_) | Gave::Unencodable)))
    }

    /// The value it returned.
    pub fn value(&self) -> Option<&str> {
        match self.left {
            Some((_, Gave::Value(value))) => Some(value),
            _ => None,
        }
    }
}

/// Everything about one execution.
#[derive(Debug)]
pub(super) struct Execution<'a> {
    pub program: &'a Program,
    pub name: &'a Name,
    /// Its bodies, in the order of entry.
    pub bodies: Vec<Body<'a>>,
    /// The journal's entries, with the index of the record.
    pub journal: Vec<(usize, &'a Journal)>,
    /// Its clients' calls, in order: the record of the call and, if there is one, of the answer.
    pub calls: Vec<Answered<'a>>,
    /// The last record about it.
    pub last: Option<usize>,
}

/// A call with its answer.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    pub invoked: usize,
    pub call: &'a Call,
    pub answer: Option<(usize, &'a Call)>,
}

impl<'a> Answered<'a> {
    /// Whether either side says that the input is another one.
    pub fn other_input(&self) -> bool {
        self.call.other_input || self.answer.is_some_and(|(_, answer)| answer.other_input)
    }

    /// The answer, if the call was answered with success.
    pub fn ok(&self) -> Option<(usize, &'a Call)> {
        self.answer.filter(|(_, answer)| answer.phase == Phase::Ok)
    }
}

/// A history, indexed.
#[derive(Debug)]
pub struct Facts<'a> {
    pub(super) records: &'a [Record],
    pub(super) settings: &'a Settings,
    pub(super) executions: Vec<Execution<'a>>,
    pub(super) health: Health<'a>,
    /// The record from which there are no faults.
    pub(super) healed: Option<usize>,
    /// The last record.
    pub(super) end_ms: u64,
    /// What the store's clock showed at each record, where it was ever wrong.
    store_ms: Vec<u64>,
    /// How far the store's clock was set back, all in all: what was due before is due as much later.
    pub(super) back_ms: u64,
    /// Steps whose checkpoint was made undecodable, with the record of the fault.
    pub(super) undecodable: Vec<(usize, &'a StepName)>,
    pub(super) workers: &'a [Name],
}

impl<'a> Facts<'a> {
    /// Indexes a history. Records about executions that the workload does not name are left out.
    pub fn new(history: &'a History, settings: &'a Settings) -> Self {
        let programs = &history.header.workload.programs;
        let mut executions: Vec<Execution<'a>> = programs
            .iter()
            .map(|program| Execution {
                program,
                name: &program.id,
                bodies: Vec::new(),
                journal: Vec::new(),
                calls: Vec::new(),
                last: None,
            })
            .collect();
        // Only looked up, never walked: its order cannot reach a verdict.
        let by_name: HashMap<&Name, usize> =
            programs.iter().enumerate().map(|(at, program)| (&program.id, at)).collect();
        let mut healed = None;
        let mut undecodable = Vec::new();
        for (index, record) in history.records.iter().enumerate() {
            match &record.what {
                What::Healed => healed = Some(index),
                What::Fault { event } => {
                    if let hydra_schedule::Action::Fault { fault: Fault::Decode(step), .. } = &event.action {
                        undecodable.push((index, step));
                    }
                }
                _ => {}
            }
            let Some(name) = record.execution() else {
                continue;
            };
            if let Some(at) = by_name.get(name) {
                executions[*at].add(index, record);
            }
        }
        let (store_ms, back_ms) = store_clock(&history.records);
        Facts {
            store_ms,
            back_ms,
            records: &history.records,
            settings,
            executions,
            health: Health::new(&history.records),
            healed,
            end_ms: history.records.last().map_or(0, |record| record.at_ms),
            undecodable,
            workers: &history.header.workers,
        }
    }

    pub(super) fn at_ms(&self, index: usize) -> u64 {
        self.records[index].at_ms
    }

    /// The same by the store's clock, by which due times are told.
    pub(super) fn store_ms(&self, index: usize) -> u64 {
        self.store_ms.get(index).copied().unwrap_or_else(|| self.at_ms(index))
    }

    /// The least that somebody can have taken for the store's clock at a record, who heard of it at some earlier time and
    /// has carried it on by a clock of their own.
    fn store_ms_as_heard(&self, index: usize) -> u64 {
        let carried_on = |heard| self.store_ms(heard).saturating_add(self.at_ms(index) - self.at_ms(heard));
        let heard = if self.store_ms.is_empty() { index..=index } else { 0..=index };
        heard.map(carried_on).min().unwrap_or_default()
    }

    /// Whether there is a time from which nothing is struck: only then can a wait be too long.
    pub(super) fn faults_ceased(&self) -> bool {
        self.healed.is_some() || self.health.is_untouched()
    }

    /// The first fault that can have cost `worker` its lease or a message between two records.
    pub(super) fn excuse(&self, worker: &str, from: usize, until: usize) -> Option<usize> {
        let from_ms = self.at_ms(from).saturating_sub(self.settings.lease_ms);
        self.health.struck(worker, from_ms, self.at_ms(until))
    }
}

/// What the store's clock showed at each record, and how far it was set back; nothing where it was always right.
fn store_clock(records: &[Record]) -> (Vec<u64>, u64) {
    let fault = |record: &'_ Record| match &record.what {
        What::Fault { event } => match &event.action {
            Action::Fault { fault: fault @ (Fault::StoreClock { .. } | Fault::StoreDrift { .. }), .. } => {
                Some(fault.clone())
            }
            _ => None,
        },
        _ => None,
    };
    if !records.iter().any(|record| fault(record).is_some()) {
        return (Vec::new(), 0);
    }
    let (mut clock, mut back_ms) = (Clock::starting_at(0), 0);
    let shown = records.iter().map(|record| {
        match fault(record) {
            Some(Fault::StoreClock { by_ms }) => {
                clock.jump(record.at_ms, by_ms);
                back_ms += by_ms.min(0).unsigned_abs();
            }
            Some(Fault::StoreDrift { ppm }) => clock.drift(record.at_ms, ppm),
            _ if matches!(record.what, What::Healed) => clock.drift(record.at_ms, 0),
            _ => {}
        }
        clock.shows_ms(record.at_ms)
    });
    (shown.collect(), back_ms)
}

impl<'a> Execution<'a> {
    fn add(&mut self, index: usize, record: &'a Record) {
        self.last = Some(index);
        match &record.what {
            What::Entered(door) => self.bodies.push(Body {
                step: &door.step,
                worker: &record.who,
                entered: index,
                door,
                effects: Vec::new(),
                left: None,
            }),
            What::Effect(effect) => {
                if let Some(body) = self.body_mut(effect.body) {
                    body.effects.push((index, effect));
                }
            }
            What::Left { body, gave, .. } => {
                if let Some(body) = self.body_mut(*body) {
                    body.left.get_or_insert((index, gave));
                }
            }
            What::Journal(journal) => self.journal.push((index, journal)),
            What::Call(call) if call.phase == Phase::Invoked => {
                self.calls.push(Answered { invoked: index, call, answer: None });
            }
            What::Call(answer) => {
                if let Some(open) = self.calls.iter_mut().rev().find(|open| open.call.call == answer.call) {
                    open.answer.get_or_insert((index, answer));
                }
            }
            What::Worker { .. } | What::Fault { .. } | What::Healed | What::Ended => {}
        }
    }

    fn body_mut(&mut self, number: u64) -> Option<&mut Body<'a>> {
        self.bodies.iter_mut().rev().find(|body| body.door.body == number)
    }

    /// The bodies of one step, in the order of entry.
    pub fn bodies_of<'s>(&'s self, step: &'s Name) -> impl Iterator<Item = &'s Body<'a>> + 's {
        self.bodies.iter().filter(move |body| body.step.step == *step)
    }

    /// The steps of one kind.
    pub fn steps_of(&self, kind: StepKind) -> impl Iterator<Item = &'a Step> + use<'a> {
        self.program.steps().filter(move |step| step.kind == kind)
    }

    /// The first accepted checkpoint of a step, where the journal can be read.
    pub fn checkpoint(&self, step: &Name) -> Option<(usize, &'a Seen)> {
        self.journal.iter().find_map(|(index, journal)| match journal {
            Journal::Checkpoint { step: of, seen } if of.step == *step => Some((*index, seen)),
            _ => None,
        })
    }

    /// The records of its claims, where they are seen.
    fn claims(&self) -> impl Iterator<Item = usize> {
        self.journal.iter().filter(|(_, journal)| matches!(journal, Journal::Claimed { .. })).map(|(index, _)| *index)
    }

    /// Whether its claims are seen.
    pub fn shows_claims(&self) -> bool {
        self.claims().next().is_some()
    }

    /// Whether `worker` is seen to claim it between two records.
    pub fn claimed_by(&self, worker: &str, between: Range<usize>, records: &[Record]) -> bool {
        self.claims().any(|index| between.contains(&index) && records[index].who == worker)
    }

    /// Whether anybody claimed the execution between two records, or nothing is known of its claims.
    pub fn changed_hands(&self, from: usize, until: usize) -> bool {
        !self.shows_claims() || self.claims().any(|index| (from..until).contains(&index))
    }

    /// Where the journal shows it, the record by which the attempt of a body was begun.
    pub fn begun(&self, body: &Body<'_>) -> Option<usize> {
        let attempt = body.door.attempt?;
        self.journal.iter().find_map(|(index, journal)| match journal {
            Journal::Began { step, attempt: begun } if step == body.step && *begun == attempt => Some(*index),
            _ => None,
        })
    }

    /// How many attempts of a step were begun, where the journal can be read: one that died early never reached its body.
    pub fn began(&self, step: &StepName) -> usize {
        let began = |journal: &Journal| matches!(journal, Journal::Began { step: of, .. } if of == step);
        self.journal.iter().filter(|(_, journal)| began(journal)).count()
    }

    /// The first proof that the step was settled: its checkpoint, or a later body that had its value.
    pub fn settled(&self, step: &Name) -> Option<Settled<'_>> {
        let read = self.bodies.iter().find_map(|body| {
            body.door.saw.get(step).map(|seen| Settled { index: body.entered, seen, by: Some(body.step) })
        });
        let written = self.checkpoint(step).map(|(index, seen)| Settled { index, seen, by: None });
        [written, read].into_iter().flatten().min_by_key(|settled| settled.index)
    }

    /// The first claim of this execution by anyone else than `worker` after a record: a claim where the journal shows
    /// it, else a body.
    pub fn takeover(&self, worker: &str, after: usize, records: &[Record]) -> Option<usize> {
        let by_another = |index: &usize| *index > after && records[*index].who != worker;
        if self.shows_claims() {
            // A body entered by another may be a zombie's; only who claims takes over.
            return self.claims().find(by_another);
        }
        self.bodies.iter().map(|body| body.entered).find(by_another)
    }

    /// The statuses that were seen, in order: from when the reader asked, when it was told, what.
    pub fn statuses(&self) -> Vec<(usize, usize, Status)> {
        let read = self.calls.iter().filter_map(|call| {
            let (index, answer) = call.ok().filter(|_| matches!(call.call.op, Op::Status | Op::Result))?;
            Some((call.invoked, index, answer.status?))
        });
        let written = self.journal.iter().filter_map(|(index, journal)| match journal {
            Journal::Status { status, .. } => Some((*index, *index, *status)),
            _ => None,
        });
        let mut all: Vec<_> = read.chain(written).collect();
        all.sort_by_key(|(_, told, _)| *told);
        all
    }

    /// The first terminal status seen.
    pub fn ended(&self) -> Option<(usize, Status)> {
        self.statuses().into_iter().find(|(_, _, status)| status.is_terminal()).map(|(_, told, status)| (told, status))
    }

    /// The last status, if it is terminal: an execution that an operator re-opened is open again.
    pub fn has_ended(&self) -> bool {
        self.statuses().last().is_some_and(|(_, _, status)| status.is_terminal())
    }

    /// The calls of one kind.
    pub fn calls_of(&self, op: Op) -> impl Iterator<Item = &Answered<'a>> {
        self.calls.iter().filter(move |call| call.call.op == op)
    }

    /// Whether an operator's retry may have opened it again between two records. One that was not answered may have at any
    /// time after it was asked for: (1) a retry is sent, and takes long; (2) the execution fails; (3) the retry arrives.
    pub fn reopened(&self, between: Range<usize>) -> bool {
        self.calls_of(Op::Retry).any(|call| {
            let over = match call.answer {
                Some((_, answer)) if answer.phase == Phase::Failed => return false,
                Some((index, answer)) if answer.phase == Phase::Ok => index,
                _ => usize::MAX,
            };
            call.invoked < between.end && between.start < over
        })
    }

    /// Whether anybody may have started it.
    pub fn started(&self) -> Option<usize> {
        let reached = |call: &&Answered<'_>| call.answer.is_none_or(|(_, answer)| answer.phase != Phase::Failed);
        self.calls_of(Op::Start).find(reached).map(|call| call.invoked)
    }

    /// Whether it had a deadline, counted from its start, that was over when it ended.
    pub fn deadline_passed(&self, facts: &Facts<'_>, ended: usize) -> bool {
        let started_ms = self.started().map_or(0, |started| facts.store_ms_as_heard(started));
        let lasted_ms = facts.store_ms(ended).saturating_sub(started_ms);
        // A clock that was set back after the end had shown more before; and whoever started it may have known the
        // store's clock by a message that took its time.
        let lasted_ms = lasted_ms.saturating_add(facts.back_ms).saturating_add(facts.settings.slack_ms);
        self.program.deadline_ms.is_some_and(|deadline_ms| lasted_ms >= deadline_ms)
    }

    /// The items before the one at `index`.
    pub fn items_before(&self, index: usize) -> &'a [Item] {
        &self.program.body[..index]
    }
}

/// The proof that a step was settled.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    /// The record.
    pub index: usize,
    /// What the checkpoint holds.
    pub seen: &'a Seen,
    /// The later step that had the value, if the checkpoint itself was not seen.
    pub by: Option<&'a StepName>,
}
