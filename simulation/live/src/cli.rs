//! `hydra audit` and `hydra adapter`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use hydra_schedule::Schedule;
use hydra_simulation::oracle::{self, Verdict};
use hydra_simulation::report::{Overall, Report};

use crate::adapter::{Adapter as Subject, check, install, new};
use crate::audit::{self, Options, output, table};
use crate::process::guard;
use crate::scenario::{self, Scenario, World};

/// Exit codes: every promise held; something fell; nothing can be said; it could not be done.
const KEPT: u8 = 0;
const BROKEN: u8 = 1;
const FAILED: u8 = 2;
const INCOMPLETE: u8 = 3;

/// Runs somebody's engine as real processes, breaks it at every boundary, and says which of its promises held.
///
/// Exit code: 0 every promise that could be tested held, 1 one was broken, 3 incomplete, 2 it could not be done.
#[derive(Debug, Args)]
pub struct Audit {
    /// A folder with an adapter.toml, or the name of one under adapters/; NAME@VERSION for another version.
    adapter: String,
    /// Within three minutes: the most telling boundaries first, as far as that goes.
    #[arg(long)]
    quick: bool,
    /// Where the report goes: DIR/NAME-VERSION/.
    #[arg(long, value_name = "DIR", default_value = "audits")]
    out: PathBuf,
    /// At most so many runs side by side; fewer where the machine has no room for them [default: 8 for each core].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// All is over within so many seconds; what is left then is told as not run [default: 165 with --quick, else 1740].
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,
    /// What random schedules are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random schedules for so many seconds more [default: none with --quick, else a part of the time].
    #[arg(long = "for", value_name = "SECONDS")]
    randomly: Option<u64>,
    /// Runs one schedule of an earlier audit again and says what fell.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Replays so often.
    #[arg(long, default_value_t = 1, requires = "replay", value_parser = clap::value_parser!(u16).range(1..=1000))]
    times: u16,
}

/// Adapters: the folders that say what an engine promises and how it is driven.
#[derive(Debug, Args)]
pub struct Adapter {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tries an adapter without faults and says in plain words what is wrong with it.
    Check {
        /// Its folder, or its name under adapters/.
        adapter: String,
    },
    /// Writes the skeleton of an adapter.
    New {
        /// The folder to make.
        folder: PathBuf,
        /// In which language its driver is.
        #[arg(long)]
        language: new::Language,
    },
}

/// Most of a run is waiting.
fn jobs() -> usize {
    8 * std::thread::available_parallelism().map_or(1, usize::from)
}

impl Audit {
    /// Audits; the exit code.
    pub fn run(self) -> u8 {
        guarded(
            |folder, stop| if self.replay.is_some() { self.replay(folder, &stop) } else { self.audit(folder, stop) },
        )
    }

    fn audit(&self, folder: &Path, stop: Arc<AtomicBool>) -> anyhow::Result<u8> {
        let adapter = Subject::find(&self.adapter)?;
        install::install(&adapter, &stop, |step| eprintln!("installing {}: {step}", adapter.subject()))?;
        let time = self.time.unwrap_or(if self.quick { 165 } else { 1_740 });
        let options = Options {
            quick: self.quick,
            jobs: self.jobs.map_or_else(jobs, usize::from),
            time: Duration::from_secs(time),
            seed: self.seed,
            randomly: self.randomly.map(Duration::from_secs),
        };
        let audited = audit::audit(adapter, folder, &options, stop)?;
        let (written, report) = output::write(&audited, &options, &self.out).context("the report cannot be written")?;
        table::write(&self.out)?;
        tell(&report, &audited);
        println!("Report: {}", written.join("report.md").display());
        Ok(match report.overall() {
            Overall::Kept => KEPT,
            Overall::Broken => BROKEN,
            Overall::Incomplete => INCOMPLETE,
        })
    }

    fn replay(&self, folder: &Path, stop: &AtomicBool) -> anyhow::Result<u8> {
        let file = self.replay.as_ref().context("no schedule")?;
        replay(&self.adapter, (&read(file)?, &file.display().to_string()), self.times, folder, stop)
    }
}

fn read(file: &Path) -> anyhow::Result<Schedule> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    text.parse().with_context(|| file.display().to_string())
}

