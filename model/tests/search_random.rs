//! The checker checked: thousands of random graphs against brute force, and symmetric ones with and without symmetry.

mod search_support;

use hydra_model::search::{Checkable, Kind, Options, Outcome, PassOutcome, Role, Verdict, explore};
use search_support::{Graph, Random, brute};
use stateright::{Checker, Model};
use std::collections::BTreeMap;

const GRAPHS: u64 = 3_000;
const NODES_MAX: usize = 9;

fn graphs() -> impl Iterator<Item = (u64, Graph)> {
    (0..GRAPHS).map(|seed| {
        let mut random = Random(seed);
        let nodes = 1 + random.below(NODES_MAX);
        (seed, Graph::random(&mut random, nodes))
    })
}

fn run(graph: &Graph, options: &Options) -> Outcome<Graph> {
    explore(graph, options, &mut |_| {})
}

fn truth(graph: &Graph) -> Vec<(Kind, Option<usize>)> {
    vec![
        (Kind::State, brute::bad_state(graph)),
        (Kind::Edge, brute::bad_edge(graph)),
        (Kind::Stuck, brute::stuck(graph)),
        (Kind::CannotRecover, brute::cannot_recover(graph)),
        (Kind::FairLivelock, brute::fair_livelock(graph)),
        (Kind::Rank, brute::rank(graph)),
    ]
}

#[test]
fn every_answer_and_every_shortest_distance_agrees_with_brute_force() {
    // For each kind, graphs with and without a finding: neither may be rare, or the test says little.
    let mut seen: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    for (seed, graph) in graphs() {
        let options = Options { keep_going: true, threads: 1, ..Options::default() };
        let outcome = run(&graph, &options);
        let distances = brute::distances(&graph);
        assert_eq!(outcome.report.distinct, distances.len() as u64, "seed {seed}");
        assert_eq!(outcome.report.depth as usize, *distances.values().max().unwrap(), "seed {seed}");
        let mut any = false;
        for (kind, expected) in truth(&graph) {
            let found = outcome.report.findings.iter().find(|finding| finding.kind == kind);
            assert_eq!(found.map(|finding| finding.steps), expected, "seed {seed} {kind:?} {graph:#?}");
            seen.entry(name(kind)).or_default()[usize::from(expected.is_some())] += 1;
            any |= expected.is_some();
        }
        assert_eq!(outcome.report.verdict, if any { Verdict::Violated } else { Verdict::ProvedInScope });
        assert_traces_are_real(&graph, &outcome, seed);
    }
    assert!(seen.values().all(|[without, with]| *without > 100 && *with > 100), "{seen:?}");
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::State => "state",
        Kind::Edge => "edge",
        Kind::Stuck => "stuck",
        Kind::CannotRecover => "recover",
        Kind::FairLivelock => "livelock",
        Kind::Rank => "rank",
    }
}

/// Every step exists in the graph, and the end is what the finding says.
fn assert_traces_are_real(graph: &Graph, outcome: &Outcome<Graph>, seed: u64) {
    for (finding, trace) in outcome.report.findings.iter().zip(&outcome.counterexamples) {
        assert!(graph.initial.contains(&trace.initial), "seed {seed}");
        for (at, ((from, place, key), to)) in trace.steps.iter().enumerate() {
            assert_eq!(from, trace.state(at), "seed {seed}");
            assert_eq!(graph.edges[*from as usize][*place], key.0, "seed {seed}");
            assert_eq!(key.0.to, *to, "seed {seed}");
        }
        let Some(start) = trace.cycle_start else {
            assert_ne!(finding.kind, Kind::FairLivelock);
            continue;
        };
        let cycle = &trace.steps[start..];
        assert!(!cycle.is_empty() && trace.state(start) == trace.last(), "seed {seed}");
        assert!(cycle.iter().all(|((from, ..), _)| !graph.done[*from as usize]), "seed {seed}");
        assert!(cycle.iter().all(|((.., key), _)| key.0.role == Role::Step), "seed {seed}");
        for class in 0..64 {
            let is_taken = cycle.iter().any(|((.., key), _)| key.0.class == Some(class));
            let is_enabled = |node: u32| {
                let edges = &graph.edges[node as usize];
                edges.iter().any(|edge| edge.class == Some(class) && edge.role != Role::Fault)
            };
            let is_neglected = !is_taken && cycle.iter().all(|((from, ..), _)| is_enabled(*from));
            assert!(!is_neglected, "seed {seed}: the cycle neglects class {class}");
        }
    }
}

/// A report without what may differ between two runs.
fn fingerprint<M: Checkable>(outcome: &Outcome<M>) -> String {
    let mut report = outcome.report.clone();
    report.seconds = 0.0;
    report.bytes = 0;
    report.bytes_per_state = 0.0;
    report.bounds.threads = 0;
    report.passes.iter_mut().for_each(|pass| pass.seconds = 0.0);
    serde_json::to_string(&report).unwrap()
}

#[test]
fn threads_and_chunks_change_nothing() {
    for (seed, graph) in graphs().step_by(3) {
        for keep_going in [false, true] {
            let one = run(&graph, &Options { threads: 1, keep_going, ..Options::default() });
            let two = run(&graph, &Options { threads: 2, chunk_states: 1, keep_going, ..Options::default() });
            // A batch is 32 chunks, so only what is collected after the first finding may depend on the chunks.
            if keep_going || one.report.verdict == Verdict::ProvedInScope {
                assert_eq!(fingerprint(&one), fingerprint(&two), "seed {seed}");
                assert_eq!(one.counterexamples, two.counterexamples, "seed {seed}");
            }
            assert_eq!(one.report.findings.first().map(|f| f.steps), two.report.findings.first().map(|f| f.steps));
        }
    }
}

#[test]
fn the_first_finding_is_the_shortest_of_those_judged_during_the_search() {
    for (seed, graph) in graphs() {
        let report = run(&graph, &Options { threads: 1, ..Options::default() }).report;
        let early = [brute::bad_state(&graph), brute::bad_edge(&graph), brute::stuck(&graph), brute::rank(&graph)];
        if let Some(shortest) = early.into_iter().flatten().min() {
            assert_eq!(report.findings[0].steps, shortest, "seed {seed}");
            // The graph is not whole then, and a pass that needs it may not claim anything.
            assert!(report.passes.iter().all(|pass| pass.outcome != PassOutcome::Held), "seed {seed}");
        }
    }
}

#[test]
fn counts_agree_with_stateright() {
    for (seed, mut graph) in graphs().step_by(10) {
        graph.bad.fill(false);
        let ours = run(&graph, &Options { keep_going: true, ..Options::default() }).report.distinct;
        assert_eq!(ours, graph.clone().checker().spawn_bfs().join().unique_state_count() as u64, "seed {seed}");
        assert_eq!(ours, graph.checker().spawn_dfs().join().unique_state_count() as u64, "seed {seed}");
    }
}
