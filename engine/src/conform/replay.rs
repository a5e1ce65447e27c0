//! The journal, decided again.

use std::collections::{BTreeMap, HashMap, HashSet};

use hydra_protocol::{
    Command, Commit, Ending, Execution, Outcome, Reference, Reply, Rows, Status, StepNo, StepState, StepWrite, decide,
};

use super::entry::{Base, BaseStep, Decided, Entry, Unreadable};
use super::{Departure, Digest, Found, Journal, Report, words};
use crate::store::{ExecutionId, ExecutionKey};

/// What the commands have led to so far.
#[derive(Default)]
pub struct Replay {
    /// The numbers of the first entry and of the last.
    seen: Option<(u64, u64)>,
    bases: u64,
    bases_announced: u64,
    commands: u64,
    ids: HashMap<ExecutionId, ExecutionKey>,
    executions: BTreeMap<i64, Replayed>,
    /// Executions at which the store departed: what came later says nothing.
    departed: HashSet<i64>,
    pub departures: Vec<Departure>,
    /// Why nothing was read any more.
    pub unreadable: Option<String>,
}

/// An execution as the commands have made it.
struct Replayed {
    id: ExecutionId,
    row: Execution,
    workflow: Digest,
    input: Digest,
    output: Option<Digest>,
    steps: BTreeMap<u32, BaseStep>,
}

impl Replay {
    /// The next entry.
    pub fn see(&mut self, number: u64, bytes: &[u8]) {
        if self.unreadable.is_some() {
            return;
        }
        let is_first = self.seen.is_none();
        let (first, last) = self.seen.unwrap_or((number, number.saturating_sub(1)));
        if number.saturating_sub(last) > 1 {
            let what = match (last + 1, number - 1) {
                (one, to) if one == to => format!("entry {one} is missing from the journal"),
                (from, to) => format!("entries {from} to {to} are missing from the journal"),
            };
            self.say(None, None, None, what);
        }
        self.seen = Some((first, number));
        match Entry::decode(bytes) {
            Ok(Entry::Origin(bases)) if is_first => self.bases_announced = bases,
            Ok(_) if is_first => {
                self.unreadable = Some(format!(
                    "it begins with entry {number}, which is not the beginning of a journal: what came before is missing"
                ));
            }
            Ok(Entry::Origin(_)) => {
                self.say(Some(number), None, None, "the journal begins a second time".to_owned());
            }
            Ok(Entry::Base(base)) => self.base(*base),
            Ok(Entry::Decided(decided)) => {
                self.commands += 1;
                self.decided(number, &decided);
            }
            Ok(Entry::Deleted(key)) => self.deleted(number, key),
            Err(Unreadable::Version(version)) => {
                self.unreadable = Some(format!(
                    "entry {number} is of version {version}, which this version of hydra does not know: use the newer one \
                     that wrote it"
                ));
            }
            Err(Unreadable::Garbled) => {
                self.say(
                    Some(number),
                    None,
                    None,
                    "it cannot be read: it was changed, or the file is damaged".to_owned(),
                );
            }
        }
    }

    /// What was read.
    pub fn journal(&self) -> Journal {
        let (first, last) = self.seen.unwrap_or_default();
        Journal { first, last, bases: self.bases, commands: self.commands }
    }

    /// After the last entry.
    pub fn end(&mut self) {
        if self.seen.is_none() {
            self.unreadable = Some("it is empty, without even its beginning".to_owned());
        } else if self.unreadable.is_none() && self.bases != self.bases_announced {
            let what = format!("the journal began with {} executions, and holds {}", self.bases_announced, self.bases);
            self.say(None, None, None, what);
        }
    }

    fn say(&mut self, entry: Option<u64>, execution: Option<String>, step: Option<StepNo>, what: String) {
        self.departures.push(Departure { entry, execution, step: step.map(|step| step.0), what });
    }

    fn base(&mut self, base: Base) {
        self.bases += 1;
        let Base { key, id, row, workflow, input, output, steps } = base;
        let steps = steps.into_iter().map(|step| (step.no.0, step)).collect();
        self.ids.insert(id.clone(), key);
        self.executions.insert(key.0, Replayed { id, row, workflow, input, output, steps });
    }

