//! Long timelines are cut around what matters.

use super::timeline::{Row, Timeline, Tone};

/// The most rows that are drawn; what lies far from the contradicting pair is left out first.
const ROWS_MAX: usize = 60;
/// How many rows around each of the pair are always kept.
const ROWS_AROUND: usize = 12;

impl Timeline {
    /// Leaves out rows far from the pair and from every fault, with a note in their place.
    pub(super) fn cut(self) -> Self {
        if self.rows.len() <= ROWS_MAX {
            return self;
        }
        let centres = [self.pair_row(1), self.pair_row(2)];
        let near = |index: usize| centres.iter().flatten().any(|centre| centre.abs_diff(index) <= ROWS_AROUND);
        let mut kept = Timeline { lanes: self.lanes, rows: Vec::new() };
        let mut new_index = vec![0; self.rows.len()];
        let mut left_out = 0;
        let mut faults = 0;
        for (index, row) in self.rows.into_iter().enumerate() {
            let is_fault = row.tone == Tone::Fault && faults < ROWS_AROUND;
            faults += usize::from(is_fault);
            if index < 3 || near(index) || is_fault {
                kept.note_left_out(&mut left_out);
                new_index[index] = kept.rows.len();
                kept.rows.push(row);
            } else {
                left_out += 1;
                new_index[index] = kept.rows.len();
            }
        }
        kept.note_left_out(&mut left_out);
        let last = kept.rows.len() - 1;
        for row in &mut kept.rows {
            row.until = row.until.map(|until| new_index[until].min(last));
        }
        kept
    }

    fn note_left_out(&mut self, left_out: &mut usize) {
        if *left_out == 0 {
            return;
        }
        let text = format!("{left_out} more left out here");
        let actor = "observer".to_owned();
        let detail = "The whole history is kept beside this report.".to_owned();
        let row =
            Row { at_ms: None, actor, lane: 0, to: None, text, detail, tone: Tone::Note, pair: None, until: None };
        self.rows.push(row);
        *left_out = 0;
    }
}
