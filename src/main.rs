//! The command line of `hydra`.

mod commands;
mod pipe;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks durable workflow engines, with evidence: does an engine keep its promises when workers crash, connections drop,
/// results cannot be encoded and networks split?
#[derive(Parser)]
#[command(name = "hydra", version, propagate_version = true)]
struct Arguments {
    /// Without one: `audit`, of the engine as it was audited and of the reference.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// An order workflow with a step of each kind. Kill it at any moment, start it again, and see that it finishes right.
    Demo(commands::demo::Demo),
    /// Audits engines, promise by promise: simulated ones here, real ones as processes (`audit --help`).
    Audit(commands::audit::Audit),
    /// Adapters: how somebody's engine is driven, and what it promises.
    Adapter(hydra_live::cli::Adapter),
    /// Explores every interleaving of commands and faults within bounds, over the engine's own rules.
    Check(hydra_model::cli::CheckArgs),
    /// Simulates whole clusters under faults, in virtual time, seed after seed.
    Simulate(hydra_simulation::cli::Simulate),
    /// Replays a schedule: a file, or the folder that a failure left.
    Replay(hydra_simulation::cli::Replay),
    /// Adds up the parts of a simulation that was split over machines.
    Report(hydra_simulation::cli::Report),
    /// What the engine costs, beside what the disk allows.
    Bench(commands::bench::Bench),
    /// The engine under load and faults for hours: are memory, file size and open files flat?
    Soak(commands::soak::Soak),
    /// Executions in an SQLite file: list them, look into them, cancel, retry and resolve them, delete those that ended.
    Executions(commands::executions::Executions),
    /// Whether an engine's SQLite file is what the rules make of its journal of commands.
    Conform(commands::conform::Conform),
}

/// `hydra audit adapters/NAME`: an engine as real processes.
#[derive(Parser)]
#[command(name = "hydra", version)]
enum Live {
    /// Runs somebody's engine as real processes, breaks it at every boundary, and says which of its promises held.
    Audit(hydra_live::cli::Audit),
}

/// Whether an audit names an adapter rather than a simulated subject. A path is meant for one even if nothing is there;
/// a name that both have is the adapter's where the audit is to be quick, which a simulated one always is.
fn names_an_adapter() -> bool {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let is_one = |name: &String| {
        let folder = Path::new(name.split('@').next().unwrap_or(name));
        let simulated = hydra_simulation::subjects::find(name).is_some();
        let known =
            folder.join("adapter.toml").is_file() || Path::new("adapters").join(folder).join("adapter.toml").is_file();
        (known || name.starts_with("adapters/")) && (!simulated || is_quick)
    };
    arguments.first().is_some_and(|first| first == "audit") && arguments[1..].iter().any(is_one)
}

fn main() -> ExitCode {
    hydra_live::become_it_if_told();
    pipe::ends_quietly();
    if names_an_adapter() {
        let Live::Audit(audit) = Live::parse();
        return ExitCode::from(audit.run());
    }
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or_else(|| Command::Audit(commands::audit::Audit::default())) {
        Command::Audit(audit) => commands::exit(audit.run()),
        Command::Demo(demo) => commands::exit(demo.run()),
        Command::Adapter(adapter) => ExitCode::from(adapter.run()),
        Command::Check(check) => ExitCode::from(check.run()),
        Command::Simulate(simulate) => ExitCode::from(simulate.run()),
        Command::Replay(replay) => commands::exit(commands::replay::run(&replay)),
        Command::Report(report) => ExitCode::from(report.run()),
        Command::Bench(bench) => commands::exit(bench.run()),
        Command::Soak(soak) => commands::exit(soak.run()),
        Command::Executions(executions) => commands::exit(executions.run()),
        Command::Conform(conform) => commands::exit(conform.run()),
    }
}