    /// What was deleted had ended. A start under its id is one like any other.
    fn deleted(&mut self, number: u64, key: ExecutionKey) {
        let departed = self.departed.remove(&key.0);
        let Some(known) = self.executions.remove(&key.0) else {
            self.ids.retain(|_, known| *known != key);
            if !departed {
                let execution = Some(format!("the execution with key {}", key.0));
                self.say(Some(number), execution, None, "it was deleted, and was never there".to_owned());
            }
            return;
        };
        self.ids.remove(&known.id);
        if !known.row.is_ended() && !departed {
            let what = "it was deleted before it had ended".to_owned();
            self.say(Some(number), Some(known.id.to_string()), None, what);
        }
    }

    fn decided(&mut self, number: u64, decided: &Decided) {
        let key = decided.key.map(|key| key.0);
        if key.is_some_and(|key| self.departed.contains(&key)) {
            return;
        }
        if let Err(what) = self.follow(decided) {
            let known = key.and_then(|key| self.executions.get(&key));
            let execution = match (known, &decided.id, key) {
                (Some(known), _, _) => known.id.to_string(),
                (None, Some(id), _) => id.to_string(),
                (None, None, Some(key)) => format!("the execution with key {key}"),
                (None, None, None) => "an execution".to_owned(),
            };
            let what = format!("{} at {}: {what}", words::command(&decided.command), words::time(decided.now));
            self.say(Some(number), Some(execution), decided.step, what);
            self.departed.extend(key);
            // The id of one that departed at its start is known all the same.
            if let (Some(id), Some(key)) = (&decided.id, decided.key) {
                self.ids.entry(id.clone()).or_insert(key);
            }
        }
    }

    /// Decides a command again and applies it. An error says how the store departed.
    fn follow(&mut self, decided: &Decided) -> Result<(), String> {
        let key = match &decided.id {
            None => decided.key,
            Some(id) => self.find(id, decided)?,
        };
        let there = key.and_then(|key| self.executions.get(&key.0));
        let step = there.and_then(|there| match decided.command {
            Command::Retry { .. } => there.last_settled(),
            Command::Begin { .. }
            | Command::Settle { .. }
            | Command::Sleep { .. }
            | Command::Fire { .. }
            | Command::Resolve { .. } => there.steps.get(&decided.step?.0),
            Command::Start { .. }
            | Command::Claim { .. }
            | Command::Heartbeat { .. }
            | Command::Release { .. }
            | Command::Finish { .. }
            | Command::Cancel => None,
        });
        let same_input =
            there.is_some_and(|there| Some(there.workflow) == decided.name && Some(there.input) == decided.value);
        let rows = Rows { execution: there.map(|there| there.row), step: step.map(|step| step.row), same_input };
        let number = step.map(|step| step.no).or(decided.step);
        let right = decide(&Reference, &rows, &decided.command, decided.now);
        let answer = right.map(|commit| commit.reply);
        if answer != decided.decision {
            return Err(format!(
                "the store answered: {}; the rules say: {}",
                words::answer(&decided.decision),
                words::answer(&answer)
            ));
        }
        match (right, key.or(decided.key)) {
            (Ok(commit), Some(key)) => self.apply(decided, key, number, &commit),
            (Ok(_), None) => Err("it was accepted, and no execution is on record for it".to_owned()),
            (Err(_), _) => Ok(()),
        }
    }

    /// The execution with this id; none if there is none yet. The store must have found the same.
    fn find(&self, id: &ExecutionId, decided: &Decided) -> Result<Option<ExecutionKey>, String> {
        let known = self.ids.get(id).copied();
        match (known, decided.key, &decided.decision) {
            (None, Some(new), Ok(Reply::Started)) if !self.executions.contains_key(&new.0) => Ok(None),
            (known, found, _) if known == found => Ok(known),
            (None, Some(_), _) => Err("the store found an execution that no command has started".to_owned()),
            (Some(_), None, _) => Err("the store did not find an execution that was started before".to_owned()),
            (Some(known), Some(found), _) => Err(format!(
                "the store found the execution with key {}, and the id is that of key {}",
                found.0, known.0
            )),
            (None, None, _) => Ok(None),
        }
    }

