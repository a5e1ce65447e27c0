//! `hydra simulate`, `hydra replay` and `hydra report`.

mod measure;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::campaign::{self, Case, FILE, Failure, Known, Outcome, Plan, Seeds, Summary};
use crate::cluster::WORKERS_MAX;
use crate::subjects;

/// Everything that was promised was kept.
pub const KEPT: u8 = 0;
/// A property fell.
pub const BROKEN: u8 = 1;
/// The command makes no sense.
pub const USAGE: u8 = 2;
/// Nothing fell, and something that had to be reached was not: the verdict would be worth nothing.
pub const GOALS_MISSED: u8 = 3;
/// The same case did not give the same twice: no verdict is worth anything.
pub const NONDETERMINISTIC: u8 = 4;

/// Runs after which a campaign has to have reached every goal.
const GOALS_FROM_RUNS: u64 = 10_000;
/// A campaign that was given neither seeds nor time.
const RUNS_DEFAULT: u64 = 100_000;
/// Without a stated limit a campaign ends at so many broken runs.
const BROKEN_MAX: u64 = 100;

/// Simulates clusters under faults in virtual time, seed after seed.
#[derive(Args, Clone, Debug)]
pub struct Simulate {
    /// The engine: `reference` (the core's rules), `engine` (all of it, on SQLite), `engine-on-memory`,
    /// `hydra-as-audited`, a mutant of the museum, or `engine+MUTANT`.
    #[arg(long, default_value = "reference")]
    pub subject: String,
    /// One seed.
    #[arg(long, conflicts_with_all = ["seeds", "for"])]
    pub seed: Option<u64>,
    /// Seeds from A to before B.
    #[arg(long, value_name = "A..B", value_parser = seeds, conflicts_with = "for")]
    pub seeds: Option<(u64, u64)>,
    /// Seeds from 0 on, for so long: 90s, 10m, 1h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub r#for: Option<Duration>,
    /// Only part K of N of the seeds.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    pub shard: Option<(u64, u64)>,
    /// Sizes of cluster to choose from.
    #[arg(long, num_args = 1.., value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: Vec<u32>,
    /// Where failures and the summary are left.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The summary as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Do every run twice and compare.
    #[arg(long)]
    pub check_determinism: bool,
    /// Every known-wrong engine of the museum instead: how soon each is found, and how short its story is.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "for", "shard", "workers", "check_determinism"])]
    pub museum: bool,
    /// How much of what the model checker knows simulated runs visit: the model's states, on a scope that it exhausts.
    #[arg(long, conflicts_with_all = ["seed", "museum", "shard", "workers", "check_determinism"])]
    pub coverage: bool,
    /// End at so many broken runs.
    #[arg(long, default_value_t = BROKEN_MAX)]
    pub broken_max: u64,
}

/// Replays a schedule: a file, or the folder that a failure left.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// The file or folder.
    pub path: PathBuf,
    /// Another engine than the schedule's own.
    #[arg(long)]
    pub subject: Option<String>,
    /// Print the history as JSON lines.
    #[arg(long)]
    pub history: bool,
}

