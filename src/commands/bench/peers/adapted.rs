//! An engine behind an adapter: its workers, its clients and its store as real processes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hydra_live::adapter::{Adapter, Store as Wants};
use hydra_live::process::{Line, Process, Program};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Peers;
use super::embedded::TIMES;
use super::figures::{Figures, percentile_ms};
use crate::commands::bench::place::Server;
use crate::commands::bench::usage;

/// Clients that start executions side by side.
const CLIENTS: usize = 4;
/// After so long without an end, a turn came to nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// Adapters under `adapters/` whose engine is installed, in the version that was installed last.
pub fn installed() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in std::fs::read_dir("adapters").context("run it where adapters/ is, or name the adapters")? {
        let folder = folder?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !folder.join("adapter.toml").is_file() || name == "hydra-as-audited" {
            continue;
        }
        let versions = std::fs::read_dir(folder.join(".installed")).into_iter().flatten().flatten();
        let newest = versions
            .filter(|version| version.path().join("installed").is_file())
            .max_by_key(|version| version.metadata().and_then(|about| about.modified()).ok());
        let is_ours = name == "hydra-engine" && ours("release").is_file();
        match newest {
            _ if is_ours => names.push(name),
            Some(version) if Adapter::find(&name)?.supports.steps_max >= 3 => {
                names.push(format!("{name}@{}", version.file_name().to_string_lossy()));
            }
            _ => {}
        }
    }
    names.sort();
    Ok(names)
}

fn ours(profile: &str) -> PathBuf {
    Path::new("target").join(profile).join("hydra-engine-adapter")
}

/// What a turn needs, gone with it: the store last.
struct Stage<'a> {
    adapter: &'a Adapter,
    env: Vec<(String, String)>,
    placeholders: Vec<(String, String)>,
    server: Option<Process>,
    database: Option<(&'a Server, String)>,
    folder: tempfile::TempDir,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.server.take();
        if let Some((Server::Own { postgres: server, .. }, database)) = &self.database {
            let _ = server.drop_database(database);
        }
    }
}

pub fn turn(peers: &Peers, adapter: &Adapter, server: Option<&Server>, turn: &str) -> anyhow::Result<Figures> {
    let stage = Stage::new(peers, adapter, server, turn)?;
    let mut workers = Vec::new();
    for number in 0..peers.processes {
        // One after the other: not every engine takes two that make its tables at once.
        let mut worker = stage.worker(number)?;
        ready(adapter, &mut worker)?;
        workers.push(worker);
    }
    let mut clients = (0..CLIENTS).map(|_| stage.client()).collect::<anyhow::Result<Vec<_>>>()?;
    let times = if adapter.name == "hydra-engine" { TIMES } else { 1 };
    let executions = peers.executions * times;

    // Held while the work is laid out, so that nothing but the work itself is timed.
    workers.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
    start(&mut clients, executions)?;
    let processes: Vec<i32> = workers.iter().map(Process::pid).chain(stage.server_pid()).collect();
    let now = || (Instant::now(), usage::cpu_s(&processes));
    let (begun, cpu) = now();
    workers.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
    let client = &mut clients[0];
    let await_end = |number| client.await_end(&format!("W{number}"), Duration::from_millis(5));
    let (ended, cpu_then) = last_end(executions, await_end, now)?;
    let (took, cpu) = ((ended - begun).as_secs_f64(), cpu_then - cpu);

    let mut latencies = Vec::new();
    for number in 1..=peers.alone {
        let id = format!("alone-{number}");
        let asked = Instant::now();
        client.start(&id)?;
        client.await_end(&id, Duration::from_micros(500))?;
        latencies.push(asked.elapsed().as_secs_f64());
    }
    let peak_mib = usage::peak_mib(&processes);
    clients.into_iter().for_each(|mut client| client.0.stop(Duration::from_millis(50)));
    workers.iter_mut().for_each(Process::kill);
    let steps = f64::from(executions * 3);
    Ok(Figures {
        steps_per_s: steps / took,
        p50_ms: percentile_ms(&mut latencies, 50),
        p99_ms: percentile_ms(&mut latencies, 99),
        cpu_s_per_1000_steps: cpu / steps * 1e3,
        peak_mib,
    })
}

