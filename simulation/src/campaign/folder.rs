//! What a failing run leaves behind: a folder that holds everything, and one command that replays it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use hydra_schedule::{Counterexample, Property, Schedule};

use super::Case;
use super::shortest::{Known, acts_of, acts_until};
use crate::history::History;
use crate::oracle::{self, Judgements};
use crate::report::{self, Report};
use crate::shrink::{self, End};
use crate::subjects::{self, Entry};

/// A broken property, with the case that shows it made as small as it gets.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The property.
    pub property: Property,
    /// The seed that showed it.
    pub seed: u64,
    /// The case as it was found.
    pub found: Schedule,
    /// The case made small.
    pub shrunk: Schedule,
    /// How the shrinking ended.
    pub end: End,
    /// What was observed in the case made small.
    pub history: History,
    /// What was observed in the case as it was found.
    pub found_history: History,
    /// The finding in the case made small, told for people.
    pub told: report::Case,
    /// Acts until it fell, counted as the model counts them.
    pub acts: usize,
    /// The verdicts over the case made small.
    judgements: Judgements,
    /// The shortest story of the same that the model checker knows, where it knows any.
    pub shortest: Option<Counterexample>,
}

/// The files of a failure's folder.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder.
    pub folder: PathBuf,
    /// The command that replays it.
    pub replay: String,
}

impl Failure {
    /// Finds `property` again in `case` and makes the case small. None if the case does not show it.
    pub fn of(entry: &Entry, case: &Case, property: Property, command: &str) -> Option<Failure> {
        let mut subject = entry.make();
        let found = case.schedule(entry.name);
        let mut falls = |candidate: &shrink::Case| {
            let Ok(case) = Case::of_candidate(candidate) else { return false };
            subject.run(case.run());
            oracle::falls(&subject.history(&case.workload), &subjects::settings(&case.config), property)
        };
        let whole = shrink::Case { schedule: found.clone(), workload: case.workload.clone() };
        let mut shrunk = shrink::shrink(&whole, entry.tries_max(), &mut falls);
        if let Some(smaller) = with_fewer_workers(&shrunk.case, &mut falls) {
            shrunk = shrink::shrink(&smaller, entry.tries_max(), &mut falls);
        }
        subject.run(case.run());
        let found_history = subject.history(&case.workload);
        let small = Case::of_candidate(&shrunk.case).ok()?;
        subject.run(small.run());
        let history = subject.history(&small.workload);
        let findings = oracle::findings(&history, &subjects::settings(&small.config));
        let finding = findings.into_iter().find(|finding| finding.property == property)?;
        let judgements = oracle::judge(&history, &subjects::contract(&small.config));
        let acts = acts_until(&history, &finding);
        let schedule = small.schedule(entry.name);
        let told = report::Case::from_history(&history, &finding, schedule.clone(), command);
        Some(Failure {
            property,
            seed: case.seed,
            found,
            shrunk: schedule,
            end: shrunk.end,
            history,
            found_history,
            told,
            acts,
            judgements,
            shortest: None,
        })
    }

    /// Adds the shortest story that the model checker knows of the same, and says so in the finding.
    pub fn compare(&mut self, known: &Known) {
        self.shortest = known.shortest(self.property);
        self.told.shortest = self.shortest.as_ref().map(|shortest| {
            let least = acts_of(shortest);
            match self.acts <= least {
                true => format!("{} acts, as few as the model checker's ({least}).", self.acts),
                false => format!(
                    "the model checker needs {least} acts ({} here): `hydra check --mutant {}`.",
                    self.acts, self.told.counterexample.subject
                ),
            }
        });
    }

    /// The report of this one case, with the shortest known beside it.
    fn report(&self, command: &str) -> Report {
        let scope = format!("One simulated cluster, seed {}, made as small as it still shows this.", self.seed);
        let mut report = Report::new(self.judgements.clone(), scope, command);
        report.cases.push(self.told.clone());
        report.cases.extend(self.shortest.clone().map(report::Case::from_counterexample));
        report
    }

    /// How many faults and steps the small case has.
    pub fn size(&self) -> (usize, usize) {
        let steps = self.history.header.workload.programs.iter().map(|program| program.steps().count()).sum();
        (self.shrunk.faults(), steps)
    }
}

/// The same with the fewest workers with which it still falls, if fewer do.
fn with_fewer_workers(case: &shrink::Case, falls: &mut impl FnMut(&shrink::Case) -> bool) -> Option<shrink::Case> {
    let workers = case.schedule.workers?;
    (1..workers).find_map(|fewer| {
        let mut smaller = case.clone();
        smaller.schedule.workers = Some(fewer);
        falls(&smaller).then_some(smaller)
    })
}

/// Writes the folder of a failure under `out`. `commit` names the version of this program, if it is known.
pub fn keep(failure: &Failure, entry: &Entry, out: &Path, commit: Option<&str>) -> io::Result<Files> {
    let folder = out.join(format!("{}-{}-{}", entry.name, failure.property.id(), failure.seed));
    fs::create_dir_all(&folder)?;
    let replay = format!("hydra replay {}", folder.display());
    let write = |name: &str, text: String| fs::write(folder.join(name), text);
    write("seed", format!("{}\n", failure.seed))?;
    write("found.schedule", failure.found.to_string())?;
    let mut shrunk = failure.shrunk.clone();
    if let Ok(name) = hydra_schedule::Name::new(super::BREAKS) {
        shrunk.settings.insert(name, failure.property.id().to_owned());
    }
    write("shrunk.schedule", shrunk.to_string())?;
    write("history.jsonl", failure.history.to_text())?;
    write("found-history.jsonl", failure.found_history.to_text())?;
    let mut failure = failure.clone();
    failure.told.counterexample.replay.clone_from(&replay);
    let report = failure.report(&replay);
    write("report.md", report.to_markdown())?;
    write("report.html", report.to_html())?;
    if let Some(shortest) = &failure.shortest {
        write("shortest.schedule", shortest.schedule.to_string())?;
    }
    write("commit", format!("{}\n", commit.unwrap_or("unknown")))?;
    write("replay", format!("{replay}\n"))?;
    Ok(Files { folder, replay })
}
