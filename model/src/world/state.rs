//! A state of the whole world, kept as words of bits: cheap to copy, to compare and to store.

use super::bounds::{EXECUTIONS_MAX, WORKERS_MAX};
use super::drive::{Drive, Machine};
use super::layout::{Layout, Reader, Writer};
use super::program::Plans;
use super::row::{LATEST, OLDER, Row};
use super::seen::Seen;
use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Epoch};
use std::hash::{Hash, Hasher};

/// A state as it is stored.
pub type Packed = [u64; 4];
pub(super) const PACKED_BITS: u32 = 256;

/// Everything there is at one moment. [`World`](super::World) reads it.
#[derive(Clone, Copy)]
pub struct State {
    pub(crate) rows: [u64; EXECUTIONS_MAX],
    /// Of each worker, what it has in memory of each execution; zero for nothing.
    pub(crate) drives: [[u32; EXECUTIONS_MAX]; WORKERS_MAX],
    pub(crate) flags: [u8; WORKERS_MAX],
    pub(super) late: u64,
    /// What was noticed on the way here. No part of the state: it says how this state was reached, and is not stored.
    pub(super) seen: Seen,
}

/// The worker cannot reach the store.
pub(super) const PARTITIONED: u8 = 1;
/// The worker stands still.
pub(super) const PAUSED: u8 = 2;

/// A copy of a request that is still in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    pub(super) execution: usize,
    /// The step it is about.
    pub(super) step: Option<usize>,
    pub(super) command: Command,
    pub(super) has_succeeded: bool,
    pub(super) epoch: Epoch,
    pub(super) is_latest_claim: bool,
}

impl State {
    pub(super) const START: State = State {
        rows: [0; EXECUTIONS_MAX],
        drives: [[0; EXECUTIONS_MAX]; WORKERS_MAX],
        flags: [0; WORKERS_MAX],
        late: 0,
        seen: Seen::NOTHING,
    };

    fn stored(&self) -> ([u64; EXECUTIONS_MAX], [[u32; EXECUTIONS_MAX]; WORKERS_MAX], [u8; WORKERS_MAX], u64) {
        (self.rows, self.drives, self.flags, self.late)
    }

    pub(crate) fn row(&self, execution: usize, layout: &Layout, plans: &Plans) -> Row {
        Row::decode(self.rows[execution], layout, plans)
    }

    pub(crate) fn drive(&self, worker: usize, execution: usize, layout: &Layout, plans: &Plans) -> Option<Drive> {
        Drive::decode(self.drives[worker][execution].into(), layout, plans)
    }

    /// Whether a worker drives an execution, and believes to do so under the latest epoch.
    #[inline]
    pub(crate) fn holds_latest(&self, worker: usize, execution: usize) -> bool {
        super::drive::holds_latest(self.drives[worker][execution])
    }

    /// Whether an execution is open and never due.
    #[inline]
    pub(crate) fn is_never_due(&self, execution: usize) -> bool {
        super::row::is_never_due(self.rows[execution])
    }

    pub(crate) fn is(&self, worker: usize, flag: u8) -> bool {
        self.flags[worker] & flag != 0
    }

    pub(crate) fn late(&self, layout: &Layout, plans: &Plans) -> Option<Late> {
        Late::decode(self.late, layout, plans)
    }

    pub(super) fn pack(&self, layout: &Layout) -> Packed {
        let mut packed = Sink { words: [0; 4], used: 0 };
        for execution in 0..layout.executions {
            packed.put(self.rows[execution], layout.row());
        }
        let (drive, flags) = (layout.drive(), layout.flags);
        for worker in 0..layout.workers {
            let [first, second] = self.drives[worker].map(u64::from);
            let both = if layout.executions == 2 { second << drive | first } else { first };
            packed.put(both << flags | u64::from(self.flags[worker]), layout.worker());
        }
        packed.put(self.late, layout.late());
        packed.words
    }

    pub(super) fn unpack(packed: &Packed, layout: &Layout) -> State {
        let mut state = State::START;
        let mut packed = Source { words: packed, used: 0 };
        for execution in 0..layout.executions {
            state.rows[execution] = packed.take(layout.row());
        }
        for worker in 0..layout.workers {
            let mut word = Reader(packed.take(layout.worker()));
            state.flags[worker] = word.take(layout.flags) as u8;
            for drive in &mut state.drives[worker][..layout.executions] {
                *drive = word.take(layout.drive()) as u32;
            }
        }
        state.late = packed.take(layout.late());
        state
    }

    /// The least of all states that differ only in which worker and which execution is which. Exact, since rows hold
    /// epochs and never names of workers, and all executions run one program.
    pub(super) fn canonical(mut self, layout: &Layout) -> State {
        if layout.executions == 2 && self.rows[1] < self.rows[0] {
            self.swap_executions();
        }
        self.sort_workers(layout);
        if layout.executions < 2 || self.rows[0] != self.rows[1] {
            return self;
        }
        let mut swapped = self;
        swapped.swap_executions();
        swapped.sort_workers(layout);
        if swapped.stored() < self.stored() { swapped } else { self }
    }

