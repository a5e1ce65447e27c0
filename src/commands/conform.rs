//! `hydra conform FILE`: whether a store did what the rules say.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hydra_engine::conform::{self, Report, Verdict};
use hydra_engine::store::SqliteEvidence;

/// Replays the journal of an SQLite file through the rules: is every answer the one that they give, is every row what the
/// commands made of it?
///
/// Exit status 0: it is. 1: it is not; the first command of each execution at which the store departed is named. 2: it
/// could not be judged: no such file, no journal (the rows' invariants are checked all the same), or one that is not
/// readable.
#[derive(clap::Args)]
pub struct Conform {
    /// The engine's file. It may be in use; nothing in it is changed.
    file: PathBuf,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
    /// If the file conforms, replaces the journal by the rows as they are, so that it does not grow for ever. Others
    /// that write to the file wait meanwhile.
    #[arg(long)]
    trim: bool,
}

impl Conform {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let file = self.file.display();
        if !self.file.is_file() {
            bail!("there is no file {file}; give the engine's SQLite file");
        }
        let open = if self.trim { SqliteEvidence::lock } else { SqliteEvidence::open };
        let mut evidence = open(&self.file).with_context(|| format!("cannot read {file}"))?;
        let report = conform::check(&mut evidence).with_context(|| format!("cannot read {file}"))?;
        if self.json {
            println!("{}", json(&report)?);
        } else {
            print(&report);
        }
        if self.trim && report.verdict() == Verdict::Conforms {
            evidence.trim().context("the journal was left as it was")?;
            if !self.json {
                println!("The journal begins anew from these rows.");
            }
        }
        Ok(match report.verdict() {
            Verdict::Conforms => ExitCode::SUCCESS,
            Verdict::Departs => ExitCode::FAILURE,
            Verdict::NotJudged => ExitCode::from(2),
        })
    }
}

fn json(report: &Report) -> anyhow::Result<String> {
    #[derive(serde::Serialize)]
    struct Judged<'a> {
        verdict: Verdict,
        #[serde(flatten)]
        report: &'a Report,
    }
    Ok(serde_json::to_string_pretty(&Judged { verdict: report.verdict(), report })?)
}

fn print(report: &Report) {
    let rows = format!("{} executions and {} steps", report.executions, report.steps);
    if let Some(journal) = &report.journal {
        let bases = match journal.bases {
            0 => String::new(),
            bases => format!(" over {bases} executions that were there before"),
        };
        println!("{} commands in entries {} to {}{bases}; {rows}", journal.commands, journal.first, journal.last);
    } else {
        println!("no journal; {rows}");
    }
    for departure in &report.departures {
        println!("  {departure}");
    }
    if report.departures_more > 0 {
        println!("  and {} more", report.departures_more);
    }
    match report.verdict() {
        Verdict::Conforms => {
            println!(
                "CONFORMS: every answer is the one that the rules give, and every row what the commands made of it."
            );
        }
        Verdict::Departs if report.journal.is_some() => println!("DEPARTS from the rules, as above."),
        Verdict::Departs => println!("DEPARTS: rows contradict themselves, as above."),
        Verdict::NotJudged => println!("NOT JUDGED: {}", why_not(report)),
    }
}

fn why_not(report: &Report) -> String {
    report.unreadable.as_ref().map_or_else(
        || {
            "every row keeps the invariants, and how it came about is not on record. To have it recorded from now on, open \
             the store with `SqliteOptions { journal: true, ..SqliteOptions::at(FILE) }` once."
                .to_owned()
        },
        |why| format!("the journal cannot be replayed: {why}"),
    )
}
