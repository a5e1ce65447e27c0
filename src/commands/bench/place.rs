//! Where the rows are kept while something is measured, and how it is cleared away.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use hydra_engine::store::{MemoryStore, PostgresStore, SqliteStore, Store};
use hydra_live::store::postgres::Postgres;
use serde::Serialize;

use super::usage;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    Sqlite,
    Postgres,
    Memory,
}

impl StoreKind {
    pub fn word(self) -> &'static str {
        match self {
            StoreKind::Sqlite => "sqlite",
            StoreKind::Postgres => "postgres",
            StoreKind::Memory => "memory",
        }
    }
}

/// Where PostgreSQL's databases are made: on a server of its own, or on the one that was named.
pub enum Server {
    Own { postgres: Box<Postgres>, _folder: tempfile::TempDir },
    Named(String),
}

impl Server {
    /// The server at this URL, or one from the installed binaries in a folder of its own.
    pub fn start(url: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Ok(Server::Named(url.to_owned()));
        }
        let folder = tempfile::tempdir()?;
        // The server runs as another user where this is root, and has to get into its folder.
        #[cfg(unix)]
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Server::Own { postgres: Box::new(Postgres::start(folder.path())?), _folder: folder })
    }

    /// CPU that the server has used so far, in seconds; none if it is somebody else's.
    pub fn cpu_s(&self) -> Option<f64> {
        match self {
            Server::Own { postgres: server, .. } => Some(usage::cpu_s(&[server.pid()])),
            Server::Named(_) => None,
        }
    }
}

/// One empty store.
pub enum Place {
    Memory,
    Sqlite { path: PathBuf, _folder: tempfile::TempDir },
    Postgres(String),
}

impl Place {
    /// An empty one. On a server that was named, the engine's rows of the case before are thrown away.
    pub fn new(kind: StoreKind, server: Option<&Server>, name: &str) -> anyhow::Result<Self> {
        Ok(match (kind, server) {
            (StoreKind::Memory, _) => Place::Memory,
            (StoreKind::Sqlite, _) => {
                let folder = tempfile::tempdir()?;
                Place::Sqlite { path: folder.path().join("bench.sqlite"), _folder: folder }
            }
            (StoreKind::Postgres, Some(Server::Own { postgres: server, .. })) => {
                let name = format!("bench_{name}");
                server.create(&name)?;
                Place::Postgres(server.url(&name, server.port()))
            }
            (StoreKind::Postgres, Some(Server::Named(url))) => {
                drop(PostgresStore::open(url.clone())?);
                psql(url, "TRUNCATE hydra.executions CASCADE").context("the named database cannot be emptied")?;
                Place::Postgres(url.clone())
            }
            (StoreKind::Postgres, None) => anyhow::bail!("no PostgreSQL server"),
        })
    }

    /// How a worker process is told of it.
    pub fn text(&self) -> Option<String> {
        match self {
            Place::Memory => None,
            Place::Sqlite { path, .. } => Some(path.display().to_string()),
            Place::Postgres(url) => Some(url.clone()),
        }
    }

    pub fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        match self.text() {
            None => Ok(Arc::new(MemoryStore::new())),
            Some(text) => open(&text),
        }
    }
}

/// A store by its path or its URL.
pub fn open(text: &str) -> anyhow::Result<Arc<dyn Store>> {
    let is_url = text.contains("://") || text.contains("host=");
    Ok(if is_url { Arc::new(PostgresStore::open(text)?) } else { Arc::new(SqliteStore::open(text)?) })
}

/// Runs SQL as nobody of the engine's would.
pub fn psql(url: &str, sql: &str) -> anyhow::Result<()> {
    let output = std::process::Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .output()
        .context("psql cannot be started")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
