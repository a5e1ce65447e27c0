//! Counterexamples as text for a terminal and as Markdown.

use std::fmt::{self, Write};

use super::{Counterexample, Moment};

/// Milliseconds with separators for thousands: `9,400 ms`.
pub(super) fn ms(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + 6);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " ms"
}

pub(super) fn sentence(moment: &Moment) -> String {
    match moment.actor.as_str() {
        "fault" => format!("FAULT: {}", moment.what),
        actor => format!("{actor} {}", moment.what),
    }
}

/// The text form: title, numbered steps, lanes, contradiction, last chance, replay.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} [{}]", self.subject, self.title, self.property)?;
        writeln!(f, "  promised: {}", self.property.info().sentence)?;
        writeln!(f)?;
        let width = self.moments.len().to_string().len();
        for (index, moment) in self.moments.iter().enumerate() {
            let mark = if self.contradicts(index) { '>' } else { ' ' };
            let when = moment.at_ms.map(|at| format!("{:>12}  ", ms(at))).unwrap_or_default();
            writeln!(f, "{mark} {:>width$}. {when}{}", index + 1, sentence(moment))?;
        }
        writeln!(f)?;
        writeln!(f, "{}", self.contradiction)?;
        if let Some(chance) = &self.last_chance {
            writeln!(
                f,
                "The last moment it could still have gone right was {}: {}",
                chance.moment + 1,
                chance.instead
            )?;
        }
        writeln!(f, "Replay: {}", self.replay)
    }
}

/// Characters that Markdown would read as its own.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '_' | '`' | '<' | '>' | '[' | ']' | '|' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl Counterexample {
    /// Markdown, with a Mermaid diagram and the schedule at its end. `level` is the depth of the title, from 1.
    pub fn to_markdown(&self, level: usize) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out, level).expect("a String takes whatever is written");
        out
    }

    fn write_markdown(&self, out: &mut String, level: usize) -> fmt::Result {
        writeln!(out, "{} {}: {}\n", "#".repeat(level.clamp(1, 6)), escaped(&self.subject), escaped(&self.title))?;
        writeln!(out, "Property `{}`: {}\n", self.property, self.property.info().sentence)?;
        for (index, moment) in self.moments.iter().enumerate() {
            let when = moment.at_ms.map(|at| format!("{}: ", ms(at))).unwrap_or_default();
            let line = format!("{when}{}", escaped(&sentence(moment)));
            let line = if self.contradicts(index) { format!("**{line}**") } else { line };
            writeln!(out, "{}. {line}", index + 1)?;
        }
        writeln!(out, "\n{}\n", escaped(&self.contradiction))?;
        if let Some(chance) = &self.last_chance {
            let number = chance.moment + 1;
            writeln!(
                out,
                "The last moment it could still have gone right was {number}: {}\n",
                escaped(&chance.instead)
            )?;
        }
        writeln!(out, "```mermaid\n{}```\n", self.to_mermaid())?;
        writeln!(out, "Replay with `{}`:\n\n```text\n{}```", self.replay, self.schedule)
    }
}
