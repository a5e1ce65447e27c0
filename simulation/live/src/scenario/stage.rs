//! What a run needs: the subject, a store of its own, ports, a folder; and how its processes are started.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hydra_schedule::Name;

use super::{Fault, Scenario};
use crate::adapter::{Adapter, Store, Takeover};
use crate::process::clock::{Clock, Clocks};
use crate::process::{Process, Program};
use crate::store::postgres::Postgres;
use crate::store::proxy::{Ears, Proxy, Weather};
use crate::strain::stretched;
use crate::talk::{self, Client, Expected};

/// How many workers have a network of their own to break.
const NETWORKS: usize = 2;

/// What all runs of an audit share.
pub struct World {
    /// The subject.
    pub adapter: Adapter,
    /// Where doors and proxies run.
    pub runtime: tokio::runtime::Runtime,
    /// The database server, if the subject needs one.
    pub postgres: Option<Postgres>,
    /// The audit's folder.
    pub folder: PathBuf,
    /// Set when the audit is to end.
    pub stop: AtomicBool,
    /// When it ends, whatever is under way: nothing waits beyond it.
    pub until: Option<Instant>,
    /// Runs so far: each has a number of its own.
    pub runs: AtomicU32,
}

impl World {
    /// Starts what all runs share.
    pub fn new(adapter: Adapter, folder: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let postgres = match adapter.store {
            Store::Postgres => Some(Postgres::start(folder)?),
            Store::Sqlite | Store::Own => None,
        };
        let (stop, runs) = (AtomicBool::new(false), AtomicU32::new(0));
        Ok(World { adapter, runtime, postgres, folder: folder.to_owned(), stop, until: None, runs })
    }

    /// Whether the audit is to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// A wait, stretched by the load of the machine, but not beyond the end.
    fn at_most(&self, ms: u64) -> Duration {
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        stretched(ms).min(left)
    }
}

