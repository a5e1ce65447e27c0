//! What the tests share: an adapter in a world of its own, and runs in it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hydra_live::adapter::{Adapter, install};
use hydra_live::boundary::{Place, Site};
use hydra_live::scenario::{self, Fault, Scenario, Strike, World};
use hydra_schedule::Property;
use hydra_simulation::oracle;
use hydra_simulation::workload::Workload;

/// Runs at once: each mostly waits.
const AT_ONCE: usize = 6;

/// An engine on a server of its own.
pub struct Tried {
    world: World,
    workload: Workload,
    // Dropped last.
    _folder: tempfile::TempDir,
}

impl Tried {
    /// The adapter of this folder, with some of its text replaced, and the steps that it is given to do.
    pub fn new(folder: &Path, replaced: &[(&str, &str)], program: &str) -> Self {
        let text = std::fs::read_to_string(folder.join("adapter.toml")).unwrap();
        let text = replaced.iter().fold(text, |text, (old, new)| {
            assert!(text.contains(old), "adapter.toml holds no {old}");
            text.replace(old, new)
        });
        let adapter = Adapter::parse(folder.canonicalize().unwrap(), "adapter.toml", &text, None).unwrap();
        install::install(&adapter, &AtomicBool::new(false), |_| {}).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user where this is root.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let world = World::new(adapter, folder.path()).unwrap();
        Tried { world, workload: Workload::from_lines(&[program]).unwrap(), _folder: folder }
    }

    fn scenario(&self, strikes: Vec<Strike>) -> Scenario {
        let (name, workload) = ("tried".to_owned(), self.workload.clone());
        Scenario { name, workload, workers: 1, counts: strikes.is_empty(), strikes }
    }

    /// What worker A's calls and messages are, in a run without a fault.
    pub fn counted(&self) -> BTreeMap<Site, u32> {
        let outcome = scenario::run(&self.world, &self.scenario(Vec::new())).unwrap();
        assert_eq!(outcome.problems, Vec::<String>::new());
        outcome.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn strike((fault, site, nth): (Fault, Site, u32)) -> Strike {
        Strike { fault, worker: 0, at: Place::Call(site, nth) }
    }

    /// Why a run with this fault cannot be made.
    pub fn refused(&self, strike: (Fault, Site, u32)) -> String {
        let outcome = scenario::run(&self.world, &self.scenario(vec![Self::strike(strike)]));
        format!("{:#}", outcome.expect_err("the run was made"))
    }

    /// Which promises fall when each of these faults strikes alone, with the fault. One in two must strike: a renewal of a
    /// lease that was counted on a busy machine need not come again.
    pub fn fallen(&self, strikes: Vec<(Fault, Site, u32)>) -> BTreeSet<(Property, String)> {
        assert!(!strikes.is_empty(), "no place for a fault");
        let (all, struck) = (strikes.len(), AtomicUsize::new(0));
        let (strikes, fallen) = (Mutex::new(strikes), Mutex::new(BTreeSet::new()));
        let next = || strikes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(strike) = next() {
                        let strike = Self::strike(strike);
                        let line = strike.event(self.world.adapter.pause_ms()).to_string();
                        let outcome = scenario::run(&self.world, &self.scenario(vec![strike])).unwrap();
                        struck.fetch_add(outcome.struck, Ordering::Relaxed);
                        assert_eq!(outcome.problems, Vec::<String>::new(), "{line}");
                        let judged = oracle::judge(&outcome.history, &self.world.adapter.contract);
                        let mut fallen = fallen.lock().unwrap_or_else(PoisonError::into_inner);
                        fallen.extend(judged.broken().map(|judgement| (judgement.property, line.clone())));
                    }
                });
            }
        });
        let struck = struck.into_inner();
        assert!(2 * struck > all, "{struck} of {all} faults came to their places");
        fallen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
