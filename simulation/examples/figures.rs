//! How fast the simulator is: runs and steps of the core in a second, on one core, with the judging on.
//!
//! `cargo run --release -p hydra-simulation --example figures`

use std::time::Duration;

use hydra_protocol::{Protocol, Reference};
use hydra_simulation::campaign::{self, Case, Cpu, Plan, Seeds};
use hydra_simulation::cluster::{Cluster, Config, Run, Watch};
use hydra_simulation::workload::{Item, Program, Shape, Step, StepKind, Workload};
use hydra_simulation::{nemesis, oracle, subjects};

const RUNS: u64 = 100_000;

fn main() {
    println!("3 workers x 4 executions x 3 steps:");
    fixed("  no faults, rules known to the compiler", &Reference, false);
    fixed::<dyn Protocol>("  no faults, rules behind a pointer", &Reference, false);
    fixed("  8 faults and fewer, rules known to the compiler", &Reference, true);
    generated();
    large();
    judging();
    engine();
}

fn say(what: &str, runs: u64, steps: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    println!("{what}: {:.0} runs/s, {:.2} M steps/s", runs as f64 / seconds, steps as f64 / seconds / 1e6);
}

/// The same workload again and again, under other seeds.
fn fixed<P: Protocol + ?Sized>(what: &str, rules: &P, faults: bool) {
    let config = Config::default();
    let program = |index| {
        let steps = (1..=3u32).map(|number| {
            let id = number.to_string().parse().expect("digits are a name");
            Item::Step(Step { lasts_ms: 20, ..Step::new(id, StepKind::Keyed) })
        });
        Program::new(hydra_schedule::Name::execution(index), steps.collect())
    };
    let workload = Workload { programs: (0..4).map(program).collect() };
    let mut cluster = Cluster::new(rules);
    let (mut watch, mut strikes) = (Watch::default(), Vec::new());
    let mut strange = 0;
    let started = Cpu::now();
    for seed in 0..RUNS {
        if faults {
            let mut random = hydra_simulation::workload::Random::new(seed);
            nemesis::choose(&mut random, &workload, &config, &mut strikes);
        }
        cluster.run(Run { seed, workload: &workload, strikes: &strikes, config: &config });
        if cluster.strange(&mut watch).is_some() {
            strange += 1;
            let history = cluster.history("reference", seed, &workload);
            let findings = oracle::findings(&history, &subjects::settings(&config));
            let case = || Case { seed, config: config.clone(), workload: workload.clone(), strikes: strikes.clone() };
            assert!(findings.is_empty(), "{findings:?}\n{}", case().schedule("reference"));
        }
    }
    let took = started.elapsed();
    say(what, RUNS, cluster.tally().steps, took);
    println!("    {strange} runs went to the oracle; {} steps a run", cluster.tally().steps / RUNS);
}

/// What a campaign does: another workload and other faults with every seed.
fn generated() {
    let entry = subjects::find("reference").expect("the reference is always there");
    let plan = plan();
    let started = Cpu::now();
    let outcome = campaign::run(&entry, &plan, |_| {});
    say("A campaign, workloads generated", outcome.runs, outcome.tally.steps, started.elapsed());
    println!(
        "    {} runs went to the oracle; {} broken; goals missed: {:?}",
        outcome.judged,
        outcome.broken,
        outcome.tally.missed()
    );
    let mut why: Vec<_> = outcome.strange.iter().collect();
    why.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (why, count) in why.into_iter().take(5) {
        println!("    {count:>6} for: {why}");
    }
}

/// A crowd: what one run costs when it is large.
fn large() {
    let config = Config { workers: 12, ..Config::default() };
    let shape = Shape { executions: 300, items_max: 10, lease_ms: config.lease_ms, swarm: false, ..Shape::default() };
    let mut cluster = Cluster::new(&Reference);
    let started = Cpu::now();
    let runs = 20;
    for seed in 0..runs {
        let workload = Workload::generate(seed, &shape);
        cluster.run(Run { seed, workload: &workload, strikes: &[], config: &config });
    }
    say("12 workers x 300 executions x up to 10 items", runs, cluster.tally().steps, started.elapsed());
}

/// What the oracle costs for one history.
fn judging() {
    let entry = subjects::find("reference").expect("the reference is always there");
    let mut subject = entry.make();
    let (mut words, mut judged) = (Duration::ZERO, Duration::ZERO);
    let runs = 2_000;
    for seed in 0..runs {
        let case = Case::of_seed(seed, &[]);
        subject.run(case.run());
        let started = Cpu::now();
        let history = subject.history(&case.workload);
        words += started.elapsed();
        let started = Cpu::now();
        std::hint::black_box(oracle::findings(&history, &subjects::settings(&case.config)));
        judged += started.elapsed();
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / runs as f64;
    println!("A history in words: {:.0} us; judged by the oracle: {:.0} us", each(words), each(judged));
}

/// The engine itself: its workers, its store, under virtual time.
fn engine() {
    for (name, runs) in [("engine", 200), ("engine-on-memory", 200)] {
        let entry = subjects::find(name).expect("the engine is always there");
        let plan = Plan { seeds: Seeds::Range(0, runs), broken_max: 1, ..plan() };
        let started = Cpu::now();
        let outcome = campaign::run(&entry, &plan, |_| {});
        say(
            &format!("The {name}, generated workloads, every run judged"),
            outcome.runs,
            outcome.tally.steps,
            started.elapsed(),
        );
    }
}

fn plan() -> Plan {
    Plan { seeds: Seeds::Range(0, RUNS), part: 1, of: 1, workers: Vec::new(), check_determinism: false, broken_max: 1 }
}
