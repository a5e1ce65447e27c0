//! `hydra audit`: promise by promise, what a simulated engine keeps and what it breaks.

mod chapters;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hydra_simulation::report::Overall;
use hydra_simulation::subjects;

/// Audits engines: by simulation under every fault, and where the model covers it, exhaustively.
///
/// With the name or folder of an adapter (`hydra audit adapters/unhinged --quick`), a real engine as real processes.
#[derive(clap::Args)]
pub struct Audit {
    /// Which: `reference`, `hydra-as-audited`, or a mutant of the museum. Without one: the first two.
    #[arg(value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// How long each is simulated, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Where the reports go.
    #[arg(long, default_value = "target/audits", value_name = "DIR")]
    out: PathBuf,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { subjects: Vec::new(), seconds: 10, out: PathBuf::from("target/audits") }
    }
}

impl Audit {
    /// Exit status: 0 if every subject is as it should be (the reference keeps everything, a known-wrong engine is found
    /// out), 1 if not; for a single subject, 1 if it breaks a promise.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let names = match self.subjects.is_empty() {
            true => vec!["hydra-as-audited".to_owned(), "reference".to_owned()],
            false => self.subjects.clone(),
        };
        let mut as_expected = true;
        let mut kept = true;
        for name in &names {
            let Some(subject) = subjects::find(name) else {
                let all: Vec<_> = subjects::all().iter().map(|entry| entry.name).collect();
                bail!(
                    "no subject is called {name:?}, and adapters/{name} has no adapter.toml; simulated are {}",
                    all.join(", ")
                );
            };
            let report = run::audit(&subject, Duration::from_secs(self.seconds))?;
            print!("{}", chapters::terminal(&report));
            as_expected &= (report.overall() == Overall::Kept) == subject.defect.is_none();
            kept &= report.overall() == Overall::Kept;
            let folder = self.out.join(name);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            for (file, text) in [
                ("report.html", report.to_html()),
                ("report.md", report.to_markdown()),
                ("report.json", report.to_json()),
                ("junit.xml", report.to_junit()),
            ] {
                std::fs::write(folder.join(file), text)
                    .with_context(|| format!("cannot write into {}", folder.display()))?;
            }
            println!("Written: {}/report.html, .md, .json, junit.xml\n", folder.display());
        }
        let good = if names.len() == 1 { kept } else { as_expected };
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
