//! A store whose file was damaged, or forged with another program, and then a worker that drives what it finds there.
//! Nothing panics, and no body runs whose checkpoint the file still holds or is known to have lost.

mod base;
mod damage;
mod record;
mod work;

use std::cell::Cell;
use std::sync::{Arc, Once};

use arbitrary::Unstructured;
use hydra_engine::store::{Inline, ListFilter, SqliteOptions, Store, StoreOptions, Synchronous, TokioClock};
use hydra_protocol::Protocol;

use crate::{Judged, subject};
use base::BASE;
pub use damage::{COLUMNS, Damage, Value};
use record::Record;

/// The most damages of one input.
const DAMAGES_MAX: usize = 6;

/// Judges the engine.
pub fn judge(bytes: &[u8]) -> Judged {
    let mut bytes = Unstructured::new(bytes);
    let mut damages = Vec::new();
    while !bytes.is_empty() && damages.len() < DAMAGES_MAX {
        match Damage::choose(&mut bytes) {
            Ok(damage) => damages.push(damage),
            Err(_) => break,
        }
    }
    judge_damages(&damages)
}

/// Judges the engine on a file with these damages.
pub fn judge_damages(damages: &[Damage]) -> Judged {
    judge_damages_under(subject::rules(), damages)
}

/// The same, of an engine that goes by these rules.
pub fn judge_damages_under(rules: &'static dyn Protocol, damages: &[Damage]) -> Judged {
    let judged = judge_file(rules, damages).map_err(|error| error.to_string())?;
    judged.map_err(|finding| format!("{finding}\nafter {damages:#?}"))
}

fn judge_file(rules: &'static dyn Protocol, damages: &[Damage]) -> std::io::Result<Judged> {
    let folder = tempfile::tempdir_in(crate::stores::memory())?;
    let path = folder.path().join("store.db");
    std::fs::write(&path, &BASE.file)?;
    for damage in damages {
        damage.inflict(&path)?;
    }
    let record = Record::read(&path);
    let before = panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let bodies = runtime.block_on(async {
        let file = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(&path) };
        // Refused with a typed error: as good an end as any.
        let Ok(backend) = file.open_backend() else { return Vec::new() };
        let clock = Arc::new(TokioClock::starting_at(base::OPENED_AGAIN));
        let store = Inline::over(backend, StoreOptions { clock, rules, ..StoreOptions::default() });
        look(&store).await;
        let bodies = work::drive(Arc::new(store), rules).await;
        bodies.into_iter().map(|body| (record.key(&body.execution), body)).collect()
    });
    if panics() != before {
        return Ok(Err("something panicked".to_owned()));
    }
    for (key, body) in bodies {
        if let Some(why) = key.and_then(|key| record.forbids(key, body.step)) {
            return Ok(Err(format!("the body of step {} of {} ran: {why}", body.step, body.execution)));
        }
    }
    Ok(Ok(()))
}

/// What people and clients read. Errors are as good as answers.
async fn look(store: &dyn Store) {
    let _ = store.list(ListFilter::default()).await;
    for (id, key) in &BASE.executions {
        let _ = store.execution(id).await;
        let _ = store.history(*key).await;
    }
}

/// How many panics there were on this thread so far: tokio swallows those of tasks.
fn panics() -> usize {
    thread_local!(static PANICS: Cell<usize> = const { Cell::new(0) });
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            told(panic);
        }));
    });
    PANICS.get()
}
