//! The power is cut at every point of a run: what the disk may hold then is built from the record of the process's
//! writes and syncs, and the engine opens it. Nothing that anybody was told is lost, nothing half-done is visible, and
//! work goes on from there to its end.

mod disk;
mod record;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hydra_engine::protocol::Time;
use hydra_engine::store::{Clock, Inline, SqliteOptions, Store, StoreOptions, Synchronous, SystemClock, TokioClock};
use hydra_engine::{Client, Worker};
use tempfile::TempDir;

use crate::Dice;
use crate::judge;
use crate::process::outside::{Note, Outside};
use crate::process::tour;
use crate::stage::Verdict;
use disk::{Disk, Fate, Files, Pending, sectors};
use record::{Event, Record};

/// A disk writes so many bytes at once, or not at all: of old ones and of new ones.
const SECTORS: [usize; 2] = [512, 4_096];

/// How much is looked at.
#[derive(Clone, Copy)]
struct Bounds {
    /// All subsets of the changes that were not synced, if there are at most so many.
    all_subsets_of: usize,
    /// States that dice choose, at each point.
    by_dice: usize,
    /// Of all states so many, spread over them; none: all.
    states: Option<usize>,
    /// In one state of so many, work goes on to its end.
    resumed_one_in: usize,
}

const IN_TESTS: Bounds = Bounds { all_subsets_of: 3, by_dice: 2, states: Some(600), resumed_one_in: 10 };
const IN_THE_CAMPAIGN: Bounds = Bounds { all_subsets_of: 9, by_dice: 48, states: None, resumed_one_in: 20 };

/// What a power cut leaves: after so many events, with these fates.
struct Cut {
    after: usize,
    names_kept: usize,
    /// Of the changes that were not synced, in their order.
    fates: Vec<Fate>,
}

/// What came of looking.
#[derive(Default)]
struct Looked {
    points: usize,
    possible: usize,
    states: usize,
    resumed: usize,
}

/// Every way in which the changes that were not synced may have been kept, within bounds.
fn fates(pending: &[Pending], bounds: Bounds, dice: &mut Dice) -> Vec<Vec<Fate>> {
    let count = pending.len();
    let each = |fate: &dyn Fn(usize) -> Fate| (0..count).map(fate).collect::<Vec<_>>();
    let kept_if = |kept: bool| if kept { Fate::Kept } else { Fate::Lost };
    let mut all = vec![each(&|_| Fate::Lost), each(&|_| Fate::Kept), each(&|_| Fate::OnlyLength)];
    if count <= bounds.all_subsets_of {
        all.extend((0..1_u64 << count).map(|subset| each(&|at| kept_if(subset >> at & 1 == 1))));
    }
    for one in 0..count {
        all.push(each(&|at| kept_if(at == one)));
        all.push(each(&|at| kept_if(at != one)));
        all.push(each(&|at| if at == one { Fate::OnlyLength } else { Fate::Kept }));
    }
    // The last one was being written.
    if let Some(last) = pending.last() {
        for sector in SECTORS {
            let parts = sectors(last.offset, last.length, sector).count().min(63);
            for first in 1..parts {
                for kept in [(1_u64 << first) - 1, !((1_u64 << first) - 1)] {
                    all.push(each(&|at| if at + 1 == count { Fate::Torn { sector, kept } } else { Fate::Kept }));
                }
            }
        }
    }
    for _ in 0..bounds.by_dice {
        let mut fate = || match dice.below(5) {
            0 | 1 => Fate::Kept,
            2 => Fate::Lost,
            3 => Fate::OnlyLength,
            _ => Fate::Torn { sector: SECTORS[dice.below(2) as usize], kept: dice.below(1 << 31) },
        };
        all.push((0..count).map(|_| fate()).collect());
    }
    all
}

