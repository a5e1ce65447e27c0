//! What an application does with executions: start, await, look, cancel, mend.

mod error;
mod looks;
mod recent;
mod start;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use hydra_protocol::{Command, Ending, Outcome, Reply, Status, StepNo, Verdict};
use looks::Looks;
use recent::Recent;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use wait::Waited;

pub use error::{ClientError, ResultError};
pub use start::{Start, Started};

use crate::codec;
use crate::names;
use crate::store::{
    Answer, CommandRequest, Ended, ExecutionId, ExecutionView, HistoryView, ListFilter, Payload, PruneRequest, StepRef,
    Store, StoreError, Target,
};

/// Executions looked at in one transaction: commands of others wait for it, a few milliseconds.
const PRUNE_BATCH: usize = 500;
/// How often, and for how long, a client asks again whose answer was lost.
const ASK_AGAIN: Duration = Duration::from_millis(50);
const ASK_FOR: Duration = Duration::from_secs(10);

/// An application's handle on a store. Cheap to clone; needs no worker in this process.
#[derive(Clone)]
pub struct Client {
    store: Arc<dyn Store>,
    namespace: Arc<str>,
    recent: Arc<Recent>,
    looks: Arc<Looks>,
}

impl Client {
    /// A client of the namespace `default`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Client { store, namespace: crate::DEFAULT_NAMESPACE.into(), recent: Arc::default(), looks: Arc::default() }
    }

    /// A client of another namespace: executions there are others, even under the same id.
    pub fn namespace(mut self, namespace: &str) -> Result<Self, ClientError> {
        names::check(names::NAMESPACE, namespace)?;
        self.namespace = namespace.into();
        self.recent = Arc::default();
        Ok(self)
    }

    /// Starts an execution of a workflow, under an id of the caller's choice: see [`Start`].
    pub fn start<'a, I: Serialize>(&'a self, workflow: &'a str, id: &'a str, input: &'a I) -> Start<'a, I> {
        Start::new(self, workflow, id, input)
    }

    /// Waits until the execution has ended, and answers what its workflow returned.
    pub async fn result<T: DeserializeOwned>(&self, id: &str) -> Result<T, ResultError> {
        let Ended { ending, output, error } = match self.wait(id).await? {
            Waited::Told(ended) => ended,
            Waited::Read(ExecutionView { row, output, error, .. }) => match row.status {
                Status::Ended(ending) => Ended { ending, output, error },
                Status::Ready { .. } | Status::Leased { .. } => {
                    return Err(ResultError::Undecodable("it has not ended".into()));
                }
            },
        };
        match ending {
            Ending::Succeeded => codec::decode(&output.unwrap_or_default()).map_err(ResultError::Undecodable),
            Ending::Failed(failure) => Err(ResultError::Failed { failure, error: error.unwrap_or_default() }),
            Ending::Cancelled => Err(ResultError::Cancelled),
        }
    }

    /// Waits until the execution has ended, however it did.
    pub async fn ended(&self, id: &str) -> Result<ExecutionView, ClientError> {
        loop {
            // Told of its end, and looked at again: unless somebody has opened it again since.
            match self.wait(id).await? {
                Waited::Read(view) => return Ok(view),
                Waited::Told(_) => {}
            }
        }
    }

    /// The execution as it stands; none if there is none.
    pub async fn get(&self, id: &str) -> Result<Option<ExecutionView>, ClientError> {
        Ok(self.store.execution(&self.id(id)?).await?)
    }

    /// The execution's steps and leases.
    pub async fn history(&self, id: &str) -> Result<HistoryView, ClientError> {
        match self.get(id).await? {
            Some(view) => Ok(self.store.history(view.key).await?),
            None => Err(ClientError::Unknown(self.id(id)?)),
        }
    }

    /// Executions of this namespace that match, newest first.
    pub async fn list(&self, filter: ListFilter) -> Result<Vec<ExecutionView>, ClientError> {
        Ok(self.store.list(ListFilter { namespace: Some(self.namespace.to_string()), ..filter }).await?)
    }

    /// Deletes the executions of this namespace that ended longer ago than that, with their steps and results, a batch at
    /// a time; answers how many. Never one that has not ended. A start under a deleted id begins anew.
    pub async fn prune(&self, older_than: Duration) -> Result<usize, ClientError> {
        let ended_before = self.store.now() - codec::span(older_than);
        let namespace = Some(self.namespace.to_string());
        let mut request = PruneRequest { namespace, ended_before, after: None, limit: PRUNE_BATCH };
        let mut deleted = 0;
        loop {
            let pruned = self.store.prune(request.clone()).await?;
            deleted += pruned.deleted;
            match pruned.next {
                Some(next) => request.after = Some(next),
                None => return Ok(deleted),
            }
        }
    }

    /// Cancels the execution: at once, whoever drives it. Bodies that run are cancelled as soon as their worker hears
    /// of it; effects that happened stay. Cancelling twice is once.
    pub async fn cancel(&self, id: &str) -> Result<(), ClientError> {
        self.command(id, None, Command::Cancel, Payload::default()).await.map(drop)
    }

    /// Opens a failed execution again. If the step that settled last had failed, it gets `attempts` more (at least
    /// one); successes are never undone. A step in doubt, or whose result was lost, must be resolved first.
    pub async fn retry(&self, id: &str, attempts: u32) -> Result<(), ClientError> {
        self.command(id, None, Command::Retry { attempts }, Payload::default()).await.map(drop)
    }

    /// Says that the step in doubt did happen, with this result. Then [`Client::retry`] lets the execution go on.
    pub async fn resolve_succeeded<T: Serialize>(&self, id: &str, step: u32, result: &T) -> Result<(), ClientError> {
        let value = Some(codec::encode(result).map_err(ClientError::Unencodable)?);
        self.resolve(id, step, Verdict::Succeeded, Payload { value, ..Payload::default() }).await
    }

    /// Says that the step in doubt did not happen. Then [`Client::retry`] runs it again.
    pub async fn resolve_failed(&self, id: &str, step: u32, why: &str) -> Result<(), ClientError> {
        let payload = Payload { error: Some(format!("resolved by hand: {why}")), ..Payload::default() };
        self.resolve(id, step, Verdict::Failed, payload).await
    }

    /// The same as [`Client::resolve_succeeded`], for a result that is JSON already.
    pub async fn resolve_succeeded_json(&self, id: &str, step: u32, json: Vec<u8>) -> Result<(), ClientError> {
        codec::decode::<serde::de::IgnoredAny>(&json).map_err(ClientError::Unencodable)?;
        self.resolve(id, step, Verdict::Succeeded, Payload { value: Some(json), ..Payload::default() }).await
    }

    async fn resolve(&self, id: &str, step: u32, verdict: Verdict, payload: Payload) -> Result<(), ClientError> {
        let step = StepRef { no: StepNo(step), name: "".into() };
        let answer = self.command(id, Some(step), Command::Resolve { verdict }, payload).await?;
        debug_assert!(matches!(answer.decision, Ok(Reply::Resolved(Outcome::Succeeded | Outcome::Failed(_)))));
        Ok(())
    }

    async fn command(
        &self,
        id: &str,
        step: Option<StepRef>,
        command: Command,
        payload: Payload,
    ) -> Result<Answer, ClientError> {
        let id = self.id(id)?;
        let target = Target::Id(id.clone());
        let answer = self.ask(CommandRequest { target, step, command, payload }).await?;
        match answer.decision {
            Ok(_) => Ok(answer),
            Err(hydra_protocol::Rejection::UnknownExecution) => Err(ClientError::Unknown(id)),
            Err(rejection) => Err(ClientError::Rejected { id, rejection }),
        }
    }

    /// Asks, and asks again while the answer is lost: starting and cancelling are idempotent. So are resolving and
    /// retrying in effect: asked twice, the second is refused since the first was accepted.
    async fn ask(&self, request: CommandRequest) -> Result<Answer, StoreError> {
        let give_up = Instant::now() + ASK_FOR;
        loop {
            match self.store.command(request.clone()).await {
                Err(error) if error.is_passing() && Instant::now() < give_up => tokio::time::sleep(ASK_AGAIN).await,
                result => return result,
            }
        }
    }

    fn id(&self, id: &str) -> Result<ExecutionId, names::NameError> {
        names::check(names::EXECUTION, id)?;
        Ok(ExecutionId { namespace: self.namespace.to_string(), id: id.to_owned() })
    }
}
