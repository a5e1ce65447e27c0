//! A process's connection to a store that is elsewhere, with everything that may happen on the way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_engine::protocol::{Reply, Span, Time};
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, MemoryStore, Store, StoreError, StoreOptions, Transact,
    Transaction, Value,
};
use tokio::time::Instant;

use super::site::Site;
use super::wire::{Ask, Told, lost};
use crate::cluster::goal;
use crate::history::Gave;

/// A way to the store.
pub(super) struct Link {
    site: Site,
    timeout: Duration,
    /// The store's clock as last heard of, and when that was by the process's own.
    heard: Mutex<(Time, Instant)>,
    due_changed: Arc<Bell>,
    /// Gives out watches that see nothing: what others commit is not heard through this handle.
    deaf: MemoryStore,
}

impl Link {
    /// `now` is what the store's clock shows.
    pub fn new(site: Site, timeout_ms: u64, now: Time) -> Self {
        Link {
            site,
            timeout: Duration::from_millis(timeout_ms),
            heard: Mutex::new((now, Instant::now())),
            due_changed: Arc::default(),
            deaf: MemoryStore::with(StoreOptions::default()),
        }
    }

    fn hear(&self, now: Time) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
    }

    fn refused(&self) {
        let local_ms = self.site.local_ms();
        self.site.world(|world| world.refused(self.site.asker, local_ms));
    }

    async fn ask(&self, ask: Ask) -> Result<Told, StoreError> {
        let told = ask_through(&self.site, self.timeout, ask).await?;
        match &told {
            Told::Answer(answer) => {
                self.hear(answer.now);
                if answer.decision.is_err() {
                    self.refused();
                }
                // What this handle made claimable, it tells of.
                if let Ok(Reply::Started | Reply::Reopened | Reply::Released { .. }) = answer.decision {
                    self.due_changed.ring();
                }
            }
            Told::Claims(claims) => self.hear(claims.now),
            Told::Heartbeats(heartbeats) => {
                self.hear(heartbeats.now);
                if heartbeats.decisions.iter().any(Result::is_err) {
                    self.refused();
                }
            }
            _ => {}
        }
        Ok(told)
    }
}

async fn ask_through(site: &Site, timeout: Duration, ask: Ask) -> Result<Told, StoreError> {
    let (answer, patient) = site.send(ask);
    let answer = match patient {
        true => answer.await.ok(),
        false => match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(Err(lost("no answer in time"))),
        },
    };
    let answer = answer.unwrap_or_else(|| Err(lost("connection reset")));
    if answer.as_ref().is_err_and(StoreError::is_passing) {
        site.world(|world| world.tally.path(goal!("asked-again")));
    }
    answer
}

fn strange<T>() -> Result<T, StoreError> {
    Err(StoreError::Refused("the simulated store answered something else than it was asked".to_owned()))
}

impl Store for Link {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        async move {
            match self.ask(Ask::Command(request)).await? {
                Told::Answer(answer) => Ok(answer),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        async move {
            match self.ask(Ask::Claim(request)).await? {
                Told::Claims(claims) => Ok(claims),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        async move {
            match self.ask(Ask::Heartbeat(request)).await? {
                Told::Heartbeats(heartbeats) => Ok(heartbeats),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        async move {
            match self.ask(Ask::Transact(request)).await? {
                Told::Answer(answer) => Ok(Transact::Answered(answer)),
                Told::Opened(tx) => {
                    let (site, timeout) = (self.site.clone(), self.timeout);
                    let remote = Remote { site, timeout, tx, body: None, over: false };
                    Ok(Transact::Open(Box::new(remote)))
                }
                _ => strange(),
            }
        }
        .boxed()
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        let id = id.clone();
        async move {
            match self.ask(Ask::Execution(id)).await? {
                Told::Execution(view) => Ok(view),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        async move {
            match self.ask(Ask::History(key)).await? {
                Told::History(view) => Ok(view),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        async move {
            match self.ask(Ask::List(filter)).await? {
                Told::List(views) => Ok(views),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn due_changed(&self) -> Arc<Bell> {
        self.due_changed.clone()
    }

    fn ended(&self) -> Arc<Bell> {
        self.deaf.ended()
    }

    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.deaf.watch_ending(key)
    }

    /// What can be known of a clock that is elsewhere: what it last told, carried on by the process's own.
    fn now(&self) -> Time {
        let (time, at) = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        time + Span::from_millis(at.elapsed().as_millis() as u64)
    }
}

/// A body's transaction, open at the store.
struct Remote {
    site: Site,
    timeout: Duration,
    tx: u64,
    /// The body that runs in it, as long as it is here that it turns out how it was left.
    body: Option<u64>,
    over: bool,
}

impl Remote {
    /// It comes to no commit: how its body was left, unless it was told already.
    fn undone(&self) {
        let Some(body) = self.body else { return };
        let local_ms = self.site.local_ms();
        self.site.world(|world| {
            if world.is_live(self.site.asker) {
                let at_ms = world.processes[self.site.asker.process].clock.came_to(local_ms);
                world.left_in_transaction(at_ms, self.site.asker.process, body, Gave::Cancelled);
            }
        });
    }
}

impl Transaction for Remote {
    fn execute<'a>(&'a mut self, sql: &'a str, params: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move {
            if let [Value::Integer(body)] = params {
                self.body = Some(*body as u64);
            }
            let ask = Ask::Execute { tx: self.tx, sql: sql.to_owned(), params: params.to_vec() };
            match ask_through(&self.site, self.timeout, ask).await? {
                Told::Changed(rows) => Ok(rows),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Vec<Value>>, StoreError>> {
        async move {
            let ask = Ask::Query { tx: self.tx, sql: sql.to_owned(), params: params.to_vec() };
            match ask_through(&self.site, self.timeout, ask).await? {
                Told::Rows(rows) => Ok(rows),
                _ => strange(),
            }
        }
        .boxed()
    }

    fn commit(mut self: Box<Self>, value: Vec<u8>) -> BoxFuture<'static, Result<Answer, StoreError>> {
        async move {
            // From here on it turns out at the store how the body was left, whether this is waited for or not.
            self.body = None;
            let told = ask_through(&self.site, self.timeout, Ask::Commit { tx: self.tx, value }).await;
            self.over = told.is_ok();
            match told? {
                Told::Answer(answer) => Ok(answer),
                _ => strange(),
            }
        }
        .boxed()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if !self.over {
            self.undone();
            self.site.tell(Ask::Close { tx: self.tx });
        }
    }
}
