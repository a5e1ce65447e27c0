//! A disk that has promised only what was synced, and what it may hold after a power cut.

use std::collections::{BTreeMap, VecDeque};

use super::record::Event;

/// What becomes of a change that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Lost,
    /// A write beyond the end: the file has its new length, and zeros in it.
    OnlyLength,
    /// Of the sectors of so many bytes that it touches, those that have a bit in here are written.
    Torn {
        sector: usize,
        kept: u64,
    },
}

/// The files of a folder, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
pub struct Disk {
    /// By number: a name may mean another file tomorrow.
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Names that were given (to which file) or taken away, and not synced.
    renamed: Vec<(usize, String, Option<usize>)>,
    folder_syncs: VecDeque<usize>,
    /// Events so far.
    now: usize,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// When the syncs began that have not ended.
    syncs: VecDeque<usize>,
}

struct Change {
    at: usize,
    what: What,
}

enum What {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// A change that was not synced, to decide upon.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// When it was made; later ones have higher numbers.
    pub at: usize,
    /// Where in its file it begins, and how many bytes it writes. A truncation writes none.
    pub offset: usize,
    pub length: usize,
}

impl Disk {
    /// A disk that holds these files for sure.
    pub fn holding(files: &Files) -> Self {
        let durable = files.values().map(|bytes| File { durable: bytes.clone(), ..File::default() });
        let names: BTreeMap<_, _> = files.keys().cloned().zip(0..).collect();
        Disk { files: durable.collect(), durable_names: names.clone(), names, ..Disk::default() }
    }

    /// Goes on by one event.
    pub fn play(&mut self, event: &Event) {
        self.now += 1;
        let now = self.now;
        match event {
            Event::Made(name) => {
                self.files.push(File::default());
                let number = self.files.len() - 1;
                self.names.insert(name.clone(), number);
                self.renamed.push((now, name.clone(), Some(number)));
            }
            Event::Removed(name) => {
                self.names.remove(name);
                self.renamed.push((now, name.clone(), None));
            }
            Event::Written { name, offset, bytes } => {
                self.change(name, What::Write { offset: *offset, bytes: bytes.clone() });
            }
            Event::Truncated { name, length } => self.change(name, What::Truncate(*length)),
            Event::SyncBegins(name) if name.is_empty() => self.folder_syncs.push_back(now),
            Event::SyncBegins(name) => {
                if let Some(file) = self.file(name) {
                    file.syncs.push_back(now);
                }
            }
            Event::SyncEnds(name) if name.is_empty() => {
                let until = self.folder_syncs.pop_front().unwrap();
                let synced = self.renamed.iter().take_while(|(at, ..)| *at < until).count();
                for (_, name, number) in self.renamed.drain(..synced) {
                    rename(&mut self.durable_names, name, number);
                }
            }
            // One that began later may end sooner: the earlier one's promise is the smaller.
            Event::SyncEnds(name) => {
                if let Some(file) = self.file(name) {
                    file.synced();
                }
            }
            Event::Told(_) | Event::Unknown(_) => {}
        }
    }

    /// None: its name was taken away, so nobody will ever open it again.
    fn file(&mut self, name: &str) -> Option<&mut File> {
        self.names.get(name).map(|number| &mut self.files[*number])
    }

    fn change(&mut self, name: &str, what: What) {
        let at = self.now;
        if let Some(file) = self.file(name) {
            file.pending.push(Change { at, what });
        }
    }

    /// Changes of files that were not synced, in the order in which they were made.
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending: Vec<_> = self.files.iter().flat_map(|file| &file.pending).map(Change::pending).collect();
        pending.sort_unstable_by_key(|change| change.at);
        pending
    }

    /// How many names were given or taken away, and not synced.
    pub fn pending_names(&self) -> usize {
        self.renamed.len()
    }

    /// What the disk holds after a power cut now, if the first so many changes of names were kept, and each change of
    /// a file has this fate.
    pub fn after_a_cut(&self, names_kept: usize, fate: impl Fn(usize) -> Fate) -> Files {
        let mut names = self.durable_names.clone();
        for (_, name, number) in self.renamed.iter().take(names_kept) {
            rename(&mut names, name.clone(), *number);
        }
        names.into_iter().map(|(name, number)| (name, self.files[number].after_a_cut(&fate))).collect()
    }
}

fn rename(names: &mut BTreeMap<String, usize>, name: String, number: Option<usize>) {
    match number {
        Some(number) => names.insert(name, number),
        None => names.remove(&name),
    };
}

impl File {
    fn synced(&mut self) {
        let until = self.syncs.pop_front().unwrap();
        let synced = self.pending.iter().take_while(|change| change.at < until).count();
        for change in self.pending.drain(..synced) {
            change.apply(&mut self.durable, Fate::Kept);
        }
    }

    fn after_a_cut(&self, fate: &impl Fn(usize) -> Fate) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            change.apply(&mut bytes, fate(change.at));
        }
        bytes
    }
}

impl Change {
    fn pending(&self) -> Pending {
        match &self.what {
            What::Write { offset, bytes } => Pending { at: self.at, offset: *offset, length: bytes.len() },
            What::Truncate(_) => Pending { at: self.at, offset: 0, length: 0 },
        }
    }

    fn apply(&self, file: &mut Vec<u8>, fate: Fate) {
        match (&self.what, fate) {
            (_, Fate::Lost) | (What::Truncate(_), Fate::Torn { .. } | Fate::OnlyLength) => {}
            (What::Truncate(length), Fate::Kept) => file.resize(*length, 0),
            (What::Write { offset, bytes }, Fate::OnlyLength) => {
                file.resize(file.len().max(offset + bytes.len()), 0);
            }
            (What::Write { offset, bytes }, Fate::Kept) => write(file, *offset, bytes),
            (What::Write { offset, bytes }, Fate::Torn { sector, kept }) => {
                for (number, part) in sectors(*offset, bytes.len(), sector).enumerate() {
                    if kept >> number.min(63) & 1 == 1 {
                        write(file, part.start, &bytes[part.start - offset..part.end - offset]);
                    }
                }
            }
        }
    }
}

/// The parts of a write that lie in different sectors of the disk.
pub fn sectors(offset: usize, length: usize, sector: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = offset + length;
    (offset / sector..end.div_ceil(sector))
        .map(move |number| (number * sector).max(offset)..((number + 1) * sector).min(end))
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}
