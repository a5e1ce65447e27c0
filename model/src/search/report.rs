//! What a search answers.

use super::checkable::Checkable;
use super::options::Options;
use super::trace::Counterexample;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The answer of a run. Only [`Verdict::ProvedInScope`] is a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Every reachable state was visited, every property holds, every goal was reached.
    ProvedInScope,
    /// At least one property does not hold; [`Report::findings`] says which.
    Violated,
    /// Nothing was found, but not everything was looked at.
    Incomplete(Why),
    /// Nothing was found, but goals that had to be reached were not: the model does not do what it is checked for.
    Vacuous(Vec<&'static str>),
}

/// Why a run is not a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Why {
    /// States lie deeper than `depth_max`.
    Depth,
    /// There are more states than `states_max`.
    States,
    /// The next growth would pass `memory_bytes_max`.
    Memory,
    /// `time_max` passed.
    Time,
    /// The stop flag was set.
    Stopped,
    /// `within_boundary` was false for a successor.
    Boundary,
    /// A stored path could not be executed again with real states. A defect of the model: `canonical` or a property is
    /// not blind to the permutation, or packing loses something, or the model is not a pure function.
    NotReproducible,
    /// Cycles without environment edges remain, and weak fairness cannot be judged among representatives: run without symmetry.
    FairnessUnderSymmetry,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::ProvedInScope => f.write_str("PROVED IN SCOPE"),
            Verdict::Violated => f.write_str("VIOLATED"),
            Verdict::Incomplete(why) => write!(f, "INCOMPLETE ({why})"),
            Verdict::Vacuous(goals) => write!(f, "VACUOUS (never reached: {})", goals.join(", ")),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Depth => "cut at the depth limit",
            Why::States => "cut at the limit of states",
            Why::Memory => "the memory limit was reached",
            Why::Time => "the time limit was reached",
            Why::Stopped => "stopped",
            Why::Boundary => "states lie outside the model's boundary",
            Why::NotReproducible => {
                "a stored path could not be executed again: the model's symmetry or packing is wrong"
            }
            Why::FairnessUnderSymmetry => "cycles remain that weak fairness may forbid; run without symmetry",
        })
    }
}

/// What kind of property a finding breaks: safety of a state or an edge, or one of the four tiers of termination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// A state that must not be.
    State,
    /// An edge that must not be.
    Edge,
    /// Tier 1: a state that is not done and that nothing but faults and idle turning can leave.
    Stuck,
    /// Tier 2: a state from which done cannot be reached, or only with the help of a fault (not AG EF done).
    CannotRecover,
    /// Tier 3: a cycle outside done that the fairness assumptions allow.
    FairLivelock,
    /// Tier 4: a step on which the measure does not fall.
    Rank,
}

impl Kind {
    /// The name of the tier, used as the name of its property.
    pub(super) fn tier(self) -> &'static str {
        match self {
            Kind::State => "state",
            Kind::Edge => "edge",
            Kind::Stuck => "stuck",
            Kind::CannotRecover => "cannot recover",
            Kind::FairLivelock => "fair livelock",
            Kind::Rank => "rank",
        }
    }
}

/// One violated property. Its counterexample stands at the same place in [`Outcome::counterexamples`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The model's name of the property, or the name of the tier.
    pub property: &'static str,
    /// What kind of property it is.
    pub kind: Kind,
    /// Why it is violated, with the values at hand.
    pub text: String,
    /// Actions from the initial state to the violation (to the start of the cycle, for a livelock).
    pub steps: usize,
}

/// A goal and the depth at which it was first reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Goal {
    /// The model's name of it.
    pub name: &'static str,
    /// `None`: never reached.
    pub depth: Option<u32>,
}

/// What a termination pass found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum PassOutcome {
    /// It holds in the whole scope.
    Held,
    /// There is a finding.
    Violated,
    /// Not asked for, not defined by the model, or not sound on an incomplete search.
    NotRun(&'static str),
}

/// One termination pass.
#[derive(Clone, Debug, Serialize)]
pub struct Pass {
    /// The tier.
    pub name: &'static str,
    /// What came of it.
    pub outcome: PassOutcome,
    /// Times that the stored edges were gone over.
    pub sweeps: u32,
    /// Time after the exploration; zero for what is judged during it.
    pub seconds: f64,
}

/// A run in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// Violated properties, shortest counterexample first.
    pub findings: Vec<Finding>,
    /// The bounds the verdict holds under.
    pub bounds: Options,
    /// Distinct states (representatives, with symmetry).
    pub distinct: u64,
    /// Edges executed.
    pub generated: u64,
    /// Distance of the furthest state from the start.
    pub depth: u32,
    /// Wall-clock time of the exploration.
    pub seconds: f64,
    /// Bytes allocated at the end of the exploration, buffers included.
    pub bytes: u64,
    /// `bytes` over `distinct`.
    pub bytes_per_state: f64,
    /// Probability that two states were taken for one. Zero: states are stored and compared in full.
    pub collision_probability: f64,
    /// All goals.
    pub goals: Vec<Goal>,
    /// All four tiers.
    pub passes: Vec<Pass>,
}

/// A report and the counterexamples that belong to its findings.
pub struct Outcome<M: Checkable> {
    /// The run in numbers; serializable.
    pub report: Report,
    /// One a finding, in the same order.
    pub counterexamples: Vec<Counterexample<M::State, M::Action>>,
}

/// How far a running search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Distinct states so far.
    pub distinct: u64,
    /// Edges executed so far.
    pub generated: u64,
    /// The level being expanded.
    pub depth: u32,
    /// States found and not yet expanded.
    pub queue: u64,
    /// Bytes allocated.
    pub bytes: u64,
    /// Since the start.
    pub elapsed: Duration,
}
