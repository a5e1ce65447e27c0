//! One run: a workload, a fault at a place, and what was seen.

mod clients;
mod run;
mod schedule;
mod stage;
mod strike;

use hydra_schedule::Name;
use hydra_simulation::history::History;
use hydra_simulation::workload::Workload;
use nix::errno::Errno;

use crate::boundary::Place;
use crate::process::trace::Counts;
pub use run::run;
pub use schedule::ScheduleProblem;
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
    /// What goes wrong.
    pub strike: Option<Strike>,
    /// Whether worker A's system calls are counted.
    pub counts: bool,
}

/// A fault at a place in the life of worker A.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// What.
    pub fault: Fault,
    /// Where.
    pub at: Place,
}

/// What is done to worker A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; another worker, or the same one started again, takes over.
    Crash,
    /// It stands still until another has taken its work over, then goes on.
    Zombie,
    /// It stands still until another has brought its work to an end, then goes on.
    LateZombie,
    /// The call fails.
    CallFails(Errno),
    /// The connection to the store is lost before the request arrives.
    DisconnectBefore,
    /// The request arrives, its reply is lost with the connection.
    ReplyLost,
    /// Nothing arrives in either direction until another has had time to take over.
    Partition,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was seen.
    pub history: History,
    /// Whether the fault struck: an execution may end without ever reaching the place.
    pub struck: bool,
    /// What of the subject's system calls was seen.
    pub counts: Counts,
    /// What is wrong with the adapter.
    pub problems: Vec<String>,
    /// Whether the audit broke it off.
    pub cut: bool,
    /// Processes that ended by themselves, with what they said.
    pub deaths: Vec<String>,
}

/// The worker that faults strike.
pub fn victim() -> Name {
    Name::worker(0)
}

/// The worker that takes over.
pub fn heir() -> Name {
    Name::worker(1)
}
