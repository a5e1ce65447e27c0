//! The parts that audit other people's engines know nothing of ours.

use std::fs;
use std::path::{Path, PathBuf};

const PARTS: [&str; 5] = ["workload", "history", "oracle", "shrink", "report"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// What in `text` ties it to our engine.
fn ties(text: &str) -> Option<&'static str> {
    ["hydra_protocol", "hydra_model", "hydra_engine", "crate::subject", "crate::cluster", "crate::nemesis"]
        .into_iter()
        .find(|tie| text.contains(tie))
}

#[test]
fn no_part_names_the_engine_the_model_or_the_simulator() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for part in PARTS {
        sources(&root.join(part), &mut files);
    }
    assert!(files.len() > 30, "only {} files were found under {}", files.len(), root.display());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(ties(&text), None, "{}", file.display());
        assert!(text.lines().count() <= 400, "{} has more than 400 lines", file.display());
    }
    assert_eq!(ties("use hydra_protocol::Lease;"), Some("hydra_protocol"), "the check itself must be able to fail");
}
