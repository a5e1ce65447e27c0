//! Subjects: engines that can be put under the simulator's faults. Only this folder knows ours.
//!
//! [`Subject`] says what the campaign, the shrinker and the replay need of one. Rules over the core are one subject each,
//! through [`Cluster`]; a whole engine under a controlled clock is another.

mod engine;

use hydra_model::museum;
use hydra_protocol::{Protocol, Reference};
use hydra_schedule::{Event, Property};

use crate::cluster::{Blow, Cluster, Config, Defects, Note, Run, ScriptError, Tally, Watch};
use crate::history::History;
use crate::oracle::{Contract, Settings};
use crate::workload::Workload;
pub use engine::{Engine, On};

/// An engine in virtual time.
pub trait Subject {
    /// A fresh cluster with this run before it.
    fn start(&mut self, run: Run<'_>);

    /// The next thing that happens; false when the run is over. The same run takes the same steps, always.
    fn advance(&mut self) -> bool;

    /// A fault strikes now, beside those of the schedule.
    fn inject(&mut self, blow: Blow);

    /// A run in which a script says what happens next; after its last line all is healed and time runs as usual.
    fn follow(&mut self, run: Run<'_>, script: &[Event]) -> Result<(), ScriptError>;

    /// What clients, receivers and, where it can be read, the journal showed so far.
    fn history(&self, workload: &Workload) -> History;

    /// Why the oracle should see the run. A subject without a quick look of its own says so of every run.
    fn strange(&mut self) -> Option<&'static str> {
        Some("every run of this subject is judged")
    }

    /// Everything observed, as a number: two runs of one case must have the same.
    fn fingerprint(&self) -> u64;

    /// What was reached so far, over all runs.
    fn tally(&self) -> Tally;

    /// A run from its beginning to its end.
    fn run(&mut self, run: Run<'_>) {
        self.start(run);
        while self.advance() {}
    }
}

/// A subject by name.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// What is wrong with it; nothing with the reference.
    pub defect: Option<&'static str>,
    /// Properties that must fall, for one that is known to be wrong.
    pub breaks: &'static [Property],
    make: fn(&'static str) -> Box<dyn Subject>,
}

impl Entry {
    /// A fresh one.
    pub fn make(&self) -> Box<dyn Subject> {
        (self.make)(self.name)
    }

    /// Under how many other seeds the shrinker tries a cut. The engine itself is too slow for any.
    pub fn shrinks_under_seeds(&self) -> u64 {
        if engine::is_engine(self.name) { 0 } else { 12 }
    }

    /// How often the shrinker may ask: for a few seconds or minutes. A run of rules takes some 50 microseconds, one of
    /// the engine itself some 10 milliseconds.
    pub fn tries_max(&self) -> u32 {
        if engine::is_engine(self.name) { 3_000 } else { 20_000 }
    }
}

/// Every subject: the reference, the engine itself, and the museum of engines that are known to be wrong.
pub fn all() -> Vec<Entry> {
    let reference =
        Entry { name: "reference", defect: None, breaks: &[], make: |name| Box::new(Simulated::new(name, &Reference)) };
    let wrong = museum::mutants().map(|mutant| Entry {
        name: mutant.name,
        defect: Some(mutant.defect),
        breaks: mutant.breaks,
        make: |name| {
            let mutant = museum::find(name).expect("the entry was made of it");
            let defects = Defects {
                no_unique_key: mutant.defects.no_unique_key,
                effect_outside_transaction: mutant.defects.effect_outside_transaction,
            };
            Box::new(Simulated::with_defects(name, mutant.rules, defects))
        },
    });
    std::iter::once(reference).chain(engine::entries()).chain(wrong).collect()
}

/// The subject of this name. `engine+MUTANT` is the engine itself under a mutant's rules.
pub fn find(name: &str) -> Option<Entry> {
    all().into_iter().find(|entry| entry.name == name).or_else(|| engine::mutant(name))
}

/// Goals that no run of this subject reaches, however many.
pub fn beyond_reach(subject: &str) -> &'static [&'static str] {
    if engine::is_engine(subject) { engine::BEYOND_REACH } else { &[] }
}

/// What every simulated subject is judged by: all properties, under the settings of the run.
pub fn contract(config: &Config) -> Contract {
    Contract::everything(settings(config))
}

/// The bounds of the run's settings, as the oracle reads them.
pub fn settings(config: &Config) -> Settings {
    Settings {
        attempts_max: Some(config.attempts_max),
        lease_ms: config.lease_ms,
        // A lease that has just been renewed, a poll, and a worker that is busy; thrice, for good measure.
        recovery_ms: Some(3 * config.lease_ms),
        backoff_initial_ms: Some(config.backoff_initial_ms),
        backoff_cap_ms: Some(config.backoff_cap_ms),
        backoff_jitter_percent: u64::from(config.backoff_jitter_percent),
        slack_ms: 2 * config.poll_ms + config.timeout_ms,
        early_ms: 0,
    }
}

/// Rules over the core, in a simulated cluster.
pub struct Simulated<P: Protocol + ?Sized + 'static> {
    name: &'static str,
    cluster: Cluster<'static, P>,
    watch: Watch,
    seed: u64,
}

impl<P: Protocol + ?Sized> Simulated<P> {
    /// These rules under this name.
    pub fn new(name: &'static str, rules: &'static P) -> Self {
        Self::with_defects(name, rules, Defects::default())
    }

    /// The same, in a world that is wrong itself.
    pub fn with_defects(name: &'static str, rules: &'static P, defects: Defects) -> Self {
        Simulated { name, cluster: Cluster::with_defects(rules, defects), watch: Watch::default(), seed: 0 }
    }

    /// What was noted of the last run.
    pub fn notes(&self) -> &[Note] {
        self.cluster.notes()
    }
}

impl<P: Protocol + ?Sized> Subject for Simulated<P> {
    fn start(&mut self, run: Run<'_>) {
        self.seed = run.seed;
        self.cluster.prepare(run);
    }

    fn advance(&mut self) -> bool {
        self.cluster.advance()
    }

    fn inject(&mut self, blow: Blow) {
        self.cluster.inject(blow);
    }

    fn follow(&mut self, run: Run<'_>, script: &[Event]) -> Result<(), ScriptError> {
        self.seed = run.seed;
        self.cluster.run_script(run, script)
    }

    fn history(&self, workload: &Workload) -> History {
        self.cluster.history(self.name, self.seed, workload)
    }

    fn strange(&mut self) -> Option<&'static str> {
        self.cluster.strange(&mut self.watch)
    }

    fn fingerprint(&self) -> u64 {
        self.cluster.fingerprint()
    }

    fn tally(&self) -> Tally {
        self.cluster.tally().clone()
    }
}
