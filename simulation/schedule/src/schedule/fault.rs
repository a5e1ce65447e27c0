//! Faults: what the nemesis does to workers, network, clocks and the store.

use std::fmt;

use crate::name::{Name, StepName};
use crate::words::words;

words! {
    /// Which way a partition cuts, seen from the worker.
    Direction {
        /// Nothing gets through.
        Both = "both",
        /// What is sent to the worker is lost: its requests arrive, the replies do not.
        In = "in",
        /// What the worker sends is lost.
        Out = "out",
    }
}

/// Whom a partition strikes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every worker.
    All,
    /// These workers; never empty. Written `A` or `A,B`.
    Workers(Vec<Name>),
}

/// A place in the life of a worker's process, counted from 1 since it started: `write#12`, `body-before#3`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Boundary {
    /// The kind of place: a system call, or a door of a step's body.
    pub place: Name,
    /// The how-manieth of its kind.
    pub nth: u32,
}

/// One injected event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fault {
    /// `crash A`: the process ends at once.
    Crash(Name),
    /// `restart A`: the process starts again, remembering nothing.
    Restart(Name),
    /// `disconnect-before A`: its next request is lost before the store commits.
    DisconnectBefore(Name),
    /// `reply-lost A`: its next request commits, the reply is lost.
    ReplyLost(Name),
    /// `reply-late A`: its next request commits, the reply comes after the worker has given up waiting.
    ReplyLate(Name),
    /// `duplicate A`: its next request reaches the store twice.
    Duplicate(Name),
    /// `partition A`, `partition A,B out`, `partition all`.
    Partition {
        /// Whom it cuts off from the store.
        target: Target,
        /// Which way.
        direction: Direction,
    },
    /// `heal A`, `heal all`: ends a partition.
    Heal(Target),
    /// `pause A 60000`: the process stands still for so long, or until it is resumed.
    Pause {
        /// Which worker.
        worker: Name,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// `resume A`: ends a pause.
    Resume(Name),
    /// `clock A +5000`: the worker's clock jumps.
    Clock {
        /// Which worker.
        worker: Name,
        /// By how much, in milliseconds.
        by_ms: i64,
    },
    /// `drift A 200`: the worker's clock runs fast (negative: slow), in parts per million.
    Drift {
        /// Which worker.
        worker: Name,
        /// How fast, in parts per million.
        ppm: i64,
    },
    /// `store-clock +5000`: the store's clock jumps.
    StoreClock {
        /// By how much, in milliseconds.
        by_ms: i64,
    },
    /// `store-drift 200`: the store's clock runs fast (negative: slow), in parts per million.
    StoreDrift {
        /// How fast, in parts per million.
        ppm: i64,
    },
    /// `slow-store 500`: the store answers so much later; 0 ends it.
    SlowStore {
        /// By how much, in milliseconds.
        by_ms: u64,
    },
    /// `store-restart`: the store stops and starts; what was committed stays.
    StoreRestart,
    /// `encode W1/2`: the result of the step's body cannot be encoded.
    Encode(StepName),
    /// `decode W1/2`: the step's checkpoint cannot be decoded.
    Decode(StepName),
    /// `call-fails A ENOSPC`: a system call of the worker fails with this error.
    CallFails {
        /// Which worker.
        worker: Name,
        /// The error, as errno spells it.
        error: Name,
    },
}

impl Fault {
    /// The words that a fault may begin with.
    pub const KINDS: [&str; 19] = [
        "crash",
        "restart",
        "disconnect-before",
        "reply-lost",
        "reply-late",
        "duplicate",
        "partition",
        "heal",
        "pause",
        "resume",
        "clock",
        "drift",
        "store-clock",
        "store-drift",
        "slow-store",
        "store-restart",
        "encode",
        "decode",
        "call-fails",
    ];

    /// The word it begins with.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Crash(_) => "crash",
            Fault::Restart(_) => "restart",
            Fault::DisconnectBefore(_) => "disconnect-before",
            Fault::ReplyLost(_) => "reply-lost",
            Fault::ReplyLate(_) => "reply-late",
            Fault::Duplicate(_) => "duplicate",
            Fault::Partition { .. } => "partition",
            Fault::Heal(_) => "heal",
            Fault::Pause { .. } => "pause",
            Fault::Resume(_) => "resume",
            Fault::Clock { .. } => "clock",
            Fault::Drift { .. } => "drift",
            Fault::StoreClock { .. } => "store-clock",
            Fault::StoreDrift { .. } => "store-drift",
            Fault::SlowStore { .. } => "slow-store",
            Fault::StoreRestart => "store-restart",
            Fault::Encode(_) => "encode",
            Fault::Decode(_) => "decode",
            Fault::CallFails { .. } => "call-fails",
        }
    }

    /// Whether it only undoes an earlier fault.
    pub fn heals(&self) -> bool {
        matches!(self, Fault::Restart(_) | Fault::Heal(_) | Fault::Resume(_) | Fault::SlowStore { by_ms: 0 })
    }

    /// The one worker that it strikes, if it strikes one.
    pub fn worker(&self) -> Option<&Name> {
        match self {
            Fault::Crash(worker)
            | Fault::Restart(worker)
            | Fault::DisconnectBefore(worker)
            | Fault::ReplyLost(worker)
            | Fault::ReplyLate(worker)
            | Fault::Duplicate(worker)
            | Fault::Resume(worker)
            | Fault::Pause { worker, .. }
            | Fault::Clock { worker, .. }
            | Fault::Drift { worker, .. }
            | Fault::CallFails { worker, .. } => Some(worker),
            Fault::Partition { target: Target::Workers(workers), .. } | Fault::Heal(Target::Workers(workers)) => {
                match workers.as_slice() {
                    [worker] => Some(worker),
                    _ => None,
                }
            }
            Fault::Partition { target: Target::All, .. }
            | Fault::Heal(Target::All)
            | Fault::StoreClock { .. }
            | Fault::StoreDrift { .. }
            | Fault::SlowStore { .. }
            | Fault::StoreRestart
            | Fault::Encode(_)
            | Fault::Decode(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Fault::Crash(worker)
            | Fault::Restart(worker)
            | Fault::DisconnectBefore(worker)
            | Fault::ReplyLost(worker)
            | Fault::ReplyLate(worker)
            | Fault::Duplicate(worker)
            | Fault::Resume(worker) => write!(f, " {worker}"),
            Fault::Partition { target, direction: Direction::Both } | Fault::Heal(target) => write!(f, " {target}"),
            Fault::Partition { target, direction } => write!(f, " {target} {direction}"),
            Fault::Pause { worker, for_ms } => write!(f, " {worker} {for_ms}"),
            Fault::Clock { worker, by_ms } => write!(f, " {worker} {by_ms:+}"),
            Fault::Drift { worker, ppm } => write!(f, " {worker} {ppm}"),
            Fault::StoreClock { by_ms } => write!(f, " {by_ms:+}"),
            Fault::StoreDrift { ppm } => write!(f, " {ppm}"),
            Fault::SlowStore { by_ms } => write!(f, " {by_ms}"),
            Fault::StoreRestart => Ok(()),
            Fault::Encode(step) | Fault::Decode(step) => write!(f, " {step}"),
            Fault::CallFails { worker, error } => write!(f, " {worker} {error}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::All => f.write_str("all"),
            Target::Workers(workers) => {
                for (index, worker) in workers.iter().enumerate() {
                    write!(f, "{}{worker}", if index == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.place, self.nth)
    }
}
