//! An engine that sends a transaction in one piece, and is wrong in what befalls single messages of it: what strikes its
//! system calls cannot show that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hydra_live::boundary::Site;
use hydra_live::scenario::Fault;
use hydra_schedule::Property;

use crate::run::Tried;

const PROGRAM: &str = r#"{"id": "W1", "body": [{"step": {"id": "1", "kind": "transactional"}}]}"#;

fn tried(bug: &str) -> Tried {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pipelined");
    Tried::new(&folder, &[(r#"BUG = "none""#, &format!("BUG = \"{bug}\""))], PROGRAM)
}

type Counted = BTreeMap<Site, u32>;

/// Each fault at the site after the body whose call and statement these are.
fn at(counted: &Counted, call: &str, statement: &str, faults: &[Fault]) -> Vec<(Fault, Site, u32)> {
    let is_it = |site: &Site| {
        site.call == call
            && site.anchor == "after-1"
            && site.request.as_deref().is_some_and(|of| of.starts_with(statement))
    };
    let sites: Vec<&Site> = counted.keys().filter(|site| is_it(site)).collect();
    assert_eq!(sites.len(), 1, "{call} of {statement}: {sites:?}");
    faults.iter().map(|fault| (*fault, sites[0].clone(), 1)).collect()
}

pub fn two_messages_of_one_piece_are_cut_apart() {
    let tried = tried("two-transactions");
    let counted = tried.counted();
    // The system call that sends both: not done, or done and never answered.
    let before = at(&counted, "sendto", "insert-effects", &[Fault::Crash, Fault::DisconnectBefore, Fault::ReplyLost]);
    assert_eq!(tried.fallen(before), BTreeSet::new());
    for fault in [Fault::Crash, Fault::DisconnectBefore] {
        let fallen = tried.fallen(at(&counted, "query", "insert-steps", &[fault]));
        let fallen: Vec<Property> = fallen.iter().map(|(property, _)| *property).collect();
        assert_eq!(fallen, [Property::EffectOnceTransactional], "{fault:?}");
    }
}

pub fn a_commit_whose_reply_is_lost_is_found_asked_anew() {
    let tried = tried("asks-anew");
    let counted = tried.counted();
    assert_eq!(tried.fallen(at(&counted, "query", "commit", &[Fault::DisconnectBefore])), BTreeSet::new());
    let fallen = tried.fallen(at(&counted, "command-complete", "commit", &[Fault::ReplyLost]));
    let fallen: Vec<Property> = fallen.iter().map(|(property, _)| *property).collect();
    assert_eq!(fallen, [Property::EffectOnceTransactional]);
}

pub fn one_transaction_of_one_piece_is_not_accused() {
    let tried = tried("none");
    let counted = tried.counted();
    let asked = [Fault::Crash, Fault::DisconnectBefore];
    let told = [Fault::Crash, Fault::ReplyLost];
    let mut strikes = Vec::new();
    for statement in ["begin", "insert-effects", "insert-steps", "commit"] {
        strikes.extend(at(&counted, "query", statement, &asked));
        strikes.extend(at(&counted, "command-complete", statement, &told));
    }
    strikes.extend(at(&counted, "query", "commit", &[Fault::HalfOpen, Fault::StoreRestart]));
    strikes.extend(at(&counted, "command-complete", "commit", &[Fault::ReplyLate, Fault::StoreRestart]));
    assert_eq!(tried.fallen(strikes), BTreeSet::new());
}

pub fn a_worker_that_dies_with_its_connection_comes_back_with_the_network() {
    let strikes = |tried: &Tried, asked: &[Fault], told: &[Fault]| {
        let counted = tried.counted();
        let mut strikes = at(&counted, "query", "commit", asked);
        strikes.extend(at(&counted, "command-complete", "commit", told));
        strikes
    };
    let mortal = tried("dies");
    let (asked, told) = ([Fault::DisconnectBefore, Fault::HalfOpen], [Fault::ReplyLost, Fault::StoreRestart]);
    assert_eq!(mortal.fallen(strikes(&mortal, &asked, &told)), BTreeSet::new());
    // That the network is back is not enough for this one.
    let unwilling = tried("dies-for-good");
    for strike in strikes(&unwilling, &[Fault::DisconnectBefore], &[Fault::ReplyLost]) {
        let why = unwilling.refused(strike);
        assert!(why.contains("worker A ended before it was ready"), "{why}");
        assert!(why.contains("it does not feel like it"), "{why}");
    }
}
