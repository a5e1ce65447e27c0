//! JUnit XML: one test case for each property, as a CI reads it.

use std::fmt::Write;

use super::{Report, evidence};
use crate::oracle::Verdict;

/// Text inside XML. Characters that XML 1.0 forbids become `?`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

impl Report {
    /// JUnit XML: broken promises fail, what was not promised or not tested is skipped.
    pub fn to_junit(&self) -> String {
        let rows = &self.judgements.judgements;
        let failures = rows.iter().filter(|row| matches!(row.verdict, Verdict::Broken { .. })).count();
        let skipped = rows.iter().filter(|row| !matches!(row.verdict, Verdict::Broken { .. } | Verdict::Kept { .. }));
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let suite = escaped(&self.subject);
        let _ = writeln!(
            out,
            "<testsuites>\n  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{}\">",
            rows.len(),
            skipped.count()
        );
        for row in rows {
            let _ = write!(out, "    <testcase classname=\"{suite}\" name=\"{}\"", row.property);
            let message = escaped(&format!("{}: {}", row.verdict.word(), evidence(&row.verdict)));
            match &row.verdict {
                Verdict::Kept { .. } => out.push_str("/>\n"),
                Verdict::Broken { findings, .. } => {
                    let told: Vec<&str> = findings.iter().take(5).map(|finding| finding.explanation.as_str()).collect();
                    let replay = self.case_of(row.property).map(|case| &self.cases[case].counterexample.replay);
                    let replay = replay.map(|replay| format!("\nReplay: {replay}")).unwrap_or_default();
                    let body = escaped(&format!("{}{replay}", told.join("\n")));
                    let title = escaped(row.property.info().when_broken);
                    let _ = writeln!(
                        out,
                        ">\n      <failure type=\"{title}\" message=\"{message}\">{body}</failure>\n    </testcase>"
                    );
                }
                Verdict::NotPromised { .. } | Verdict::NotTested { .. } => {
                    let _ = writeln!(out, ">\n      <skipped message=\"{message}\"/>\n    </testcase>");
                }
            }
        }
        out.push_str("  </testsuite>\n</testsuites>\n");
        out
    }
}
