//! One folder a subcommand.

pub mod audit;
pub mod bench;
pub mod conform;
pub mod demo;
pub mod executions;
pub mod soak;

use std::process::ExitCode;

/// The exit status of a command, with its error on the screen.
pub fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Runs a command's future.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
