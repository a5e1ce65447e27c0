//! `hydra soak`: the engine under load and faults for hours. What it holds of the machine must stay flat.

mod figures;
mod load;
mod stage;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use figures::{Figures, Sample};
use load::Load;
use stage::Stage;

/// Runs the engine under load while its workers crash, its store is closed and opened again and its file is locked by
/// others; deletes what has ended, as an operator does; says at the end whether memory, file size and open files were
/// flat, and whether every execution ended as promised.
#[derive(clap::Args)]
pub struct Soak {
    /// For how long.
    #[arg(long = "for", default_value = "1h", value_name = "TIME", value_parser = time)]
    time: Duration,
    /// Executions started a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
}

/// So many samples are taken over the whole time.
const SAMPLES: u32 = 40;

/// A sample is worth something if it is taken after some work.
const TIME_MIN: Duration = Duration::from_secs(10);

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time >= TIME_MIN {
        Ok(time)
    } else {
        Err("too short to tell whether anything grows; write 10s or more".to_owned())
    }
}

impl Soak {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        super::runtime()?.block_on(self.soak())
    }

    async fn soak(self) -> anyhow::Result<ExitCode> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("soak.sqlite");
        let (begun, mut figures) = (Instant::now(), Figures::default());
        let load = Arc::new(Load::default());
        let mut stage = Stage::open(&file, load.clone()).await?;
        let clients = tokio::spawn(load::drive(load.clone(), stage.client(), self.rate, self.time));
        println!("{}", Sample::HEADING);
        let mut next = self.time / SAMPLES;
        while begun.elapsed() < self.time {
            stage.disturb().await?;
            if begun.elapsed() >= next {
                next += self.time / SAMPLES;
                let sample = Sample::take(begun.elapsed(), &file, load.ended(), stage.faults());
                println!("{sample}");
                figures.add(sample);
            }
        }
        clients.await??;
        stage.close().await;
        println!("{figures}");
        let broken = load.broken();
        match &broken {
            None => println!("{} executions ended, each as promised", load.ended()),
            Some(broken) => println!("A PROMISE WAS BROKEN: {broken}"),
        }
        Ok(if figures.are_flat() && broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
