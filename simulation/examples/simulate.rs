//! The simulator's part of the command line by itself, for work on the simulator.

use std::process::ExitCode;

use clap::Parser;
use hydra_simulation::cli::{Replay, Report, Simulate};

/// Simulates, replays, adds up.
#[derive(Parser)]
enum Command {
    /// Simulates clusters under faults.
    Simulate(Simulate),
    /// Replays a schedule.
    Replay(Replay),
    /// Adds up the parts of a campaign.
    Report(Report),
}

fn main() -> ExitCode {
    ExitCode::from(match Command::parse() {
        Command::Simulate(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Report(command) => command.run(),
    })
}
