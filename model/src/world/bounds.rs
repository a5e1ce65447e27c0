//! What a model holds and what may go wrong in it.

use hydra_protocol::Kind;
use serde::Serialize;
use std::fmt;

/// Workers of one model at most.
pub const WORKERS_MAX: usize = 4;
/// Executions of one model at most.
pub const EXECUTIONS_MAX: usize = 2;
/// Steps of one execution at most.
pub const STEPS_MAX: usize = 3;
/// Attempts of one step at most, if it has company.
pub const ATTEMPTS_MAX: u32 = 6;

/// The bounds of one model: what the verdict holds under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Interchangeable workers.
    pub workers: usize,
    /// Interchangeable executions, all of the same program.
    pub executions: usize,
    /// Executions that a worker drives at the same time, at most.
    pub at_a_time: usize,
    /// The program.
    pub program: Program,
    /// Attempts each step is allowed.
    pub attempts: u32,
    /// Claims in a row that may settle nothing; none: as many as it takes.
    pub replays: Option<u32>,
    /// Whether executions have a deadline.
    pub deadline: bool,
    /// Whether clients cancel, start twice, and start with another input.
    pub clients: bool,
    /// Whether an operator retries a failed execution (once) and resolves a step in doubt.
    pub operator: bool,
    /// Whether a worker that lacks the workflow's code claims too.
    pub strangers: bool,
    /// What may go wrong: at any moment, as often as it likes.
    pub faults: Faults,
    /// Known defects of the world around the core.
    pub defects: Defects,
}

/// A workflow: its steps, and how they follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The steps; their number is the place, from 1.
    pub steps: Vec<StepSpec>,
    /// Which may run at the same time.
    pub shape: Shape,
}

/// How the steps of a program follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Shape {
    /// One after the other; the first that fails ends the workflow.
    Sequence,
    /// All at once; the workflow ends with the last, or with the first that fails.
    Together,
    /// All at once; the workflow ends with the first to settle.
    Race,
}

/// One step of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StepSpec {
    /// What is promised of it.
    #[serde(serialize_with = "kind_word")]
    pub kind: Kind,
    /// What its body does.
    pub body: Body,
}

fn kind_word<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(word_of(*kind))
}

/// The word for a kind.
pub fn word_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Transactional => "transactional",
        Kind::Keyed => "keyed",
        Kind::AtMostOnce => "at-most-once",
        Kind::Timer => "timer",
    }
}

/// What a body does, faults aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Body {
    /// It returns a value.
    Returns,
    /// It returns a value or an error.
    MayFail,
    /// It returns an error, always.
    Fails,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $field:ident = $word:literal),+ $(,)?) => {
        /// Faults that are allowed. None is ever counted: what may happen once may happen for ever.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Faults {
            $($(#[$doc])* pub $field: bool,)+
        }

        impl Faults {
            /// Every fault.
            pub const ALL: Faults = Faults { $($field: true,)+ };
            /// No fault.
            pub const NONE: Faults = Faults { $($field: false,)+ };
            /// The word for each fault.
            pub const WORDS: &[&str] = &[$($word),+];

            /// Allows the fault of this name; says whether there is one.
            pub fn allow(&mut self, word: &str) -> bool {
                match word {
                    $($word => self.$field = true,)+
                    _ => return false,
                }
                true
            }

            /// The words of the faults that are allowed.
            pub fn words(&self) -> Vec<&'static str> {
                [$((self.$field, $word)),+].into_iter().filter(|(is_on, _)| *is_on).map(|(_, word)| word).collect()
            }
        }
    };
}

faults! {
    /// A worker's process ends and starts again, remembering nothing.
    crash = "crash",
    /// A request is lost before the store commits.
    disconnect = "disconnect",
    /// The store commits, and the reply is lost.
    reply_lost = "reply-lost",
    /// A copy of a request stays in the network and arrives at any later moment, any number of times.
    duplicate = "duplicate",
    /// A body succeeds and its result cannot be encoded.
    encode = "encode",
    /// A checkpoint cannot be decoded when it is replayed.
    decode = "decode",
    /// A body panics or runs out of time.
    panic = "panic",
    /// A worker cannot reach the store, until it can.
    partition = "partition",
    /// A worker stands still, its clock with it, until it goes on.
    pause = "pause",
    /// A lease ends under a healthy worker: the store's clock jumps.
    expire = "expire",
    /// A worker takes a time for come that has not, by its own clock.
    clock = "clock",
    /// A worker is shut down in an orderly way.
    shutdown = "shutdown",
}

/// Defects that no rule of the core can hold: they lie in the store or in the way bodies are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Defects {
    /// The database accepts a second row for one step.
    pub no_unique_key: bool,
    /// A transactional body commits its effect in a transaction of its own, before the one that settles its step.
    pub effect_outside_transaction: bool,
}

/// Bounds that no model can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongBounds(pub String);

impl fmt::Display for WrongBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongBounds {}

impl Program {
    /// A sequence of steps whose bodies may fail.
    pub fn sequence(kinds: &[Kind]) -> Self {
        let steps = kinds.iter().map(|&kind| StepSpec { kind, body: Body::MayFail }).collect();
        Program { steps, shape: Shape::Sequence }
    }
}

impl Bounds {
    /// One worker, one execution of one keyed step, and nothing that goes wrong.
    pub fn smallest() -> Self {
        Bounds {
            workers: 1,
            executions: 1,
            at_a_time: 1,
            program: Program::sequence(&[Kind::Keyed]),
            attempts: 1,
            replays: None,
            deadline: false,
            clients: false,
            operator: false,
            strangers: false,
            faults: Faults::NONE,
            defects: Defects::default(),
        }
    }

    /// Says which bounds are allowed, unless these are.
    pub fn check(&self) -> Result<(), WrongBounds> {
        let steps = self.program.steps.len();
        let limits = [
            ("workers", self.workers, WORKERS_MAX),
            ("executions", self.executions, EXECUTIONS_MAX),
            ("steps", steps, STEPS_MAX),
        ];
        for (name, value, max) in limits {
            if !(1..=max).contains(&value) {
                return Err(WrongBounds(format!("{name} must be from 1 to {max}, not {value}")));
            }
        }
        let attempts_max = match steps {
            1 => 100,
            2 => ATTEMPTS_MAX,
            _ => 2,
        };
        if !(1..=attempts_max).contains(&self.attempts) {
            return Err(WrongBounds(format!(
                "attempts must be from 1 to {attempts_max} for {steps} steps, not {}",
                self.attempts
            )));
        }
        if self.replays.is_some_and(|replays| !(1..=3).contains(&replays)) {
            return Err(WrongBounds("replays must be from 1 to 3, or unlimited".to_owned()));
        }
        let layout = super::layout::Layout::of(self);
        let (bits, row) = (layout.bits(), layout.row());
        let widest = row.max(layout.worker());
        if widest > u64::BITS {
            return Err(WrongBounds(format!(
                "one execution's rows or one worker's memory take {widest} bits and 64 are stored: take fewer steps or attempts"
            )));
        }
        if layout.drive() > u32::BITS {
            return Err(WrongBounds(format!(
                "one worker's memory of one execution takes {} bits and 32 are stored: take fewer steps or attempts",
                layout.drive()
            )));
        }
        if bits > super::state::PACKED_BITS {
            return Err(WrongBounds(format!(
                "a state of these bounds takes {bits} bits and {} are stored: take fewer workers, executions, steps or attempts",
                super::state::PACKED_BITS
            )));
        }
        Ok(())
    }
}
