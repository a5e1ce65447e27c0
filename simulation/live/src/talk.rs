//! JSON lines with a worker (its first line) and with a client (asks and answers).

use std::io::Write;
use std::time::{Duration, Instant};

use hydra_simulation::history::{Seen, Status};
use hydra_simulation::workload::Program;
use serde::{Deserialize, Serialize};

use crate::cut;
use crate::process::{FLOOD_MAX_BYTES, Output, Process};
use crate::strain::stretched;

/// The first line of a worker and of a client.
#[derive(Deserialize)]
struct Ready {
    ready: bool,
    version: String,
}

/// How long to wait for the first line, and what it must say.
pub struct Expected<'a> {
    /// Who: `worker A`, `the client`.
    pub who: &'a str,
    /// The line of the adapter that starts it.
    pub line: String,
    /// The engine's version.
    pub version: &'a str,
    /// At most so long.
    pub within: Duration,
}

/// Waits for the first line of a process. An error names the adapter's line and says what would be right.
pub fn ready(process: &Process, expected: &Expected<'_>) -> Result<(), String> {
    let until = Instant::now() + expected.within;
    let at = |what: String| format!("{}: {} {what}", expected.line, expected.who);
    loop {
        match process.output.next(until.saturating_duration_since(Instant::now())) {
            None => {
                let waited = expected.within.as_secs();
                return Err(at(format!("did not say that it is ready within {waited} s: {}", said(&process.output))));
            }
            Some(crate::process::Line::Flood) => return Err(at(flood())),
            Some(crate::process::Line::End) => {
                std::thread::sleep(Duration::from_millis(50));
                let how = process.exited().unwrap_or_else(|| "it closed its output".to_owned());
                return Err(at(format!("ended before it was ready ({how}): {}", said(&process.output))));
            }
            Some(crate::process::Line::Text(line)) if line.trim().is_empty() => {}
            Some(crate::process::Line::Text(line)) => {
                return first_line(&line, expected.version).map_err(at);
            }
        }
    }
}

/// Whether a process's first line says that it is ready, in this version. An error says what it says instead.
pub fn first_line(line: &str, version: &str) -> Result<(), String> {
    let ready: Ready = serde_json::from_str(line).map_err(|_| {
        let wanted = r#"{"ready": true, "version": "..."}"#;
        format!("printed {:?} as its first line; it must print {wanted}", cut(line, 200))
    })?;
    if !ready.ready {
        return Err("says that it is not ready".to_owned());
    }
    if ready.version != version {
        let is = cut(&ready.version, 40);
        return Err(format!("says that it runs version {is:?}; asked for is {version:?}"));
    }
    Ok(())
}

fn flood() -> String {
    format!("floods its standard output (more than {} MiB, or a line of 1 MiB)", FLOOD_MAX_BYTES >> 20)
}

fn said(output: &Output) -> String {
    match output.complaint() {
        text if text.is_empty() => "it wrote nothing to its standard error".to_owned(),
        text => format!("it wrote to its standard error:\n{text}"),
    }
}

/// What a client is asked.
#[derive(Debug, Serialize)]
pub struct Ask<'a> {
    id: u64,
    op: &'a str,
    execution: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a Program>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other_input: bool,
}

/// What it answers.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Answer {
    id: u64,
    /// It was done. (Whatever is neither an error nor unknown was.)
    #[serde(default, rename = "ok")]
    _ok: bool,
    /// The status.
    #[serde(default)]
    pub status: Option<Status>,
    /// What the workflow returned: what it had of each step.
    #[serde(default)]
    pub saw: std::collections::BTreeMap<hydra_schedule::Name, Seen>,
    /// It was refused: nothing happened.
    #[serde(default)]
    pub error: Option<String>,
    /// It may or may not have happened.
    #[serde(default)]
    pub unknown: Option<String>,
    /// Of an execution that has ended: when, or how often, its end was recorded, in the engine's own form. It must not
    /// change any more.
    #[serde(default)]
    pub stamp: Option<String>,
    /// How many settled records the step has that has most, if the client can count them.
    #[serde(default)]
    pub rows: Option<u32>,
    /// Of an execution that has ended: the rows that its transactional steps wrote, as they are committed.
    #[serde(default)]
    pub committed: Option<Vec<Committed>>,
    /// Why the execution failed, in the engine's words: for whoever watches the client.
    #[serde(default, rename = "reason")]
    _reason: Option<String>,
}

