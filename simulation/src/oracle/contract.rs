//! What a subject promises, in its own words, and the settings it runs under.

use hydra_schedule::Property;
use serde::{Deserialize, Serialize};

/// What a subject promises.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Each property it promises.
    #[serde(default)]
    pub promises: Vec<Promise>,
    /// The settings it runs under.
    #[serde(default)]
    pub settings: Settings,
}

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Which property.
    pub property: Property,
    /// The subject's own words.
    pub words: String,
    /// Where it says so.
    pub source: String,
}

/// The settings that bounds are judged by. What is absent is not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most attempts of a step that does not state its own.
    pub attempts_max: Option<u32>,
    /// How long a lease lasts, in milliseconds.
    pub lease_ms: u64,
    /// Within how long after a fault the subject's documentation says that work goes on, in milliseconds.
    /// Without it, no wait is ever called a loss.
    pub recovery_ms: Option<u64>,
    /// The first delay before a retry, in milliseconds.
    pub backoff_initial_ms: Option<u64>,
    /// The longest delay before a retry, in milliseconds.
    pub backoff_cap_ms: Option<u64>,
    /// By how much jitter may shorten a delay, in percent.
    pub backoff_jitter_percent: u64,
    /// How much later than due something may be seen without meaning anything, in milliseconds: poll and scheduling.
    pub slack_ms: u64,
    /// How much earlier than due something may be seen: the clocks' granularity, in milliseconds.
    pub early_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            attempts_max: None,
            lease_ms: 30_000,
            recovery_ms: None,
            backoff_initial_ms: None,
            backoff_cap_ms: None,
            backoff_jitter_percent: 0,
            slack_ms: 1_000,
            early_ms: 0,
        }
    }
}

impl Contract {
    /// The promise of a property, if it is promised.
    pub fn promise(&self, property: Property) -> Option<&Promise> {
        self.promises.iter().find(|promise| promise.property == property)
    }

    /// A contract that promises every property in our own words.
    pub fn everything(settings: Settings) -> Self {
        let promise = |property: &Property| Promise {
            property: *property,
            words: property.info().sentence.to_owned(),
            source: "SPEC.md".to_owned(),
        };
        Contract { promises: Property::ALL.iter().map(promise).collect(), settings }
    }
}
