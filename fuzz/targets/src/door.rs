//! The door: whatever is posted to it is a question or refused; the observer survives every question, and what it saw
//! reads back.

use arbitrary::Unstructured;
use hydra_live::door::question;
use hydra_live::observer::Observer;
use hydra_schedule::Name;
use hydra_simulation::history::History;
use hydra_simulation::workload::Workload;

use crate::Judged;

/// A program that questions may be about.
const PROGRAM: &str = r#"{"id":"W1","body":[{"step":{"id":"1","kind":"keyed"}},{"parallel":[
    {"id":"2a","kind":"transactional","ends":{"fails":{"times":2}}},{"id":"2b","kind":"at-most-once","ends":"unencodable"}]}]}"#;

/// Judges the reader of questions, and what the observer makes of them: one question a line.
pub fn judge(bytes: &[u8]) -> Judged {
    let mut bytes = Unstructured::new(bytes);
    let life = bytes.int_in_range(0..=2).unwrap_or(0);
    let worker = ["A", "B", "all", "../.."][bytes.choose_index(4).unwrap_or(0)];
    let text = String::from_utf8_lossy(bytes.take_rest()).into_owned();
    let workload = Workload::from_lines(&[PROGRAM.replace('\n', "")]).map_err(|error| error.to_string())?;
    let observer = Observer::new(workload);
    observer.worker_up(&Name::worker(0), 1);
    for line in text.lines() {
        match question(worker, life, line) {
            Err(why) if why.is_empty() => return Err(format!("{line:?} is refused without a reason")),
            Err(why) => observer.problem(why),
            Ok(ask) => {
                if let Ok(visit) = observer.enter(ask) {
                    visit.effect();
                    visit.leave();
                }
            }
        }
    }
    // What was told at the door stands in the history, which is kept as a file.
    let history = observer.end("fuzzed", vec![Name::worker(0)]);
    match History::read(history.to_text().as_bytes()) {
        Ok(back) if back == history => Ok(()),
        other => Err(format!("{history:#?}\nreads back as {other:#?}")),
    }
}
