//! The vocabulary of evidence, shared by the model checker, the simulator and the live auditor.
//!
//! - [`Property`]: what must hold, with the words a user would use and the precise form.
//! - [`Schedule`]: who did what, in which order, and which faults were injected: text, one event a line, that parses back.
//! - [`Counterexample`]: a broken property told as a story: numbered steps, the contradiction, the last moment it could
//!   still have gone right, and the command that replays it.
//!
//! The crate knows no engine: a schedule of the model, of the simulator and of a foreign engine read the same.

mod counterexample;
mod name;
mod property;
mod schedule;
mod words;

pub use counterexample::{Counterexample, LastChance, Moment, Pair};
pub use name::{Name, NameError, RESERVED, StepName};
pub use property::{Kind, PROPERTIES, Property, PropertyInfo, UnknownProperty};
pub use schedule::{
    Action, Boundary, ClientAct, Direction, Event, ExecutionOutcome, Fault, Schedule, ScheduleError, StepOutcome,
    Target, VERSION, WorkerAct,
};
