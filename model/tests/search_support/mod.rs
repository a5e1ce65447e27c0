//! Explicit graphs as models, and what is true of them by brute force.
#![allow(dead_code)] // Each test file uses its own part.

pub mod brute;

use hydra_model::search::{Checkable, Judge, Role};
use stateright::Model;

/// A graph written down edge by edge. State and packed state are the node.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub initial: Vec<u8>,
    pub edges: Vec<Vec<Edge>>,
    pub done: Vec<bool>,
    /// Nodes that the property `state` forbids.
    pub bad: Vec<bool>,
    pub ranks: Vec<u64>,
    pub outside: Vec<bool>,
    /// Goal `i` is reached on an edge into this node.
    pub goals: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub to: u8,
    pub role: Role,
    pub class: Option<u8>,
    /// Forbidden by the property `edge`.
    pub bad: bool,
}

pub fn step(to: u8) -> Edge {
    Edge {
        to,
        role: Role::Step,
        class: None,
        bad: false,
    }
}

pub fn edge(to: u8, role: Role) -> Edge {
    Edge { role, ..step(to) }
}

impl Graph {
    /// Starts in node 0; nothing is done or forbidden.
    pub fn new(edges: Vec<Vec<Edge>>) -> Graph {
        let nodes = edges.len();
        Graph {
            initial: vec![0],
            edges,
            done: vec![false; nodes],
            bad: vec![false; nodes],
            ranks: Vec::new(),
            outside: vec![false; nodes],
            goals: Vec::new(),
        }
    }

    pub fn done_in(mut self, node: usize) -> Graph {
        self.done[node] = true;
        self
    }

    pub fn random(random: &mut Random, nodes: usize) -> Graph {
        let pick_role = |random: &mut Random| match random.below(5) {
            0 => Role::Environment,
            1 => Role::Fault,
            _ => Role::Step,
        };
        // Sparse to dense, so that both answers of every question come up.
        let degree = 1 + random.below(4);
        let mut graph = Graph::new(Vec::new());
        graph.initial = (0..=random.below(2))
            .map(|_| random.below(nodes) as u8)
            .collect();
        let (is_layered, has_classes) = (random.below(3) == 0, random.below(2) == 0);
        for node in 0..nodes {
            let edges = (0..random.below(degree + 1)).map(|_| Edge {
                to: if is_layered {
                    (node + random.below(nodes - node)) as u8
                } else {
                    random.below(nodes) as u8
                },
                role: pick_role(random),
                class: if has_classes && random.below(3) > 0 {
                    Some(random.below(3) as u8)
                } else {
                    None
                },
                bad: random.below(40) == 0,
            });
            graph.edges.push(edges.collect());
            graph.done.push(random.below(4) == 0);
            graph.bad.push(random.below(20) == 0);
            let wobble = random.below(3) as u64;
            graph.ranks.push((nodes - node) as u64 * 2 + wobble);
            graph.outside.push(false);
        }
        graph
    }
}

impl Model for Graph {
    type State = u8;
    /// The node it starts from, its place among the node's edges, and itself.
    type Action = (u8, usize, EdgeKey);

    fn init_states(&self) -> Vec<u8> {
        self.initial.clone()
    }

    fn actions(&self, node: &u8, actions: &mut Vec<Self::Action>) {
        let edges = self.edges[usize::from(*node)].iter().enumerate();
        actions.extend(edges.map(|(at, edge)| (*node, at, EdgeKey(*edge))));
    }

    fn next_state(&self, _: &u8, (_, _, EdgeKey(edge)): Self::Action) -> Option<u8> {
        Some(edge.to)
    }

    fn within_boundary(&self, node: &u8) -> bool {
        !self.outside[usize::from(*node)]
    }

    // stateright stops at once when there is nothing to check.
    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![stateright::Property::always("true", |_: &Self, _| true)]
    }
}

/// An edge as (part of) an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeKey(pub Edge);

impl Checkable for Graph {
    type Packed = u8;

    fn pack(&self, node: &u8) -> u8 {
        *node
    }

    fn unpack(&self, packed: &u8) -> u8 {
        *packed
    }

    fn check_state(&self, node: &u8, judge: &mut Judge) {
        judge.require("state", !self.bad[usize::from(*node)], || {
            format!("node {node}")
        });
    }

    fn check_edge(
        &self,
        from: &u8,
        (_, _, EdgeKey(edge)): &Self::Action,
        to: &u8,
        judge: &mut Judge,
    ) {
        judge.require("edge", !edge.bad, || format!("{from} -> {to}"));
    }

    fn goal_names(&self) -> Vec<&'static str> {
        ["first", "second"][..self.goals.len()].to_vec()
    }

    fn goals(&self, _: &u8, _: &Self::Action, to: &u8) -> u128 {
        self.goals
            .iter()
            .zip(0..)
            .map(|(node, bit)| u128::from(node == to) << bit)
            .sum()
    }

    fn is_done(&self, node: &u8) -> bool {
        self.done[usize::from(*node)]
    }

    fn role(&self, (_, _, EdgeKey(edge)): &Self::Action) -> Role {
        edge.role
    }

    fn fair_class(&self, (_, _, EdgeKey(edge)): &Self::Action) -> Option<u8> {
        edge.class
    }

    fn rank(&self, node: &u8) -> Option<u64> {
        self.ranks.get(usize::from(*node)).copied()
    }
}

/// A seeded source of numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
