use hydra_model::search::*;
use hydra_model::world::bounds::*;
use hydra_model::world::*;
use hydra_protocol::{Kind, Reference};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let kinds: Vec<Kind> = a[3]
        .chars()
        .map(|c| match c {
            'k' => Kind::Keyed,
            't' => Kind::Transactional,
            'a' => Kind::AtMostOnce,
            _ => Kind::Timer,
        })
        .collect();
    let mut b = Bounds::smallest();
    b.workers = a[1].parse().unwrap();
    b.executions = a[2].parse().unwrap();
    b.program = Program::sequence(&kinds);
    if let Some(rest) = a[4].split_once(':') {
        match rest.1 {
            "together" => b.program.shape = Shape::Together,
            "race" => b.program.shape = Shape::Race,
            "fails" => b.program.steps.iter_mut().for_each(|s| s.body = Body::Fails),
            "returns" => b.program.steps.iter_mut().for_each(|s| s.body = Body::Returns),
            _ => {}
        }
    }
    b.attempts = a[4].split(':').next().unwrap().parse().unwrap();
    for f in a[5].split(',') {
        match f {
            "all" => b.faults = Faults::ALL,
            "two" => b.at_a_time = 2,
            "clients" => b.clients = true,
            "operator" => b.operator = true,
            "deadline" => b.deadline = true,
            "strangers" => b.strangers = true,
            "" => {}
            "replays" => b.replays = Some(2),
            f if f.starts_with('-') => {
                let mut g = Faults::NONE;
                for w in b.faults.words() {
                    if w != &f[1..] {
                        g.allow(w);
                    }
                }
                b.faults = g;
            }
            _ => assert!(b.faults.allow(f), "{f}"),
        }
    }
    let w = World::new(b, &Reference).unwrap();
    println!("bits {}", w.layout.bits());
    let mut last = 0;
    let o = Options { symmetry: true, memory_bytes_max: Some(10 << 30), ..Options::default() };
    let out = explore(&w, &o, &mut |p| {
        if p.elapsed.as_secs() / 10 > last {
            last = p.elapsed.as_secs() / 10;
            eprintln!("{} depth {} {:?}", p.distinct, p.depth, p.elapsed);
        }
    });
    let r = &out.report;
    println!(
        "{} distinct {} generated {} depth {} in {:.2} s ({:.0}/s), {:.1} B",
        r.verdict,
        r.distinct,
        r.generated,
        r.depth,
        r.seconds,
        r.distinct as f64 / r.seconds,
        r.bytes_per_state
    );
    for p in &r.passes {
        println!("  {} {:?} {:.2}", p.name, p.outcome, p.seconds);
    }
    for (f, c) in r.findings.iter().zip(&out.counterexamples) {
        println!("{} {:?} {}", f.property, f.kind, f.text);
        for (i, (a, s)) in c.steps.iter().enumerate() {
            println!("  {}. {a:?}   {s:?}", i + 1);
        }
    }
}
