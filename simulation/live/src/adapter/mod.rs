//! Adapters: one folder for each foreign engine, with what it promises and how it is driven.

pub mod check;
pub mod install;
pub mod new;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hydra_simulation::oracle::{Contract, Promise, Settings};
use hydra_simulation::workload::StepKind;
use serde::Deserialize;

/// `adapter.toml`, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    /// The first is the default.
    versions: Vec<String>,
    about: String,
    #[serde(default)]
    install: Vec<Vec<String>>,
    worker: Vec<String>,
    client: Vec<String>,
    store: Store,
    #[serde(default)]
    server: Option<Server>,
    #[serde(default)]
    prepare: Option<Vec<String>>,
    takeover: Takeover,
    #[serde(default)]
    env: BTreeMap<String, String>,
    supports: Supports,
    #[serde(default)]
    timing: Timing,
    #[serde(default)]
    settings: Settings,
    #[serde(default, rename = "promise")]
    promises: Vec<Promise>,
    #[serde(default, rename = "note")]
    notes: Vec<String>,
}

/// Which store the engine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// A file: `HYDRA_STORE` is its path.
    Sqlite,
    /// A database of its own on a PostgreSQL that the auditor starts: `HYDRA_STORE` is its URL.
    Postgres,
    /// The engine's own server, started by the adapter's `[server]`: `HYDRA_STORE` is its address.
    Own,
}

/// The engine's own server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The command; `{port}`, `{port2}` ... are free ports, `{data}` a folder.
    pub command: Vec<String>,
    /// How long it may take until its port answers, in milliseconds.
    #[serde(default = "server_ms")]
    pub ready_ms: u64,
}

fn server_ms() -> u64 {
    30_000
}

/// How work of a dead worker goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Takeover {
    /// Another worker takes it over by itself.
    Another,
    /// A process that is started under the same identity takes it up.
    Relaunch,
}

/// What the engine can do, and so what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supports {
    /// The kinds of its steps.
    pub kinds: Vec<StepKind>,
    /// Whether it sleeps durably.
    #[serde(default)]
    pub sleeps: bool,
    /// Whether steps run in parallel.
    #[serde(default)]
    pub parallel: bool,
    /// Whether it cancels.
    #[serde(default)]
    pub cancels: bool,
    /// Whether a start under an id in use, with another input, is said to be refused.
    #[serde(default)]
    pub conflicts: bool,
    /// Versions under which a start takes no id, so that starting twice is two executions by its own account.
    #[serde(default)]
    pub no_start_ids: Vec<String>,
    /// Whether a body may last longer than the lease without doing anything for it.
    #[serde(default = "yes")]
    pub long_bodies: bool,
    /// Whether its results can fail to encode.
    #[serde(default)]
    pub unencodable: bool,
    /// Whether the number of attempts can be set, so that a failing step can be given up.
    #[serde(default)]
    pub attempts: bool,
    /// How many steps the workload may have: 1 for a job queue.
    #[serde(default = "many")]
    pub steps_max: usize,
}

fn yes() -> bool {
    true
}

fn many() -> usize {
    usize::MAX
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// How long a worker may take until it says that it is ready.
    pub ready_ms: u64,
    /// How long an execution may take where no recovery time is declared.
    pub plain_ms: u64,
    /// How long the client may take to answer.
    pub answer_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { ready_ms: 30_000, plain_ms: 20_000, answer_ms: 10_000 }
    }
}

/// An adapter, at one version of its engine.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its folder.
    pub folder: PathBuf,
    /// The engine's name.
    pub name: String,
    /// The engine's version.
    pub version: String,
    /// The versions that it was made and tried with.
    pub versions: Vec<String>,
    /// A line about the engine and how it is driven.
    pub about: String,
    /// Which store it needs.
    pub store: Store,
    /// Its own server.
    pub server: Option<Server>,
    /// What is run once for each new store, before any worker.
    pub prepare: Option<Vec<String>>,
    /// How work goes on.
    pub takeover: Takeover,
    /// What it can do.
    pub supports: Supports,
    /// How long things take.
    pub timing: Timing,
    /// What it promises.
    pub contract: Contract,
    /// What a reader should know of how it is driven.
    pub notes: Vec<String>,
    install: Vec<Vec<String>>,
    worker: Vec<String>,
    client: Vec<String>,
    env: BTreeMap<String, String>,
}

/// Why an adapter cannot be used. Each says what is wrong, where, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// There is none.
    #[error("{0} is no adapter: it has no adapter.toml. `hydra adapter new {0} --language python` writes one")]
    None(String),
    /// It cannot be read.
    #[error("{file}: {error}")]
    Toml {
        /// The file.
        file: String,
        /// Where and why.
        error: String,
    },
    /// It says something that cannot be.
    #[error("{file}: {what}")]
    Wrong {
        /// The file, with the line where it is known.
        file: String,
        /// What, and what would be right.
        what: String,
    },
}

/// Any version may be asked for, such as one before its release. It becomes a folder's name and a word of a command.
fn is_version(version: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
    version.starts_with(|c: char| c.is_ascii_alphanumeric()) && version.chars().all(is_plain)
}

