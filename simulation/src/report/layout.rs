//! Where things of a timeline stand on the page, in whole pixels, so that the same timeline gives the same bytes.

use serde::Serialize;

use super::outages::outages;
use super::timeline::{Row, Timeline, Tone};

const TIME_WIDTH: usize = 92;
const LANE_WIDTH_MIN: usize = 150;
const PAGE_WIDTH: usize = 1_000;
const HEAD_HEIGHT: usize = 40;
const ROW_HEIGHT: usize = 34;
/// The mean width of a character of a label, in tenths of a pixel.
const CHARACTER_TENTHS: usize = 62;
/// The room for the details of a mark.
const DETAIL_WIDTH: usize = 360;
const DETAIL_HEIGHT: usize = 96;
/// How far the life line stands from the left of its lane.
const LINE_INSET: usize = 16;

/// Everything that the template of the drawing needs.
#[derive(Debug, Serialize)]
pub(super) struct Drawing {
    width: usize,
    height: usize,
    head: usize,
    lanes: Vec<Lane>,
    bars: Vec<Bar>,
    outages: Vec<Bar>,
    marks: Vec<Mark>,
    bracket: Option<Bracket>,
}

#[derive(Debug, Serialize)]
struct Lane {
    x: usize,
    line_x: usize,
    width: usize,
    name: String,
    odd: bool,
}

#[derive(Debug, Serialize)]
struct Bar {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    title: String,
    pair: bool,
}

#[derive(Debug, Serialize)]
struct Mark {
    x: usize,
    y: usize,
    to_x: Option<usize>,
    points_right: bool,
    label_x: usize,
    label_y: usize,
    band_y: usize,
    /// Where the details are shown while the mark is pointed at.
    detail_x: usize,
    detail_y: usize,
    hit_width: usize,
    time: String,
    label: String,
    title: String,
    tone: Tone,
    pair: Option<u8>,
}

#[derive(Debug, Serialize)]
struct Bracket {
    x: usize,
    from_y: usize,
    to_y: usize,
}

fn y_of(row: usize) -> usize {
    HEAD_HEIGHT + row * ROW_HEIGHT + ROW_HEIGHT * 2 / 3
}

impl Drawing {
    pub(super) fn of(timeline: &Timeline) -> Self {
        let count = timeline.lanes.len().max(1);
        let lane_width = ((PAGE_WIDTH - TIME_WIDTH - 24) / count).max(LANE_WIDTH_MIN);
        let line_x = |lane: usize| TIME_WIDTH + lane * lane_width + LINE_INSET;
        let lanes = timeline.lanes.iter().enumerate().map(|(lane, name)| Lane {
            x: TIME_WIDTH + lane * lane_width,
            line_x: line_x(lane),
            width: lane_width,
            name: name.clone(),
            odd: lane % 2 == 1,
        });
        let bars = timeline.rows.iter().enumerate().filter_map(|(index, row)| {
            let until = row.until?;
            Some(Bar {
                x: line_x(row.lane) - 5,
                y: y_of(index),
                width: 10,
                height: y_of(until).saturating_sub(y_of(index)).max(6),
                title: format!("{} is inside the body: {}", row.actor, row.text),
                pair: row.pair.is_some(),
            })
        });
        let outages = outages(timeline).into_iter().map(|(lane, from, until)| Bar {
            x: TIME_WIDTH + lane * lane_width,
            y: y_of(from),
            width: lane_width,
            height: y_of(until).saturating_sub(y_of(from)).max(6),
            title: format!("{} is not reachable: {}", timeline.lanes[lane], timeline.rows[from].text),
            pair: false,
        });
        let width = TIME_WIDTH + count * lane_width + 24;
        let last_lane_end = TIME_WIDTH + count * lane_width;
        let mark = |(index, row): (usize, &Row)| {
            let x = line_x(row.lane);
            let to_x = row.to.map(&line_x).filter(|to_x| *to_x != x);
            // A label stands in its own lane, and may run on to the right where its row is empty.
            let room = last_lane_end - x - 14;
            let label = fitted(&row.text, room.max(LANE_WIDTH_MIN));
            // Below the mark, or above it where the drawing ends.
            let below = y_of(index) + 10;
            let fits = below + DETAIL_HEIGHT <= y_of(timeline.rows.len());
            Mark {
                x,
                y: y_of(index),
                to_x: to_x.map(|to_x| if to_x > x { to_x - 7 } else { to_x + 7 }),
                points_right: to_x.is_some_and(|to_x| to_x > x),
                label_x: x + 12,
                label_y: y_of(index) - 6,
                band_y: y_of(index) - ROW_HEIGHT * 2 / 3,
                time: row.at_ms.map(crate::oracle::ms).unwrap_or_default(),
                detail_x: (x + 12).min(width.saturating_sub(DETAIL_WIDTH)),
                detail_y: if fits { below } else { (y_of(index) - ROW_HEIGHT / 2).saturating_sub(DETAIL_HEIGHT) },
                hit_width: 22 + label.chars().count() * CHARACTER_TENTHS / 10,
                label,
                title: row.detail.clone(),
                tone: row.tone,
                pair: row.pair,
            }
        };
        let bracket = timeline.pair_row(1).zip(timeline.pair_row(2)).filter(|(first, second)| first != second);
        Drawing {
            width,
            height: y_of(timeline.rows.len()),
            head: HEAD_HEIGHT,
            lanes: lanes.collect(),
            bars: bars.collect(),
            outages: outages.collect(),
            marks: timeline.rows.iter().enumerate().map(mark).collect(),
            bracket: bracket.map(|(first, second)| Bracket {
                x: last_lane_end + 4,
                from_y: y_of(first.min(second)),
                to_y: y_of(first.max(second)),
            }),
        }
    }

    /// How high a band over one row is.
    pub(super) const BAND: usize = ROW_HEIGHT;
    /// How large the room for the details of a mark is.
    pub(super) const DETAIL: (usize, usize) = (DETAIL_WIDTH, DETAIL_HEIGHT);
}

/// `text` cut to what fits into `width` pixels; the whole is in the tool tip.
fn fitted(text: &str, width: usize) -> String {
    let most = (width * 10 / CHARACTER_TENTHS).max(4);
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['\u{2026}']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn a_label_is_cut_to_its_room() {
        assert_eq!(fitted("claims W1", 150), "claims W1");
        assert_eq!(fitted("abcdefghij", 31), "abcd\u{2026}");
    }
}
