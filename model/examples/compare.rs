//! Measures this crate's search against stateright's and, if it is installed, Spin, on the small lease protocol.
//!
//! `cargo run --release -p hydra-model --example compare [-- WORKERS EXECUTIONS STEPS ATTEMPTS]`
//!
//! Every search runs in a process of its own, so that the peak of its memory is its own. All counts must be equal.

use hydra_model::search::small_lease::SmallLease;
use hydra_model::search::{Options, Passes, Verdict, explore};
use stateright::{Checker, CheckerBuilder, Model};
use std::process::Command;
use std::time::Instant;

/// The searches, each a name that the child process gets.
const ENGINES: [&str; 8] = [
    "ours, 1 thread",
    "ours, 2 threads",
    "ours, 2 threads, safety only",
    "ours, 2 threads, symmetry",
    "stateright DFS, 1 thread",
    "stateright DFS, 2 threads",
    "stateright BFS, 1 thread",
    "stateright BFS, 2 threads",
];

/// What one search did.
struct Measured {
    states: u64,
    seconds: f64,
    /// Time of the termination passes, after the exploration.
    passes_seconds: f64,
    bytes: u64,
}

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let engine = args.iter().position(|arg| arg == "--engine").map(|at| args.drain(at..).nth(1).expect("an engine"));
    let bounds: Vec<u8> = args.iter().map(|arg| arg.parse().expect("bounds are small numbers")).collect();
    let [workers, executions, steps, attempts] = *bounds.as_slice() else {
        assert!(bounds.is_empty(), "bounds: WORKERS EXECUTIONS STEPS ATTEMPTS");
        return compare(&["4", "2", "3", "3"].map(String::from));
    };
    let model = SmallLease { workers: workers.into(), executions: executions.into(), steps, attempts, fence: true };
    match engine {
        None => compare(&args),
        Some(engine) => {
            let before = peak_bytes();
            let measured = measure(&model, &engine);
            let bytes = peak_bytes() - before;
            println!("{} {} {} {bytes}", measured.states, measured.seconds, measured.passes_seconds);
        }
    }
}

fn measure(model: &SmallLease, engine: &str) -> Measured {
    let threads = if engine.contains("2 threads") { 2 } else { 1 };
    if engine.starts_with("ours") {
        let passes = if engine.contains("safety") { Passes::NONE } else { Passes::ALL };
        let symmetry = engine.contains("symmetry");
        let options = Options { threads, symmetry, passes, ..Options::default() };
        let report = explore(model, &options, &mut |_| {}).report;
        assert_eq!(report.verdict, Verdict::ProvedInScope);
        eprintln!("  {engine}: {:.1} bytes a state accounted for", report.bytes_per_state);
        let passes_seconds = report.passes.iter().map(|pass| pass.seconds).sum();
        return Measured { states: report.distinct, seconds: report.seconds, passes_seconds, bytes: 0 };
    }
    let started = Instant::now();
    let builder: CheckerBuilder<SmallLease> = model.checker().threads(threads);
    let states = if engine.contains("DFS") {
        builder.spawn_dfs().join().unique_state_count()
    } else {
        builder.spawn_bfs().join().unique_state_count()
    };
    Measured { states: states as u64, seconds: started.elapsed().as_secs_f64(), passes_seconds: 0.0, bytes: 0 }
}

fn compare(bounds: &[String]) {
    println!(
        "small lease, {} workers, {} executions, {} steps, {} attempts",
        bounds[0], bounds[1], bounds[2], bounds[3]
    );
    println!("{:30} {:>11} {:>8} {:>10} {:>13} {:>7}", "", "states", "seconds", "states/s", "bytes/state", "speed");
    let mut rows: Vec<(String, Measured)> = Vec::new();
    for engine in ENGINES {
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new(program).args(bounds).args(["--engine", engine]).output().expect("a child starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
        rows.push((engine.to_string(), parse(&text)));
        print_last(&rows);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/spin/count.sh");
    for (name, flags) in [("Spin", vec![]), ("Spin -DCOLLAPSE", vec!["-DCOLLAPSE"])] {
        match Command::new(script).args(bounds).args(&flags).output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let fields: Vec<&str> = text.split_whitespace().collect();
                let line = format!("{} {} 0 {}", fields[0], fields[1], fields[2]);
                rows.push((name.to_string(), parse(&line)));
                print_last(&rows);
            }
            Ok(output) => println!("{name}: not measured: {}", String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => println!("{name}: not measured: {error}"),
        }
    }
    let expected = rows[0].1.states;
    let differ = |(name, row): &&(String, Measured)| row.states != expected && !name.contains("symmetry");
    if let Some((name, row)) = rows.iter().find(differ) {
        panic!("{name} counts {} states, ours {expected}", row.states);
    }
    println!("all counts without symmetry are equal; speed is states/s over stateright DFS on 1 thread");
}

fn parse(line: &str) -> Measured {
    let fields: Vec<f64> = line.split_whitespace().map(|field| field.parse().expect("a number")).collect();
    Measured { states: fields[0] as u64, seconds: fields[1], passes_seconds: fields[2], bytes: fields[3] as u64 }
}

fn print_last(rows: &[(String, Measured)]) {
    let (name, row) = rows.last().expect("a row was pushed");
    let speed = |row: &Measured| row.states as f64 / row.seconds.max(0.001);
    let base = rows.iter().find(|(name, _)| name.starts_with("stateright DFS, 1"));
    let ratio = base.map_or(String::new(), |(_, base)| format!("x{:.1}", speed(row) / speed(base)));
    let passes = if row.passes_seconds > 0.0 {
        format!("  termination passes {:.2} s", row.passes_seconds)
    } else {
        String::new()
    };
    let bytes = row.bytes as f64 / row.states as f64;
    println!("{name:30} {:>11} {:>8.2} {:>10.0} {bytes:>13.1} {ratio:>7}{passes}", row.states, row.seconds, speed(row));
}

/// The most memory this process has held, from the kernel (Linux).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|field| field.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
