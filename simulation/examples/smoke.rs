//! smoke
use hydra_protocol::Reference;
use hydra_simulation::cluster::{Cluster, Config, Run};
use hydra_simulation::nemesis;
use hydra_simulation::oracle::{self, Contract, Settings};
use hydra_simulation::workload::{Random, Shape, Workload};
fn main() {
    let seeds: u64 = std::env::args().nth(1).map_or(1000, |a| a.parse().unwrap());
    let only: Option<u64> = std::env::args().nth(2).map(|a| a.parse().unwrap());
    let config = Config::default();
    let shape = Shape { executions: 4, items_max: 3, lease_ms: config.lease_ms, ..Shape::default() };
    let contract = Contract::everything(Settings {
        attempts_max: Some(3),
        lease_ms: config.lease_ms,
        recovery_ms: Some(3 * config.lease_ms),
        backoff_initial_ms: Some(config.backoff_initial_ms),
        backoff_cap_ms: Some(config.backoff_cap_ms),
        backoff_jitter_percent: 20,
        slack_ms: 2_000,
        early_ms: 0,
    });
    let mut cluster = Cluster::new(&Reference);
    let mut strikes = Vec::new();
    let mut watch = hydra_simulation::cluster::Watch::default();
    let mut strange = std::collections::BTreeMap::new();
    let mut missed = 0;
    let start = std::time::Instant::now();
    let (mut unfinished, mut notes) = (0, 0u64);
    let mut judged = std::time::Duration::ZERO;
    let mut broken = std::collections::BTreeMap::new();
    for seed in only.map_or(0..seeds, |o| o..o + 1) {
        let workload = Workload::generate(seed, &shape);
        let mut random = Random::new(seed).fork(1);
        nemesis::choose(&mut random, &workload, &config, &mut strikes);
        cluster.run(Run { seed, workload: &workload, strikes: &strikes, config: &config });
        notes += cluster.notes().len() as u64;
        let t = std::time::Instant::now();
        let look = cluster.strange(&mut watch);
        if let Some(w) = look {
            *strange.entry(w).or_insert(0) += 1;
        }
        if std::env::var("ORACLE").is_ok() {
            let h = cluster.history("reference", seed, &workload);
            if only.is_some() {
                println!("{}", h.to_text());
            }
            let j = oracle::judge(&h, &contract);
            if look.is_none() && j.broken().next().is_some() {
                missed += 1;
                println!("missed {seed}");
            }
            for f in j.broken() {
                let e: &mut Vec<(u64, String)> = broken.entry(format!("{:?}", f.property)).or_default();
                e.push((seed, f.explanation.clone()));
            }
        }
        judged += t.elapsed();
        if cluster.open() > 0 {
            unfinished += 1;
            if unfinished < 4 {
                println!("unfinished {seed}");
            }
        }
    }
    let secs = start.elapsed().as_secs_f64();
    for (p, e) in &broken {
        println!("{p}: {} e.g. {:#?}", e.len(), &e[..e.len().min(3)]);
    }
    println!("strange {strange:?} missed {missed}");
    let t = cluster.tally();
    println!(
        "{:.0} runs/s {:.2}M steps/s steps/run {} notes/run {} sim {} ms/run unfinished {unfinished} judged {judged:?}",
        seeds as f64 / secs,
        t.steps as f64 / secs / 1e6,
        t.steps / seeds,
        notes / seeds,
        t.simulated_ms / seeds
    );
    if only.is_none() {
        println!("{:?}", t.goals().iter().filter(|g| g.2 == 0).collect::<Vec<_>>());
    }
}
