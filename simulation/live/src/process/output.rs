//! What a process prints, read so that it can neither block nor fill the memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// The longest line that is read, in bytes.
const LINE_MAX_BYTES: u64 = 1 << 20;
/// What a process may print to its standard output in all; a subject that prints more floods it.
pub const FLOOD_MAX_BYTES: usize = 16 << 20;
/// What a line counts at the least, in bytes: empty ones flood too.
const LINE_COUNTS_BYTES: usize = 128;
/// How much of the end of its standard error is kept, in bytes.
const TAIL_MAX_BYTES: usize = 16 << 10;

/// What a process prints.
pub struct Output {
    lines: Mutex<mpsc::Receiver<Line>>,
    tail: Arc<Mutex<Vec<u8>>>,
}

/// One thing read from standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Text(String),
    /// It prints too much, or lines too long.
    Flood,
    /// It closed its output.
    End,
}

impl Output {
    pub(super) fn read(
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
        keep: Option<&Path>,
    ) -> std::io::Result<Self> {
        let (send, lines) = mpsc::channel();
        let tail = Arc::new(Mutex::new(Vec::new()));
        let mut file = keep.map(std::fs::File::create).transpose()?;
        if let Some(stdout) = stdout {
            std::thread::Builder::new().name("stdout".to_owned()).spawn(move || read_lines(stdout, &send))?;
        }
        if let Some(mut stderr) = stderr {
            let tail = tail.clone();
            std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
                let mut buffer = [0; 8192];
                let mut kept = 0;
                while let Ok(bytes) = stderr.read(&mut buffer) {
                    if bytes == 0 {
                        break;
                    }
                    if let Some(file) = file.as_mut().filter(|_| kept < FLOOD_MAX_BYTES) {
                        kept += bytes;
                        drop(file.write_all(&buffer[..bytes]));
                    }
                    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                    tail.extend_from_slice(&buffer[..bytes]);
                    let over = tail.len().saturating_sub(TAIL_MAX_BYTES);
                    tail.drain(..over);
                }
            })?;
        }
        Ok(Output { lines: Mutex::new(lines), tail })
    }

    /// The next thing from its standard output, or nothing within this time.
    pub fn next(&self, at_most: Duration) -> Option<Line> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.recv_timeout(at_most) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Line::End),
        }
    }

    /// The last lines of its standard error.
    pub fn complaint(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

fn read_lines(stdout: ChildStdout, send: &mpsc::Sender<Line>) {
    let mut reader = BufReader::new(stdout);
    let mut total = 0;
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line) {
            Err(_) | Ok(0) => break,
            Ok(bytes) => total += bytes.max(LINE_COUNTS_BYTES),
        }
        let too_long = line.len() as u64 == LINE_MAX_BYTES;
        if too_long || total > FLOOD_MAX_BYTES {
            drop(send.send(Line::Flood));
            // Read on without keeping, so that the process is not blocked by its own flood before it is ended.
            drop(std::io::copy(&mut reader, &mut std::io::sink()));
            break;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if send.send(Line::Text(text)).is_err() {
            drop(std::io::copy(&mut reader, &mut std::io::sink()));
            break;
        }
    }
    drop(send.send(Line::End));
}
