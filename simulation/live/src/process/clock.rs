//! A worker's wall clock that can be made to jump: a library loaded before the worker's own adds what a file says.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::launch::PRELOAD_LATER;

/// `preload/clock.rs`, compiled.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clock.so"));
/// Names the file to the library: two native 64-bit integers, the offset in nanoseconds, and 1 once somebody asked.
const VARIABLE: &str = "HYDRA_CLOCK";

/// The clocks of a run.
#[derive(Debug)]
pub struct Clocks {
    folder: PathBuf,
}

/// The clock of one process.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    name: PathBuf,
    file: File,
}

impl Clocks {
    /// They stand in `folder`, and go with it.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        let clocks = Clocks { folder: folder.to_owned() };
        std::fs::write(clocks.library(), LIBRARY)?;
        Ok(clocks)
    }

    fn library(&self) -> PathBuf {
        self.folder.join("clock.so")
    }

    /// The clock of the process of this name; right, and not looked at, if it is `new`.
    pub fn of(&self, process: &str, new: bool) -> std::io::Result<Clock> {
        let name = self.folder.join(format!("clock-{process}"));
        let file = OpenOptions::new().read(true).write(true).create(new).truncate(false).open(&name)?;
        if new {
            file.write_all_at(&[0; 16], 0)?;
        }
        Ok(Clock { library: self.library(), name, file })
    }
}

impl Clock {
    /// What makes a process go by it, whose other variables are these. Other libraries that are to be loaded first come
    /// behind it.
    pub fn environment(&self, env: &[(String, String)]) -> [(&'static str, String); 2] {
        let told = env.iter().rfind(|(name, _)| name == "LD_PRELOAD").map(|(_, libraries)| libraries.clone());
        let others = told.or_else(|| std::env::var("LD_PRELOAD").ok()).filter(|others| !others.is_empty());
        let library = self.library.display().to_string();
        [(PRELOAD_LATER, others.map_or(library.clone(), |others| format!("{library}:{others}"))), self.file()]
    }

    /// The library.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The variable that tells the library where the file is.
    pub fn file(&self) -> (&'static str, String) {
        (VARIABLE, self.name.display().to_string())
    }

    /// Makes it jump, so many milliseconds ahead of the right time or behind it.
    pub fn jump(&self, by_ms: i64) -> std::io::Result<()> {
        self.file.write_all_at(&by_ms.saturating_mul(1_000_000).to_ne_bytes(), 0)
    }

    /// Whether a process goes by it: a static program never asks a library for the time.
    pub fn is_looked_at(&self) -> bool {
        let mut looked = [0; 8];
        self.file.read_exact_at(&mut looked, 8).is_ok() && i64::from_ne_bytes(looked) != 0
    }
}