/// Starts `W1`, `W2`, ... on all clients side by side.
fn start(clients: &mut [Client], executions: u32) -> anyhow::Result<()> {
    let share = executions.div_ceil(u32::try_from(clients.len())?).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .zip(0_u32..)
            .map(|(client, at)| {
                let numbers = at * share + 1..=(at * share + share).min(executions);
                scope.spawn(move || numbers.into_iter().try_for_each(|number| client.start(&format!("W{number}"))))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a client's thread died")))
    })
}

/// What `now` says when the last of the executions is seen to end. `await_end` says whether it had to wait; what had ended
/// when it was first asked for ended before, and to look at it, one question after the other, is no part of the work.
fn last_end<N>(
    executions: u32,
    mut await_end: impl FnMut(u32) -> anyhow::Result<bool>,
    now: impl Fn() -> N,
) -> anyhow::Result<N> {
    // The last one first: most of the time the others have ended by then.
    await_end(executions)?;
    let mut last = now();
    for number in (1..executions).rev() {
        if await_end(number)? {
            last = now();
        }
    }
    Ok(last)
}

impl<'a> Stage<'a> {
    fn new(peers: &Peers, adapter: &'a Adapter, server: Option<&'a Server>, turn: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut placeholders = vec![("data".to_owned(), folder.path().display().to_string())];
        let (mut database, mut own) = (None, None);
        let store = match (adapter.store, server) {
            (Wants::Sqlite, _) => folder.path().join("store.db").display().to_string(),
            (Wants::Postgres, Some(server @ Server::Own { postgres, .. })) => {
                let name = format!("peer_{turn}");
                postgres.create(&name)?;
                database = Some((server, name.clone()));
                postgres.url(&name, postgres.port())
            }
            (Wants::Postgres, _) => bail!("no PostgreSQL was started"),
            (Wants::Own, _) => {
                let port = hydra_live::store::free_port()?;
                placeholders.push(("port".to_owned(), port.to_string()));
                for name in ["port2", "port3", "port4"] {
                    placeholders.push((name.to_owned(), hydra_live::store::free_port()?.to_string()));
                }
                own = Some(server_of(adapter, &placeholders, folder.path(), port)?);
                format!("127.0.0.1:{port}")
            }
        };
        placeholders.push(("store".to_owned(), store.clone()));
        let mut env = adapter.env(&placeholders);
        let folder_text = folder.path().display().to_string();
        for (name, value) in [
            ("HYDRA_STORE", store),
            ("HYDRA_FOLDER", folder_text),
            ("HYDRA_VERSION", adapter.version.clone()),
            ("HYDRA_NO_DOOR", "1".to_owned()),
            ("HYDRA_DOOR", "http://127.0.0.1:9".to_owned()),
            ("HYDRA_CONCURRENCY", peers.concurrency.to_string()),
        ] {
            env.push((name.to_owned(), value));
        }
        let stage = Stage { adapter, env, placeholders, server: own, database, folder };
        stage.prepare()?;
        Ok(stage)
    }

