use hydra_model::museum::*;
use hydra_model::scopes::*;
use hydra_model::search::*;
use hydra_model::world::World;
use hydra_schedule::Property;
fn main() {
    let models = Scope::Smoke.models();
    for m in &models {
        let w = World::new(m.bounds.clone(), &hydra_protocol::Reference).unwrap();
        let o = Options { symmetry: true, ..Options::default() };
        let out = explore(&w, &o, &mut |_| {});
        let r = &out.report;
        println!(
            "{:16} {} distinct {} generated {} depth {} {:.2} s bits {}",
            m.name,
            r.verdict,
            r.distinct,
            r.generated,
            r.depth,
            r.seconds,
            w.layout.bits()
        );
        for p in &r.passes {
            if p.outcome != PassOutcome::Held {
                println!("  {} {:?} {:.2}", p.name, p.outcome, p.seconds);
            }
        }
        for (f, c) in r.findings.iter().zip(&out.counterexamples) {
            println!("{} {:?} {}", f.property, f.kind, f.text);
            for (i, (a, s)) in c.steps.iter().enumerate() {
                println!("  {}. {a:?}   {s:?}", i + 1);
            }
        }
    }
    let mut killed = std::collections::BTreeSet::new();
    let t = std::time::Instant::now();
    for m in mutants() {
        let e = visit(m, &models, &Limits::default());
        let kills: Vec<_> = e.kills.iter().map(|k| format!("{}({} {})", k.property, k.steps, k.model)).collect();
        killed.extend(e.kills.iter().map(|k| k.property));
        let missing: Vec<_> = m.breaks.iter().filter(|p| e.kill(**p).is_none()).collect();
        println!(
            "{:30} effect {} states {} {:.2?} missing {missing:?}\n     {}",
            m.name,
            e.takes_effect,
            e.states,
            e.elapsed,
            kills.join(" ")
        );
    }
    println!(
        "never killed: {:?}; {:?}",
        Property::ALL.iter().filter(|p| !killed.contains(p)).collect::<Vec<_>>(),
        t.elapsed()
    );
}
