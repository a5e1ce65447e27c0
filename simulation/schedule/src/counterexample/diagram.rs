//! Counterexamples as sequence diagrams: Mermaid, and plain lanes for a terminal.

use std::fmt::Write;

use super::text::{ms, sentence};
use super::{Counterexample, Moment};

/// The widest column of a plain diagram; longer texts are broken.
const LANE_WIDTH_MAX: usize = 26;

/// Mermaid ends a statement at `;` and starts a comment at `#`.
fn mermaid_text(text: &str) -> String {
    text.replace(';', ",").replace('#', " no. ").replace('\n', " ")
}

/// Whether the moment is something that a worker or client does to the store, as opposed to within itself.
fn reaches_store(moment: &Moment) -> bool {
    let within = ["runs", "abandons", "stops"];
    !moment.fault && moment.what.split_whitespace().next().is_some_and(|verb| !within.contains(&verb))
}

impl Counterexample {
    /// A Mermaid `sequenceDiagram`; faults are notes, the contradicting pair is marked with `!`.
    pub fn to_mermaid(&self) -> String {
        let lanes = self.lanes();
        let store = lanes.len() - 1;
        let mut out = String::from("sequenceDiagram\n");
        for (index, lane) in lanes.iter().enumerate() {
            let _ = writeln!(out, "    participant L{index} as {}", mermaid_text(lane));
        }
        for (index, moment) in self.moments.iter().enumerate() {
            let lane = self.lane_of(moment, &lanes);
            let mark = if self.contradicts(index) { "! " } else { "" };
            let when = moment.at_ms.map(|at| format!("{} ", ms(at))).unwrap_or_default();
            if lane != store && reaches_store(moment) {
                let _ = writeln!(out, "    L{lane}->>L{store}: {mark}{when}{}", mermaid_text(&moment.what));
            } else {
                let text = if moment.fault || lane == store { sentence(moment) } else { moment.what.clone() };
                let _ = writeln!(out, "    Note over L{lane}: {mark}{when}{}", mermaid_text(&text));
            }
        }
        out
    }

    /// Plain lanes for a terminal: one column for each worker, client and store, one row for each moment.
    ///
    /// `>` marks the contradicting pair, `x` a fault.
    pub fn to_lanes(&self) -> String {
        let lanes = self.lanes();
        let cells: Vec<(usize, String)> = self
            .moments
            .iter()
            .enumerate()
            .map(|(index, moment)| {
                let mark = match (self.contradicts(index), moment.fault) {
                    (true, _) => "> ",
                    (false, true) => "x ",
                    (false, false) => "",
                };
                let own = lanes.contains(&moment.actor) || moment.fault;
                let text = if own { moment.what.clone() } else { sentence(moment) };
                (self.lane_of(moment, &lanes), format!("{mark}{text}"))
            })
            .collect();

        let width_of = |lane: usize| {
            let own = cells.iter().filter(|(at, _)| *at == lane).map(|(_, text)| text.chars().count());
            own.chain([lanes[lane].chars().count()]).max().unwrap_or(0).min(LANE_WIDTH_MAX)
        };
        let widths: Vec<usize> = (0..lanes.len()).map(width_of).collect();
        let times: Vec<String> = self.moments.iter().map(|m| m.at_ms.map(ms).unwrap_or_default()).collect();
        let margin = times.iter().map(|time| time.len()).chain([1]).max().unwrap_or(1);

        let mut out = String::new();
        let mut row = |time: &str, columns: &[&str]| {
            let mut line = format!("{time:>margin$}");
            for (text, width) in columns.iter().zip(&widths) {
                let _ = write!(line, " | {text:<width$}");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        };
        row("", &lanes.iter().map(String::as_str).collect::<Vec<_>>());
        for ((lane, text), time) in cells.iter().zip(&times) {
            for (index, part) in broken(text, widths[*lane]).iter().enumerate() {
                let mut columns = vec![""; lanes.len()];
                columns[*lane] = part;
                row(if index == 0 { time } else { "" }, &columns);
            }
        }
        out
    }
}

/// `text` broken between words into lines of at most `width` characters; a longer word is cut.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let space = usize::from(used > 0);
            if used + space + rest.len() <= width {
                if space == 1 {
                    line.push(' ');
                }
                line.extend(rest.drain(..));
            } else if used > 0 {
                lines.push(String::new());
            } else {
                let cut = width.max(1).min(rest.len());
                line.extend(rest.drain(..cut));
                if !rest.is_empty() {
                    lines.push(String::new());
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn long_texts_are_broken_between_words_and_long_words_cut() {
        assert_eq!(broken("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(broken("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(broken("", 3), [""]);
    }
}
