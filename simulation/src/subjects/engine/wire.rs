//! What goes over the wire between a process and the store.

use hydra_engine::store::{
    Answer, ClaimRequest, Claims, CommandRequest, ExecutionId, ExecutionKey, ExecutionView, HeartbeatRequest,
    Heartbeats, HistoryView, ListFilter, StoreError, Value,
};
use tokio::sync::oneshot;

/// A request.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Command(CommandRequest),
    Claim(ClaimRequest),
    Heartbeat(HeartbeatRequest),
    Execution(ExecutionId),
    History(ExecutionKey),
    List(ListFilter),
    /// Opens a transaction for a body. What follows is a conversation on one connection.
    Transact(CommandRequest),
    Execute {
        tx: u64,
        sql: String,
        params: Vec<Value>,
    },
    Query {
        tx: u64,
        sql: String,
        params: Vec<Value>,
    },
    Commit {
        tx: u64,
        value: Vec<u8>,
    },
    /// The connection closes. Nobody waits for an answer.
    Close {
        tx: u64,
    },
}

impl Ask {
    /// Whether a network may deliver it a second time. A conversation cannot be repeated.
    pub fn repeatable(&self) -> bool {
        matches!(self, Ask::Command(_) | Ask::Claim(_) | Ask::Heartbeat(_))
    }
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Told {
    Answer(Answer),
    Claims(Claims),
    Heartbeats(Heartbeats),
    Execution(Option<ExecutionView>),
    History(HistoryView),
    List(Vec<ExecutionView>),
    Opened(u64),
    Changed(u64),
    Rows(Vec<Vec<Value>>),
}

pub(super) type Outcome = Result<Told, StoreError>;

/// Which process asks: its place in the cluster, and its how-manieth life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asker {
    pub process: usize,
    pub life: u32,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Message {
    pub from: Asker,
    pub ask: Ask,
    pub sent_ms: u64,
    /// Where the answer goes; none for a second copy, and where nobody waits.
    pub back: Option<oneshot::Sender<Outcome>>,
    /// What the network is going to do with it.
    pub fate: Fate,
}

/// What the network does with a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    pub lose_request: bool,
    pub lose_reply: bool,
    pub late_reply: bool,
    pub twice: bool,
    /// A loss shows as a broken connection at once; otherwise as silence.
    pub reset: bool,
}

/// What the asker has when no answer came.
pub(super) fn lost(why: &str) -> StoreError {
    StoreError::Unknown(why.to_owned())
}