/// Adds up the parts of a campaign.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// The folders that the parts wrote, or their `campaign.json`.
    #[arg(required = true)]
    pub parts: Vec<PathBuf>,
    /// The sum as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").ok_or("write A..B, such as 0..1000")?;
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    let (first, last) = (number(first)?, number(last)?);
    if first < last { Ok((first, last)) } else { Err(format!("{first}..{last} holds no seed")) }
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let (part, of) = text.split_once('/').ok_or("write K/N, such as 1/8")?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    let (part, of) = (number(part)?, number(of)?);
    if part >= 1 && part <= of { Ok((part, of)) } else { Err(format!("there is no part {part} of {of}")) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "write a number and s, m or h, such as 90s")?;
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(format!("{unit:?} is no unit of time; write s, m or h")),
    };
    match number.saturating_mul(seconds) {
        0 => Err("no time is no campaign; write 1s or more".to_owned()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

impl Simulate {
    /// Runs the campaign and says how it went. The result is the exit status.
    pub fn run(&self) -> u8 {
        if self.museum {
            return measure::museum();
        }
        if self.coverage {
            return measure::coverage(self);
        }
        let Some(entry) = subjects::find(&self.subject) else {
            eprintln!("error: no subject is called {:?}; the subjects are:", self.subject);
            for entry in subjects::all() {
                eprintln!("  {:28} {}", entry.name, entry.defect.unwrap_or("keeps every promise"));
            }
            return USAGE;
        };
        let seeds = match (self.seed, self.seeds, self.r#for) {
            (Some(seed), _, _) => Seeds::Range(seed, seed.saturating_add(1)),
            (None, Some((first, last)), _) => Seeds::Range(first, last),
            (None, None, Some(time)) => Seeds::For(0, time),
            (None, None, None) => Seeds::Range(0, RUNS_DEFAULT),
        };
        let (part, of) = self.shard.unwrap_or((1, 1));
        let plan = Plan {
            seeds,
            part,
            of,
            workers: self.workers.clone(),
            check_determinism: self.check_determinism,
            broken_max: self.broken_max.max(1),
        };
        let bar = progress_bar(&plan);
        let outcome = campaign::run(&entry, &plan, |now| {
            let seconds = now.elapsed.as_secs_f64().max(0.001);
            bar.set_position(match plan.seeds {
                Seeds::Range(..) => now.runs,
                Seeds::For(..) => now.elapsed.as_secs(),
            });
            let goals = now.tally.goals();
            let reached = goals.iter().filter(|(_, _, count)| *count > 0).count();
            bar.set_message(format!(
                "{} runs/s  {:.1} M steps/s  {} simulated  goals {reached}/{}  broken {}",
                HumanCount((now.runs as f64 / seconds) as u64),
                now.tally.steps as f64 / seconds / 1e6,
                virtual_time(now.tally.simulated_ms),
                goals.len(),
                now.broken,
            ));
        });
        bar.finish_and_clear();
        self.conclude(&entry, &outcome)
    }

    /// Which seeds this command runs.
    fn ran(&self) -> String {
        let seeds = match (self.seed, self.seeds, self.r#for) {
            (Some(seed), _, _) => format!("seed {seed}"),
            (None, Some((first, last)), _) => format!("seeds {first}..{last}"),
            (None, None, Some(time)) => format!("seeds from 0 for {} s", time.as_secs()),
            (None, None, None) => format!("seeds 0..{RUNS_DEFAULT}"),
        };
        let sizes: Vec<String> = self.workers.iter().map(u32::to_string).collect();
        let workers = if sizes.is_empty() { String::new() } else { format!(", workers {}", sizes.join(" ")) };
        let (part, of) = self.shard.unwrap_or((1, 1));
        format!("{seeds}, part {part} of {of}{workers}")
    }

    fn conclude(&self, entry: &subjects::Entry, outcome: &Outcome) -> u8 {
        let mut summary = Summary::of(outcome);
        summary.ran = vec![self.ran()];
        let out = self.out.clone();
        let known = (!summary.broken.is_empty()).then(|| Known::of(entry.name)).flatten();
        for broken in &mut summary.broken {
            let case = Case::of_seed(broken.seed, &self.workers);
            let command = format!("hydra simulate --subject {} --seed {}", entry.name, broken.seed);
            let Some(mut failure) = Failure::of(entry, &case, broken.property, &command) else { continue };
            if let Some(known) = &known {
                failure.compare(known);
            }
            println!("{}\n", failure.told.counterexample);
            if let Some(shortest) = &failure.told.shortest {
                println!("The shortest known: {shortest}\n");
            }
            if let Some(out) = &out {
                match campaign::keep(&failure, entry, out, option_env!("HYDRA_COMMIT")) {
                    Ok(files) => {
                        println!("Replay: {}\n", files.replay);
                        broken.folder = Some(files.folder);
                    }
                    Err(error) => eprintln!("warning: the failure could not be written to {}: {error}", out.display()),
                }
            }
        }
        print_summary(&summary, self.seed.is_some());
        let mut status = status(&summary, self.seed.is_some());
        let folder = out.map(|out| out.join(FILE));
        for file in self.json.iter().chain(&folder) {
            if let Some(parent) = file.parent() {
                let _ = fs::create_dir_all(parent);
            }
            if let Err(error) = fs::write(file, summary.to_json()) {
                eprintln!("error: {}: {error}", file.display());
                status = USAGE;
            }
        }
        status
    }
}

impl Replay {
    /// Replays it and says what fell. The result is the exit status.
    pub fn run(&self) -> u8 {
        let replayed =
            match campaign::read(&self.path).and_then(|schedule| campaign::replay(schedule, self.subject.as_deref())) {
                Ok(replayed) => replayed,
                Err(error) => {
                    eprintln!("error: {error}");
                    return USAGE;
                }
            };
        if self.history {
            print!("{}", replayed.history.to_text());
        }
        if !replayed.same_again {
            eprintln!("error: {} did not show the same twice", replayed.subject);
            return NONDETERMINISTIC;
        }
        let command = format!("hydra replay {}", self.path.display());
        let mut told: Vec<hydra_schedule::Property> = Vec::new();
        for finding in &replayed.findings {
            if !told.contains(&finding.property) {
                told.push(finding.property);
                let case =
                    crate::report::Case::from_history(&replayed.history, finding, replayed.schedule.clone(), &command);
                println!("{}\n", case.counterexample);
            }
        }
        match told.as_slice() {
            [] => {
                println!("{}: nothing fell.", replayed.subject);
                KEPT
            }
            properties => {
                let names: Vec<_> = properties.iter().map(|property| property.id()).collect();
                println!("{}: {} fell.", replayed.subject, names.join(", "));
                BROKEN
            }
        }
    }
}

impl Report {
    /// Adds up and says how it went. The result is the exit status.
    pub fn run(&self) -> u8 {
        let summary = match Summary::read_all(&self.parts) {
            Ok(Some(summary)) => summary,
            Ok(None) => return USAGE,
            Err(error) => {
                eprintln!("error: {error}");
                return USAGE;
            }
        };
        print_summary(&summary, false);
        if let Some(file) = &self.json
            && let Err(error) = fs::write(file, summary.to_json())
        {
            eprintln!("error: {}: {error}", file.display());
            return USAGE;
        }
        status(&summary, false)
    }
}

fn status(summary: &Summary, one: bool) -> u8 {
    if summary.nondeterministic.is_some() {
        NONDETERMINISTIC
    } else if !summary.broken.is_empty() {
        BROKEN
    } else if !one && !summary.missed().is_empty() {
        GOALS_MISSED
    } else {
        KEPT
    }
}

fn print_summary(summary: &Summary, one: bool) {
    let seconds = (summary.elapsed_ms as f64 / 1_000.0).max(0.001);
    println!(
        "{}: {} runs ({} judged), {} steps of the core, {} of virtual time in {seconds:.1} s: {} runs/s, {:.2} M steps/s.",
        summary.subject,
        HumanCount(summary.runs),
        HumanCount(summary.judged),
        HumanCount(summary.steps),
        virtual_time(summary.simulated_ms),
        HumanCount((summary.runs as f64 / seconds) as u64),
        summary.steps as f64 / seconds / 1e6,
    );
    print_verdicts(summary);
    // One run reaches what it reaches.
    if one {
        return;
    }
    let goals: usize = summary.goals.values().map(|goals| goals.len()).sum();
    let missed = summary.missed();
    println!("Goals reached: {} of {goals}.", goals - missed.len());
    if !missed.is_empty() {
        println!("Never reached: {}.", missed.join("; "));
        if summary.runs < GOALS_FROM_RUNS {
            println!("So few runs seldom reach every goal; {} do.", HumanCount(GOALS_FROM_RUNS));
        }
    }
}

fn print_verdicts(summary: &Summary) {
    if let Some(seed) = summary.nondeterministic {
        println!("NONDETERMINISTIC: seed {seed} did not show the same twice; no verdict is worth anything.");
    }
    for broken in &summary.broken {
        let property = broken.property.info();
        println!(
            "BROKEN {}: {} (in {} runs, first with seed {})",
            broken.property.id(),
            property.when_broken,
            HumanCount(broken.runs),
            broken.seed
        );
    }
    if summary.broken.is_empty() && summary.nondeterministic.is_none() {
        println!("Nothing fell.");
    }
}

fn progress_bar(plan: &Plan) -> ProgressBar {
    let total = match plan.seeds {
        Seeds::Range(first, last) => (last - first).div_ceil(plan.of.max(1)),
        Seeds::For(_, time) => time.as_secs(),
    };
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// Virtual time for people: the unit that gives a number of two or three digits.
fn virtual_time(ms: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("years", 31_557_600_000), ("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000)];
    let unit = UNITS.iter().find(|(_, length)| ms >= 10 * length);
    unit.map_or(format!("{} s", ms / 1_000), |(name, length)| format!("{} {name}", ms / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_shards_and_times_are_read_or_refused() {
        assert_eq!(seeds("5..1_000"), Ok((5, 1_000)));
        assert!(seeds("7..7").is_err() && seeds("7").is_err());
        assert_eq!(shard("2/8"), Ok((2, 8)));
        assert!(shard("0/8").is_err() && shard("9/8").is_err());
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert!(duration("10 parsecs").is_err() && duration("s").is_err());
    }
}
