//! Around an engine's process: the outside that it talks to, and the tracer that breaks it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hydra_live::placed::{Act, NextTrigger};
use hydra_live::process::seen::{Moment, Seen};
use hydra_live::process::trace::Trace;
use hydra_live::process::{Process, Program};
use tempfile::TempDir;

use crate::process::outside::Note;
use crate::process::{PLAN, Plan};

/// No process takes nearly so long; one that does hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Whether every promise was kept, and if not, what was seen.
pub type Verdict = Result<(), String>;

/// Where processes are told of, for as long as the run takes.
#[derive(Clone)]
struct Line {
    port: u16,
    notes: Arc<Mutex<Vec<Note>>>,
    closed: Arc<AtomicBool>,
}

impl Line {
    fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Line { port, notes: Arc::default(), closed: Arc::default() };
        let heard = line.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if heard.closed.load(Ordering::SeqCst) {
                    return;
                }
                let heard = heard.clone();
                std::thread::spawn(move || heard.listen(&stream));
            }
        });
        line
    }

    /// Until the process is gone.
    fn listen(&self, stream: &TcpStream) -> Option<()> {
        let (mut lines, mut answers) = (BufReader::new(stream), stream);
        let mut text = String::new();
        while lines.read_line(&mut text).ok()? > 0 {
            // Killed in the middle of a line, it has told nothing.
            self.notes.lock().unwrap().push(serde_json::from_str(&text).ok()?);
            answers.write_all(b"k").ok()?;
            text.clear();
        }
        Some(())
    }

    /// Lets its thread end.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // It looks when somebody comes.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// A run: a store's file, what the outside was told, and the processes that work on it.
pub struct Stage {
    pub plan: Plan,
    line: Line,
    _folder: TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.line.close();
    }
}

impl Stage {
    pub fn new(ids: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let line = Line::open();
        let plan = Plan { outside: line.port, ..Plan::new(folder.path().join("store.sqlite"), ids) };
        Stage { plan, line, _folder: folder }
    }

    pub fn file(&self) -> PathBuf {
        self.plan.file.clone()
    }

    /// What the outside knows by now.
    pub fn notes(&self) -> Vec<Note> {
        self.line.notes.lock().unwrap().clone()
    }

    /// Starts an engine's process. It stands before its first call until [`Running::go`].
    pub fn start(&self) -> Running {
        let program = Program {
            command: vec![std::env::current_exe().unwrap().display().to_string()],
            env: vec![(PLAN.to_owned(), serde_json::to_string(&self.plan).unwrap())],
            folder: self.file().parent().unwrap().to_owned(),
            user: None,
        };
        Running(Process::start(&program, None).unwrap())
    }

    /// Runs a process to its end under a watch; how it ended.
    pub fn run(&self, watch: impl FnMut(&Seen) -> Option<Act> + Send + 'static) -> Result<String, String> {
        let mut running = self.start();
        let trace = Trace {
            anchor: Box::new(String::new),
            door: 0,
            store: Vec::new(),
            postgres: false,
            trigger: NextTrigger::default(),
            counts: Arc::default(),
            watch: Some(Box::new(watch)),
        };
        running.0.trace(trace)?;
        running.go();
        running.end()
    }

    /// Runs a process to its end. To be called when another's lease may still stand: by its clock, that is over.
    pub fn recover(&mut self) -> Verdict {
        self.plan.ahead_ms += 10 * self.plan.lease_ms;
        let mut running = self.start();
        running.go();
        match running.end()?.as_str() {
            "exit code 0" => Ok(()),
            end => Err(format!("the process that recovers ended with {end}")),
        }
    }
}

/// A process.
pub struct Running(pub Process);

impl Running {
    pub fn go(&mut self) {
        // An error: it was killed already.
        let _ = self.0.stdin.as_mut().unwrap().write_all(b"go\n");
    }

    /// Waits for its end.
    pub fn end(&mut self) -> Result<String, String> {
        let patience = Instant::now() + HANGS;
        loop {
            match self.0.exited() {
                Some(how) => return Ok(how),
                None if Instant::now() > patience => return Err("it does not come to its end".to_owned()),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// Whether a process that dies here, or is refused here, has got further than one that does not: it changes a file,
/// or tells somebody something.
pub fn is_boundary(seen: &Seen) -> bool {
    seen.moment == Moment::Before
        && match seen.target {
            "net" => matches!(seen.call, "write" | "sendto" | "sendmsg" | "writev"),
            "path" => seen.path.contains("store.sqlite"),
            _ => !matches!(seen.call, "read" | "readv" | "pread64" | "connect" | "fcntl"),
        }
}

/// Whether the call reads the store's file or its log.
pub fn reads_the_store(seen: &Seen) -> bool {
    seen.moment == Moment::Before
        && matches!(seen.call, "read" | "readv" | "pread64")
        && matches!(seen.target, "db" | "wal")
        && seen.path.contains("store.sqlite")
}
