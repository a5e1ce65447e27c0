//! A run that did not look at everything is never a pass.

mod search_support;

use hydra_model::search::small_lease::SmallLease;
use hydra_model::search::{Checkable, Kind, Options, PassOutcome, Passes, Verdict, Why, explore};
use search_support::{Graph, step};
use stateright::Model;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LEASE: SmallLease = SmallLease { workers: 3, executions: 2, steps: 2, attempts: 2, fence: true };

/// Small chunks, so that limits are looked at often.
fn options() -> Options {
    Options { chunk_states: 32, ..Options::default() }
}

fn verdict(options: &Options) -> Verdict {
    let report = explore(&LEASE, options, &mut |_| {}).report;
    assert!(
        report.passes.iter().all(|pass| pass.outcome != PassOutcome::Held || report.verdict == Verdict::ProvedInScope)
    );
    report.verdict
}

#[test]
fn memory_ends_a_run_before_it_is_passed() {
    let whole = explore(&LEASE, &options(), &mut |_| {}).report;
    assert_eq!(whole.verdict, Verdict::ProvedInScope);
    for part in [2, 3, 4, 6, 8] {
        let limit = whole.bytes / part;
        let mut peak = 0;
        let limited = Options { memory_bytes_max: Some(limit), ..options() };
        let report = explore(&LEASE, &limited, &mut |progress| peak = peak.max(progress.bytes)).report;
        assert_eq!(report.verdict, Verdict::Incomplete(Why::Memory));
        assert!(report.distinct > 0 && report.distinct < whole.distinct);
        assert!(peak <= limit, "{peak} bytes, {limit} allowed");
    }
}

/// Few edges a state, so that what the livelock pass allocates outweighs what exploring leaves.
#[test]
fn the_termination_passes_obey_the_memory_limit_too() {
    let ring = Ring(200_000);
    let explored =
        explore(&ring, &Options { passes: Passes { recover: true, ..Passes::NONE }, ..options() }, &mut |_| {});
    assert_eq!(explored.report.findings[0].kind, Kind::CannotRecover);
    let livelock = Options { passes: Passes { livelock: true, ..Passes::NONE }, ..options() };
    assert_eq!(explore(&ring, &livelock, &mut |_| {}).report.findings[0].kind, Kind::FairLivelock);
    let limited = Options { memory_bytes_max: Some(explored.report.bytes * 2), ..livelock };
    assert_eq!(explore(&ring, &limited, &mut |_| {}).report.verdict, Verdict::Incomplete(Why::Memory));
    assert_eq!(explore(&ring, &limited, &mut |_| {}).report.distinct, 200_000);
}

/// States in a circle.
struct Ring(u32);

impl Model for Ring {
    type State = u32;
    type Action = ();

    fn init_states(&self) -> Vec<u32> {
        vec![0]
    }

    fn actions(&self, _: &u32, actions: &mut Vec<()>) {
        actions.push(());
    }

    fn next_state(&self, last: &u32, (): ()) -> Option<u32> {
        Some((last + 1) % self.0)
    }
}

impl Checkable for Ring {
    type Packed = u64;

    fn pack(&self, state: &u32) -> u64 {
        u64::from(*state)
    }

    fn unpack(&self, packed: &u64) -> u32 {
        *packed as u32
    }

    fn is_done(&self, _: &u32) -> bool {
        false
    }
}

#[test]
fn depth_states_time_and_the_stop_flag_end_a_run() {
    assert_eq!(verdict(&Options { depth_max: Some(5), ..options() }), Verdict::Incomplete(Why::Depth));
    assert_eq!(verdict(&Options { states_max: Some(1_000), ..options() }), Verdict::Incomplete(Why::States));
    assert_eq!(verdict(&Options { time_max: Some(Duration::ZERO), ..options() }), Verdict::Incomplete(Why::Time));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Options { stop: Some(stop.clone()), ..options() };
    let mut last = 0;
    let report = explore(&LEASE, &stopped, &mut |progress| {
        last = progress.distinct;
        stop.store(progress.depth >= 4, Ordering::Relaxed);
    })
    .report;
    assert_eq!(report.verdict, Verdict::Incomplete(Why::Stopped));
    assert_eq!(report.distinct, last);
}

#[test]
fn the_depth_limit_is_exact_and_its_last_level_is_judged() {
    let chain = || Graph::new(vec![vec![step(1)], vec![step(2)], vec![step(3)], vec![]]).done_in(3);
    let with_limit = |graph: &Graph, depth_max| {
        explore(graph, &Options { depth_max: Some(depth_max), ..Options::default() }, &mut |_| {}).report.verdict
    };
    // The state at depth 3 has to be expanded to know that it has no successor.
    assert_eq!(with_limit(&chain(), 3), Verdict::Incomplete(Why::Depth));
    assert_eq!(with_limit(&chain(), 4), Verdict::ProvedInScope);
    let mut bad = chain();
    bad.bad[2] = true;
    assert_eq!(with_limit(&bad, 2), Verdict::Violated);
    assert_eq!(with_limit(&bad, 1), Verdict::Incomplete(Why::Depth));
}

#[test]
fn a_boundary_is_a_cut() {
    let mut graph = Graph::new(vec![vec![step(1), step(2)], vec![], vec![]]).done_in(1).done_in(2);
    assert_eq!(explore(&graph, &options(), &mut |_| {}).report.verdict, Verdict::ProvedInScope);
    graph.outside[2] = true;
    let report = explore(&graph, &options(), &mut |_| {}).report;
    assert_eq!((report.verdict, report.distinct), (Verdict::Incomplete(Why::Boundary), 2));
    graph.outside[0] = true;
    assert_eq!(explore(&graph, &options(), &mut |_| {}).report.verdict, Verdict::Incomplete(Why::Boundary));
}

#[test]
fn a_goal_that_is_never_reached_is_vacuous() {
    let mut graph = Graph::new(vec![vec![step(1)], vec![], vec![]]).done_in(1);
    graph.goals = vec![1];
    let report = explore(&graph, &options(), &mut |_| {}).report;
    assert_eq!((report.verdict, report.goals[0].depth), (Verdict::ProvedInScope, Some(1)));
    graph.goals = vec![1, 2];
    let report = explore(&graph, &options(), &mut |_| {}).report;
    assert_eq!(report.verdict, Verdict::Vacuous(vec!["second"]));
    assert_eq!(report.verdict.to_string(), "VACUOUS (never reached: second)");
}