/// A row that a transactional step wrote.
#[derive(Debug, Clone, Deserialize)]
pub struct Committed {
    /// The step.
    pub step: hydra_schedule::Name,
    /// What its body was told to return.
    pub value: String,
}

impl Answer {
    /// Reads a line of a client. An error quotes its beginning.
    pub fn parse(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("{:?}: {error}", cut(line, 200)))
    }
}

/// A client.
pub struct Client {
    process: Process,
    asked: u64,
    /// The line of the adapter that starts it.
    line: String,
    /// How long an answer may take, and how many in a row did not come.
    answer_ms: u64,
    unanswered: u32,
    /// No answer is waited for beyond this.
    end: Option<Instant>,
}

/// A client that leaves so many asks in a row without an answer hangs.
const UNANSWERED_MAX: u32 = 3;

impl Client {
    /// A client that has said that it is ready.
    pub fn new(process: Process, line: String, answer_ms: u64, end: Option<Instant>) -> Self {
        Client { process, asked: 0, line, answer_ms, unanswered: 0, end }
    }

    /// Asks one thing. `Ok(None)` if no answer came in time.
    pub fn ask(
        &mut self,
        op: &str,
        execution: &str,
        program: Option<(&Program, bool)>,
    ) -> Result<Option<Answer>, String> {
        self.asked += 1;
        let (program, other_input) = program.map_or((None, false), |(program, other)| (Some(program), other));
        let ask = Ask { id: self.asked, op, execution, program, other_input };
        let line = serde_json::to_string(&ask).map_err(|error| error.to_string())?;
        let stdin = self.process.stdin.as_mut().ok_or("the client's input is closed")?;
        let wrote = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        if wrote.is_err() {
            let how = self.process.exited().unwrap_or_else(|| "it closed its input".to_owned());
            return Err(format!("{}: the client is gone ({how}): {}", self.line, said(&self.process.output)));
        }
        let within = stretched(self.answer_ms);
        let until = Instant::now() + within;
        let until = self.end.map_or(until, |end| until.min(end));
        loop {
            match self.process.output.next(until.saturating_duration_since(Instant::now())) {
                None if self.unanswered + 1 < UNANSWERED_MAX => {
                    self.unanswered += 1;
                    return Ok(None);
                }
                None => {
                    let said = said(&self.process.output);
                    let hangs = format!("{UNANSWERED_MAX} times in a row did not answer within {within:?}, now {op}");
                    return Err(format!("{}: the client {hangs}: {said}", self.line));
                }
                Some(crate::process::Line::Flood) => return Err(format!("{}: the client {}", self.line, flood())),
                Some(crate::process::Line::End) => {
                    let said = said(&self.process.output);
                    return Err(format!("{}: the client ended while it was asked {op}: {said}", self.line));
                }
                Some(crate::process::Line::Text(text)) if text.trim().is_empty() => {}
                Some(crate::process::Line::Text(text)) => {
                    let answer = Answer::parse(&text)
                        .map_err(|why| format!("{}: the client answered {op} with {why}", self.line))?;
                    // A late answer to an earlier ask.
                    if answer.id == self.asked {
                        self.unanswered = 0;
                        return Ok(Some(answer));
                    }
                }
            }
        }
    }

    /// Ends it.
    pub fn close(mut self) {
        self.process.stop(Duration::from_millis(50));
    }
}
