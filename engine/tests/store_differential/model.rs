//! What every store must be equal to.

use std::collections::BTreeMap;

use hydra_protocol::{
    Command, Execution, Reference, Rejection, Reply, Rows, Span, Step, StepWrite, Time, decide, invariants,
};

/// The core over rows in maps: what every store must be equal to.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub executions: BTreeMap<i64, (u8, u8, Execution)>,
    pub steps: BTreeMap<(i64, u32), Step>,
}

impl Model {
    pub fn key(&self, execution: u8) -> Option<i64> {
        self.executions.iter().find(|(_, (there, _, _))| *there == execution).map(|(key, _)| *key)
    }

    pub fn row(&self, key: Option<i64>) -> Option<Execution> {
        key.and_then(|key| self.executions.get(&key)).map(|(_, _, row)| *row)
    }

    pub fn command(
        &mut self,
        execution: u8,
        step: Option<u32>,
        input: u8,
        command: &Command,
        now: Time,
    ) -> Result<Reply, Rejection> {
        let key = self.key(execution);
        let row = self.row(key);
        let settled = |(_, step): &(&(i64, u32), &Step)| step.settled().map(|(order, _)| order);
        let last = self.steps.iter().filter(|(pair, _)| Some(pair.0) == key).max_by_key(settled);
        let no = match command {
            Command::Retry { .. } => last.filter(|last| settled(last).is_some()).map(|((_, no), _)| *no),
            _ => step,
        };
        let rows = Rows {
            execution: row,
            step: key.zip(no).and_then(|pair| self.steps.get(&pair)).copied(),
            same_input: key.is_some_and(|key| self.executions[&key].1 == input),
        };
        invariants::check_rows(&rows).unwrap();
        let commit = decide(&Reference, &rows, command, now)?;
        invariants::check_commit(&rows, &commit).unwrap();
        let next = self.executions.last_key_value().map_or(1, |(key, _)| key + 1);
        let key = key.unwrap_or(next);
        if let Some(after) = commit.execution {
            self.executions.entry(key).or_insert((execution, input, after)).2 = after;
        }
        if let (Some(StepWrite::Insert(after) | StepWrite::Update(after)), Some(no)) = (commit.step, no) {
            self.steps.insert((key, no), after);
        }
        if commit.abandon_open {
            self.steps.iter_mut().filter(|(pair, _)| pair.0 == key).for_each(|(_, step)| *step = step.abandoned());
        }
        Ok(commit.reply)
    }

    /// The claims of one request: due time (or passed deadline), then age.
    pub fn claim(&mut self, limit: usize, lease: Span, now: Time) -> (Vec<i64>, usize) {
        let mut due: Vec<_> = self
            .executions
            .iter()
            .flat_map(|(key, (_, _, row))| {
                let deadline = row.deadline.filter(|_| !row.is_ended());
                [row.due_at(), deadline].into_iter().flatten().filter(|due| *due <= now).map(|due| (due, *key))
            })
            .collect();
        due.sort_unstable();
        let (mut claimed, mut ended) = (Vec::new(), 0);
        for (_, key) in due {
            if claimed.len() == limit {
                break;
            }
            let execution = self.executions[&key].0;
            match self.command(execution, None, 0, &Command::Claim { lease, knows: true }, now) {
                Ok(Reply::Claimed { .. }) => claimed.push(key),
                Ok(_) => ended += 1,
                Err(_) => {}
            }
        }
        (claimed, ended)
    }
}
