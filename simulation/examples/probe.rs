//! probe
use hydra_simulation::campaign::Case;
use hydra_simulation::{oracle, subjects};
fn main() {
    let name = std::env::args().nth(1).unwrap();
    let seed: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let entry = subjects::find(&name).unwrap();
    let case = Case::of_seed(seed, &[]);
    let mut s = entry.make();
    s.run(case.run());
    println!("# {:?}", s.strange());
    let h = s.history(&case.workload);
    println!("{}", case.schedule(&name));
    println!("{}", h.to_text());
    for f in oracle::findings(&h, &subjects::settings(&case.config)) {
        println!("# {:?}: {}", f.property, f.explanation);
    }
}
