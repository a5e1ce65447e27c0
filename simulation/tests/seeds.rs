//! Past failures: every schedule under `tests/seeds/` still shows on its own subject what it says, and nothing on the
//! reference.

use std::path::{Path, PathBuf};

use hydra_simulation::campaign::{ReplayError, read, replay};

fn seeds() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/seeds");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "schedule"))
        .collect();
    files.sort();
    files
}

#[test]
fn past_failures_are_replayed() {
    let files = seeds();
    assert!(!files.is_empty());
    for file in files {
        let name = file.display();
        let schedule = read(&file).unwrap_or_else(|error| panic!("{error}"));
        match replay(schedule.clone(), Some("reference")) {
            Ok(right) => {
                assert!(right.same_again, "{name}");
                // In a script leases end when it says so, under workers that are well: other rules than the one that
                // it is about may fall by that.
                let scripted = schedule.setting("model").is_some();
                let fell = right.findings.iter().find(|finding| !scripted || Some(finding.property) == right.breaks);
                assert!(fell.is_none(), "{name}: the reference: {fell:?}");
            }
            // Right rules refuse what the script says next, and so never come to its end.
            Err(ReplayError::Script(_)) => {}
            Err(error) => panic!("{name}: {error}"),
        }
        let own = replay(schedule, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(own.same_again, "{name}");
        match own.breaks {
            Some(property) => assert!(
                own.findings.iter().any(|finding| finding.property == property),
                "{name}: {property} no longer falls"
            ),
            None => assert!(own.findings.is_empty(), "{name}: {:?}", own.findings),
        }
    }
}