    fn apply(
        &mut self,
        decided: &Decided,
        key: ExecutionKey,
        number: Option<StepNo>,
        commit: &Commit,
    ) -> Result<(), String> {
        let Some(there) = self.executions.get_mut(&key.0) else {
            let (Some(id), Some(row), Some(workflow), Some(input)) =
                (&decided.id, commit.execution, decided.name, decided.value)
            else {
                return Err("it was accepted, and names no execution, workflow or input".to_owned());
            };
            let (id, output, steps) = (id.clone(), None, BTreeMap::new());
            self.ids.insert(id.clone(), key);
            self.executions.insert(key.0, Replayed { id, row, workflow, input, output, steps });
            return Ok(());
        };
        if let Some(row) = commit.execution {
            if row.is_ended() {
                let succeeded = row.status == Status::Ended(Ending::Succeeded);
                there.output = decided.value.filter(|_| succeeded);
            } else if there.row.is_ended() {
                there.output = None;
            }
            there.row = row;
        }
        if let (Some(write), Some(no)) = (commit.step, number) {
            let row = *write.step();
            let reports = matches!(decided.command, Command::Settle { .. } | Command::Resolve { .. });
            let succeeded = matches!(row.state, StepState::Settled { outcome: Outcome::Succeeded, .. });
            let output = decided.value.filter(|_| reports && succeeded);
            let name = match write {
                StepWrite::Insert(_) => decided.name,
                StepWrite::Update(_) => there.steps.get(&no.0).map(|step| step.name),
            };
            let name = name.ok_or("it was accepted, and the step has no name")?;
            there.steps.insert(no.0, BaseStep { no, name, row, output });
        }
        if commit.abandon_open {
            there.steps.values_mut().for_each(|step| step.row = step.row.abandoned());
        }
        Ok(())
    }

    /// Compares an execution on record with what the commands have made of it.
    pub fn compare(&mut self, found: Found, report: &mut Report) {
        let (base, broken) = match found {
            Found::Execution { base, broken, .. } => (base, broken),
            // Told already.
            Found::Broken { key, .. } => return drop(self.executions.remove(&key.0)),
        };
        let replayed = self.executions.remove(&base.key.0);
        if self.departed.contains(&base.key.0) {
            return;
        }
        let execution = Some(base.id.to_string());
        let mut say = |step: Option<u32>, what: String| {
            report.add(Departure { entry: None, execution: execution.clone(), step, what });
        };
        let Some(mut replayed) = replayed else {
            return say(None, "it is on record, and no command of the journal has started it".to_owned());
        };
        if replayed.id != base.id {
            say(None, format!("it is on record under this id, and was started as {}", replayed.id));
        }
        if let Some(what) = words::execution_differs(&base.row, &replayed.row) {
            say(None, what);
        }
        for (what, on_record, right) in [
            ("workflow", Some(base.workflow), Some(replayed.workflow)),
            ("input", Some(base.input), Some(replayed.input)),
            ("output", base.output, replayed.output),
        ] {
            if on_record != right {
                say(None, format!("its {what} is not the one that came with the command"));
            }
        }
        for (no, _) in broken {
            replayed.steps.remove(&no.0);
        }
        for step in &base.steps {
            let no = Some(step.no.0);
            match replayed.steps.remove(&step.no.0) {
                None => say(no, "it is on record, and no command of the journal has begun it".to_owned()),
                Some(right) => {
                    if let Some(what) = words::step_differs(&step.row, &right.row) {
                        say(no, what);
                    }
                    if step.name != right.name {
                        say(no, "its name is not the one that it was begun under".to_owned());
                    }
                    if step.output != right.output {
                        say(no, "its output is not the one that it was settled with".to_owned());
                    }
                }
            }
        }
        for no in replayed.steps.into_keys() {
            say(Some(no), "commands of the journal lead to this step, and no row of it is on record".to_owned());
        }
    }

    /// Executions that the commands lead to, and of which no row was found.
    pub fn missing(&mut self, report: &mut Report) {
        for (key, replayed) in std::mem::take(&mut self.executions) {
            if !self.departed.contains(&key) {
                let what = "commands of the journal lead to it, and no row of it is on record".to_owned();
                let execution = Some(replayed.id.to_string());
                report.add(Departure { entry: None, execution, step: None, what });
            }
        }
    }
}

impl Replayed {
    fn last_settled(&self) -> Option<&BaseStep> {
        let is_last = |step: &&BaseStep| step.row.settled().is_some_and(|(order, _)| order == self.row.settled);
        self.steps.values().find(is_last)
    }
}
