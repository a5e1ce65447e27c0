//! The settings of a run: everything that decides it beside seed, workload and schedule.

use std::collections::BTreeMap;

use hydra_protocol::{Backoff, Span};
use hydra_schedule::Name;

/// How the cluster is built. All of it can be written into a schedule as `set NAME VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many workers.
    pub workers: u32,
    /// How long a lease lasts, in milliseconds.
    pub lease_ms: u64,
    /// The longest time between a row's coming due and a free worker's poll, in milliseconds.
    pub poll_ms: u64,
    /// How long a worker waits for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// The longest way of a message without faults, in milliseconds.
    pub network_ms_max: u64,
    /// The longest commit without faults, in milliseconds.
    pub commit_ms_max: u64,
    /// How many executions a worker drives at a time.
    pub capacity: u32,
    /// A wait up to this is sat out; a longer one is parked. In milliseconds.
    pub hold_ms: u64,
    /// Attempts of a step that states none.
    pub attempts_max: u32,
    /// Claims in a row that may settle nothing.
    pub replays_max: u32,
    /// The wait after a first failed attempt, in milliseconds; it doubles.
    pub backoff_initial_ms: u64,
    /// The longest wait between attempts, in milliseconds.
    pub backoff_cap_ms: u64,
    /// How much of a wait chance may take away, in percent.
    pub backoff_jitter_percent: u32,
    /// How long faults may strike, in milliseconds from the beginning; from then on everything is healed.
    pub faults_for_ms: u64,
    /// How long the store is away when it restarts, in milliseconds.
    pub store_away_ms: u64,
    /// A worker that lacks the code of every third execution, if one does.
    pub ignorant: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: 3,
            lease_ms: 10_000,
            poll_ms: 500,
            timeout_ms: 1_000,
            network_ms_max: 10,
            commit_ms_max: 5,
            capacity: 10,
            hold_ms: 1_000,
            attempts_max: 3,
            replays_max: 1_000,
            backoff_initial_ms: 100,
            backoff_cap_ms: 10_000,
            backoff_jitter_percent: 20,
            faults_for_ms: 30_000,
            store_away_ms: 2_000,
            ignorant: None,
        }
    }
}

/// A setting that is no setting, or whose value is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("set {name} {value}: {why}")]
pub struct SettingError {
    name: String,
    value: String,
    why: &'static str,
}

/// How a setting is written and read.
type Setting = (&'static str, fn(&Config) -> u64, fn(&mut Config, u64));

const SETTINGS: [Setting; 14] = [
    ("lease-ms", |c| c.lease_ms, |c, v| c.lease_ms = v),
    ("poll-ms", |c| c.poll_ms, |c, v| c.poll_ms = v),
    ("timeout-ms", |c| c.timeout_ms, |c, v| c.timeout_ms = v),
    ("network-ms-max", |c| c.network_ms_max, |c, v| c.network_ms_max = v),
    ("commit-ms-max", |c| c.commit_ms_max, |c, v| c.commit_ms_max = v),
    ("capacity", |c| c.capacity.into(), |c, v| c.capacity = small(v)),
    ("hold-ms", |c| c.hold_ms, |c, v| c.hold_ms = v),
    ("attempts-max", |c| c.attempts_max.into(), |c, v| c.attempts_max = small(v)),
    ("replays-max", |c| c.replays_max.into(), |c, v| c.replays_max = small(v)),
    ("backoff-initial-ms", |c| c.backoff_initial_ms, |c, v| c.backoff_initial_ms = v),
    ("backoff-cap-ms", |c| c.backoff_cap_ms, |c, v| c.backoff_cap_ms = v),
    ("backoff-jitter-percent", |c| c.backoff_jitter_percent.into(), |c, v| c.backoff_jitter_percent = small(v)),
    ("faults-for-ms", |c| c.faults_for_ms, |c, v| c.faults_for_ms = v),
    ("store-away-ms", |c| c.store_away_ms, |c, v| c.store_away_ms = v),
];

const IGNORANT: &str = "ignorant";

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Config {
    /// The policy of every step.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            initial: Span::from_millis(self.backoff_initial_ms),
            cap: Span::from_millis(self.backoff_cap_ms),
            factor_percent: 200,
            jitter_percent: self.backoff_jitter_percent,
        }
    }

    /// The settings that differ from the default, for the header of a schedule.
    pub fn settings(&self) -> BTreeMap<Name, String> {
        let default = Config::default();
        let name = |text| Name::new(text).expect("every setting has a legal name");
        let mut settings: BTreeMap<Name, String> = SETTINGS
            .iter()
            .filter(|(_, get, _)| get(self) != get(&default))
            .map(|(key, get, _)| (name(key), get(self).to_string()))
            .collect();
        if let Some(worker) = self.ignorant {
            settings.insert(name(IGNORANT), worker.to_string());
        }
        settings
    }

    /// The default with these settings.
    pub fn with_settings(workers: u32, settings: &BTreeMap<Name, String>) -> Result<Self, SettingError> {
        let mut config = Config { workers: workers.max(1), ..Config::default() };
        for (name, value) in settings {
            let error = |why| SettingError { name: name.to_string(), value: value.clone(), why };
            let number: u64 = value.parse().map_err(|_| error("the value is no number"))?;
            match SETTINGS.iter().find(|(key, _, _)| *key == name.as_str()) {
                Some((_, _, set)) => set(&mut config, number),
                None if name.as_str() == IGNORANT => config.ignorant = Some(small(number)),
                None => return Err(error("no such setting of the simulator")),
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_back() {
        let config = Config { lease_ms: 7, capacity: 2, ignorant: Some(1), ..Config::default() };
        assert_eq!(config.settings().len(), 3);
        assert_eq!(Config::with_settings(3, &config.settings()), Ok(config));
        let wrong = BTreeMap::from([(Name::new("leese-ms").unwrap(), "7".to_owned())]);
        assert!(Config::with_settings(3, &wrong).is_err());
    }
}
