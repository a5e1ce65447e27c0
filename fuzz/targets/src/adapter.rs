//! `adapter.toml`: whatever it says, it is read or refused with its place; and what is read can be used.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hydra_live::adapter::{Adapter, AdapterError};

use crate::Judged;

const SHOWN: &str = "adapters/fuzzed/adapter.toml";

/// Judges the reader.
pub fn judge(bytes: &[u8]) -> Judged {
    let text = String::from_utf8_lossy(bytes);
    match read(&text) {
        Err(error) => refused(&error),
        Ok(adapter) => usable(&adapter),
    }
}

fn read(text: &str) -> Result<Adapter, AdapterError> {
    Adapter::parse(PathBuf::from("/adapters/fuzzed"), SHOWN, text, None)
}

/// An error names the file.
fn refused(error: &AdapterError) -> Judged {
    let said = error.to_string();
    if said.contains(SHOWN) { Ok(()) } else { Err(format!("an error that does not say where: {said}")) }
}

/// What an audit asks of every adapter, before anything runs.
pub fn usable(adapter: &Adapter) -> Judged {
    let wrong = |what: &str| Err(format!("{what}: {adapter:#?}"));
    let more = [("port".to_owned(), "1".to_owned())];
    if adapter.worker(&more).is_empty() || adapter.client(&more).is_empty() {
        return wrong("no command");
    }
    if !adapter.versions.contains(&adapter.version)
        || adapter.subject() != format!("{} {}", adapter.name, adapter.version)
    {
        return wrong("not one of its versions");
    }
    let promised: BTreeSet<_> = adapter.contract.promises.iter().map(|promise| promise.property).collect();
    if promised.len() != adapter.contract.promises.len() {
        return wrong("one property promised twice");
    }
    // Numbers of any size: a wait that overflows would be none.
    let settings = &adapter.contract.settings;
    if adapter.pause_ms() < settings.slack_ms {
        return wrong("waits less than its slack");
    }
    let _ = (adapter.env(&more), adapter.knobs().count(), adapter.installed());
    Ok(())
}
