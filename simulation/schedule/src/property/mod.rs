//! The properties: what must hold, each with the sentence a user would say and its precise form.

mod table;

use std::fmt;
use std::str::FromStr;

use crate::words::words;
pub use table::PROPERTIES;

words! {
    /// A named thing that must hold. The word is the property's id; it is fixed, since reports and seeds on disk use it.
    Property {
        /// A step is checkpointed once, and its checkpoint never changes.
        CheckpointImmutable = "checkpoint-immutable",
        /// The effect of a transactional step happens exactly once.
        EffectOnceTransactional = "effect-once-transactional",
        /// A receiver that honours the key sees one effect for each keyed step.
        EffectOnceKeyed = "effect-once-keyed",
        /// The body of an at-most-once step is entered at most once.
        BodyAtMostOnce = "body-at-most-once",
        /// A body known to have succeeded is never run again.
        SuccessNeverRerun = "success-never-rerun",
        /// At most one worker drives an execution.
        LeaseExclusive = "lease-exclusive",
        /// Only the current epoch writes.
        EpochFenced = "epoch-fenced",
        /// A step is attempted at most as often as its policy allows.
        AttemptsBounded = "attempts-bounded",
        /// The retry budget is consumed only by attempts.
        BudgetHonest = "budget-honest",
        /// The delay before a retry stays within its bounds and never falls.
        BackoffBounded = "backoff-bounded",
        /// A status changes only as the transition table allows.
        StatusLegal = "status-legal",
        /// The status of an execution agrees with what happened.
        OutcomeTrue = "outcome-true",
        /// The rows of the journal agree with one another.
        RowsConsistent = "rows-consistent",
        /// One row for each step.
        StepUnique = "step-unique",
        /// Replay sees what the live run saw.
        ReplayFaithful = "replay-faithful",
        /// A timer never fires early.
        TimerNotEarly = "timer-not-early",
        /// A timer is never lost.
        TimerNotLost = "timer-not-lost",
        /// One id starts one execution.
        StartIdempotent = "start-idempotent",
        /// An execution that ended, or was cancelled, does nothing more.
        CancelClean = "cancel-clean",
        /// A body that may have run is reported in doubt.
        InDoubtShown = "in-doubt-shown",
        /// No execution stands still with nothing that could move it.
        NothingStuck = "nothing-stuck",
        /// Completion is always still possible.
        CanComplete = "can-complete",
        /// Every execution ends, under named fairness.
        Terminates = "terminates",
        /// An execution whose worker died is driven on by another.
        OrphansRecovered = "orphans-recovered",
        /// A live, connected worker keeps its lease.
        LeaseKept = "lease-kept",
    }
}

words! {
    /// Whether a finite prefix can break a property, or only a run that goes on without progress.
    Kind {
        /// Something bad never happens: one moment breaks it.
        Safety = "safety",
        /// Something good does happen: broken by a state or a cycle from which it does not.
        Progress = "progress",
    }
}

/// One property in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PropertyInfo {
    /// The property.
    pub property: Property,
    /// Safety or progress.
    pub kind: Kind,
    /// What a user would say, when it holds.
    pub sentence: &'static str,
    /// The same, precise enough to be checked.
    pub precise: &'static str,
    /// What a user would say when it is broken; the title of a finding.
    pub when_broken: &'static str,
}

/// A text that is no property's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no property; the properties are {}", ids())]
pub struct UnknownProperty {
    /// The text found.
    pub found: String,
}

fn ids() -> String {
    Property::ALL.iter().map(|property| property.word()).collect::<Vec<_>>().join(", ")
}

impl Property {
    /// The id, in kebab case.
    pub const fn id(self) -> &'static str {
        self.word()
    }

    /// Its words.
    pub const fn info(self) -> &'static PropertyInfo {
        &PROPERTIES[self as usize]
    }
}

impl FromStr for Property {
    type Err = UnknownProperty;
    fn from_str(text: &str) -> Result<Self, UnknownProperty> {
        Property::from_word(text).ok_or_else(|| UnknownProperty { found: text.to_owned() })
    }
}

impl fmt::Display for PropertyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_enum() {
        assert_eq!(PROPERTIES.len(), Property::ALL.len());
        for (index, property) in Property::ALL.iter().enumerate() {
            assert_eq!(PROPERTIES[index].property, *property);
            assert_eq!(property.info().property, *property);
        }
    }

    #[test]
    fn ids_are_distinct_kebab_case_and_parse_back() {
        for property in Property::ALL {
            assert_eq!(property.id().parse::<Property>().as_ref(), Ok(property));
            assert!(property.id().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{property}");
        }
        let unknown = "exactly-once".parse::<Property>().unwrap_err().to_string();
        assert!(unknown.contains("\"exactly-once\"") && unknown.contains("effect-once-keyed"), "{unknown}");
    }

    #[test]
    fn every_property_is_told_in_whole_sentences() {
        for info in PROPERTIES {
            assert!(info.sentence.ends_with('.') && info.precise.ends_with('.'), "{}", info.property);
            assert!(!info.when_broken.ends_with('.'), "{}: a title has no full stop", info.property);
        }
    }
}
