//! The command line of `hydra`.

mod commands;

use clap::{Parser, Subcommand};

/// Checks durable workflow engines, with evidence: does an engine keep its promises when workers crash, connections drop,
/// results cannot be encoded and networks split?
#[derive(Parser)]
#[command(name = "hydra", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// An order workflow with a step of each kind. Kill it at any moment, start it again, and see that it finishes right.
    Demo(commands::demo::Demo),
    /// What the engine costs, beside what the disk allows.
    Bench(commands::bench::Bench),
    /// Executions in an SQLite file: list them, look into them, cancel, retry and resolve them.
    Executions(commands::executions::Executions),
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Demo(demo) => commands::exit(demo.run()),
        Command::Bench(bench) => commands::exit(bench.run()),
        Command::Executions(executions) => commands::exit(executions.run()),
    }
}
