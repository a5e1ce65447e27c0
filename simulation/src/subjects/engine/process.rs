//! One life of one process: a runtime whose clock moves only when it is told to.

use std::sync::Arc;
use std::time::Duration;

use hydra_engine::protocol::{Protocol, Time};
use hydra_engine::store::Store;
use hydra_engine::{Client, Worker};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::clients::{self, Act};
use super::link::Link;
use super::plan::{COMMON, Plan, RARE};
use super::program::{Input, interpret};
use super::site::Site;
use super::wire::Asker;
use super::world::Shared;

/// See the module. Dropped, everything in it stops at once, as when a process is killed.
pub(super) struct Life {
    // Before the runtime, in whose context it has to be dropped.
    worker: Option<Worker>,
    client: Client,
    site: Site,
    runtime: Runtime,
}

impl Life {
    /// A process with nothing but a way to the store.
    fn begin(shared: &Shared, asker: Asker, plan: &Plan, store_shows: Time) -> (Self, Arc<dyn Store>) {
        let runtime = super::runtime();
        let out = Arc::new(Notify::new());
        let (site, store) = runtime.block_on(async {
            let site = Site { shared: shared.clone(), asker, origin: Instant::now(), out };
            let store: Arc<dyn Store> = Arc::new(Link::new(site.clone(), plan.config.timeout_ms, store_shows));
            (site, store)
        });
        (Life { worker: None, client: Client::new(store.clone()), site, runtime }, store)
    }

    /// The process of all clients.
    pub fn of_clients(shared: &Shared, asker: Asker, plan: &Plan, store_shows: Time) -> Self {
        Self::begin(shared, asker, plan, store_shows).0
    }

    /// A worker's process.
    pub fn of_worker(
        shared: &Shared,
        asker: Asker,
        plan: &Plan,
        rules: &'static (dyn Protocol + Sync),
        store_shows: Time,
    ) -> Self {
        let (mut life, store) = Self::begin(shared, asker, plan, store_shows);
        let config = &plan.config;
        let ms = Duration::from_millis;
        let workflow = |site: &Site| {
            let site = site.clone();
            move |context, input: Input| interpret(site.clone(), context, input)
        };
        let mut builder = Worker::builder(store)
            .rules(rules)
            .name(shared.lock().processes[asker.process].name.clone())
            .lease(ms(config.lease_ms))
            .poll_interval(ms(config.poll_ms))
            .hold(ms(config.hold_ms))
            .concurrency(config.capacity.max(1) as usize)
            .workflow(COMMON, workflow(&life.site));
        if config.ignorant != Some(asker.process as u32) {
            builder = builder.workflow(RARE, workflow(&life.site));
        }
        let _inside = life.runtime.enter();
        match builder.start() {
            Ok(worker) => life.worker = Some(worker),
            Err(error) => panic!("the engine refuses the run's settings: {error}"),
        }
        drop(_inside);
        life
    }

    /// Runs until the observer's clock shows `until_ms`, or until something comes out: then true.
    pub fn run_to(&mut self, shared: &Shared, until_ms: u64) -> bool {
        let process = self.site.asker.process;
        let target = shared.lock().processes[process].clock.target(until_ms);
        let target = self.site.origin + Duration::from_millis(target);
        let (out, site) = (self.site.out.clone(), self.site.clone());
        let (came_out, local_ms) = self.runtime.block_on(async move {
            let came_out = tokio::select! {
                biased;
                () = out.notified() => true,
                () = tokio::time::sleep_until(target) => false,
            };
            (came_out, site.local_ms())
        });
        let mut world = shared.lock();
        let clock = &mut world.processes[process].clock;
        clock.came_to(local_ms);
        if !came_out {
            clock.at_ms = clock.at_ms.max(until_ms);
        }
        came_out
    }

    /// Its clock goes to what it has to show at `now_ms` in one leap: nothing ran meanwhile.
    pub fn leap_to(&mut self, shared: &Shared, now_ms: u64) {
        let process = self.site.asker.process;
        let ahead = {
            let mut world = shared.lock();
            let clock = &mut world.processes[process].clock;
            let ahead = clock.target(now_ms) - clock.local_ms;
            clock.local_ms += ahead;
            clock.at_ms = clock.at_ms.max(now_ms);
            ahead
        };
        if ahead > 0 {
            self.runtime.block_on(tokio::time::advance(Duration::from_millis(ahead)));
        }
    }

    /// A client in it begins a call.
    pub fn perform(&self, act: Act, number: u64) {
        self.runtime.spawn(clients::perform(self.site.clone(), self.client.clone(), act, number));
    }

    /// The worker in it shuts down in good order.
    pub fn shut_down(&mut self, grace_ms: u64) {
        if let Some(worker) = self.worker.take() {
            let site = self.site.clone();
            self.runtime.spawn(async move {
                worker.shutdown(Duration::from_millis(grace_ms)).await;
                site.world(|world| world.stopped.push(site.asker));
                site.out.notify_one();
            });
        }
    }
}
