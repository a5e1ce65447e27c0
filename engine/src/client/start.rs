//! Starting an execution.

use std::future::IntoFuture;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hydra_protocol::{Command, Rejection, Reply};
use serde::Serialize;

use crate::client::{Client, ClientError};
use crate::codec::{self, span};
use crate::names;
use crate::store::{CommandRequest, Payload, Target};

/// Claims in a row that may settle nothing before an execution fails, if the start does not say otherwise.
const REPLAYS_MAX: u32 = 100;

/// A start to be awaited.
///
/// Idempotent by id: ask as often as you like, from wherever; one execution comes of it. The same id with another
/// workflow or another input is [`ClientError::Conflict`].
#[must_use = "a start does nothing until it is awaited"]
pub struct Start<'a, I> {
    client: &'a Client,
    workflow: &'a str,
    id: &'a str,
    input: &'a I,
    delay: Duration,
    deadline: Option<Duration>,
    replays_max: u32,
}

/// What came of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// The execution is new.
    Now,
    /// It had been started before, and may have ended since.
    Before,
}

impl<'a, I: Serialize> Start<'a, I> {
    pub(super) fn new(client: &'a Client, workflow: &'a str, id: &'a str, input: &'a I) -> Self {
        Start { client, workflow, id, input, delay: Duration::ZERO, deadline: None, replays_max: REPLAYS_MAX }
    }

    /// Not before so long from now.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// If it has not ended so long from now, it fails.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// After so many claims in a row that settled no step (at least 1), the execution fails rather than kill another
    /// worker. Default: 100.
    pub fn replays_max(mut self, replays: u32) -> Self {
        self.replays_max = replays;
        self
    }

    async fn start(self) -> Result<Started, ClientError> {
        names::check(names::WORKFLOW, self.workflow)?;
        let id = self.client.id(self.id)?;
        let input = codec::encode(self.input).map_err(ClientError::Unencodable)?;
        let max = self.client.store.payload_max();
        if input.len() > max {
            return Err(ClientError::TooLarge { bytes: input.len(), max });
        }
        let now = self.client.store.now();
        let command = Command::Start {
            due_at: now + span(self.delay),
            deadline: self.deadline.map(|deadline| now + span(deadline)),
            replays_max: self.replays_max,
        };
        let payload = Payload { workflow: Some(self.workflow.to_owned()), value: Some(input), error: None };
        let request = CommandRequest { target: Target::Id(id.clone()), step: None, command, payload };
        // Taken before: the execution may have ended before its start is answered.
        let mark = self.client.store.ending_mark();
        let answer = self.client.ask(request).await?;
        match answer.decision {
            Ok(Reply::Started) => {
                if let (Some(key), Some(mark)) = (answer.key, mark) {
                    self.client.recent.started(self.id, key, mark);
                }
                Ok(Started::Now)
            }
            Ok(_) => Ok(Started::Before),
            Err(Rejection::Conflict) => Err(ClientError::Conflict(id)),
            Err(rejection) => Err(ClientError::Rejected { id, rejection }),
        }
    }
}

impl<'a, I: Serialize + Sync> IntoFuture for Start<'a, I> {
    type Output = Result<Started, ClientError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.start().boxed()
    }
}
