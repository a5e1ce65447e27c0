//! Explicit graphs as models, and what is true of them by brute force.
#![allow(dead_code)] // Each test file uses its own part.

pub mod brute;

use hydra_model::search::{Checkable, Judge, Role};
use stateright::Model;

/// A graph written down edge by edge. State and packed state are the node.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub initial: Vec<u32>,
    pub edges: Vec<Vec<Edge>>,
    pub done: Vec<bool>,
    /// Nodes that the property `state` forbids.
    pub bad: Vec<bool>,
    pub ranks: Vec<u64>,
    pub outside: Vec<bool>,
    /// Goal `i` is reached on an edge into this node.
    pub goals: Vec<u32>,
    /// Whether the property of edges goes by the name of that of states.
    pub has_one_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub to: u32,
    pub role: Role,
    pub class: Option<u8>,
    /// Forbidden by the property `edge`.
    pub bad: bool,
}

pub fn step(to: u32) -> Edge {
    Edge { to, role: Role::Step, class: None, bad: false }
}

pub fn edge(to: u32, role: Role) -> Edge {
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
            has_one_name: false,
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
        graph.initial = (0..=random.below(2)).map(|_| random.below(nodes) as u32).collect();
        let (is_layered, has_classes) = (random.below(3) == 0, random.below(2) == 0);
        for node in 0..nodes {
            let edges = (0..random.below(degree + 1)).map(|_| Edge {
                to: if is_layered { (node + random.below(nodes - node)) as u32 } else { random.below(nodes) as u32 },
                role: pick_role(random),
                class: if has_classes && random.below(3) > 0 { Some(random.below(3) as u8) } else { None },
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
    type State = u32;
    /// The node it starts from, its place among the node's edges, and itself.
    type Action = (u32, usize, EdgeKey);

    fn init_states(&self) -> Vec<u32> {
        self.initial.clone()
    }

    fn actions(&self, node: &u32, actions: &mut Vec<Self::Action>) {
        let edges = self.edges[*node as usize].iter().enumerate();
        actions.extend(edges.map(|(at, edge)| (*node, at, EdgeKey(*edge))));
    }

    fn next_state(&self, _: &u32, (_, _, EdgeKey(edge)): Self::Action) -> Option<u32> {
        Some(edge.to)
    }

    fn within_boundary(&self, node: &u32) -> bool {
        !self.outside[*node as usize]
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
    type Packed = u64;

    fn pack(&self, node: &u32) -> u64 {
        u64::from(*node)
    }

    fn unpack(&self, packed: &u64) -> u32 {
        *packed as u32
    }

    fn check_state(&self, node: &u32, judge: &mut Judge) {
        judge.require("state", !self.bad[*node as usize], || format!("node {node}"));
    }

    fn check_edge(&self, from: &u32, (_, _, EdgeKey(edge)): &Self::Action, to: &u32, judge: &mut Judge) {
        let name = if self.has_one_name { "state" } else { "edge" };
        judge.require(name, !edge.bad, || format!("{from} -> {to}"));
    }

    fn goal_names(&self) -> Vec<&'static str> {
        ["first", "second"][..self.goals.len()].to_vec()
    }

    fn goals(&self, _: &u32, _: &Self::Action, to: &u32) -> u128 {
        self.goals.iter().zip(0..).map(|(node, bit)| u128::from(node == to) << bit).sum()
    }

    fn is_done(&self, node: &u32) -> bool {
        self.done[*node as usize]
    }

    fn role(&self, (_, _, EdgeKey(edge)): &Self::Action) -> Role {
        edge.role
    }

    fn fair_class(&self, (_, _, EdgeKey(edge)): &Self::Action) -> Option<u8> {
        edge.class
    }

    fn rank(&self, node: &u32) -> Option<u64> {
        self.ranks.get(*node as usize).copied()
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
