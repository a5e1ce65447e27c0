//! What an audit leaves: the report in four forms, the histories of its findings, a schedule for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use hydra_schedule::Property;
use hydra_simulation::oracle::{Finding, Verdict};
use hydra_simulation::report::{Case, Report};

use super::{Audited, Judged, Options};
use crate::adapter::Adapter;
use crate::boundary::Site;

/// Not promised and yet observed: at most so many of them are told as cases.
const OBSERVED_TOLD_MAX: usize = 4;

/// Writes `OUT/NAME-VERSION/`. Answers the folder and the report.
pub fn write(audited: &Audited, options: &Options, out: &Path) -> io::Result<(PathBuf, Report)> {
    let adapter = &audited.adapter;
    let name = format!("{}-{}", adapter.name, adapter.version);
    let folder = out.join(&name);
    for sub in ["histories", "schedules"] {
        let sub = folder.join(sub);
        if sub.is_dir() {
            fs::remove_dir_all(&sub)?;
        }
        fs::create_dir_all(&sub)?;
    }
    let report = report(audited, options, &folder)?;
    fs::write(folder.join("report.md"), report.to_markdown())?;
    fs::write(folder.join("report.html"), report.to_html())?;
    fs::write(folder.join("report.json"), report.to_json())?;
    fs::write(folder.join("junit.xml"), report.to_junit())?;
    Ok((folder, report))
}

fn report(audited: &Audited, options: &Options, folder: &Path) -> io::Result<Report> {
    let adapter = &audited.adapter;
    let name = format!("{}-{}", adapter.name, adapter.version);
    let quick = if options.quick { " --quick" } else { "" };
    let command = format!("hydra audit adapters/{}@{}{quick}", adapter.name, adapter.version);
    let judgements = audited.judgements().ok_or_else(|| io::Error::other("no run came to its end"))?;
    let mut report = Report::new(judgements, scope(audited), command);
    report.facts = facts(audited, options);
    let mut told: BTreeMap<Property, u64> = BTreeMap::new();
    let mut observed = 0;
    let baseline = audited.runs.first();
    if let Some(run) = baseline {
        fs::write(folder.join("histories/no-fault.jsonl"), run.history.to_text())?;
    }
    let mut findings: Vec<(&Judged, &Finding, bool)> = Vec::new();
    for run in &audited.runs {
        for judgement in &run.judgements.judgements {
            let promised = matches!(judgement.verdict, Verdict::Broken { .. });
            findings.extend(judgement.verdict.findings().first().map(|finding| (run, finding, promised)));
        }
    }
    // Promises first; of one property, one that was seen again, and the shortest history.
    findings.sort_by_key(|(run, finding, promised)| {
        let again = run.repeated.is_some_and(|(times, seen)| times == seen);
        (!promised, finding.property, !again, run.history.records.len())
    });
    for (run, finding, promised) in findings {
        let seen = told.entry(finding.property).or_default();
        *seen += 1;
        if *seen > 1 || (!promised && observed >= OBSERVED_TOLD_MAX) {
            continue;
        }
        observed += usize::from(!promised);
        let file = format!("{}.schedule", finding.property.id());
        let schedule = run.scenario.schedule(&adapter.subject(), adapter.pause_ms());
        fs::write(folder.join("schedules").join(&file), schedule.to_string())?;
        let history = format!("histories/{}.jsonl", finding.property.id());
        fs::write(folder.join(history), run.history.to_text())?;
        let replay = format!("hydra replay audits/{name}/schedules/{file}");
        let mut case = Case::from_history(&run.history, finding, schedule, &replay);
        case.advice = advice(adapter, run, promised);
        report.cases.push(case);
    }
    for case in &mut report.cases {
        case.seen = told.get(&case.counterexample.property).copied().unwrap_or(1);
    }
    Ok(report)
}

fn advice(adapter: &Adapter, run: &Judged, promised: bool) -> Option<String> {
    let mut words = Vec::new();
    if !promised {
        words.push("The engine does not promise otherwise.".to_owned());
    }
    if let Some((times, again)) = run.repeated {
        words.push(format!("Repeated alone {times} time(s), it was seen again {again} time(s)."));
    }
    words.extend(run.deaths.first().map(|death| anonymous(adapter, &format!("During the run, {death}"))));
    (!words.is_empty()).then(|| words.join(" "))
}

