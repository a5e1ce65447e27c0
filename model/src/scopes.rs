//! The scopes: lists of models, each of which goes deep in some features.

use crate::world::bounds::{Body, Bounds, Faults, Program, Shape, StepSpec};
use hydra_protocol::Kind;

/// One model of a scope.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// Its name.
    pub name: &'static str,
    /// What it is there for.
    pub covers: &'static str,
    /// What it holds.
    pub bounds: Bounds,
}

/// A scope that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Seconds; part of the tests.
    Smoke,
    /// Minutes.
    Standard,
    /// As far as the machine goes.
    Deep,
}

impl Scope {
    /// Its models.
    pub fn models(self) -> Vec<ModelSpec> {
        match self {
            Scope::Smoke => smoke(),
            Scope::Standard => standard(),
            Scope::Deep => deep(),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Smoke => "smoke",
            Scope::Standard => "standard",
            Scope::Deep => "deep",
        }
    }
}

use Kind::{AtMostOnce, Keyed, Timer, Transactional};

fn faults(words: &[&str]) -> Faults {
    let mut faults = Faults::NONE;
    for word in words {
        assert!(faults.allow(word), "{word} is no fault");
    }
    faults
}

fn model(name: &'static str, covers: &'static str, bounds: Bounds) -> ModelSpec {
    ModelSpec { name, covers, bounds }
}

fn base(workers: usize, kinds: &[Kind], attempts: u32, words: &[&str]) -> Bounds {
    Bounds { workers, program: Program::sequence(kinds), attempts, faults: faults(words), ..Bounds::smallest() }
}

fn smoke() -> Vec<ModelSpec> {
    vec![
        model(
            "crashes",
            "a keyed and a transactional step; crashes, lost requests, lost replies, encode failures, leases that end early",
            base(2, &[Keyed, Transactional], 2, &["crash", "disconnect", "reply-lost", "encode", "expire"]),
        ),
        model(
            "at-most-once",
            "an at-most-once step and a timer; clients that start twice and cancel, an operator who retries and resolves",
            Bounds {
                clients: true,
                operator: true,
                ..base(2, &[AtMostOnce, Timer], 1, &["crash", "reply-lost", "encode", "expire", "panic"])
            },
        ),
        model(
            "timers",
            "a timer between two steps, parking, early clocks, orderly shutdown",
            base(2, &[Timer, Keyed], 2, &["crash", "reply-lost", "expire", "clock", "shutdown", "decode"]),
        ),
        model(
            "limits",
            "a deadline, a limit of fruitless claims, workers without the workflow's code, and clients",
            Bounds {
                replays: Some(2),
                deadline: true,
                clients: true,
                strangers: true,
                ..base(2, &[Keyed], 2, &["crash", "reply-lost", "panic"])
            },
        ),
        model(
            "operator",
            "an operator over a keyed step whose result may be lost",
            Bounds { operator: true, clients: true, ..base(2, &[Keyed], 2, &["crash", "encode", "reply-lost"]) },
        ),
        model(
            "partitions",
            "partitions, pauses and the leases that end meanwhile; checkpoints that cannot be decoded",
            base(2, &[Keyed, Keyed], 1, &["crash", "partition", "pause", "decode"]),
        ),
        model("copies", "requests that arrive twice or late", base(2, &[Keyed], 2, &["crash", "duplicate", "expire"])),
        model(
            "together",
            "two steps at once, and outcomes handed over in the order in which they settled",
            together(2, &["crash", "reply-lost"]),
        ),
        model(
            "race",
            "a step and a timer race, and the loser is abandoned",
            race(2, 1, &["crash", "reply-lost", "expire"]),
        ),
        model(
            "two executions",
            "two executions, each worker at both of them at once",
            Bounds { executions: 2, at_a_time: 2, ..base(2, &[Keyed], 1, &["crash"]) },
        ),
        model(
            "backoff",
            "one step that always fails, 64 times",
            Bounds {
                program: Program { steps: vec![StepSpec { kind: Keyed, body: Body::Fails }], shape: Shape::Sequence },
                ..base(1, &[Keyed], 64, &[])
            },
        ),
    ]
}

fn standard() -> Vec<ModelSpec> {
    vec![
        model(
            "crashes",
            "two executions of a keyed and a transactional step; crashes, lost requests, lost replies, encode failures, leases that end early: zombies everywhere",
            Bounds {
                executions: 2,
                ..base(3, &[Keyed, Transactional], 2, &["crash", "disconnect", "reply-lost", "encode", "expire"])
            },
        ),
        model(
            "partitions",
            "one execution; partitions, pauses, early clocks, shutdowns, panics, decode failures: every fault but copies",
            base(
                3,
                &[Keyed, Transactional],
                2,
                &[
                    "crash",
                    "disconnect",
                    "reply-lost",
                    "encode",
                    "decode",
                    "panic",
                    "partition",
                    "pause",
                    "clock",
                    "shutdown",
                ],
            ),
        ),
        model(
            "at-most-once",
            "an at-most-once step and a timer; clients that start twice and cancel, an operator who retries and resolves",
            Bounds {
                clients: true,
                operator: true,
                ..base(3, &[AtMostOnce, Timer], 1, &["crash", "reply-lost", "encode", "expire", "panic"])
            },
        ),
        model(
            "timers",
            "a timer before a keyed step: parking, early clocks, orderly shutdown, decode failures",
            base(3, &[Timer, Keyed], 2, &["crash", "reply-lost", "expire", "clock", "shutdown", "decode"]),
        ),
        model(
            "limits",
            "a deadline, a limit of fruitless claims, strangers, clients and an operator",
            Bounds {
                replays: Some(2),
                deadline: true,
                clients: true,
                strangers: true,
                operator: true,
                ..base(3, &[Keyed], 2, &["crash", "reply-lost", "panic", "encode"])
            },
        ),
        model(
            "copies",
            "requests that arrive twice or late, at any later moment, any number of times; an operator",
            Bounds { operator: true, ..base(3, &[Keyed], 2, &["crash", "reply-lost", "duplicate", "expire"]) },
        ),
        model("together", "two steps at once", together(3, &["crash", "reply-lost"])),
        model("race", "a step and a timer race", race(3, 2, &["crash", "reply-lost", "expire"])),
        model(
            "three steps",
            "a keyed, an at-most-once and a transactional step in a row",
            base(3, &[Keyed, AtMostOnce, Transactional], 2, &["crash", "reply-lost", "encode", "panic"]),
        ),
    ]
}

fn deep() -> Vec<ModelSpec> {
    vec![model(
        "partitions",
        "two executions of a keyed and a transactional step by three workers, and each of them cut off at any moment",
        Bounds {
            executions: 2,
            ..base(
                3,
                &[Keyed, Transactional],
                2,
                &["crash", "disconnect", "reply-lost", "encode", "expire", "partition"],
            )
        },
    )]
}

fn together(workers: usize, words: &[&str]) -> Bounds {
    let steps =
        vec![StepSpec { kind: Keyed, body: Body::Returns }, StepSpec { kind: Transactional, body: Body::MayFail }];
    Bounds { program: Program { steps, shape: Shape::Together }, ..base(workers, &[Keyed], 1, words) }
}

fn race(workers: usize, attempts: u32, words: &[&str]) -> Bounds {
    let steps = vec![StepSpec { kind: Keyed, body: Body::MayFail }, StepSpec { kind: Timer, body: Body::Returns }];
    Bounds { program: Program { steps, shape: Shape::Race }, ..base(workers, &[Keyed], attempts, words) }
}
