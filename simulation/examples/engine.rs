//! Runs seeds of a subject and prints the first finding of each broken one: `engine SUBJECT FIRST LAST [history]`.

use hydra_simulation::campaign::Case;
use hydra_simulation::{oracle, subjects};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let entry = subjects::find(&args[1]).expect("no such subject");
    let (first, last): (u64, u64) = (args[2].parse().unwrap(), args[3].parse().unwrap());
    let mut subject = entry.make();
    let started = std::time::Instant::now();
    let mut broken = 0;
    for seed in first..last {
        let case = Case::of_seed(seed, &[]);
        subject.run(case.run());
        let history = subject.history(&case.workload);
        if args.len() > 4 {
            print!("{}", history.to_text());
        }
        let findings = oracle::findings(&history, &subjects::settings(&case.config));
        if let Some(finding) = findings.first() {
            broken += 1;
            println!("seed {seed}: {} {}", finding.property, finding.explanation);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{} runs, {broken} broken, {:.0} runs/s", last - first, (last - first) as f64 / seconds);
    println!("{:?}", subject.tally());
}
