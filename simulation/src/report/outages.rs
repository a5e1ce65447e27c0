//! From when to when a worker was down, paused or cut off, as far as a timeline shows.

use super::timeline::{Row, Timeline, Tone};

/// From which row to which a worker was down, paused or cut off: its lane, the first and the last row.
pub(super) fn outages(timeline: &Timeline) -> Vec<(usize, usize, usize)> {
    let last = timeline.rows.len().saturating_sub(1);
    let mut all = Vec::new();
    for (index, row) in timeline.rows.iter().enumerate() {
        let verb = row.text.split_whitespace().next().unwrap_or_default();
        let cuts = ["crash", "pause", "partition"].contains(&verb) || row.text == "is down";
        if row.tone != Tone::Fault || !cuts {
            continue;
        }
        let ends = |later: &Row| {
            let healed = later.tone == Tone::Heal && later.lane == row.lane;
            healed || (later.tone == Tone::Note && later.text.starts_with("no faults"))
        };
        let healed = (index + 1..=last).find(|later| ends(&timeline.rows[*later]));
        let end = paused_until(timeline, index).into_iter().chain(healed).min().unwrap_or(last);
        all.push((row.lane, index, end));
    }
    all
}

/// A pause ends by itself: the last row before its time is over.
fn paused_until(timeline: &Timeline, index: usize) -> Option<usize> {
    let row = &timeline.rows[index];
    let mut words = row.text.split_whitespace();
    let for_ms: u64 = words.next().filter(|verb| *verb == "pause").and(words.nth(1))?.parse().ok()?;
    let over_ms = row.at_ms?.saturating_add(for_ms);
    (index + 1..timeline.rows.len()).find(|later| timeline.rows[*later].at_ms.is_some_and(|at_ms| at_ms >= over_ms))
}
