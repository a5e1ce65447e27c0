//! The same questions answered the slow and obvious way, from their definitions.

use super::{Edge, Graph};
use hydra_model::search::Role;
use std::collections::{BTreeMap, BTreeSet};

/// Distance of every reachable node.
pub fn distances(graph: &Graph) -> BTreeMap<u32, usize> {
    let mut distances: BTreeMap<u32, usize> = graph.initial.iter().map(|&node| (node, 0)).collect();
    loop {
        let mut better = Vec::new();
        for (&node, &distance) in &distances {
            for edge in &graph.edges[node as usize] {
                if distances.get(&edge.to).is_none_or(|&known| known > distance + 1) {
                    better.push((edge.to, distance + 1));
                }
            }
        }
        if better.is_empty() {
            return distances;
        }
        for (node, distance) in better {
            let known = distances.entry(node).or_insert(distance);
            *known = distance.min(*known);
        }
    }
}

/// Nodes that `from` reaches over edges that `takes` allows, itself only if a cycle leads back.
fn reaches(graph: &Graph, from: u32, takes: &impl Fn(u32, &Edge) -> bool) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(node) = todo.pop() {
        for edge in graph.edges[node as usize].iter().filter(|edge| takes(node, edge)) {
            if seen.insert(edge.to) {
                todo.push(edge.to);
            }
        }
    }
    seen
}

/// The least distance of a reachable node of which `holds` is true.
pub fn nearest(graph: &Graph, holds: impl Fn(u32) -> bool) -> Option<usize> {
    distances(graph).into_iter().filter(|&(node, _)| holds(node)).map(|(_, distance)| distance).min()
}

pub fn bad_state(graph: &Graph) -> Option<usize> {
    nearest(graph, |node| graph.bad[node as usize])
}

pub fn bad_edge(graph: &Graph) -> Option<usize> {
    nearest(graph, |node| graph.edges[node as usize].iter().any(|edge| edge.bad)).map(|distance| distance + 1)
}

pub fn stuck(graph: &Graph) -> Option<usize> {
    let moves = |node: u32| graph.edges[node as usize].iter().any(|edge| edge.role != Role::Fault && edge.to != node);
    nearest(graph, |node| !graph.done[node as usize] && !moves(node))
}

pub fn cannot_recover(graph: &Graph) -> Option<usize> {
    nearest(graph, |node| {
        let reached = reaches(graph, node, &|_, edge| edge.role != Role::Fault);
        !graph.done[node as usize] && !reached.iter().any(|&node| graph.done[node as usize])
    })
}

pub fn rank(graph: &Graph) -> Option<usize> {
    let rank = |node: u32| graph.ranks[node as usize];
    let rises = |node: u32| {
        graph.edges[node as usize].iter().any(|edge| edge.role == Role::Step && rank(edge.to) >= rank(node))
    };
    nearest(graph, |node| !graph.done[node as usize] && rises(node)).map(|distance| distance + 1)
}

/// The nearest node of a cycle that a fair run can go round for ever: tried with every set of nodes that such a run
/// could visit infinitely often.
pub fn fair_livelock(graph: &Graph) -> Option<usize> {
    let reachable: Vec<u32> = distances(graph).into_keys().filter(|&node| !graph.done[node as usize]).collect();
    assert!(reachable.len() < 16);
    let mut fair = BTreeSet::new();
    for subset in 1_u32..1 << reachable.len() {
        let inside = |node: u32| reachable.iter().position(|&at| at == node).is_some_and(|at| subset >> at & 1 == 1);
        let nodes: Vec<u32> = reachable.iter().copied().filter(|&node| inside(node)).collect();
        let takes = |_: u32, edge: &Edge| edge.role == Role::Step && inside(edge.to);
        let is_connected = nodes.iter().all(|&node| reaches(graph, node, &takes).len() == nodes.len());
        if is_connected && is_fair(graph, &nodes, &inside) {
            fair.extend(nodes);
        }
    }
    nearest(graph, |node| fair.contains(&node))
}

/// Whether a run that takes every step among `nodes` again and again takes, or finds disabled, every class.
fn is_fair(graph: &Graph, nodes: &[u32], inside: &impl Fn(u32) -> bool) -> bool {
    (0..64).all(|class| {
        let of_class = |node: u32| {
            let edges = graph.edges[node as usize].iter();
            edges.filter(|edge| edge.class == Some(class) && edge.role != Role::Fault)
        };
        nodes.iter().any(|&node| of_class(node).next().is_none())
            || nodes.iter().any(|&node| of_class(node).any(|edge| edge.role == Role::Step && inside(edge.to)))
    })
}
