//! Small graphs with one planted fault each, among them those that stateright's `eventually` passes over.

mod search_support;

use hydra_model::search::{Kind, Options, Outcome, Passes, Role, Verdict, explore};
use search_support::{Edge, Graph, edge, step};

fn run(graph: &Graph) -> Outcome<Graph> {
    explore(graph, &Options { keep_going: true, ..Options::default() }, &mut |_| {})
}

fn kinds(graph: &Graph) -> Vec<Kind> {
    run(graph).report.findings.iter().map(|finding| finding.kind).collect()
}

fn classed(to: u32, class: u8) -> Edge {
    Edge { class: Some(class), ..step(to) }
}

/// 0 -> 1 <-> 2, and done is never reached: stateright finds nothing here.
#[test]
fn a_cycle_behind_the_start_is_found() {
    let graph = Graph::new(vec![vec![step(1)], vec![step(2)], vec![step(1)]]);
    let outcome = run(&graph);
    assert_eq!(kinds(&graph), [Kind::CannotRecover, Kind::FairLivelock]);
    let trace = &outcome.counterexamples[1];
    assert_eq!((trace.cycle_start, trace.steps.len()), (Some(1), 3));
    assert_eq!(trace.state(1), trace.last());
}

#[test]
fn a_self_loop_is_found() {
    let graph = Graph::new(vec![vec![step(1)], vec![step(1)], vec![]]);
    assert_eq!(kinds(&graph), [Kind::Stuck, Kind::CannotRecover, Kind::FairLivelock]);
    assert_eq!(run(&graph).report.findings[0].text, "not done, and every enabled action leads back to it");
}

/// Two paths join in 3, and only one was seen to miss the goal: stateright drops the second.
#[test]
fn paths_that_join_hide_nothing() {
    let edges = vec![vec![step(1), step(2)], vec![step(3)], vec![step(3)], vec![]];
    let graph = Graph::new(edges).done_in(1);
    let outcome = run(&graph);
    assert_eq!(kinds(&graph), [Kind::Stuck, Kind::CannotRecover]);
    assert_eq!(outcome.counterexamples[0].last(), &3);
    // The nearest state from which done is out of reach is 2, not 3.
    assert_eq!(outcome.counterexamples[1].last(), &2);
}

#[test]
fn a_state_that_only_a_fault_can_leave_is_stuck_and_cannot_recover() {
    let graph = Graph::new(vec![vec![step(1)], vec![edge(2, Role::Fault)], vec![]]).done_in(2);
    let outcome = run(&graph);
    let texts: Vec<_> = outcome.report.findings.iter().map(|finding| finding.text.as_str()).collect();
    assert_eq!(texts, ["not done, and only a fault can move it", "only a fault could lead from here to done"]);
    let graph = Graph::new(vec![vec![step(1)], vec![edge(2, Role::Environment)], vec![]]).done_in(2);
    assert_eq!(run(&graph).report.verdict, Verdict::ProvedInScope);
}

#[test]
fn a_cycle_through_the_environment_or_a_fault_is_the_worlds_doing() {
    for role in [Role::Environment, Role::Fault] {
        let graph = Graph::new(vec![vec![step(1)], vec![edge(0, role), step(2)], vec![]]).done_in(2);
        assert_eq!(run(&graph).report.verdict, Verdict::ProvedInScope);
    }
    let graph = Graph::new(vec![vec![step(1)], vec![step(0), step(2)], vec![]]).done_in(2);
    assert_eq!(kinds(&graph), [Kind::FairLivelock]);
}

#[test]
fn a_cycle_that_neglects_a_class_it_always_offers_is_no_livelock() {
    // The way out of both states of the cycle is of class 0.
    let out = classed(2, 0);
    let graph = Graph::new(vec![vec![step(1), out], vec![step(0), out], vec![]]).done_in(2);
    assert_eq!(run(&graph).report.verdict, Verdict::ProvedInScope);
    // Weak fairness does not help when the way out is offered in one state only.
    let graph = Graph::new(vec![vec![step(1)], vec![step(0), out], vec![]]).done_in(2);
    assert_eq!(kinds(&graph), [Kind::FairLivelock]);
    // Nor when the cycle itself takes the class.
    let graph = Graph::new(vec![vec![classed(1, 0), out], vec![step(0), out], vec![]]).done_in(2);
    assert_eq!(kinds(&graph), [Kind::FairLivelock]);
}

#[test]
fn the_rank_names_the_edge_on_which_it_does_not_fall() {
    let mut graph = Graph::new(vec![vec![step(1)], vec![edge(0, Role::Fault), step(2)], vec![]]).done_in(2);
    graph.ranks = vec![3, 2, 0];
    assert_eq!(run(&graph).report.verdict, Verdict::ProvedInScope);
    graph.ranks = vec![3, 2, 2];
    let outcome = run(&graph);
    assert_eq!(outcome.report.findings[0].kind, Kind::Rank);
    assert_eq!(outcome.report.findings[0].text, "the measure goes from 2 to 2 on a step");
    assert_eq!(outcome.counterexamples[0].steps.last().map(|((from, ..), to)| (*from, *to)), Some((1, 2)));
}

#[test]
fn safety_alone_needs_no_edges_and_still_gives_the_shortest_path() {
    let mut graph =
        Graph::new(vec![vec![step(1), step(2)], vec![step(3)], vec![step(2), step(4)], vec![step(4)], vec![]]);
    graph.bad[4] = true;
    let options = Options { passes: Passes::NONE, ..Options::default() };
    let outcome = explore(&graph, &options, &mut |_| {});
    assert_eq!(outcome.report.findings.len(), 1);
    assert_eq!(outcome.counterexamples[0].steps.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [2, 4]);
}

/// A violation found first on an edge does not hide a state of the same level that shows one a step earlier, even where
/// the level takes many batches.
#[test]
fn a_state_beats_an_edge_of_the_same_level() {
    let last = 100;
    let mut edges = vec![(1..=last).map(step).collect::<Vec<_>>()];
    edges.extend((1..=last).map(|node| vec![Edge { bad: node == 1, ..step(node) }]));
    let mut graph = Graph::new(edges);
    graph.bad[last as usize] = true;
    for (chunk_states, has_one_name) in [(1, false), (1, true), (512, false), (512, true)] {
        graph.has_one_name = has_one_name;
        let options = Options { passes: Passes::NONE, chunk_states, ..Options::default() };
        let findings = explore(&graph, &options, &mut |_| {}).report.findings;
        let found: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.steps)).collect();
        let both = [(Kind::State, 1), (Kind::Edge, 2)];
        assert_eq!(found, both[..if has_one_name { 1 } else { 2 }]);
    }
}
