//! Our own engine: its COMMIT, sent in one piece with what it commits, is lost alone; its reply is lost alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hydra_live::boundary::Site;
use hydra_live::scenario::Fault;
use hydra_schedule::Property;

use crate::run::Tried;

const PROGRAM: &str = r#"{"id": "W1", "body": [
    {"step": {"id": "1", "kind": "keyed", "attempts_max": 5}},
    {"step": {"id": "2", "kind": "transactional", "attempts_max": 5}}]}"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../adapters/hydra-engine-postgres")
}

/// The messages of this kind that are about the end of a transaction that wrote, once the first body is over.
fn commits(tried: &Tried, call: &str) -> Vec<(Site, u32)> {
    let counted = tried.counted();
    let asks = |site: &Site, begins: &str| site.request.as_deref().is_some_and(|request| request.starts_with(begins));
    // A commit is named after what it commits.
    let numbers: BTreeSet<&str> = counted
        .keys()
        .filter(|site| site.call == "execute" && (asks(site, "update-executions") || asks(site, "insert-steps")))
        .filter_map(|site| site.request.as_deref()?.rsplit('-').next())
        .collect();
    let wrote = |site: &Site| {
        let request = site.request.as_deref().and_then(|request| request.strip_prefix("commit-after-"));
        request.is_some_and(|number| numbers.contains(number))
    };
    let ours = counted.iter().filter(|(site, _)| site.call == call && site.anchor != "start" && wrote(site));
    ours.flat_map(|(site, count)| (1..=*count).map(|nth| (site.clone(), nth))).collect()
}

fn each(faults: &[Fault], at: Vec<(Site, u32)>) -> Vec<(Fault, Site, u32)> {
    at.iter().flat_map(|(site, nth)| faults.iter().map(|fault| (*fault, site.clone(), *nth))).collect()
}

pub fn what_is_lost_around_a_commit_breaks_nothing() {
    let tried = Tried::new(&folder(), &[], PROGRAM);
    let asked = [Fault::DisconnectBefore, Fault::Partition, Fault::Crash];
    let told = [Fault::ReplyLost, Fault::ReplyLate, Fault::Crash];
    let mut strikes = each(&asked, commits(&tried, "query"));
    strikes.extend(each(&told, commits(&tried, "command-complete")));
    assert_eq!(tried.fallen(strikes), BTreeSet::new());
}

pub fn hydra_as_audited_is_found_out() {
    let rules = "[env]\nHYDRA_RULES = \"hydra-as-audited\"";
    let tried = Tried::new(&folder(), &[("[env]", rules)], PROGRAM);
    // What was running is never claimed again.
    let fallen = tried.fallen(each(&[Fault::Crash], commits(&tried, "query")));
    assert!(fallen.iter().any(|(property, _)| *property == Property::NothingStuck), "{fallen:?}");
}
