//! smoke
use hydra_protocol::Reference;
use hydra_simulation::cluster::{Cluster, Config, Run};
use hydra_simulation::nemesis;
use hydra_simulation::workload::{Random, Shape, Workload};
fn main() {
    let seeds: u64 = std::env::args().nth(1).map_or(1000, |a| a.parse().unwrap());
    let config = Config::default();
    let shape = Shape { executions: 4, items_max: 3, lease_ms: config.lease_ms, ..Shape::default() };
    let mut cluster = Cluster::new(&Reference);
    let mut strikes = Vec::new();
    let start = std::time::Instant::now();
    let (mut unfinished, mut notes) = (0, 0u64);
    for seed in 0..seeds {
        let workload = Workload::generate(seed, &shape);
        let mut random = Random::new(seed).fork(1);
        nemesis::choose(&mut random, &workload, &config, &mut strikes);
        cluster.run(Run { seed, workload: &workload, strikes: &strikes, config: &config });
        notes += cluster.notes().len() as u64;
        let history = if seeds <= 3 { Some(cluster.history("reference", seed, &workload)) } else { None };
        if let Some(h) = history {
            println!("{}", h.to_text());
        }
        if cluster.open() > 0 {
            unfinished += 1;
            if unfinished < 4 {
                println!("unfinished {seed}");
            }
        }
    }
    let secs = start.elapsed().as_secs_f64();
    let t = cluster.tally();
    println!(
        "{:.0} runs/s {:.2}M steps/s steps/run {} notes/run {} sim {} ms/run unfinished {unfinished}",
        seeds as f64 / secs,
        t.steps as f64 / secs / 1e6,
        t.steps / seeds,
        notes / seeds,
        t.simulated_ms / seeds
    );
    println!("{:?}", t.goals());
}
