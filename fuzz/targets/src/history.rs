//! Histories: whatever is read reads back, and no history makes the oracle panic, however little sense it makes.

use hydra_simulation::cluster::Config;
use hydra_simulation::history::{History, HistoryError};
use hydra_simulation::oracle;
use hydra_simulation::subjects;

use crate::Judged;
use crate::text::round_trip;

/// Judges the reader and the writer, and has the oracle judge what was read.
pub fn judge(bytes: &[u8]) -> Judged {
    judge_writer(bytes, History::to_text)
}

/// The same with this writer.
pub fn judge_writer(bytes: &[u8], write: impl Fn(&History) -> String) -> Judged {
    // Also what is not even UTF-8 goes to the reader: files come from anywhere.
    let read = |text: &str| History::read(text.as_bytes());
    let history: Result<History, HistoryError> = History::read(bytes);
    if let (Ok(history), Ok(text)) = (&history, std::str::from_utf8(bytes)) {
        round_trip(text, read, write)?;
        let judgements = oracle::judge(history, &subjects::contract(&Config::default()));
        let again = oracle::judge(history, &subjects::contract(&Config::default()));
        if judgements != again {
            return Err("the oracle judges one history in two ways".to_owned());
        }
    }
    Ok(())
}
