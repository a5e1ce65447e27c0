//! `hydra check` by itself.
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    check: hydra_model::cli::CheckArgs,
}

fn main() -> std::process::ExitCode {
    Cli::parse().check.run().into()
}