/// Every cut of a run, within bounds.
fn cuts(record: &Record, bounds: Bounds) -> Vec<Cut> {
    let (mut disk, mut dice, mut cuts) = (Disk::holding(&record.before), Dice(1), Vec::new());
    for (at, event) in record.events.iter().enumerate() {
        disk.play(event);
        let names = disk.pending_names();
        for fates in fates(&disk.pending(), bounds, &mut dice) {
            for names_kept in 0..=names {
                cuts.push(Cut { after: at + 1, names_kept, fates: fates.clone() });
            }
        }
    }
    cuts
}

/// Plays a record from cut to cut.
struct Player<'a> {
    record: &'a Record,
    disk: Disk,
    played: usize,
    /// What the outside knows by now.
    notes: Vec<Note>,
}

impl<'a> Player<'a> {
    fn new(record: &'a Record) -> Self {
        Player { record, disk: Disk::holding(&record.before), played: 0, notes: record.told.clone() }
    }

    /// What the cut leaves. Later cuts only.
    fn cut(&mut self, cut: &Cut) -> Files {
        for event in &self.record.events[self.played..cut.after] {
            self.disk.play(event);
            if let Event::Told(note) = event {
                self.notes.push(note.clone());
            }
        }
        self.played = cut.after;
        let pending = self.disk.pending();
        let fate = |at: usize| cut.fates[pending.partition_point(|change| change.at < at)];
        self.disk.after_a_cut(cut.names_kept, fate)
    }
}

/// Judges what each cut leaves. The error says where the power was cut.
fn look(record: &Record, bounds: Bounds) -> Result<Looked, String> {
    let cuts = cuts(record, bounds);
    let mut looked = Looked { points: record.events.len(), possible: cuts.len(), ..Looked::default() };
    let step = bounds.states.map_or(1, |states| (cuts.len() / states).max(1));
    let (mut player, mut known) = (Player::new(record), HashSet::new());
    for cut in cuts.iter().step_by(step) {
        let files = player.cut(cut);
        let notes = &player.notes;
        let mut hasher = DefaultHasher::new();
        (&files, notes.len()).hash(&mut hasher);
        if !known.insert(hasher.finish()) {
            continue;
        }
        looked.states += 1;
        let resumed = looked.states.is_multiple_of(bounds.resumed_one_in);
        looked.resumed += usize::from(resumed);
        judge_files(&files, notes, resumed.then_some(&record.ids)).map_err(|why| {
            let (Cut { after, names_kept, fates }, last) = (cut, notes.last());
            format!(
                "power cut after event {after} ({names_kept} changes of names kept; {fates:?}; last told: {last:?}): {why}"
            )
        })?;
    }
    Ok(looked)
}

/// The power is cut at so many points, another process goes on from what is left, and the power is cut again at every
/// point of that.
fn look_again(record: &Record, points: usize, bounds: Bounds) -> Result<Looked, String> {
    let cuts = cuts(record, bounds);
    let (mut player, mut all) = (Player::new(record), Looked::default());
    for point in 1..=points {
        let cut = &cuts[point * cuts.len() / (points + 1)];
        let files = player.cut(cut);
        let recovery = Record::of_a_recovery(files, player.notes.clone());
        let looked = recovery.and_then(|recovery| look(&recovery, bounds));
        let looked = looked.map_err(|why| format!("power cut after event {}, and then: {why}", cut.after))?;
        all.points += looked.points;
        all.possible += looked.possible;
        all.states += looked.states;
        all.resumed += looked.resumed;
    }
    Ok(all)
}

fn judge_files(files: &Files, notes: &[Note], resumed: Option<&Vec<String>>) -> Verdict {
    // In memory where that can be: here nothing rests on what this machine's disk does.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    let folder = folder.map_err(|error| error.to_string())?;
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).map_err(|error| error.to_string())?;
    }
    let file = folder.path().join("store.sqlite");
    judge::is_sound(&file, notes)?;
    resumed.map_or(Ok(()), |ids| resume(&file, notes, ids))
}

