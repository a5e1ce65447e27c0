//! smoke
use hydra_simulation::campaign::{self, Plan, Seeds, Case, Failure};
use hydra_simulation::subjects;
fn main() {
    let runs: u64 = std::env::args().nth(1).map_or(1000, |a| a.parse().unwrap());
    let name = std::env::args().nth(2);
    let shrink = std::env::args().nth(3).is_some();
    for entry in subjects::all() {
        if name.as_ref().is_some_and(|n| n != entry.name && n != "all") { continue; }
        let broken_max = if entry.defect.is_some() { 30 } else { 3 };
        let plan = Plan { seeds: Seeds::Range(0, runs), part: 1, of: 1, workers: vec![], check_determinism: false, broken_max };
        let o = campaign::run(&entry, &plan, |_| {});
        let secs = o.elapsed.as_secs_f64();
        println!("{:28} {} runs {:.0}/s {:.2}M steps/s judged {} broken {} nd {:?}", entry.name, o.runs, o.runs as f64 / secs, o.tally.steps as f64 / secs / 1e6, o.judged, o.broken, o.nondeterministic);
        let want: Vec<_> = entry.breaks.iter().map(|p| p.id()).collect();
        println!("    fell {:?}\n    want {:?}", o.fell.iter().map(|(p, n)| format!("{} {n} @{}", p.id(), o.first[p])).collect::<Vec<_>>(), want);
        if entry.defect.is_none() { println!("missed {:?}", o.tally.missed()); }
        if shrink { for (p, seed) in &o.first {
            let t = std::time::Instant::now();
            let case = Case::of_seed(*seed, &[]);
            match Failure::of(&entry, &case, *p, "x") { Some(f) => {
                if let Ok(dir) = std::env::var("KEEP") {
                    let mut s = f.shrunk.clone();
                    s.settings.insert("breaks".parse().unwrap(), p.id().to_owned());
                    std::fs::write(format!("{dir}/{}-{}.schedule", entry.name, p.id()), s.to_string()).unwrap();
                } println!("  {:?} size {:?} in {:?}", f.end, f.size(), t.elapsed()); println!("{}", f.shrunk); println!("{}", f.told.counterexample); } None => println!("  {} not again", p.id()) }
        } }
    }
}