impl Adapter {
    /// Reads the adapter of `what`: a folder, or the name of one under `adapters/`; `@VERSION` names one of its versions.
    pub fn find(what: &str) -> Result<Self, AdapterError> {
        let (path, version) = match what.rsplit_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (what, None),
        };
        let path = path.trim_end_matches('/');
        let candidates = [PathBuf::from(path), Path::new("adapters").join(path)];
        let folder = candidates.into_iter().find(|folder| folder.join("adapter.toml").is_file());
        let folder = folder.ok_or_else(|| AdapterError::None(path.to_owned()))?;
        let folder = folder.canonicalize().unwrap_or(folder);
        let shown = Path::new(path).join("adapter.toml").display().to_string();
        let text = std::fs::read_to_string(folder.join("adapter.toml"))
            .map_err(|error| AdapterError::Toml { file: shown.clone(), error: error.to_string() })?;
        Self::parse(folder, &shown, &text, version)
    }

    /// Reads an adapter from the text of its `adapter.toml`, called `shown` in errors; in one of its versions, or in the
    /// first.
    pub fn parse(folder: PathBuf, shown: &str, text: &str, version: Option<&str>) -> Result<Self, AdapterError> {
        let file: File = toml::from_str(text)
            .map_err(|error| AdapterError::Toml { file: shown.to_owned(), error: error.to_string() })?;
        file.check(shown, text)?;
        let version = match version {
            None => file.versions[0].clone(),
            Some(version) if is_version(version) => version.to_owned(),
            Some(version) => {
                let what = format!("{version:?} is no version; those that were tried are {}", file.versions.join(", "));
                return Err(AdapterError::Wrong { file: at_line(shown, text, "versions"), what });
            }
        };
        let File {
            name,
            versions,
            about,
            install,
            worker,
            client,
            store,
            server,
            prepare,
            takeover,
            env,
            supports,
            timing,
            settings,
            promises,
            notes,
        } = file;
        let contract = Contract { promises, settings };
        Ok(Adapter {
            folder,
            name,
            version,
            versions,
            about,
            store,
            server,
            prepare,
            takeover,
            supports,
            timing,
            contract,
            notes,
            install,
            worker,
            client,
            env,
        })
    }

    /// Whether it was tried with this version, or only asked to take it.
    pub fn was_tried(&self) -> bool {
        self.versions.contains(&self.version)
    }

    /// `NAME VERSION`: the subject of histories and reports.
    pub fn subject(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The folder that its install step fills. Git ignores it.
    pub fn installed(&self) -> PathBuf {
        self.folder.join(".installed").join(&self.version)
    }

    /// The longest wait for an heir: what the engine's documentation says, and then some.
    pub fn pause_ms(&self) -> u64 {
        let settings = &self.contract.settings;
        settings.recovery_ms.unwrap_or(settings.lease_ms.saturating_mul(2)).saturating_add(settings.slack_ms)
    }

    /// A command with its placeholders filled.
    pub fn fill(&self, command: &[String], more: &[(String, String)]) -> Vec<String> {
        command.iter().map(|word| self.fill_word(word, more)).collect()
    }

    fn fill_word(&self, word: &str, more: &[(String, String)]) -> String {
        let repository = self.folder.ancestors().nth(2).unwrap_or(&self.folder);
        let own = [
            ("{adapter}", self.folder.display().to_string()),
            ("{installed}", self.installed().display().to_string()),
            ("{repository}", repository.display().to_string()),
            ("{version}", self.version.clone()),
        ];
        let word = own.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value));
        more.iter().fold(word, |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
    }

    /// The command of a worker.
    pub fn worker(&self, more: &[(String, String)]) -> Vec<String> {
        self.fill(&self.worker, more)
    }

    /// The command of a client.
    pub fn client(&self, more: &[(String, String)]) -> Vec<String> {
        self.fill(&self.client, more)
    }

    /// The environment of both: its knobs.
    pub fn env(&self, more: &[(String, String)]) -> Vec<(String, String)> {
        self.env.iter().map(|(name, value)| (name.clone(), self.fill_word(value, more))).collect()
    }

    /// The same as it is written, for a report.
    pub fn knobs(&self) -> impl Iterator<Item = (&str, &String)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The line of `adapter.toml` that holds a key, for errors: `adapter.toml:12`.
    pub fn line(&self, key: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join("adapter.toml")).unwrap_or_default();
        // As the reader knows the folder: no path of this machine.
        let mut parts = self.folder.iter().rev().map(|part| part.to_string_lossy());
        let (name, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let folder = if parent == "adapters" { format!("adapters/{name}") } else { name.into_owned() };
        at_line(&format!("{folder}/adapter.toml"), &text, key)
    }
}

fn at_line(file: &str, text: &str, key: &str) -> String {
    let holds = |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    match text.lines().position(holds) {
        Some(index) => format!("{file}:{}", index + 1),
        None => file.to_owned(),
    }
}

impl File {
    fn check(&self, shown: &str, text: &str) -> Result<(), AdapterError> {
        let wrong =
            |key: &str, what: &str| Err(AdapterError::Wrong { file: at_line(shown, text, key), what: what.to_owned() });
        if self.versions.is_empty() {
            return wrong("versions", "name at least one version of the engine: versions = [\"1.2.3\"]");
        }
        if self.worker.is_empty() {
            return wrong("worker", "give the command that starts a worker");
        }
        if self.client.is_empty() {
            return wrong("client", "give the command that starts a client");
        }
        if (self.store == Store::Own) != self.server.is_some() {
            return wrong("store", "store = \"own\" and [server] belong together");
        }
        if self.supports.kinds.is_empty() || self.supports.steps_max == 0 {
            return wrong("kinds", "name at least one kind of step, such as kinds = [\"keyed\"]");
        }
        let mut seen = std::collections::BTreeSet::new();
        for promise in &self.promises {
            if !seen.insert(promise.property) {
                return wrong("property", &format!("{} is promised twice", promise.property));
            }
            if promise.words.trim().is_empty() || promise.source.trim().is_empty() {
                let what = format!("the promise {} needs the engine's own words and the place", promise.property);
                return wrong("property", &what);
            }
        }
        Ok(())
    }
}
