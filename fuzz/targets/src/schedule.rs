//! The text of schedules: whatever is read reads back, as text and event by event through JSON.

use hydra_schedule::{Event, Schedule};

use crate::Judged;
use crate::text::round_trip;

/// Judges the reader and the writer.
pub fn judge(bytes: &[u8]) -> Judged {
    judge_writer(bytes, Schedule::to_string)
}

/// Judges the reader with this writer.
pub fn judge_writer(bytes: &[u8], write: impl Fn(&Schedule) -> String) -> Judged {
    let text = String::from_utf8_lossy(bytes);
    round_trip(&text, str::parse::<Schedule>, write)?;
    for line in text.lines() {
        round_trip(line, str::parse::<Event>, Event::to_string)?;
    }
    Ok(())
}
