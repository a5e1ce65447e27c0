//! A PostgreSQL of the auditor's own, from the installed binaries, in a temporary folder, as an unprivileged user.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::unistd::{Uid, User};

use crate::process::{Process, Program};

/// A running server.
pub struct Postgres {
    process: Process,
    program: Program,
    log: PathBuf,
    bin: PathBuf,
    port: u16,
}

/// Where the binaries are: the newest version that is installed.
fn binaries() -> anyhow::Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&paths).find(|folder| folder.join("initdb").is_file());
    found.sort();
    found.pop().map(|(_, bin)| bin).or(on_path).context(
        "this engine needs PostgreSQL, and it is not installed; on Debian and Ubuntu: apt-get install postgresql",
    )
}

/// The server refuses to run as root: then it runs as `postgres` or `nobody`.
fn user() -> anyhow::Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    bail!("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

impl Postgres {
    /// Makes a cluster under `folder` and starts it. `port` on the loopback, by password-less trust.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let bin = binaries()?;
        let user = user()?;
        let home = folder.join("postgres");
        std::fs::create_dir_all(&home)?;
        if let Some(user) = &user {
            std::os::unix::fs::chown(&home, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let ids = user.as_ref().map(|user| (user.uid.as_raw(), user.gid.as_raw()));
        let data = home.join("data");
        let mut init = Process::start(
            &Program {
                command: words(&[
                    &bin.join("initdb").display().to_string(),
                    "-D",
                    &data.display().to_string(),
                    "-U",
                    "hydra",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--no-sync",
                ]),
                env: vec![("LC_ALL".to_owned(), "C.UTF-8".to_owned())],
                folder: home.clone(),
                user: ids,
            },
            None,
        )?;
        let how = ended(&init, Duration::from_secs(60));
        if how.as_deref() != Some("exit code 0") {
            bail!("initdb failed ({}): {}", how.as_deref().unwrap_or("it hangs"), init.output.complaint());
        }
        init.kill();
        let port = super::free_port()?;
        let settings = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", home.display().to_string()),
            ("max_connections", "400".to_owned()),
            ("shared_buffers", "64MB".to_owned()),
            // In its folder, which goes with it: killed, it would leave it in the machine's memory.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
        ];
        let mut command = words(&[&bin.join("postgres").display().to_string(), "-D", &data.display().to_string()]);
        for (name, value) in settings {
            command.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let program = Program { command, env: Vec::new(), folder: home, user: ids };
        let log = folder.join("postgres.log");
        let process = Process::start(&program, Some(&log))?;
        let server = Postgres { process, program, log, bin, port };
        server.await_up(Duration::from_secs(30))?;
        Ok(server)
    }

    fn await_up(&self, within: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        while self.sql("postgres", "select 1").is_err() {
            if Instant::now() >= until || self.process.exited().is_some() {
                bail!("PostgreSQL did not come up: {}", self.process.output.complaint());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills the server with SIGKILL and starts it again: what was committed comes back from its log.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            // Its children see that it is gone and end; until then they hold its memory, and it does not start.
            self.process = Process::start(&self.program, Some(&self.log))?;
            match self.await_up(until.saturating_duration_since(Instant::now())) {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() >= until => return Err(why),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a database; a copy of another one, if that is named.
    pub fn create(&self, name: &str) -> anyhow::Result<()> {
        self.sql("postgres", &format!("create database {name}")).map(drop)
    }

    /// Drops a database, whoever is connected.
    pub fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.sql("postgres", &format!("drop database if exists {name} with (force)")).map(drop)
    }

    /// The URL of a database behind `port` (the server's own, or a proxy's).
    pub fn url(&self, database: &str, port: u16) -> String {
        format!("postgresql://hydra@127.0.0.1:{port}/{database}")
    }

    /// Runs one statement.
    pub fn sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        // Before psql, which would wait: is anybody there at all?
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let output = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, &self.url(database, self.port)])
            .env("PGCONNECT_TIMEOUT", "10")
            .output()?;
        if !output.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn ended(process: &Process, within: Duration) -> Option<String> {
    let until = Instant::now() + within;
    loop {
        if let Some(how) = process.exited() {
            return Some(how);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
