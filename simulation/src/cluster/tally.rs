//! What a campaign has reached: a run that never met a rejection has not tested it.

use hydra_protocol::{Command, Ending, Failure, Rejection};

/// How far a name's count may go; a name is an index into one of the tables below.
macro_rules! tally {
    ($( $(#[$doc:meta])* $field:ident: $table:ident = [$($name:literal),+ $(,)?]; )+) => {
        $( const $table: &[&str] = &[$($name),+]; )+

        /// Counts of everything that a campaign is to reach.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Tally {
            /// Runs.
            pub runs: u64,
            /// Calls of the core: transactions decided, and steps of the worker's machines.
            pub steps: u64,
            /// Virtual time, in milliseconds.
            pub simulated_ms: u64,
            $( $(#[$doc])* pub(crate) $field: [u64; $table.len()], )+
        }

        impl Default for Tally {
            fn default() -> Self {
                Tally { runs: 0, steps: 0, simulated_ms: 0, $( $field: [0; $table.len()], )+ }
            }
        }

        impl Tally {
            /// Adds what another campaign, or another part of this one, has reached.
            pub fn add(&mut self, other: &Tally) {
                self.runs += other.runs;
                self.steps += other.steps;
                self.simulated_ms += other.simulated_ms;
                $( for (mine, theirs) in self.$field.iter_mut().zip(&other.$field) { *mine += theirs; } )+
            }

            /// Every goal with its group and its count.
            pub fn goals(&self) -> Vec<(&'static str, &'static str, u64)> {
                let mut goals = Vec::new();
                $( for (name, count) in $table.iter().zip(&self.$field) {
                    goals.push((stringify!($field), *name, *count));
                } )+
                goals
            }

            /// Sets the count of a goal, when a report is read back. False if there is no such goal.
            pub fn set(&mut self, group: &str, goal: &str, count: u64) -> bool {
                $( if group == stringify!($field) && let Some(at) = $table.iter().position(|name| *name == goal) {
                    self.$field[at] = count;
                    return true;
                } )+
                false
            }
        }
    };
}

tally! {
    /// Commands decided.
    commands: COMMANDS = [
        "start", "claim", "heartbeat", "begin", "settle", "sleep", "fire", "release", "finish", "cancel", "retry",
        "resolve",
    ];
    /// Commands refused.
    rejections: REJECTIONS = [
        "unknown-execution", "conflict", "ended", "not-due", "unknown-workflow", "not-leased", "stale-epoch",
        "lease-expired", "attempt-mismatch", "step-settled", "not-running", "not-failed", "unresolved", "not-in-doubt",
        "superseded",
    ];
    /// Faults that struck.
    faults: FAULTS = [
        "crash", "restart", "disconnect-before", "reply-lost", "reply-late", "duplicate", "partition", "heal", "pause",
        "resume", "clock", "drift", "store-clock", "store-drift", "slow-store", "store-restart", "encode", "decode",
    ];
    /// Ways back, and other things that must have happened.
    paths: PATHS = [
        "taken-over", "body-cancelled", "attempt-crashed", "in-doubt", "unencodable", "undecodable", "exhausted",
        "asked-again", "late-reply-used", "late-reply-dropped", "stopped-by-clock", "parked", "held", "shut-down",
        "replayed", "transaction-rolled-back", "zombie-refused", "workflow-failed", "succeeded", "cancelled",
        "race-won", "deadline-passed",
    ];
}

/// An index into the paths, by name; the compiler finds one that does not exist.
macro_rules! goal {
    ($name:literal) => {
        const { $crate::cluster::path_index($name) }
    };
}
pub(crate) use goal;

pub(crate) const fn path_index(name: &str) -> usize {
    let mut index = 0;
    while index < PATHS.len() {
        if same(PATHS[index].as_bytes(), name.as_bytes()) {
            return index;
        }
        index += 1;
    }
    panic!("no such path")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

impl Tally {
    pub(crate) fn command(&mut self, command: &Command) {
        let index = match command {
            Command::Start { .. } => 0,
            Command::Claim { .. } => 1,
            Command::Heartbeat { .. } => 2,
            Command::Begin { .. } => 3,
            Command::Settle { .. } => 4,
            Command::Sleep { .. } => 5,
            Command::Fire { .. } => 6,
            Command::Release { .. } => 7,
            Command::Finish { .. } => 8,
            Command::Cancel => 9,
            Command::Retry { .. } => 10,
            Command::Resolve { .. } => 11,
        };
        self.commands[index] += 1;
    }

    pub(crate) fn rejection(&mut self, rejection: &Rejection) {
        let index = match rejection {
            Rejection::UnknownExecution => 0,
            Rejection::Conflict => 1,
            Rejection::Ended(_) => 2,
            Rejection::NotDue { .. } => 3,
            Rejection::UnknownWorkflow => 4,
            Rejection::NotLeased { .. } => 5,
            Rejection::StaleEpoch { .. } => 6,
            Rejection::LeaseExpired { .. } => 7,
            Rejection::AttemptMismatch { .. } => 8,
            Rejection::StepSettled(_) => 9,
            Rejection::NotRunning => 10,
            Rejection::NotFailed => 11,
            Rejection::Unresolved(_) => 12,
            Rejection::NotInDoubt => 13,
            Rejection::Superseded { .. } => 14,
            // No run of right workers with unchanged code gets there, so these are no goals: four billion claims or attempts; a
            // settlement before any beginning; a step whose kind has changed; a settlement or an ending that the
            // worker's machine cannot name.
            Rejection::EpochExhausted
            | Rejection::AttemptsExhausted
            | Rejection::UnknownStep
            | Rejection::KindMismatch { .. }
            | Rejection::IllegalSettlement(_)
            | Rejection::IllegalEnding(_) => return,
        };
        self.rejections[index] += 1;
    }

    pub(crate) fn fault(&mut self, kind: &str) {
        if let Some(index) = FAULTS.iter().position(|known| *known == kind) {
            self.faults[index] += 1;
        }
    }

    pub(crate) fn path(&mut self, index: usize) {
        self.paths[index] += 1;
    }

    pub(crate) fn ending(&mut self, ending: Ending) {
        self.path(match ending {
            Ending::Succeeded => path_index("succeeded"),
            Ending::Failed(Failure::DeadlineExceeded) => path_index("deadline-passed"),
            Ending::Failed(_) => path_index("workflow-failed"),
            Ending::Cancelled => path_index("cancelled"),
        });
    }

    /// Goals that were never reached.
    pub fn missed(&self) -> Vec<String> {
        let missed = self.goals().into_iter().filter(|(_, _, count)| *count == 0);
        missed.map(|(group, goal, _)| format!("{group}: {goal}")).collect()
    }
}
