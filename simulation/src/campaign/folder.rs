//! What a failing run leaves behind: a folder that holds everything, and one command that replays it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use hydra_schedule::{Counterexample, Property, Schedule};

use super::shortest::{Known, acts_of, followed};
use super::{Case, small};
use crate::history::History;
use crate::oracle::{self, Judgements};
use crate::report::{self, Report};
use crate::shrink::End;
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
    /// Acts of that story when it is followed in the simulator, if the oracle sees the same fall there.
    pub followed: Option<usize>,
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
        let small = small::of(entry, case, property)?;
        let mut subject = entry.make();
        subject.run(case.run());
        let found_history = subject.history(&case.workload);
        let judgements = oracle::judge(&small.history, &subjects::contract(&small.case.config));
        let schedule = small.case.schedule(entry.name);
        let told = report::Case::from_history(&small.history, &small.finding, schedule.clone(), command);
        Some(Failure {
            property,
            seed: case.seed,
            found: case.schedule(entry.name),
            shrunk: schedule,
            end: small.end,
            history: small.history,
            found_history,
            told,
            acts: small.acts,
            judgements,
            shortest: None,
            followed: None,
        })
    }

    /// Adds the shortest story that the model checker knows of the same, and says so in the finding.
    pub fn compare(&mut self, known: &Known) {
        self.shortest = known.shortest(self.property);
        self.followed = self.shortest.as_ref().and_then(followed);
        self.told.shortest = self.shortest.as_ref().map(|shortest| {
            let (acts, least) = (self.acts, acts_of(shortest));
            let mutant = &self.told.counterexample.subject;
            match self.followed {
                _ if acts <= least => format!("{acts} acts, no more than the model checker's ({least})."),
                Some(followed) if acts <= followed => format!(
                    "{acts} acts, as few as a history needs to show it: the model checker, which sees the rows, knows it \
                     after {least}, and its schedule, followed here, shows it after {followed} (`shortest.schedule`)."
                ),
                Some(followed) => format!(
                    "the model checker's schedule, followed here, shows the same after {followed} acts ({acts} in this \
                     one): `shortest.schedule`, or `hydra check --mutant {mutant}`."
                ),
                None => format!(
                    "the model checker needs {least} acts ({acts} here): `hydra check --mutant {mutant}`."
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