/// The exit code of replaying a schedule of real processes, on the engine that it names or on another; nothing if it is
/// not one.
pub fn replay_if_live(path: &Path, subject: Option<&str>) -> Option<u8> {
    let schedule = read(path).ok()?;
    let named = scenario::live_subject(&schedule)?;
    let subject = subject.unwrap_or(&named);
    Some(guarded(|folder, stop| replay(subject, (&schedule, &path.display().to_string()), 1, folder, &stop)))
}

fn replay(
    subject: &str,
    (schedule, name): (&Schedule, &str),
    times: u16,
    folder: &Path,
    stop: &AtomicBool,
) -> anyhow::Result<u8> {
    let scenario = Scenario::of_schedule(name, schedule)?;
    let adapter = Subject::find(subject)?;
    install::install(&adapter, stop, |step| eprintln!("installing {}: {step}", adapter.subject()))?;
    let world = World::new(adapter, folder)?;
    let (mut fell, mut struck) = (0, 0);
    for time in 1..=times {
        let outcome = scenario::run(&world, &scenario)?;
        let judgements = oracle::judge(&outcome.history, &world.adapter.contract);
        let missed = scenario.strikes.len() - outcome.struck;
        let missed = if missed == 0 { String::new() } else { format!(" ({missed} of its places were not reached)") };
        println!("{time} of {times}{missed}: {} records", outcome.history.records.len());
        struck += u16::from(missed.is_empty());
        fell += u16::from(judgements.broken().next().is_some());
        for judgement in &judgements.judgements {
            let promised = matches!(judgement.verdict, Verdict::Broken { .. });
            for finding in judgement.verdict.findings() {
                let heading = if promised { "BROKEN" } else { "not promised" };
                println!("  {heading} {}: {}", finding.property, finding.explanation);
            }
        }
        for problem in &outcome.problems {
            println!("  the adapter: {problem}");
        }
        for death in &outcome.deaths {
            println!("  {death}");
        }
        if std::env::var_os("HYDRA_SHOW_HISTORY").is_some() {
            print!("{}", outcome.history.to_text());
        }
    }
    println!("A promise fell in {fell} of {times} replays.");
    Ok(match (fell, struck) {
        (0, 0) => INCOMPLETE,
        (0, _) => KEPT,
        _ => BROKEN,
    })
}

impl Adapter {
    /// Checks or makes an adapter; the exit code.
    pub fn run(self) -> u8 {
        match self.what {
            What::Check { adapter } => guarded(|folder, stop| check::check(&adapter, folder, &stop)),
            What::New { folder, language } => match new::write(&folder, language) {
                Ok(files) => {
                    println!(
                        "{} written: {}. Fill in the places marked ENGINE (adapters/README.md says what each does), then: hydra adapter check {}",
                        folder.display(),
                        files.join(", "),
                        folder.display()
                    );
                    KEPT
                }
                Err(error) => {
                    eprintln!("{}: {error}", folder.display());
                    FAILED
                }
            },
        }
    }
}

/// Under guard; an error is told.
fn guarded(work: impl FnOnce(&Path, Arc<AtomicBool>) -> anyhow::Result<u8>) -> u8 {
    let told = |error: anyhow::Error| {
        eprintln!("{error:#}");
        FAILED
    };
    guard::guarded(|folder, stop| work(folder, stop).unwrap_or_else(told)).unwrap_or_else(told)
}

fn tell(report: &Report, audited: &audit::Audited) {
    println!("{}.", report.headline());
    for row in report.rows() {
        let evidence = match &row.verdict {
            Verdict::Kept { over } => format!("{over} cases"),
            Verdict::Broken { findings, .. } => findings.first().map(|one| one.explanation.clone()).unwrap_or_default(),
            Verdict::NotPromised { over, observed } if observed.is_empty() => format!("held in {over} cases"),
            Verdict::NotPromised { over, observed } => format!("fell {} times in {over} cases", observed.len()),
            Verdict::NotTested { why } => why.clone(),
        };
        println!("  {:<13} {:<26} {evidence}", row.verdict.word(), row.property.id());
    }
    println!("{}", report.scope);
    for (name, why) in audited.failed.iter().take(3) {
        println!("  not run: {name}: {}", crate::cut(why, 600));
    }
    for problem in &audited.problems {
        println!("  the adapter: {problem}");
    }
}
