//! What a turn came to, and what all turns of one engine did.

use serde::Serialize;

/// One turn.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    pub steps_per_s: f64,
    /// One execution at a time, from asking to start it to seeing its end.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Of workers and the store's own server; of clients only where they share the worker's process.
    pub cpu_s_per_1000_steps: f64,
    /// The most memory that the same processes have held.
    pub peak_mib: f64,
}

/// One engine.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub store: &'static str,
    pub durability: &'static str,
    pub rounds: Vec<Figures>,
    /// Turns that came to nothing, and why.
    pub failed: Vec<String>,
}

impl Row {
    pub fn new(name: String, store: &'static str) -> Self {
        let durability = durability(&name, store);
        Row { name, store, durability, rounds: Vec::new(), failed: Vec::new() }
    }

    fn sorted(&self, of: impl Fn(&Figures) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub fn median(&self, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        let values = self.sorted(of);
        values.get(values.len() / 2).copied()
    }

    /// The least and the most.
    pub fn spread(&self, of: impl Fn(&Figures) -> f64) -> Option<(f64, f64)> {
        let values = self.sorted(of);
        Some((*values.first()?, *values.last()?))
    }
}

/// The latency that `percent` of all were within, in milliseconds.
pub fn percentile_ms(latencies_s: &mut [f64], percent: usize) -> f64 {
    latencies_s.sort_by(f64::total_cmp);
    let at = latencies_s.len().saturating_sub(1) * percent / 100;
    latencies_s.get(at).map_or(f64::NAN, |latency| latency * 1e3)
}

/// What is safe once the engine has answered, by its settings. Nothing is changed about them.
fn durability(name: &str, store: &str) -> &'static str {
    match (name.split(' ').next().unwrap_or(name), store) {
        ("hydra" | "hydra-engine", "sqlite") => "WAL, synchronous=FULL",
        ("unhinged", _) => "WAL, synchronous=FULL",
        ("duroxide", _) => "WAL, synchronous=NORMAL (its own setting): a loss of power may take the last commits",
        ("temporal", _) => "SQLite of its development server, WAL",
        ("restate", _) => "its own log",
        (_, "postgres") => "synchronous_commit=on, fsync=on",
        _ => "as the engine sets it",
    }
}