/// What one run has for itself. Dropped, nothing of it is left.
pub struct Stage<'a> {
    /// What it shares.
    pub world: &'a World,
    folder: PathBuf,
    /// Where the store is: for `HYDRA_STORE`.
    store: String,
    /// The same for workers A and B, each through a network of its own, if it goes over one.
    networks: Vec<(Proxy, String)>,
    database: Option<String>,
    /// A PostgreSQL of its own, where it is to be killed.
    postgres: Option<Postgres>,
    server: Option<(Process, Program, u16)>,
    /// If they are to jump in this run.
    clocks: Option<Clocks>,
    placeholders: Vec<(String, String)>,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.server.take();
        if let (Some(postgres), Some(database)) = (&self.world.postgres, &self.database) {
            drop(postgres.drop_database(database));
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl<'a> Stage<'a> {
    /// Makes the store of a run; one that no other run shares, if it is to be killed.
    pub fn new(world: &'a World, scenario: &Scenario) -> anyhow::Result<Self> {
        let struck = |is: fn(Fault) -> bool| scenario.strikes.iter().any(|strike| is(strike.fault));
        let alone = struck(|fault| fault == Fault::StoreRestart);
        let number = world.runs.fetch_add(1, Ordering::Relaxed);
        let folder = world.folder.join(format!("run-{number}"));
        std::fs::create_dir_all(&folder)?;
        let clocks = struck(|fault| matches!(fault, Fault::Clock(_))).then(|| Clocks::new(&folder)).transpose()?;
        let mut stage = Stage {
            world,
            folder,
            store: String::new(),
            networks: Vec::new(),
            database: None,
            postgres: None,
            server: None,
            clocks,
            placeholders: Vec::new(),
        };
        match world.adapter.store {
            Store::Sqlite => {
                stage.store = stage.folder.join("store.db").display().to_string();
            }
            Store::Postgres => stage.database(number, alone)?,
            Store::Own => stage.server()?,
        }
        stage.placeholders.push(("data".to_owned(), stage.folder.display().to_string()));
        stage.placeholders.push(("store".to_owned(), stage.store.clone()));
        stage.prepare()?;
        Ok(stage)
    }

    fn database(&mut self, number: u32, alone: bool) -> anyhow::Result<()> {
        let shared = self.world.postgres.as_ref().context("no PostgreSQL was started")?;
        if alone {
            self.postgres = Some(Postgres::start(&self.folder)?);
        }
        let postgres = self.postgres.as_ref().unwrap_or(shared);
        let name = format!("run_{number}");
        postgres.create(&name)?;
        self.store = postgres.url(&name, postgres.port());
        for _ in 0..NETWORKS {
            let proxy = Proxy::start(self.world.runtime.handle(), postgres.port(), true)?;
            let url = postgres.url(&name, proxy.port());
            self.networks.push((proxy, url));
        }
        self.database = Some(name).filter(|_| !alone);
        Ok(())
    }

    fn server(&mut self) -> anyhow::Result<()> {
        let adapter = &self.world.adapter;
        let server = adapter.server.as_ref().context("no server in the adapter")?;
        let port = crate::store::free_port()?;
        let mut more =
            vec![("data".to_owned(), self.folder.display().to_string()), ("port".to_owned(), port.to_string())];
        for name in ["port2", "port3", "port4"] {
            more.push((name.to_owned(), crate::store::free_port()?.to_string()));
        }
        let program = Program {
            command: adapter.fill(&server.command, &more),
            env: adapter.env(&more),
            folder: self.folder.clone(),
            user: None,
        };
        let process = self.serve(&program, port)?;
        self.store = format!("127.0.0.1:{port}");
        for _ in 0..NETWORKS {
            let proxy = Proxy::start(self.world.runtime.handle(), port, false)?;
            let address = format!("127.0.0.1:{}", proxy.port());
            self.networks.push((proxy, address));
        }
        self.server = Some((process, program, port));
        self.placeholders = more;
        Ok(())
    }

    /// Starts the engine's own server and waits until its port answers.
    fn serve(&self, program: &Program, port: u16) -> anyhow::Result<Process> {
        let adapter = &self.world.adapter;
        let ready_ms = adapter.server.as_ref().map_or(0, |server| server.ready_ms);
        let log = self.folder.join("server.log");
        let process = Process::start(program, Some(&log)).with_context(|| adapter.line("command"))?;
        let until = Instant::now() + self.world.at_most(ready_ms);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if process.exited().is_some() || Instant::now() >= until {
                bail!("{}: the server did not come up: {}", adapter.line("command"), process.output.complaint());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(process)
    }

    /// Kills the store's server and starts it again on what it left.
    pub fn restart_store(&mut self) -> anyhow::Result<()> {
        if let Some(postgres) = &mut self.postgres {
            return postgres.restart();
        }
        if let Some((mut process, program, port)) = self.server.take() {
            process.kill();
            let process = self.serve(&program, port)?;
            self.server = Some((process, program, port));
        }
        Ok(())
    }

    /// What changes the network of a worker.
    pub fn weather(&self, worker: usize) -> Option<tokio::sync::watch::Sender<Weather>> {
        self.networks.get(worker).map(|(proxy, _)| proxy.weather())
    }

    /// Whether a worker that starts now cannot reach the store.
    pub fn is_cut_off(&self, worker: usize) -> bool {
        self.weather(worker).is_some_and(|weather| !matches!(*weather.borrow(), Weather::Fine | Weather::Slow(_)))
    }

    /// Has the messages of a worker heard from now on.
    pub fn listen(&self, worker: usize, ears: Ears) {
        if let Some((proxy, _)) = self.networks.get(worker) {
            proxy.listen(ears);
        }
    }

    /// What the adapter runs for each new store: a migration.
    fn prepare(&self) -> anyhow::Result<()> {
        let adapter = &self.world.adapter;
        let Some(prepare) = &adapter.prepare else { return Ok(()) };
        let program = Program {
            command: adapter.fill(prepare, &self.placeholders),
            env: self.env(&self.store, &[]),
            folder: self.folder.clone(),
            user: None,
        };
        let process = Process::start(&program, None).with_context(|| adapter.line("prepare"))?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match process.exited().as_deref() {
                Some("exit code 0") => return Ok(()),
                Some(how) => bail!("{}: {how}: {}", adapter.line("prepare"), process.output.complaint()),
                None if Instant::now() >= until => bail!("{}: it hangs", adapter.line("prepare")),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn env(&self, store: &str, more: &[(&str, String)]) -> Vec<(String, String)> {
        let mut env = self.world.adapter.env(&self.placeholders);
        let own = [
            ("HYDRA_STORE", store.to_owned()),
            ("HYDRA_FOLDER", self.folder.display().to_string()),
            ("HYDRA_VERSION", self.world.adapter.version.clone()),
        ];
        let own = own.into_iter().chain(more.iter().cloned());
        env.extend(own.map(|(name, value)| (name.to_owned(), value)));
        env
    }

    /// The ports behind which the store is.
    pub fn store_ports(&self) -> Vec<u16> {
        let own = self.store.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        own.into_iter().chain(self.networks.iter().map(|(proxy, _)| proxy.port())).collect()
    }

    /// The clock of a worker that is up, if it can be made to jump.
    pub fn clock(&self, name: &Name) -> Option<Clock> {
        self.clocks.as_ref()?.of(&name.to_string(), false).ok()
    }

    /// Starts a worker, which says later that it is ready.
    pub fn start_worker(&self, name: &Name, door: String) -> anyhow::Result<Process> {
        let adapter = &self.world.adapter;
        let through = self.networks.iter().enumerate().find(|(index, _)| *name == Name::worker(*index));
        let store = through.map_or(&self.store, |(_, (_, store))| store);
        // An engine that takes up work under the same identity finds it in whichever process has that identity.
        let identity = match adapter.takeover {
            Takeover::Another => name.to_string(),
            Takeover::Relaunch => Name::worker(0).to_string(),
        };
        let more = [("HYDRA_WORKER", name.to_string()), ("HYDRA_IDENTITY", identity), ("HYDRA_DOOR", door)];
        let mut env = self.env(store, &more);
        if let Some(clocks) = &self.clocks {
            let own = clocks.of(&name.to_string(), true)?.environment(&env);
            env.extend(own.map(|(name, value)| (name.to_owned(), value)));
        }
        let program =
            Program { command: adapter.worker(&self.placeholders), env, folder: self.folder.clone(), user: None };
        Process::start(&program, None).with_context(|| adapter.line("worker"))
    }

    /// Waits until a worker is ready.
    pub fn await_worker(&self, name: &Name, process: &Process) -> Result<(), String> {
        let adapter = &self.world.adapter;
        let who = format!("worker {name}");
        let within = self.world.at_most(adapter.timing.ready_ms);
        talk::ready(process, &Expected { who: &who, line: adapter.line("worker"), version: &adapter.version, within })
    }

    /// Starts a client and waits until it is ready.
    pub fn client(&self) -> anyhow::Result<Client> {
        let adapter = &self.world.adapter;
        let program = Program {
            command: adapter.client(&self.placeholders),
            env: self.env(&self.store, &[]),
            folder: self.folder.clone(),
            user: None,
        };
        let line = adapter.line("client");
        let process = Process::start(&program, None).with_context(|| line.clone())?;
        let within = self.world.at_most(adapter.timing.ready_ms);
        let expected = Expected { who: "the client", line: line.clone(), version: &adapter.version, within };
        talk::ready(&process, &expected).map_err(anyhow::Error::msg)?;
        Ok(Client::new(process, line, adapter.timing.answer_ms, self.world.until))
    }
}
