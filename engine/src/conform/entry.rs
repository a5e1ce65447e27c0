//! What stands in the journal of commands.

use hydra_protocol::{Command, Execution, Rejection, Reply, Step, StepNo, Time};

use super::code::{Code, Digest, fields, tag};
use crate::store::{ExecutionId, ExecutionKey};

/// The first byte of every entry. It changes whenever an entry of old could be read as another.
const VERSION: u8 = 1;

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The journal begins here, or begins anew: so many bases follow.
    Origin(u64),
    /// An execution that was there before the journal's first command.
    Base(Box<Base>),
    /// A command, and what the store answered.
    Decided(Box<Decided>),
    /// An execution that had ended was deleted: see [`crate::store::Store::prune`].
    Deleted(ExecutionKey),
}

/// An execution and its steps at the journal's beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// The store's name for it.
    pub key: ExecutionKey,
    /// The client's name for it.
    pub id: ExecutionId,
    /// Its row.
    pub row: Execution,
    /// Its workflow's name.
    pub workflow: Digest,
    /// Its input.
    pub input: Digest,
    /// What it returned.
    pub output: Option<Digest>,
    /// Its steps.
    pub steps: Vec<BaseStep>,
}

/// A step at the journal's beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseStep {
    /// Its number.
    pub no: StepNo,
    /// Its name.
    pub name: Digest,
    /// Its row.
    pub row: Step,
    /// Its output.
    pub output: Option<Digest>,
}

/// A command, and what the store answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The store's clock in that transaction.
    pub now: Time,
    /// The execution as the sender named it, where it did so by the client's name.
    pub id: Option<ExecutionId>,
    /// The execution as the store found it, or made it; none: there was none.
    pub key: Option<ExecutionKey>,
    /// The step that the command names.
    pub step: Option<StepNo>,
    /// What was asked.
    pub command: Command,
    /// For a start, the workflow's name; for begin and sleep, the step's.
    pub name: Option<Digest>,
    /// The payload that came with it.
    pub value: Option<Digest>,
    /// What was answered.
    pub decision: Result<Reply, Rejection>,
}

fields!(BaseStep { no, name, row, output });
fields!(Base { key, id, row, workflow, input, output, steps });
fields!(Decided { now, id, key, step, command, name, value, decision });

/// Why an entry cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is of another version of the journal.
    Version(u8),
    /// It is no entry.
    Garbled,
}

impl Entry {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(VERSION);
        match self {
            Entry::Origin(bases) => {
                out.push(0);
                bases.put(&mut out);
            }
            Entry::Base(base) => {
                out.push(1);
                base.put(&mut out);
            }
            Entry::Decided(decided) => {
                out.push(2);
                decided.put(&mut out);
            }
            Entry::Deleted(key) => {
                out.push(3);
                key.put(&mut out);
            }
        }
        out
    }

    /// What these bytes are.
    pub fn decode(mut from: &[u8]) -> Result<Self, Unreadable> {
        let from = &mut from;
        match tag(from) {
            Some(VERSION) => {}
            Some(version) => return Err(Unreadable::Version(version)),
            None => return Err(Unreadable::Garbled),
        }
        let entry = match tag(from) {
            Some(0) => Code::get(from).map(Entry::Origin),
            Some(1) => Code::get(from).map(|base| Entry::Base(Box::new(base))),
            Some(2) => Code::get(from).map(|decided| Entry::Decided(Box::new(decided))),
            Some(3) => Code::get(from).map(Entry::Deleted),
            _ => None,
        };
        entry.filter(|_| from.is_empty()).ok_or(Unreadable::Garbled)
    }
}
