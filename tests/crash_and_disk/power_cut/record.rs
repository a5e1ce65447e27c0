//! What an engine's process did to its files, and what it told the outside in between, in one order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hydra_live::process::seen::{Moment, Seen};

use super::disk::Files;
use crate::process::outside::Note;
use crate::stage::Stage;

/// Something that a power cut may come before or after. Files go by their names; the folder by none.
#[derive(Clone, Debug)]
pub enum Event {
    Made(String),
    Removed(String),
    Written {
        name: String,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncated {
        name: String,
        length: usize,
    },
    SyncBegins(String),
    /// The kernel said that all that was written before the sync began is on the disk.
    SyncEnds(String),
    /// The outside was told.
    Told(Note),
    /// A call that this record has no word for.
    Unknown(String),
}

/// One run of a process to its end.
#[derive(Clone, Default)]
pub struct Record {
    /// What the disk held before.
    pub before: Files,
    /// What the outside had been told before.
    pub told: Vec<Note>,
    pub events: Vec<Event>,
    pub ids: Vec<String>,
}

impl Record {
    /// Three executions from an empty folder on, with a checkpoint after each, and the store closed and opened again
    /// after the second.
    pub fn of_a_run(normal: bool) -> Result<Self, String> {
        let mut stage = stage();
        stage.plan.housekeeping = true;
        stage.plan.normal = normal;
        Record::default().filled_by(&stage)
    }

    /// Another process goes on from what a power cut has left.
    pub fn of_a_recovery(before: Files, told: Vec<Note>) -> Result<Self, String> {
        let mut stage = stage();
        stage.plan.ahead_ms = 10 * stage.plan.lease_ms;
        for (name, bytes) in &before {
            std::fs::write(stage.file().with_file_name(name), bytes).map_err(|error| error.to_string())?;
        }
        Record { before, told, ..Record::default() }.filled_by(&stage)
    }

    fn filled_by(self, stage: &Stage) -> Result<Self, String> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let (list, mut names) = (events.clone(), self.before.keys().cloned().collect());
        let end = stage.run(move |seen| {
            list.lock().unwrap().extend(event(seen, &mut names));
            None
        })?;
        if end != "exit code 0" {
            return Err(format!("the run ended with {end}"));
        }
        let notes: Vec<_> = self.told.iter().cloned().chain(stage.notes()).collect();
        crate::judge::has_ended(&stage.file(), &notes, &stage.plan.ids)?;
        let events = std::mem::take(&mut *events.lock().unwrap());
        let unknown = events.iter().find_map(|event| match event {
            Event::Unknown(what) => Some(what.clone()),
            _ => None,
        });
        unknown.map_or(Ok(Record { events, ids: stage.plan.ids.clone(), ..self }), Err)
    }

    /// The same run on a disk that does nothing when it is told to sync these. Where it is all of them, it is the run
    /// of an SQLite with `synchronous=OFF`: the same writes, and no sync.
    pub fn without_syncs(&self, of: impl Fn(&str) -> bool) -> Self {
        let ignored = |event: &&Event| matches!(event, Event::SyncBegins(name) | Event::SyncEnds(name) if of(name));
        let events = self.events.iter().filter(|event| !ignored(event)).cloned().collect();
        Record { events, ..self.clone() }
    }
}

fn stage() -> Stage {
    let mut stage = Stage::new(&["a", "b", "c"]);
    stage.plan.paper_bytes = super::PAPER_BYTES;
    stage
}

fn event(seen: &Seen, names: &mut BTreeSet<String>) -> Option<Event> {
    if seen.target == "net" {
        let is_told = seen.moment == Moment::Before && seen.call == "sendto";
        return is_told.then(|| seen.bytes()).flatten().map(|text| match serde_json::from_slice(&text) {
            Ok(note) => Event::Told(note),
            Err(error) => Event::Unknown(format!("told the outside what it does not understand: {error}")),
        });
    }
    let (folder, file) = seen.path.rsplit_once('/')?;
    // The index of the log is not needed after a power cut: SQLite makes it anew.
    if file.ends_with("-shm") {
        return None;
    }
    let name = if file.starts_with("store.sqlite") {
        file.to_owned()
    } else if !folder.is_empty() && matches!(seen.call, "fsync" | "fdatasync") {
        String::new()
    } else {
        return None;
    };
    match (seen.call, seen.moment) {
        ("open" | "openat", Moment::After(0..)) => names.insert(name.clone()).then_some(Event::Made(name)),
        ("unlink" | "unlinkat", Moment::After(0)) => {
            names.remove(&name);
            Some(Event::Removed(name))
        }
        ("write" | "pwrite64", Moment::Before) => {
            let offset = usize::try_from(seen.offset()?).ok()?;
            Some(Event::Written { name, offset, bytes: seen.bytes()? })
        }
        ("ftruncate", Moment::Before) => Some(Event::Truncated { name, length: usize::try_from(seen.length()).ok()? }),
        ("fsync" | "fdatasync", Moment::Before) => Some(Event::SyncBegins(name)),
        ("fsync" | "fdatasync", Moment::After(0)) => Some(Event::SyncEnds(name)),
        ("open" | "openat" | "unlink" | "unlinkat" | "read" | "readv" | "pread64" | "fcntl", _) => None,
        ("write" | "pwrite64" | "ftruncate", Moment::After(0..)) => None,
        (call, moment) => Some(Event::Unknown(format!("{call} of {name:?}, {moment:?}"))),
    }
}
