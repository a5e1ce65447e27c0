//! The report as Markdown.

use std::fmt::{self, Write};

use super::{Report, evidence};

/// Text inside a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

impl Report {
    /// The report as Markdown: verdict, table of promises, each finding with its diagram.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out).expect("a String takes whatever is written");
        out
    }

    fn write_markdown(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "# {}\n\n**{}.**\n\n{}\n", self.subject, self.headline(), self.scope)?;
        for (name, value) in &self.facts {
            writeln!(out, "- {name}: {value}")?;
        }
        if let Some(line) = self.recovery_line() {
            writeln!(out, "- recovery: {line}")?;
        }
        let anomalies = self.judgements.anomalies();
        if !anomalies.is_empty() {
            let told: Vec<String> =
                anomalies.iter().map(|(kind, count)| format!("{} ({count})", kind.words())).collect();
            writeln!(out, "- seen: {}", told.join(", "))?;
        }
        writeln!(out, "\n| verdict | promise | property | evidence |\n|---|---|---|---|")?;
        for row in self.rows() {
            let words = row.promise.as_ref().map_or(row.property.info().sentence, |promise| promise.words.as_str());
            writeln!(
                out,
                "| {} | {} | `{}` | {} |",
                row.verdict.word(),
                cell(words),
                row.property,
                cell(&evidence(&row.verdict))
            )?;
        }
        for case in &self.cases {
            writeln!(out, "\n{}", case.counterexample.to_markdown(2).trim_end())?;
            if let Some(shortest) = &case.shortest {
                writeln!(out, "\nThe shortest known: {shortest}")?;
            }
            if let Some(advice) = &case.advice {
                writeln!(out, "\nWhat to fix: {advice}")?;
            }
        }
        writeln!(out, "\nMade by `{}`.", self.command)
    }

    /// How long work took to go on, if that was measured.
    pub(super) fn recovery_line(&self) -> Option<String> {
        let recovery = &self.judgements.recovery;
        let mean_ms = recovery.sum_ms.checked_div(recovery.count)?;
        let ms = crate::oracle::ms;
        Some(format!(
            "{} on average and {} at most, over {} crashes inside a body",
            ms(mean_ms),
            ms(recovery.max_ms),
            recovery.count
        ))
    }
}