/// Another engine goes on, in virtual time, an hour later.
fn resume(file: &Path, notes: &[Note], ids: &[String]) -> Verdict {
    const HOUR_MS: u64 = 3_600_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outside = Arc::new(Outside::here());
    runtime.block_on(async {
        let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(file) };
        let backend = options.open_backend().map_err(|error| error.to_string())?;
        let sql = rusqlite::Connection::open(file).and_then(|sql| sql.execute_batch(tour::TABLE));
        sql.map_err(|error| error.to_string())?;
        let later = Time::from_millis(SystemClock.now().as_millis() + HOUR_MS);
        let clock = Arc::new(TokioClock::starting_at(later));
        let store: Arc<dyn Store> = Arc::new(Inline::over(backend, StoreOptions { clock, ..StoreOptions::default() }));
        let (bodies, client) = (outside.clone(), Client::new(store.clone()));
        let worker = Worker::builder(store).workflow(tour::WORKFLOW, move |ctx, paper_bytes| {
            tour::tour(ctx, paper_bytes, bodies.clone(), Duration::ZERO)
        });
        let worker = worker.start().map_err(|error| error.to_string())?;
        for id in ids {
            client
                .start(tour::WORKFLOW, id, &PAPER_BYTES)
                .replays_max(1_000_000)
                .await
                .map_err(|error| error.to_string())?;
            let ended = tokio::time::timeout(Duration::from_millis(HOUR_MS), client.ended(id)).await;
            ended.map_err(|_| format!("{id} does not come to its end"))?.map_err(|error| error.to_string())?;
        }
        worker.shutdown(Duration::from_secs(5)).await;
        Ok::<_, String>(())
    })?;
    let all: Vec<_> = notes.iter().cloned().chain(outside.told()).collect();
    judge::has_ended(file, &all, ids).map_err(|why| format!("after work went on: {why}"))
}

/// How long a receipt is: longer than a page, so that a row is more than one write.
const PAPER_BYTES: usize = 5_000;

pub fn nothing_acknowledged_is_lost_and_nothing_is_half_done() {
    let record = Record::of_a_run(false).unwrap();
    let looked = look(&record, IN_TESTS).unwrap();
    assert!(looked.states > 300 && looked.resumed >= 30, "{} states, {} resumed", looked.states, looked.resumed);
}

pub fn nothing_is_lost_when_it_is_cut_again_in_the_recovery() {
    let record = Record::of_a_run(false).unwrap();
    let looked = look_again(&record, 2, Bounds { states: Some(100), ..IN_TESTS }).unwrap();
    assert!(looked.states > 100 && looked.resumed >= 10, "{} states, {} resumed", looked.states, looked.resumed);
}

/// The engine with commits that are not synced, which SPEC.md does not promise anything of: the suite finds it out.
pub fn commits_that_are_not_synced_are_found_lost() {
    let record = Record::of_a_run(true).unwrap();
    let lost = look(&record, IN_TESTS).map(drop).unwrap_err();
    assert!(lost.contains("is not there") || lost.contains("on record") || lost.contains("and not"), "{lost}");
}

/// Each kind of sync is ignored by the disk in turn, and all of them, as with `synchronous=OFF`.
pub fn every_sync_is_needed() {
    let record = Record::of_a_run(false).unwrap();
    let is_found = |what: &str, of: fn(&str) -> bool| {
        let found = look(&record.without_syncs(of), IN_TESTS).err();
        assert!(found.is_some(), "syncs ignored: {what}; nobody noticed");
    };
    is_found("all", |_| true);
    is_found("of the log", |name| name.ends_with("-wal"));
    is_found("of the database", |name| name == "store.sqlite");
    is_found("of the folder", str::is_empty);
}

pub fn campaign() -> Verdict {
    let record = Record::of_a_run(false)?;
    let tell = |what: &str, Looked { points, possible, states, resumed }: Looked| {
        println!("{what} at {points} points, in {possible} ways, which left {states} different states;");
        println!("work went on from {resumed} of them to its end");
    };
    tell("the power was cut", look(&record, IN_THE_CAMPAIGN)?);
    tell("it was cut again in the recovery", look_again(&record, 20, IN_TESTS)?);
    println!("nothing acknowledged was lost, nothing half-done was visible");
    Ok(())
}
