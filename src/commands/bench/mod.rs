//! `hydra bench`: what the engine costs, measured beside what the disk allows, and beside other engines.

mod case;
mod chart;
mod drain;
mod engine;
mod history;
mod load;
mod memory;
mod peers;
mod place;
mod raw;
mod usage;

use std::process::ExitCode;

/// Measures. Run it with `--release`, on a machine that does nothing else.
#[derive(clap::Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Durable steps a second and latency, at rising concurrency, beside one writer of the same rows without an engine.
    Engine(engine::Engine),
    /// Memory and file size while many executions pass through.
    Memory(memory::Memory),
    /// The same work through other engines and through this one, in turn.
    Peers(peers::Peers),
    /// A worker process of `bench engine --processes`.
    #[command(hide = true)]
    Worker(drain::Worker),
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if cfg!(debug_assertions) && !matches!(self.what, What::Worker(_)) {
            println!("This is a build without optimisation: the figures mean little. Run with --release.");
        }
        let runtime = super::runtime()?;
        match self.what {
            What::Engine(engine) => runtime.block_on(engine.run())?,
            What::Memory(memory) => runtime.block_on(memory.run())?,
            What::Peers(peers) => peers.run(&runtime)?,
            What::Worker(worker) => runtime.block_on(worker.run())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
