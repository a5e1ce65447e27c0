//! Requests that reach the store long after their worker has given them up for lost.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use hydra_engine::protocol::{Command, Rejection, StepNo, Time};
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, Store, StoreError, Transact,
};
use hydra_engine::{BoxError, Context};

use crate::shop::{client, ms, store, worker};

/// A way to the store on which the first "fire" takes long: it arrives just before step 3 begins. Asked again meanwhile,
/// the store says that the timer is not due, as one does whose clock was set back.
struct Slow {
    store: Arc<dyn Store>,
    fire: Mutex<Fire>,
}

enum Fire {
    NotYet,
    UnderWay(CommandRequest),
    Arrived,
}

impl Slow {
    fn lost(&self, request: &CommandRequest) -> Option<Result<Answer, StoreError>> {
        if !matches!(request.command, Command::Fire { .. }) {
            return None;
        }
        let mut fire = self.fire.lock().unwrap();
        match *fire {
            Fire::NotYet => {
                *fire = Fire::UnderWay(request.clone());
                Some(Err(StoreError::Unknown("connection reset".to_owned())))
            }
            Fire::UnderWay(_) => {
                let now = self.store.now();
                let decision = Err(Rejection::NotDue { due_at: Time::from_millis(now.as_millis() + 60_000), now });
                Some(Ok(Answer { decision, value: None, error: None, key: None, now }))
            }
            Fire::Arrived => None,
        }
    }

    fn arrives(&self, request: &CommandRequest) -> Option<CommandRequest> {
        let begins_third = matches!(request.command, Command::Begin { .. })
            && request.step.as_ref().is_some_and(|step| step.no == StepNo(3));
        if !begins_third {
            return None;
        }
        match std::mem::replace(&mut *self.fire.lock().unwrap(), Fire::Arrived) {
            Fire::UnderWay(fire) => Some(fire),
            Fire::NotYet | Fire::Arrived => None,
        }
    }
}

impl Store for Slow {
    fn command(&self, request: CommandRequest) -> BoxFuture<'_, Result<Answer, StoreError>> {
        async move {
            if let Some(lost) = self.lost(&request) {
                return lost;
            }
            if let Some(fire) = self.arrives(&request) {
                self.store.command(fire).await?.decision.expect("due for long");
            }
            self.store.command(request).await
        }
        .boxed()
    }

    fn claim(&self, request: ClaimRequest) -> BoxFuture<'_, Result<Claims, StoreError>> {
        self.store.claim(request)
    }

    fn heartbeat(&self, request: HeartbeatRequest) -> BoxFuture<'_, Result<Heartbeats, StoreError>> {
        self.store.heartbeat(request)
    }

    fn transact(&self, request: CommandRequest) -> BoxFuture<'_, Result<Transact, StoreError>> {
        self.store.transact(request)
    }

    fn execution(&self, id: &ExecutionId) -> BoxFuture<'_, Result<Option<ExecutionView>, StoreError>> {
        self.store.execution(id)
    }

    fn history(&self, key: ExecutionKey) -> BoxFuture<'_, Result<HistoryView, StoreError>> {
        self.store.history(key)
    }

    fn list(&self, filter: ListFilter) -> BoxFuture<'_, Result<Vec<ExecutionView>, StoreError>> {
        self.store.list(filter)
    }

    fn due_changed(&self) -> Arc<Bell> {
        self.store.due_changed()
    }

    fn ended(&self) -> Arc<Bell> {
        self.store.ended()
    }

    fn watch_ending(&self, key: ExecutionKey) -> EndingWatch {
        self.store.watch_ending(key)
    }

    fn now(&self) -> Time {
        self.store.now()
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_lost_its_race_and_fires_behind_its_workers_back_holds_nobody_up() {
    let store = store();
    let slow: Arc<dyn Store> = Arc::new(Slow { store: store.clone(), fire: Mutex::new(Fire::NotYet) });
    let race = |ctx: Context, (): ()| async move {
        let timeout = Box::pin(ctx.sleep(ms(100)));
        let pay = Box::pin(ctx.step("pay").run(|_| async {
            tokio::time::sleep(ms(5_000)).await;
            Ok(())
        }));
        let paid = matches!(select(timeout, pay).await, Either::Right(_));
        ctx.step("ship").run(|_| async { Ok(()) }).await?;
        Ok::<_, BoxError>(paid)
    };
    let _worker = worker(&slow).workflow("race", race).start().unwrap();
    let client = client(&store);
    client.start("race", "r", &()).await.unwrap();
    let paid = tokio::time::timeout(ms(60_000), client.result::<bool>("r")).await;
    assert!(paid.expect("it stands still: the timer's place in the order stays empty").unwrap());
    let history = client.history("r").await.unwrap();
    assert_eq!(history.steps.len(), 3);
    // Else this shows nothing: the timer has fired between the two.
    assert!(history.steps.iter().all(|step| step.step.row.settled().is_some()), "{:?}", history.steps);
}
