//! The live auditor alone: `hydra audit` and `hydra adapter` under a name of their own, for its tests.

use clap::Parser;

/// Audits engines as live processes.
#[derive(Parser)]
enum Command {
    /// Audits an engine.
    Audit(hydra_live::cli::Audit),
    /// Checks and makes adapters.
    Adapter(hydra_live::cli::Adapter),
    /// Replays a schedule that an audit wrote.
    Replay {
        /// The schedule.
        path: std::path::PathBuf,
    },
}

fn main() -> std::process::ExitCode {
    hydra_live::become_it_if_told();
    match Command::parse() {
        Command::Audit(audit) => audit.run().into(),
        Command::Adapter(adapter) => adapter.run().into(),
        Command::Replay { path } => hydra_live::cli::replay_if_live(&path, None).unwrap_or(2).into(),
    }
}
