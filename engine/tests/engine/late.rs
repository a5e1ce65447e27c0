//! Requests that reach the store long after their worker has given them up for lost.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, join, join3, select, select_all};
use hydra_engine::protocol::{Command, Rejection, StepNo, Time};
use hydra_engine::store::{
    Answer, Bell, ClaimRequest, Claims, CommandRequest, EndingWatch, ExecutionId, ExecutionKey, ExecutionView,
    HeartbeatRequest, Heartbeats, HistoryView, ListFilter, Store, StoreError, Transact,
};
use hydra_engine::{BoxError, Context, RetryPolicy, StepFailure};

use crate::shop::{client, ms, store, worker};

/// A way to the store on which the first "fire" takes long: it arrives just before the step `fires_before` begins. Asked
/// again meanwhile, the store says that the timer is not due, as one does whose clock was set back.
struct Slow {
    store: Arc<dyn Store>,
    fire: Mutex<Fire>,
    fires_before: StepNo,
    /// The answer to what settles this step takes a second.
    settles_slowly: Option<StepNo>,
    /// What was asked about which step.
    asked: Mutex<Vec<(u32, &'static str)>>,
}

enum Fire {
    NotYet,
    UnderWay(CommandRequest),
    Arrived,
}

impl Slow {
    fn before(store: &Arc<dyn Store>, fires_before: StepNo, settles_slowly: Option<StepNo>) -> Arc<Self> {
        let (fire, asked) = (Mutex::new(Fire::NotYet), Mutex::default());
        Arc::new(Slow { store: store.clone(), fire, fires_before, settles_slowly, asked })
    }

    /// What was asked about a step, in order.
    fn asked(&self, step: u32) -> Vec<&'static str> {
        self.asked.lock().unwrap().iter().filter(|(no, _)| *no == step).map(|(_, what)| *what).collect()
    }

    fn note(&self, request: &CommandRequest) {
        let what = match request.command {
            Command::Begin { .. } => "begin",
            Command::Settle { .. } => "settle",
            Command::Sleep { .. } => "sleep",
            Command::Fire { .. } => "fire",
            _ => return,
        };
        let step = request.step.as_ref().map_or(0, |step| step.no.0);
        self.asked.lock().unwrap().push((step, what));
    }

    fn is_slow(&self, request: &CommandRequest) -> bool {
        let step = request.step.as_ref().map(|step| step.no);
        matches!(request.command, Command::Settle { .. }) && step.is_some() && step == self.settles_slowly
    }

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
        let begins_it = matches!(request.command, Command::Begin { .. })
            && request.step.as_ref().is_some_and(|step| step.no == self.fires_before);
        if !begins_it {
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
            self.note(&request);
            if let Some(lost) = self.lost(&request) {
                return lost;
            }
            if let Some(fire) = self.arrives(&request) {
                self.store.command(fire).await?.decision.expect("due for long");
            }
            let is_slow = self.is_slow(&request);
            let answer = self.store.command(request).await;
            if is_slow {
                tokio::time::sleep(ms(1_000)).await;
            }
            answer
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
    let slow: Arc<dyn Store> = Slow::before(&store, StepNo(3), None);
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

/// The outcome that nobody knows of is a timer's: what else waits is not asked for before its time.
#[tokio::test(start_paused = true)]
async fn when_an_outcome_is_missing_only_the_timer_that_lost_its_race_is_asked_for() {
    let store = store();
    let slow = Slow::before(&store, StepNo(4), None);
    let way: Arc<dyn Store> = slow.clone();
    let race = |ctx: Context, (): ()| async move {
        let timeout = ctx.sleep(ms(100)).map(|()| false).boxed();
        let pay = ctx.step("pay").run(|_| async {
            tokio::time::sleep(ms(5_000)).await;
            Ok(())
        });
        let policy = RetryPolicy::attempts(3).initial(ms(30_000)).jitter_percent(0);
        let flaky = ctx.step("flaky").retry(policy).run(|_| async { Err::<(), _>(StepFailure::retryable("not yet")) });
        let (paid, _, losers) = select_all([timeout, pay.map(|_| true).boxed(), flaky.map(|_| false).boxed()]).await;
        drop(losers);
        let ship = ctx.step("ship").run(|_| async { Ok(()) });
        join(ship, ctx.sleep(ms(20_000))).await.0?;
        Ok::<_, BoxError>(paid)
    };
    let _worker = worker(&way).workflow("race", race).start().unwrap();
    let client = client(&store);
    client.start("race", "r", &()).await.unwrap();
    let paid = tokio::time::timeout(ms(60_000), client.result::<bool>("r")).await;
    assert!(paid.expect("it stands still: the timer's place in the order stays empty").unwrap());
    assert_eq!(slow.asked(1), ["sleep", "fire", "fire", "fire"]);
    assert_eq!(slow.asked(3), ["begin", "settle"]);
    assert_eq!(slow.asked(5), ["sleep", "fire"]);
}

/// The earlier outcome is on its way.
#[tokio::test(start_paused = true)]
async fn while_an_answer_is_awaited_no_outcome_is_missing() {
    let store = store();
    let slow = Slow::before(&store, StepNo(0), Some(StepNo(3)));
    let way: Arc<dyn Store> = slow.clone();
    let race = |ctx: Context, (): ()| async move {
        let timeout = Box::pin(ctx.sleep(ms(60_000)));
        let pay = Box::pin(ctx.step("pay").run(|_| async {
            tokio::time::sleep(ms(100)).await;
            Ok(())
        }));
        let paid = matches!(select(timeout, pay).await, Either::Right(_));
        let step = |name| ctx.step(name).run(|_| async { Ok(()) });
        let (ship, bill, mail) = join3(step("ship"), step("bill"), step("mail")).await;
        ship.and(bill).and(mail)?;
        Ok::<_, BoxError>(paid)
    };
    let _worker = worker(&way).workflow("race", race).start().unwrap();
    let client = client(&store);
    client.start("race", "r", &()).await.unwrap();
    assert!(client.result::<bool>("r").await.unwrap());
    // Else this shows nothing: the outcomes of 4 and 5 were known before that of 3.
    let history = client.history("r").await.unwrap();
    assert_eq!(history.steps[2].step.row.settled().unwrap().0, 2);
    assert_eq!(slow.asked(1), ["sleep"]);
}
