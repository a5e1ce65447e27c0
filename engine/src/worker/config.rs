//! What a worker is made of.

use std::sync::Arc;
use std::time::Duration;

use hydra_protocol::{Protocol, Reference};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::span;
use crate::names::{self, NameError};
use crate::store::Store;
use crate::worker::Worker;
use crate::workflow::{BoxError, Context, Registry};

/// A worker that cannot be started as it is set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No workflow was given.
    #[error("a worker needs at least one workflow: call `workflow(name, function)`")]
    NoWorkflow,
    /// The same workflow name was given twice.
    #[error("the workflow {0:?} was given twice")]
    WorkflowTwice(String),
    /// It may not drive anything.
    #[error("a concurrency of 0 would never drive anything; give at least 1")]
    ZeroConcurrency,
    /// The lease is too short to be renewed in time, or too long to be of use.
    #[error("a lease of {given_ms} ms cannot work; give between {min_ms} ms and {max_ms} ms")]
    Lease {
        /// What was given.
        given_ms: u128,
        /// The shortest lease.
        min_ms: u128,
        /// The longest lease.
        max_ms: u128,
    },
    /// It would look for work without a pause.
    #[error("a poll interval of 0 would never rest; give at least 1 ms")]
    ZeroPoll,
    /// A name that cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Shortest lease: three heartbeats have to fit in.
const LEASE_MIN: Duration = Duration::from_millis(100);
/// Longest lease: a crash is noticed when it ends.
const LEASE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Sets up a [`Worker`].
pub struct WorkerBuilder {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: &'static dyn Protocol,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) registry: Registry,
    twice: Option<String>,
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
    pub(super) poll: Duration,
    pub(super) hold: Duration,
}

impl WorkerBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        WorkerBuilder {
            store,
            rules: &Reference,
            name: format!("{}@{}", std::process::id(), hostname()),
            namespace: crate::DEFAULT_NAMESPACE.to_owned(),
            registry: Registry::default(),
            twice: None,
            concurrency: 256,
            lease: Duration::from_secs(10),
            poll: Duration::from_millis(200),
            hold: Duration::from_secs(1),
        }
    }

    /// A workflow that this worker drives: an async function of a [`Context`] and an input. Executions of other
    /// workflows are left for workers that know them.
    pub fn workflow<F, Fut, I, O, E>(mut self, name: &str, workflow: F) -> Self
    where
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<BoxError>,
    {
        if !self.registry.add(name, workflow) {
            self.twice = Some(name.to_owned());
        }
        self
    }

    /// The worker's name, for people who look who held what. Need not be unique: a lease is known by its epoch.
    /// Default: process and host.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Drives executions of this namespace only. Default: `default`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// At most so many executions at a time. Default: 256.
    pub fn concurrency(mut self, executions: usize) -> Self {
        self.concurrency = executions;
        self
    }

    /// How long a lease lasts without a heartbeat, and so how long it takes until the executions of a dead worker go
    /// on elsewhere. Heartbeats are sent at a third of it. Default: 10 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often to look for work that other processes started. What this process starts is seen at once. Default:
    /// 200 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// A sleep or a backoff of at most this is sat out; for a longer one the execution leaves memory, and no worker is
    /// needed until it is due. Default: 1 s.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Other rules than the right ones: for checking that the checks would notice.
    #[doc(hidden)]
    pub fn rules(mut self, rules: &'static dyn Protocol) -> Self {
        self.rules = rules;
        self
    }

    /// Starts the worker in the current runtime.
    pub fn start(self) -> Result<Worker, ConfigError> {
        if let Some(name) = self.twice {
            return Err(ConfigError::WorkflowTwice(name));
        }
        let workflows = self.registry.names();
        if workflows.is_empty() {
            return Err(ConfigError::NoWorkflow);
        }
        for name in &workflows {
            names::check(names::WORKFLOW, name)?;
        }
        names::check(names::NAMESPACE, &self.namespace)?;
        names::check(names::WORKER, &self.name)?;
        if self.concurrency == 0 {
            return Err(ConfigError::ZeroConcurrency);
        }
        if self.poll.as_millis() == 0 {
            return Err(ConfigError::ZeroPoll);
        }
        if self.lease < LEASE_MIN || self.lease > LEASE_MAX {
            let (min_ms, max_ms) = (LEASE_MIN.as_millis(), LEASE_MAX.as_millis());
            return Err(ConfigError::Lease { given_ms: self.lease.as_millis(), min_ms, max_ms });
        }
        let lease = span(self.lease);
        Ok(Worker::spawn(self, workflows, lease))
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
