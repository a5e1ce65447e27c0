//! JSON lines of workers and clients: what a foreign process prints is understood, or refused in words that quote it.

use hydra_live::talk::{Answer, first_line};

use crate::Judged;

/// Judges both readers of lines.
pub fn judge(bytes: &[u8]) -> Judged {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        if let Err(why) = first_line(line, "1.0") {
            short("the first line", &why, line)?;
        }
        if let Err(why) = Answer::parse(line) {
            short("an answer", &why, line)?;
        }
    }
    Ok(())
}

/// A refusal quotes the beginning of the line and no more: a subject may print megabytes.
fn short(what: &str, why: &str, line: &str) -> Judged {
    const MOST: usize = 200 * 10 + 500;
    match why.len() {
        0 => Err(format!("{what} {line:?} is refused without a reason")),
        bytes if bytes > MOST => Err(format!("the refusal of {what} has {bytes} bytes: {why}")),
        _ => Ok(()),
    }
}
