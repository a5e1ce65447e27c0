//! What the model checker prints, the simulator does: every counterexample of the museum is replayed there.
//!
//! `cargo run --release -p hydra-simulation --example cross [MUTANT] [FOLDER]`; the schedules that fall are kept in FOLDER.

use std::path::PathBuf;

use hydra_model::museum::{self, Kill, Limits, Mutant};
use hydra_model::scopes::{ModelSpec, Scope};
use hydra_model::story;
use hydra_model::world::World;
use hydra_schedule::{Name, Schedule};
use hydra_simulation::campaign::{BREAKS, is_same, replay};

/// A counterexample as the schedule that is printed of it.
fn schedule(mutant: &'static Mutant, models: &[ModelSpec], kill: &Kill) -> Option<Schedule> {
    let mut bounds = models.iter().find(|model| model.name == kill.model)?.bounds.clone();
    bounds.defects = mutant.defects;
    let world = World::new(bounds, mutant.rules).ok()?;
    let told = story::retell(&world, kill.model, Some(mutant), kill.property, &kill.path, &kill.text);
    told.schedule.to_string().parse().ok()
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let folder = arguments.next().map(PathBuf::from);
    let models = Scope::Smoke.models();
    let limits = Limits { states_max: 30_000, threads: 2 };
    let (mut fell, mut did_not, mut refused) = (0, 0, 0);
    for mutant in museum::mutants().filter(|mutant| only.as_ref().is_none_or(|name| name == mutant.name)) {
        let exhibit = museum::visit(mutant, &models, &limits);
        for kill in exhibit.kills.iter().filter(|kill| mutant.breaks.contains(&kill.property)) {
            let Some(mut schedule) = schedule(mutant, &models, kill) else { continue };
            let result = match replay(schedule.clone(), None) {
                Ok(replayed) if replayed.findings.iter().any(|finding| is_same(finding.property, kill.property)) => {
                    fell += 1;
                    if let (Some(folder), Ok(name)) = (&folder, Name::new(BREAKS)) {
                        schedule.settings.insert(name, kill.property.id().to_owned());
                        let file = format!("model-{}-{}.schedule", mutant.name, kill.property.id());
                        std::fs::write(folder.join(file), schedule.to_string())?;
                    }
                    "falls".to_owned()
                }
                Ok(replayed) => {
                    did_not += 1;
                    let mut others: Vec<_> = replayed.findings.iter().map(|finding| finding.property.id()).collect();
                    others.dedup();
                    format!("does not fall; instead: {}", others.join(", "))
                }
                Err(error) => {
                    refused += 1;
                    error.to_string()
                }
            };
            println!("{:30} {:28} {:>3} steps: {result}", mutant.name, kill.property.id(), kill.steps);
        }
    }
    println!("{fell} fall in the simulator too, {did_not} do not, {refused} cannot be followed.");
    Ok(())
}
