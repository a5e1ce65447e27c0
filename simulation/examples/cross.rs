//! cross
use hydra_model::museum::{self, Limits};
use hydra_model::{scopes, story};
use hydra_model::world::World;
use hydra_simulation::campaign::replay;
fn main() {
    let only = std::env::args().nth(1);
    let models = scopes::Scope::Smoke.models();
    let (mut good, mut bad, mut err) = (0, 0, 0);
    for mutant in museum::mutants() {
        if only.as_ref().is_some_and(|n| n != mutant.name) { continue; }
        let exhibit = museum::visit(mutant, &models, &Limits { states_max: 30_000, threads: 2 });
        for kill in &exhibit.kills {
            if !mutant.breaks.contains(&kill.property) { continue; }
            let spec = models.iter().find(|m| m.name == kill.model).unwrap();
            let mut bounds = spec.bounds.clone();
            bounds.defects = mutant.defects;
            let world = World::new(bounds, mutant.rules).unwrap();
            let story = story::retell(&world, kill.model, Some(mutant), kill.property, &kill.path, &kill.text);
            let text = story.schedule.to_string();
            match replay(text.parse().unwrap(), None) {
                Ok(r) => {
                    let fell: Vec<_> = r.findings.iter().map(|f| f.property.id()).collect();
                    let ok = r.findings.iter().any(|f| f.property == kill.property);
                    if ok && let Ok(dir) = std::env::var("KEEP") {
                        let mut s = story.schedule.clone();
                        s.settings.insert("breaks".parse().unwrap(), kill.property.id().to_owned());
                        std::fs::write(format!("{dir}/model-{}-{}.schedule", mutant.name, kill.property.id()), s.to_string()).unwrap();
                    }
                    if ok { good += 1 } else { bad += 1 }
                    println!("{} {} {} steps: {} {:?}", mutant.name, kill.property.id(), kill.steps, if ok { "FELL" } else { "did not fall" }, fell);
                    if only.is_some() { println!("{text}\n{}", r.history.to_text()); }
                }
                Err(e) => { err += 1; println!("{} {} ERR {e}", mutant.name, kill.property.id()); if only.is_some() { println!("{text}"); } }
            }
        }
    }
    println!("{good} fell, {bad} did not, {err} errors");
}
