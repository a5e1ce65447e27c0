//! Asking the store on behalf of a step or of the drive.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_protocol::{Command, StepNo};

use crate::store::{
    Answer, CommandRequest, ExecutionKey, Payload, StepRef, Store, StoreError, Target, Transact, Transaction,
};

/// How asking ended.
pub(super) enum Asked {
    /// The store answered.
    Answered(Answer),
    /// The store opened its transaction: the body is to run.
    Opened(Box<dyn Transaction>),
    /// No answer, for a reason that passes: ask again.
    Lost(StoreError),
    /// What the body wrote was rolled back, for a reason of its own: it took too long, or broke a constraint.
    RolledBack(StoreError),
    /// The store cannot do this, now or later.
    Refused(StoreError),
}

/// What is asked about which step.
pub(super) struct Question {
    pub(super) key: ExecutionKey,
    pub(super) step: Option<(StepNo, Arc<str>)>,
    pub(super) command: Command,
    pub(super) payload: Payload,
}

impl Question {
    fn request(self) -> CommandRequest {
        CommandRequest {
            target: Target::Key(self.key),
            step: self.step.map(|(no, name)| StepRef { no, name }),
            command: self.command,
            payload: self.payload,
        }
    }
}

/// Sends a command.
pub(super) fn ask(store: Arc<dyn Store>, question: Question) -> BoxFuture<'static, Asked> {
    async move { asked(store.command(question.request()).await) }.boxed()
}

/// Opens the store's transaction for a body.
pub(super) fn transact(store: Arc<dyn Store>, question: Question) -> BoxFuture<'static, Asked> {
    async move {
        match store.transact(question.request()).await {
            Ok(Transact::Answered(answer)) => Asked::Answered(answer),
            Ok(Transact::Open(transaction)) => Asked::Opened(transaction),
            Err(error) => asked(Err(error)),
        }
    }
    .boxed()
}

/// Commits what a body wrote, with its checkpoint.
pub(super) fn commit(transaction: Box<dyn Transaction>, value: Vec<u8>) -> BoxFuture<'static, Asked> {
    async move {
        match asked(transaction.commit(value).await) {
            Asked::Refused(error) => Asked::RolledBack(error),
            asked => asked,
        }
    }
    .boxed()
}

fn asked(result: Result<Answer, StoreError>) -> Asked {
    match result {
        Ok(answer) => Asked::Answered(answer),
        Err(error) if error.is_passing() => Asked::Lost(error),
        Err(error) => Asked::Refused(error),
    }
}