    fn program(&self, command: Vec<String>, more: &[(&str, String)]) -> Program {
        let (debug, release) = ("/target/debug/", "/target/release/");
        let optimised = |word: String| if cfg!(debug_assertions) { word } else { word.replace(debug, release) };
        let mut env = self.env.clone();
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let command = command.into_iter().map(optimised).collect();
        Program { command, env, folder: self.folder.path().to_owned(), user: None }
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let Some(prepare) = &self.adapter.prepare else { return Ok(()) };
        let process = Process::start(&self.program(self.adapter.fill(prepare, &self.placeholders), &[]), None)?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match process.exited().as_deref() {
                Some("exit code 0") => return Ok(()),
                Some(how) => bail!("{}: {how}: {}", self.adapter.line("prepare"), process.output.complaint()),
                None if Instant::now() >= until => bail!("{}: it hangs", self.adapter.line("prepare")),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn worker(&self, number: u32) -> anyhow::Result<Process> {
        let name = format!("worker-{number}");
        let more = [("HYDRA_WORKER", name.clone()), ("HYDRA_IDENTITY", name)];
        let program = self.program(self.adapter.worker(&self.placeholders), &more);
        Process::start(&program, None).with_context(|| self.adapter.line("worker"))
    }

    fn client(&self) -> anyhow::Result<Client> {
        let program = self.program(self.adapter.client(&self.placeholders), &[]);
        let mut process = Process::start(&program, None).with_context(|| self.adapter.line("client"))?;
        ready(self.adapter, &mut process)?;
        Ok(Client(process))
    }

    /// The server that the store is: its CPU is the engine's.
    fn server_pid(&self) -> Option<i32> {
        match (&self.server, &self.database) {
            (Some(server), _) => Some(server.pid()),
            (None, Some((Server::Own { postgres: server, .. }, _))) => Some(server.pid()),
            _ => None,
        }
    }
}

fn server_of(
    adapter: &Adapter,
    placeholders: &[(String, String)],
    folder: &Path,
    port: u16,
) -> anyhow::Result<Process> {
    let server = adapter.server.as_ref().context("no server in the adapter")?;
    let command = adapter.fill(&server.command, placeholders);
    let program = Program { command, env: adapter.env(placeholders), folder: folder.to_owned(), user: None };
    let process =
        Process::start(&program, Some(&folder.join("server.log"))).with_context(|| adapter.line("command"))?;
    let until = Instant::now() + Duration::from_millis(server.ready_ms);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.exited().is_some() || Instant::now() >= until {
            bail!("the server did not come up: {}", process.output.complaint());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(process)
}

/// Waits for the first line of a worker or a client.
fn ready(adapter: &Adapter, process: &mut Process) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_millis(adapter.timing.ready_ms.max(60_000));
    loop {
        match process.output.next(until.saturating_duration_since(Instant::now())) {
            Some(Line::Text(line)) if line.trim().is_empty() => {}
            Some(Line::Text(line)) => {
                let said: Value = serde_json::from_str(&line).with_context(|| format!("its first line is {line:?}"))?;
                anyhow::ensure!(said["ready"] == true, "it is not ready: {line}");
                return Ok(());
            }
            _ => bail!("{} did not become ready: {}", adapter.subject(), process.output.complaint()),
        }
    }
}

/// A client of the adapter: one JSON line asked, one answered.
struct Client(Process);

impl Client {
    fn ask(&mut self, ask: &Value) -> anyhow::Result<Value> {
        let input = self.0.stdin.as_mut().context("the client's input is closed")?;
        writeln!(input, "{ask}")?;
        input.flush()?;
        match self.0.output.next(PATIENCE) {
            Some(Line::Text(line)) => {
                let answer: Value = serde_json::from_str(&line)?;
                match answer.get("error").or_else(|| answer.get("unknown")) {
                    Some(error) if !error.is_null() => bail!("the client answered {error}"),
                    _ => Ok(answer),
                }
            }
            _ => bail!("the client does not answer: {}", self.0.output.complaint()),
        }
    }

    fn start(&mut self, id: &str) -> anyhow::Result<()> {
        let step = |number: &str| json!({"step": {"id": number, "kind": "keyed", "attempts_max": 3, "caught": false}});
        let program = json!({"id": id, "body": [step("1"), step("2"), step("3")]});
        self.ask(&json!({"id": 1, "op": "start", "execution": id, "program": program, "other_input": false})).map(drop)
    }

    /// Looks until the execution has succeeded; answers whether it had not when it was first looked at.
    fn await_end(&mut self, id: &str, pause: Duration) -> anyhow::Result<bool> {
        let until = Instant::now() + PATIENCE;
        let mut waited = false;
        loop {
            let answer = self.ask(&json!({"id": 2, "op": "result", "execution": id}))?;
            match answer["status"].as_str() {
                Some("succeeded") => return Ok(waited),
                Some("failed" | "cancelled") => bail!("{id} did not succeed: {answer}"),
                _ if Instant::now() >= until => bail!("{id} does not end: {answer}"),
                _ => std::thread::sleep(pause),
            }
            waited = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn looking_at_what_has_ended_takes_no_time() {
        let clock = Cell::new(0);
        // Each question takes 1; the fifth execution ends at 10, the second at 20, the others long before.
        let took = |ends: [u32; 5]| {
            clock.set(0);
            let await_end = |number: u32| {
                clock.set(clock.get() + 1);
                let end = ends[number as usize - 1];
                let waits = end > clock.get();
                clock.set(clock.get().max(end));
                Ok(waits)
            };
            last_end(5, await_end, || clock.get()).unwrap()
        };
        assert_eq!(took([1, 1, 1, 1, 10]), 10);
        assert_eq!(took([1, 20, 1, 1, 10]), 20);
        assert_eq!(took([1, 1, 1, 1, 1]), 1);
        let fails = |number| if number == 2 { bail!("it hangs") } else { Ok(false) };
        assert!(last_end(5, fails, || ()).is_err());
    }
}
