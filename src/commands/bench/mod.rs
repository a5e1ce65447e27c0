//! `hydra bench`: what the engine costs, measured beside what the disk allows.

mod engine;
mod load;
mod memory;
mod raw;

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
}

impl Bench {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = super::runtime()?;
        match self.what {
            What::Engine(engine) => runtime.block_on(engine.run())?,
            What::Memory(memory) => runtime.block_on(memory.run())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
