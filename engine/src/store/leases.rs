//! Claims and heartbeats: many executions in one transaction, each decided by the core.

use hydra_protocol::{Command, Epoch, Execution, Rejection, Reply, invariants};

use super::apply::Tx;
use super::backend::{Backend, Candidate, DueSource, EngineRows};
use super::{
    ClaimRequest, Claimed, Claims, CommandRequest, ExecutionKey, HeartbeatRequest, Heartbeats, JournalStep, Payload,
    StoreError, Target,
};

impl<B: Backend> Tx<'_, B> {
    /// Claims what is due, the longest due first.
    ///
    /// The rows offer candidates and the core decides each. A corrupt row is passed over, so that it keeps nobody from
    /// the others.
    pub fn claim(&mut self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let mut claims = Claims { claimed: Vec::new(), ended: 0, now: self.now, next_due: None };
        let mut sources = vec![(DueSource::Overdue, None)];
        sources.extend(request.workflows.iter().map(|workflow| (DueSource::Workflow(workflow), None)));
        loop {
            let wanted = request.limit - claims.claimed.len();
            let page = self.candidates(request, &sources, wanted)?;
            let exhausted = page.len() < wanted || wanted == 0;
            for (candidate, source) in page {
                sources[source].1 = Some(candidate);
                match self.claim_one(request, candidate.key) {
                    Ok(Some(claimed)) => claims.claimed.push(claimed),
                    Ok(None) => claims.ended += 1,
                    Err(Passed::Over) => {}
                    Err(Passed::Failed(StoreError::Corrupt { row, what })) => {
                        tracing::error!(row, what, "corrupt row, not claimed");
                    }
                    Err(Passed::Failed(error)) => return Err(error),
                }
            }
            if exhausted {
                break;
            }
        }
        // With the limit reached more may be due by now. Otherwise all that was due was tried, and what could not be
        // claimed must not make an idle worker ask again at once, for ever.
        let after = (claims.claimed.len() < request.limit).then_some(self.now);
        for workflow in request.workflows.iter() {
            let due = self.backend.next_due(&request.namespace, workflow, after)?;
            claims.next_due = [claims.next_due, due].into_iter().flatten().min();
        }
        Ok(claims)
    }

    /// The next candidates of all sources together, at most `wanted`, with the source of each.
    fn candidates(
        &mut self,
        request: &ClaimRequest,
        sources: &[(DueSource<'_>, Option<Candidate>)],
        wanted: usize,
    ) -> Result<Vec<(Candidate, usize)>, StoreError> {
        let mut page = Vec::new();
        if wanted == 0 {
            return Ok(page);
        }
        for (at, (source, after)) in sources.iter().enumerate() {
            let due = self.backend.due(&request.namespace, *source, self.now, *after, wanted)?;
            page.extend(due.into_iter().map(|candidate| (candidate, at)));
        }
        page.sort_unstable();
        page.truncate(wanted);
        Ok(page)
    }
}

impl<B: EngineRows> Tx<'_, B> {
    /// One candidate: claimed, or ended (none).
    pub fn claim_one(&mut self, request: &ClaimRequest, key: ExecutionKey) -> Result<Option<Claimed>, Passed> {
        let identity = self.backend.identity(key)?;
        let knows = request.workflows.contains(&identity.workflow);
        let command = CommandRequest {
            target: Target::Key(key),
            step: None,
            command: Command::Claim { lease: request.lease, knows },
            payload: Payload::default(),
        };
        let decided = self.decide_on(&command, Some((key, identity.row)))?;
        let claimed_before = identity.row.epoch > Epoch(0);
        let journal = match &decided.decision {
            // Read before anything is written, so that a corrupt step leaves nothing half done.
            Ok(commit) if claimed_before && matches!(commit.reply, Reply::Claimed { .. }) => {
                let journal = self.backend.journal(key, &identity.row)?;
                complete(key, &identity.row, &journal)?;
                journal
            }
            _ => Vec::new(),
        };
        match self.apply(&command, Some(&request.worker), decided)?.decision {
            Ok(Reply::Claimed { epoch, lease }) => {
                let (id, workflow, input) = (identity.id, identity.workflow, identity.input);
                Ok(Some(Claimed { key, id, workflow, input, epoch, lease, journal }))
            }
            Ok(_) => Ok(None),
            Err(_) => Err(Passed::Over),
        }
    }

    /// Extends leases, each on its own.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest) -> Result<Heartbeats, StoreError> {
        let mut decisions = Vec::with_capacity(request.leases.len());
        for (key, epoch) in &request.leases {
            let command = CommandRequest {
                target: Target::Key(*key),
                step: None,
                command: Command::Heartbeat { epoch: *epoch, lease: request.lease },
                payload: Payload::default(),
            };
            decisions.push(match self.command(&command) {
                Ok(answer) => answer.decision,
                // One row that cannot be read must not cost the worker all its other leases.
                Err(StoreError::Corrupt { row, what }) => {
                    tracing::error!(row, what, "corrupt row, lease not renewed");
                    Err(Rejection::UnknownExecution)
                }
                Err(error) => return Err(error),
            });
        }
        Ok(Heartbeats { decisions, now: self.now })
    }
}

/// Whether every settled step that the execution's row counts is in its journal.
///
/// Without this: (1) s is settled, and its row is lost with a damaged page; (2) a worker claims W, and its workflow asks
/// for s, which is not on record; (3) the body of s runs again.
fn complete(key: ExecutionKey, row: &Execution, journal: &[JournalStep]) -> Result<(), StoreError> {
    let mut orders: Vec<u32> = journal.iter().filter_map(|step| step.row.settled()).map(|(order, _)| order).collect();
    orders.sort_unstable();
    invariants::check_orders(row, orders.into_iter()).map_err(|broken| StoreError::Corrupt {
        row: format!("execution with key {}", key.0),
        what: broken.to_string(),
    })
}

/// Why a candidate was not claimed.
pub enum Passed {
    /// The core refused.
    Over,
    /// The backend failed.
    Failed(StoreError),
}

impl From<StoreError> for Passed {
    fn from(error: StoreError) -> Self {
        Passed::Failed(error)
    }
}
