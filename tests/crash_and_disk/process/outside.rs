//! What is outside of the engine's process: a receiver of effects, and clients who remember what they were told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

use hydra_engine::Attempt;
use serde::{Deserialize, Serialize};

/// What the outside gets to know, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// A client was told that its execution is started.
    Started { id: String },
    /// A body had its effect.
    Effect { id: String, step: String, attempt: u32, key: String },
    /// The workflow was told the outcome of a step, and went on from there.
    Saw { id: String, step: String, what: String },
    /// A client was told how its execution ended.
    Ended { id: String, output: String },
    /// A caller of the store was given an error.
    Trouble { doing: String, error: String, passing: bool },
}

/// The way there.
pub enum Outside {
    /// Another process.
    Line(Mutex<TcpStream>),
    /// This one.
    Here(Mutex<Vec<Note>>),
}

impl Outside {
    pub fn connect(port: u16) -> Self {
        let line = TcpStream::connect(("127.0.0.1", port)).unwrap();
        line.set_nodelay(true).unwrap();
        Outside::Line(Mutex::new(line))
    }

    pub fn here() -> Self {
        Outside::Here(Mutex::default())
    }

    /// Returns once the outside knows.
    pub fn tell(&self, note: Note) {
        match self {
            Outside::Here(notes) => notes.lock().unwrap_or_else(PoisonError::into_inner).push(note),
            Outside::Line(line) => {
                let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
                let mut text = serde_json::to_vec(&note).unwrap();
                text.push(b'\n');
                line.write_all(&text).unwrap();
                line.read_exact(&mut [0]).unwrap();
            }
        }
    }

    pub fn effect(&self, step: &str, attempt: &Attempt) {
        let (id, key) = (attempt.execution.id.clone(), attempt.idempotency_key.clone());
        self.tell(Note::Effect { id, step: step.to_owned(), attempt: attempt.number, key });
    }

    pub fn saw(&self, id: &str, step: &str, what: &impl Serialize) {
        let what = serde_json::to_string(what).unwrap();
        self.tell(Note::Saw { id: id.to_owned(), step: step.to_owned(), what });
    }

    /// What was told to the outside in this process.
    pub fn told(&self) -> Vec<Note> {
        match self {
            Outside::Here(notes) => notes.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Outside::Line(_) => Vec::new(),
        }
    }
}