    fn swap_executions(&mut self) {
        self.rows.swap(0, 1);
        for drives in &mut self.drives {
            drives.swap(0, 1);
        }
        self.late = Late::swap_execution(self.late);
    }

    /// Insertion sort: there are at most four.
    fn sort_workers(&mut self, layout: &Layout) {
        for end in 1..layout.workers {
            let mut at = end;
            while at > 0 && (self.drives[at], self.flags[at]) > (self.drives[at - 1], self.flags[at - 1]) {
                self.drives.swap(at, at - 1);
                self.flags.swap(at, at - 1);
                at -= 1;
            }
        }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.stored() == other.stored()
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.stored().hash(hasher);
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rows {:x?} drives {:x?} flags {:?} late {:x}", self.rows, self.drives, self.flags, self.late)
    }
}

const NO_COPY: u64 = 0;
const OF_STEP: u64 = 1;
const OF_EXECUTION: u64 = 2;
const HEARTBEAT: u64 = 3;
/// The execution's number stands behind the two bits of the kind.
const EXECUTION_BIT: u64 = 1 << 2;

impl Late {
    pub(super) fn encode(&self, layout: &Layout) -> u64 {
        let machine =
            Machine { phase: step::Phase::Asking(self.command), has_succeeded: self.has_succeeded, turn: None };
        let (kind, payload) = match (self.step, self.command) {
            (Some(_), _) => (OF_STEP, machine.encode(layout)),
            (None, Command::Heartbeat { .. }) => (HEARTBEAT, 0),
            (None, command) => {
                let drive = Drive { phase: drive::Phase::Asking(command), ..Drive::new(LATEST) };
                (OF_EXECUTION, u64::from(drive.encode(layout) & 7))
            }
        };
        let mut word = Writer::default();
        word.put(kind, 2);
        word.put(self.execution as u64, 1);
        word.put(self.step.unwrap_or(0) as u64, 2);
        word.put(u64::from(self.epoch == LATEST), 1);
        word.put(u64::from(self.is_latest_claim), 1);
        word.put(payload, layout.machine());
        word.word()
    }

    fn decode(word: u64, layout: &Layout, plans: &Plans) -> Option<Late> {
        if word == NO_COPY {
            return None;
        }
        let mut word = Reader(word);
        let kind = word.take(2);
        let execution = word.take(1) as usize;
        let step = word.take(2) as usize;
        let epoch = if word.take(1) == 1 { LATEST } else { OLDER };
        let is_latest_claim = word.take(1) == 1;
        let payload = word.take(layout.machine());
        let (step, command, has_succeeded) = match kind {
            OF_STEP => {
                let machine = Machine::decode(payload, step, epoch, layout, plans);
                let step::Phase::Asking(command) = machine.phase else { return None };
                (Some(step), command, machine.has_succeeded)
            }
            HEARTBEAT => (None, Command::Heartbeat { epoch, lease: super::clock::LEASE }, false),
            _ => {
                let bits = payload | u64::from(epoch == LATEST) << 3;
                let drive::Phase::Asking(command) = Drive::decode(bits, layout, plans)?.phase else { return None };
                (None, command, false)
            }
        };
        Some(Late { execution, step, command, has_succeeded, epoch, is_latest_claim })
    }

    /// The same word about the other execution.
    fn swap_execution(word: u64) -> u64 {
        if word == NO_COPY { word } else { word ^ EXECUTION_BIT }
    }

    /// Another lease was granted: the copy is of an older one. `raised` says whether the engine's epoch says so too.
    pub(super) fn outdate(word: u64, execution: usize, raised: bool) -> u64 {
        if word == NO_COPY || (word >> 2 & 1) as usize != execution {
            return word;
        }
        const EPOCH: u64 = 1 << 5;
        const LATEST_CLAIM: u64 = 1 << 6;
        word & !LATEST_CLAIM & if raised { !EPOCH } else { u64::MAX }
    }
}

struct Sink {
    words: Packed,
    used: u32,
}

impl Sink {
    #[inline]
    fn put(&mut self, value: u64, bits: u32) {
        if bits == 0 {
            return;
        }
        let (word, shift) = ((self.used / 64) as usize, self.used % 64);
        self.words[word] |= value << shift;
        if shift + bits > 64 {
            self.words[word + 1] = value >> (64 - shift);
        }
        self.used += bits;
    }
}

struct Source<'a> {
    words: &'a Packed,
    used: u32,
}

impl Source<'_> {
    #[inline]
    fn take(&mut self, bits: u32) -> u64 {
        if bits == 0 {
            return 0;
        }
        let (word, shift) = ((self.used / 64) as usize, self.used % 64);
        let mut value = self.words[word] >> shift;
        if shift + bits > 64 {
            value |= self.words[word + 1] << (64 - shift);
        }
        self.used += bits;
        if bits == 64 { value } else { value & ((1 << bits) - 1) }
    }
}
