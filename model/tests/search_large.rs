//! Graphs of many blocks and batches, so that threads really share the work, against straightforward linear algorithms.

mod search_support;

use hydra_model::search::{Kind, Options, Outcome, Passes, Role, Verdict, explore};
use search_support::{Edge, Graph, Random, edge, step};
use std::collections::VecDeque;

const NODES: usize = 60_000;

/// A shuffled layered graph with few edges back: wide levels, long ways, and both answers possible.
fn large(seed: u64) -> Graph {
    let mut random = Random(seed);
    let mut names: Vec<u32> = (0..NODES as u32).collect();
    (1..NODES).for_each(|at| names.swap(at, 1 + random.below(at)));
    let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); NODES];
    let mut done = vec![false; NODES];
    let back = [0, 0, 2_000, 200][random.below(4)];
    for node in 0..NODES {
        let mut list = Vec::new();
        for _ in 0..random.below(4) + usize::from(node * 2 < NODES) {
            let to = names[(node * 2 + random.below(4)).max(node + 1) % NODES];
            let ahead = node * 2 + 4 < NODES;
            let role = if random.below(6) == 0 { Role::Environment } else { Role::Step };
            list.push(if ahead { edge(to, role) } else { edge(to, Role::Fault) });
        }
        if back > 0 && random.below(NODES) < back {
            list.push(step(names[random.below(node + 1)]));
        }
        if node + 1 < NODES && random.below(3) > 0 {
            list.push(step(names[node + 1]));
        }
        edges[names[node] as usize] = list;
        done[names[node] as usize] = random.below(4) == 0;
    }
    let mut graph = Graph::new(edges);
    graph.done = done;
    graph
}

struct Truth {
    distances: Vec<Option<usize>>,
    cannot_recover: Option<usize>,
    has_livelock: bool,
}

fn truth(graph: &Graph) -> Truth {
    let mut distances = vec![None; NODES];
    let mut queue = VecDeque::from([0_u32]);
    distances[0] = Some(0);
    while let Some(node) = queue.pop_front() {
        for edge in &graph.edges[node as usize] {
            if distances[edge.to as usize].is_none() {
                distances[edge.to as usize] = distances[node as usize].map(|distance| distance + 1);
                queue.push_back(edge.to);
            }
        }
    }
    // Backwards from done, over edges that are no fault.
    let mut into: Vec<Vec<u32>> = vec![Vec::new(); NODES];
    for (from, list) in graph.edges.iter().enumerate() {
        list.iter().filter(|edge| edge.role != Role::Fault).for_each(|edge| into[edge.to as usize].push(from as u32));
    }
    let mut recovers = graph.done.clone();
    let mut todo: Vec<u32> = (0..NODES as u32).filter(|&node| recovers[node as usize]).collect();
    while let Some(node) = todo.pop() {
        for &from in &into[node as usize] {
            if !std::mem::replace(&mut recovers[from as usize], true) {
                todo.push(from);
            }
        }
    }
    let lost = (0..NODES).filter(|&node| !recovers[node]).filter_map(|node| distances[node]).min();
    // Kahn's algorithm on the steps among reachable nodes that are not done: what is left holds a cycle.
    let counts = |node: usize| distances[node].is_some() && !graph.done[node];
    let is_step = |from: usize, edge: &Edge| edge.role == Role::Step && counts(from) && counts(edge.to as usize);
    let mut degree = vec![0; NODES];
    for (from, list) in graph.edges.iter().enumerate() {
        list.iter().filter(|edge| is_step(from, edge)).for_each(|edge| degree[edge.to as usize] += 1);
    }
    let mut free: Vec<usize> = (0..NODES).filter(|&node| counts(node) && degree[node] == 0).collect();
    let mut left = (0..NODES).filter(|&node| counts(node)).count();
    while let Some(node) = free.pop() {
        left -= 1;
        for edge in graph.edges[node].iter().filter(|edge| is_step(node, edge)) {
            degree[edge.to as usize] -= 1;
            if degree[edge.to as usize] == 0 {
                free.push(edge.to as usize);
            }
        }
    }
    Truth { distances, cannot_recover: lost, has_livelock: left > 0 }
}

fn run(graph: &Graph, options: Options) -> Outcome<Graph> {
    let passes = Passes { recover: true, livelock: true, ..Passes::NONE };
    explore(graph, &Options { passes, keep_going: true, ..options }, &mut |_| {})
}

#[test]
fn large_graphs_agree_with_linear_algorithms_on_one_and_two_threads() {
    let mut seen = [[0; 2]; 2];
    for seed in 0..12 {
        let mut graph = large(seed);
        let mut random = Random(seed);
        (0..3).for_each(|_| graph.bad[random.below(NODES)] = true);
        let expected = truth(&graph);
        let one = run(&graph, Options { threads: 1, ..Options::default() });
        let two = run(&graph, Options { threads: 2, chunk_states: 100, ..Options::default() });
        let reached = expected.distances.iter().flatten().count();
        assert!(reached > 20_000, "seed {seed}: {reached} is too small to say anything");
        for outcome in [&one, &two] {
            let find = |kind| outcome.report.findings.iter().position(|finding| finding.kind == kind);
            assert_eq!(outcome.report.distinct, reached as u64, "seed {seed}");
            assert_eq!(outcome.report.depth as usize, expected.distances.iter().flatten().max().copied().unwrap());
            let lost = find(Kind::CannotRecover).map(|at| outcome.report.findings[at].steps);
            assert_eq!(lost, expected.cannot_recover, "seed {seed}");
            let lasso = find(Kind::FairLivelock);
            assert_eq!(lasso.is_some(), expected.has_livelock, "seed {seed}");
            if let Some(trace) = lasso.map(|at| &outcome.counterexamples[at]) {
                assert_eq!(trace.state(trace.cycle_start.unwrap()), trace.last(), "seed {seed}");
            }
            let bad = (0..NODES).filter(|&node| graph.bad[node]).filter_map(|node| expected.distances[node]).min();
            assert_eq!(find(Kind::State).map(|at| outcome.report.findings[at].steps), bad, "seed {seed}");
        }
        assert_eq!(one.report.findings, two.report.findings, "seed {seed}");
        assert_eq!(one.counterexamples, two.counterexamples, "seed {seed}");
        assert_eq!(one.report.generated, two.report.generated, "seed {seed}");
        seen[0][usize::from(expected.cannot_recover.is_some())] += 1;
        seen[1][usize::from(expected.has_livelock)] += 1;
    }
    assert!(seen[1].iter().all(|&count| count > 0) && seen[0][1] > 0, "{seen:?}");
}

/// A chain of edges that all go against the breadth-first order: each sweep in one direction settles one state of it.
#[test]
fn a_long_chain_against_the_order_is_settled_in_few_sweeps() {
    let last = NODES as u32 - 1;
    // 0 discovers everything in order; each node then leads to the one before it, and 1 to done.
    let mut edges = vec![(1..=last).map(|to| edge(to, Role::Environment)).collect::<Vec<_>>()];
    edges.extend((1..=last).map(|node| vec![step(if node == 1 { last } else { node - 1 })]));
    edges[1] = vec![];
    let graph = Graph::new(edges).done_in(1);
    let report = run(&graph, Options::default()).report;
    assert_eq!(report.verdict, Verdict::ProvedInScope);
    let sweeps: Vec<_> = report.passes.iter().map(|pass| pass.sweeps).collect();
    assert!(sweeps[2] > 1 && sweeps.iter().all(|&sweeps| sweeps < 20), "{sweeps:?}");
}
