//! The golden transcripts: commands, and below each, indented, what it prints.
//!
//! `HYDRA_BLESS=1 cargo test -p hydra-protocol transcripts` writes them anew. Commit a changed transcript only when its
//! diff is understood.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::coverage::Coverage;
use crate::script::Script;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(folder).expect("the folder of transcripts");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Runs a transcript's commands: its text, with whatever they print now.
fn play(text: &str, seen: &mut Coverage) -> String {
    let mut script = Script::default();
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        // A title begins a scene of its own, on an empty store.
        if line.starts_with("== ") {
            script = Script::default();
        }
        out += line;
        out.push('\n');
        if !(line.is_empty() || line.starts_with('#') || line.starts_with("== ")) {
            for printed in script.run(line, seen) {
                out += &format!("    {printed}\n");
            }
        }
    }
    out
}

#[test]
fn every_transcript_reads_as_before() {
    let mut changed = vec![];
    for file in files() {
        let text = fs::read_to_string(&file).expect("a transcript");
        let now = play(&text, &mut Coverage::default());
        if now == text {
            continue;
        }
        if env::var_os("HYDRA_BLESS").is_some() {
            fs::write(&file, &now).expect("a transcript that can be written");
            continue;
        }
        let at = text.lines().zip(now.lines()).position(|(was, is)| was != is);
        let at = at.unwrap_or(text.lines().count().min(now.lines().count()));
        let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_string();
        changed.push(format!("{}:{}\n  was {}\n  is  {}", file.display(), at + 1, line(&text), line(&now)));
    }
    assert!(changed.is_empty(), "{}\nHYDRA_BLESS=1 writes them anew", changed.join("\n"));
}

#[test]
fn the_transcripts_reach_every_variant() {
    let mut seen = Coverage::default();
    for file in files() {
        play(&fs::read_to_string(file).expect("a transcript"), &mut seen);
    }
    assert_eq!(seen.missing(), Vec::<&str>::new(), "no transcript reaches these");
}

#[test]
fn a_transcript_that_was_tampered_with_is_noticed() {
    let text = "== A planted error\nstart due=0 replays_max=3\n    already started\n";
    let now = play(text, &mut Coverage::default());
    assert!(now.contains("    started\n"), "{now}");
    assert_ne!(now, text);
}

#[test]
fn a_transition_without_transcript_is_noticed() {
    let mut seen = Coverage::default();
    play("== Only a start\nstart due=0 replays_max=3\n", &mut seen);
    assert!(seen.missing().contains(&"Reply::AlreadyStarted"));
    assert!(!seen.missing().contains(&"Reply::Started"));
}
