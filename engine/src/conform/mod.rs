//! Whether a store did what the rules say, from its own record: every command of its journal is decided again by the
//! core, and its rows must be those that the commands lead to.
//!
//! A store that keeps a journal of commands ([`crate::store::SqliteOptions::journal`]) writes each decided command, with
//! its time and its answer, in the transaction that answers it. [`check`] replays that journal through the reference
//! rules. It says the first command of each execution at which the store departed from them, and every row that is not
//! what the commands made of it. Without a journal it checks the rows alone.

mod code;
mod entry;
mod replay;
mod report;
mod rows;
mod words;

pub use code::Digest;
pub use entry::{Base, BaseStep, Decided, Entry, Unreadable};
pub use report::{DEPARTURES_MAX, Departure, Journal, Report, Verdict};

use hydra_protocol::{Epoch, StepNo};

use crate::store::{ExecutionKey, StoreError};
use replay::Replay;

/// What a store has on record, all of it as of one moment.
pub trait Evidence {
    /// Hands over the journal's entries with their numbers, in order. False if it keeps no journal.
    fn entries(&mut self, see: &mut dyn FnMut(u64, &[u8])) -> Result<bool, StoreError>;

    /// Hands over every execution with its steps, by key.
    fn rows(&mut self, see: &mut dyn FnMut(Found)) -> Result<(), StoreError>;
}

/// An execution on record.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// One that can be read.
    Execution {
        /// Its rows, without those of its steps that cannot be read.
        base: Base,
        /// Those.
        broken: Vec<(StepNo, String)>,
        /// The epochs that are on record as leases, in ascending order.
        leases: Vec<Epoch>,
    },
    /// One that cannot.
    Broken {
        /// The store's name for it.
        key: ExecutionKey,
        /// What is wrong with it.
        what: String,
    },
}

/// Judges a store by its own record.
///
/// # Errors
/// Those of reading. A record that contradicts itself is no error, but what the report is about.
pub fn check(evidence: &mut impl Evidence) -> Result<Report, StoreError> {
    let mut replay = Replay::default();
    let keeps_one = evidence.entries(&mut |number, bytes| replay.see(number, bytes))?;
    let mut report = Report { journal: keeps_one.then(|| replay.journal()), ..Report::default() };
    if keeps_one {
        replay.end();
    }
    for departure in std::mem::take(&mut replay.departures) {
        report.add(departure);
    }
    report.unreadable = replay.unreadable.take();
    let follow = keeps_one && report.unreadable.is_none();
    evidence.rows(&mut |found| {
        rows::check(&found, &mut report);
        if follow {
            replay.compare(found, &mut report);
        }
    })?;
    if follow {
        replay.missing(&mut report);
    }
    Ok(report)
}
