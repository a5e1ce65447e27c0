//! `hydra replay FILE`: a schedule of the live auditor is run again with real processes; one of the model is followed in
//! the model first, then in the simulator.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use hydra_model::replay::{BREAKS, MODEL, replay};
use hydra_schedule::{Property, Schedule};
use hydra_simulation::cli::{BROKEN, KEPT, Replay, USAGE};

/// Runs the subcommand: 1 if the property falls in any of them.
pub fn run(command: &Replay) -> anyhow::Result<ExitCode> {
    if let Some(live) = hydra_live::cli::replay_if_live(&command.path, command.subject.as_deref()) {
        return Ok(ExitCode::from(live));
    }
    let model = if command.subject.is_none() { in_the_model(&command.path)? } else { None };
    let simulator = command.run();
    // The simulator cannot do everything that the model can: what it refuses, it does not refute.
    let is_refused = simulator == USAGE && model.is_some();
    Ok(ExitCode::from(if is_refused || model == Some(BROKEN) { model.unwrap_or(simulator) } else { simulator }))
}

/// Says whether the property falls in the model. The status, unless the schedule is no model's own.
fn in_the_model(path: &Path) -> anyhow::Result<Option<u8>> {
    if path.is_dir() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    // What is no schedule gets its sentence from the simulator.
    let Ok(schedule) = text.parse::<Schedule>() else { return Ok(None) };
    let (Some(_), Some(property)) = (schedule.setting(MODEL), schedule.setting(BREAKS)) else { return Ok(None) };
    let property: Property = property.parse()?;
    let replayed = match replay(&schedule, property) {
        Ok(replayed) => replayed,
        Err(why) => {
            eprintln!("not followed in the model: {why}");
            return Ok(None);
        }
    };
    let falls = if replayed.falls { "falls" } else { "does not fall" };
    println!(
        "{} in the model \"{}\": {property} {falls} after {} actions.\n",
        replayed.subject, replayed.model, replayed.steps
    );
    Ok(Some(if replayed.falls { BROKEN } else { KEPT }))
}