fn scope(audited: &Audited) -> String {
    let faults: Vec<String> = audited.struck().iter().map(|(word, count)| format!("{word} {count}")).collect();
    let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(", ") };
    let broken_off = if audited.broken_off { " The audit was broken off before its end." } else { "" };
    let runs = |count: u64| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
    let placed = audited.runs.iter().filter(|run| run.struck > 0).count() as u64;
    let cut = match audited.cut {
        0 => String::new(),
        cut => format!(
            " {} cut when the time was over and say nothing.",
            if cut == 1 { "1 run was".to_owned() } else { format!("{cut} runs were") }
        ),
    };
    format!(
        "Real processes, {} in {} s. Placements of one fault at one boundary: {} in {} groups of alike ones{}. {} with a fault that struck: {faults}. {} never reached their place, {} of the plan not begun for lack of time.{cut}{broken_off} {}",
        runs(audited.runs.len() as u64),
        audited.elapsed.as_secs(),
        audited.placements,
        audited.groups,
        beyond(audited),
        runs(placed),
        runs(audited.missed),
        runs(audited.left),
        audited.adapter.about,
    )
}

fn beyond(audited: &Audited) -> String {
    let (pairs, ran) = audited.pairs;
    let (random, seed) = audited.random;
    let pairs = if pairs > 0 { format!("; of {pairs} pairs of faults, {ran} ran") } else { String::new() };
    let random = if random > 0 { format!("; {random} random schedules of seed {seed}") } else { String::new() };
    pairs + &random
}

fn facts(audited: &Audited, options: &Options) -> Vec<(String, String)> {
    let adapter = &audited.adapter;
    let settings = &adapter.contract.settings;
    let mut facts = vec![("version".to_owned(), adapter.version.clone())];
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if !adapter.was_tried() {
        let tried = adapter.versions.join(", ");
        fact("note", format!("The adapter was made and tried with {tried}, not with this version."));
    }
    fact("lease", format!("{} ms", settings.lease_ms));
    let recovery =
        settings.recovery_ms.map_or("not declared: no wait is called a loss".to_owned(), |ms| format!("{ms} ms"));
    fact("declared recovery time", recovery);
    fact("runs side by side", format!("at most {}", options.jobs));
    for (name, value) in adapter.knobs() {
        fact(name, value.clone());
    }
    match &audited.no_calls {
        Some(why) => fact("system calls", format!("not injectable here: {why}")),
        None => {
            fact("boundaries in a run without faults", boundaries(&audited.calls));
        }
    }
    for note in &adapter.notes {
        fact("note", note.clone());
    }
    let deaths = audited.runs.iter().filter(|run| !run.deaths.is_empty()).count();
    if deaths > 0 {
        fact("runs in which a worker ended by itself", deaths.to_string());
    }
    for (name, why) in audited.failed.iter().take(5) {
        fact("not run", anonymous(adapter, &format!("{name}: {}", crate::cut(why, 500))));
    }
    if audited.failed.len() > 5 {
        fact("not run", format!("and {} more", audited.failed.len() - 5));
    }
    for problem in &audited.problems {
        fact("the adapter", anonymous(adapter, problem));
    }
    facts
}

/// How many of each kind: where each is, between which doors and about what, a reader has no use for thousands of.
fn boundaries(calls: &BTreeMap<Site, u32>) -> String {
    let mut kinds = BTreeMap::<(&str, &str), u32>::new();
    for (site, count) in calls {
        *kinds.entry((site.call, site.target)).or_default() += count;
    }
    let kinds: Vec<String> = kinds.iter().map(|((call, target), count)| format!("{call}.{target} {count}")).collect();
    kinds.join(", ")
}

/// What a subject's processes said, without the places of this machine.
fn anonymous(adapter: &Adapter, text: &str) -> String {
    let repository = adapter.folder.ancestors().nth(2).unwrap_or(&adapter.folder);
    let mut text = text.replace(&format!("{}/", repository.display()), "");
    if let Some(home) = std::env::var("HOME").ok().filter(|home| home.len() > 1) {
        text = text.replace(&home, "~");
    }
    let folder = std::env::temp_dir().join(crate::process::guard::PREFIX).display().to_string();
    let mut parts = text.split(&folder);
    let first = parts.next().unwrap_or_default().to_owned();
    // Up to the next slash it is a name by chance.
    parts.fold(first, |text, part| text + "(run)" + part.find('/').map_or("", |slash| &part[slash..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_counted_by_their_kinds() {
        let site = |call, target, anchor: &str| Site { call, target, anchor: anchor.to_owned(), request: None };
        let seen = [
            (site("fdatasync", "wal", "after-1"), 2),
            (site("fdatasync", "wal", "after-2"), 3),
            (site("query", "store", "after-1"), 1),
        ];
        assert_eq!(boundaries(&BTreeMap::from(seen)), "fdatasync.wal 5, query.store 1");
    }
}
