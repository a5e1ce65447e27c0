//! One run: a workload, a fault at a place, and what was seen.

mod clients;
mod course;
mod run;
mod schedule;
mod stage;
mod strike;

use std::collections::BTreeMap;

use hydra_simulation::history::History;
use hydra_simulation::workload::Workload;
use nix::errno::Errno;

use crate::boundary::{Place, Site};
use crate::placed::Counts;
pub use run::run;
pub use schedule::{ScheduleProblem, live_subject};
pub use stage::{Stage, World};

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// A few words for it, such as `crash A on after-1#1`.
    pub name: String,
    /// What the clients ask for.
    pub workload: Workload,
    /// How many workers are up from the beginning.
    pub workers: usize,
    /// What goes wrong, one after the other: the second strikes the worker that the first left the work to.
    pub strikes: Vec<Strike>,
    /// Whether worker A's system calls and messages are counted.
    pub counts: bool,
}

/// A fault at a place in the life of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// What.
    pub fault: Fault,
    /// Which worker: 0 is A, which has the work first, 1 is B.
    pub worker: usize,
    /// Where.
    pub at: Place,
}

/// What is done to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; another worker, or the same one started again, takes over.
    Crash,
    /// It stands still until another has taken its work over, then goes on.
    Zombie,
    /// It stands still until another has brought its work to an end, then goes on.
    LateZombie,
    /// It stands still past its lease with nobody to take over, then goes on: it may take over from itself.
    Stall,
    /// The call fails.
    CallFails(Errno),
    /// The connection to the store is lost before the request arrives.
    DisconnectBefore,
    /// The request arrives, its reply is lost with the connection.
    ReplyLost,
    /// The request arrives, its reply when another has had time to take over.
    ReplyLate,
    /// Nothing arrives in either direction until another has had time to take over; then it does.
    Partition,
    /// The same, but the connections are dead afterwards.
    HalfOpen,
    /// Every piece of the traffic with the store takes long for some time.
    SlowStore,
    /// The store's server is killed with SIGKILL and started again.
    StoreRestart,
    /// Its wall clock jumps by so many milliseconds.
    Clock(i64),
}

impl Fault {
    /// Whether the work goes to another process, or to the same started again.
    pub fn hands_over(self) -> bool {
        match self {
            Fault::Crash
            | Fault::Zombie
            | Fault::LateZombie
            | Fault::Partition
            | Fault::HalfOpen
            | Fault::ReplyLate => true,
            Fault::Stall
            | Fault::CallFails(_)
            | Fault::DisconnectBefore
            | Fault::ReplyLost
            | Fault::SlowStore
            | Fault::StoreRestart
            | Fault::Clock(_) => false,
        }
    }

    /// A few words for a report.
    pub fn words(self) -> &'static str {
        match self {
            Fault::Crash => "SIGKILL",
            Fault::Zombie | Fault::LateZombie => "paused past the lease",
            Fault::Stall => "paused past the lease, alone",
            Fault::CallFails(_) => "failed system call",
            Fault::DisconnectBefore => "connection lost before the request",
            Fault::ReplyLost => "reply lost",
            Fault::ReplyLate => "reply late",
            Fault::Partition => "partition",
            Fault::HalfOpen => "half-open connection",
            Fault::SlowStore => "slow store",
            Fault::StoreRestart => "store killed and restarted",
            Fault::Clock(_) => "clock jump",
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was seen.
    pub history: History,
    /// How many of the faults struck: an execution may end without ever reaching a place.
    pub struck: usize,
    /// What of the subject's system calls and messages was seen, from its first work on.
    pub counts: Counts,
    /// What was seen before it had any: its polling.
    pub idle: BTreeMap<Site, u32>,
    /// What is wrong with the adapter.
    pub problems: Vec<String>,
    /// Whether the audit broke it off.
    pub cut: bool,
    /// Processes that ended by themselves, with what they said.
    pub deaths: Vec<String>,
}
