//! Timelines: who did what, in lanes, with the contradicting pair marked.

use hydra_schedule::{Action, Counterexample, Fault, Moment};
use serde::{Deserialize, Serialize};

use super::told::{told_call, told_effect, told_end};
use crate::history::{History, Phase, Record, What};
use crate::oracle::Finding;

/// Lanes and rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// The names of the lanes.
    pub lanes: Vec<String>,
    /// One for each thing that happened, in order.
    pub rows: Vec<Row>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Who, as a sentence's subject: a worker, `client`, `store`, `fault`, `time`.
    pub actor: String,
    /// The lane it stands in.
    pub lane: usize,
    /// The lane it reaches, if it is a message or an effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<usize>,
    /// In a few words.
    pub text: String,
    /// In full.
    pub detail: String,
    /// How it is drawn.
    pub tone: Tone,
    /// 1 or 2, if it is one of the contradicting pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<u8>,
    /// For a body that was entered: the row in which it was left or its worker died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<usize>,
}

/// How a row is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// It happened.
    Plain,
    /// It was injected.
    Fault,
    /// It ends a fault.
    Heal,
    /// It is about the observation itself.
    Note,
}

impl Timeline {
    /// What a history shows of a finding's execution, and every fault.
    pub fn from_history(history: &History, finding: &Finding) -> Self {
        let workers = history.header.workers.iter().map(|worker| worker.to_string());
        let mut timeline =
            Timeline { lanes: ["client".to_owned()].into_iter().chain(workers).collect(), rows: Vec::new() };
        timeline.lanes.extend(["store".to_owned(), "receivers".to_owned()]);

        let mut open: Vec<(u64, usize)> = Vec::new();
        for (index, record) in history.records.iter().enumerate() {
            let is_first = index == finding.first;
            let is_second = index == finding.second;
            let about = record.execution().is_none_or(|execution| *execution == finding.execution);
            // The call says nothing that its answer does not say, unless it is itself what contradicts.
            let silent = matches!(&record.what, What::Call(call) if call.phase == Phase::Invoked);
            if !about || (silent && !is_first && !is_second) {
                continue;
            }
            let mut row = timeline.row_of(record);
            row.pair = if is_second && !is_first { Some(2) } else { is_first.then_some(1) };
            let number = timeline.rows.len();
            match &record.what {
                What::Entered(entered) => open.push((entered.body, number)),
                What::Left { body, .. } => {
                    if let Some(at) = open.iter().position(|(entered, _)| entered == body) {
                        let (_, entered) = open.remove(at);
                        timeline.rows[entered].until = Some(number);
                    }
                }
                _ => {}
            }
            if died(record) {
                open.retain(|(_, entered)| {
                    let dies = timeline.rows[*entered].lane == row.lane;
                    if dies {
                        timeline.rows[*entered].until = Some(number);
                    }
                    !dies
                });
            }
            timeline.rows.push(row);
        }
        let last = timeline.rows.len().saturating_sub(1);
        for (_, entered) in open {
            timeline.rows[entered].until = Some(last);
        }
        timeline.without_empty_lanes().cut()
    }

    /// What a counterexample tells.
    pub fn from_counterexample(counterexample: &Counterexample) -> Self {
        let mut lanes = counterexample.lanes();
        let store = lanes.len() - 1;
        lanes.push("receivers".to_owned());
        let rows = counterexample.moments.iter().enumerate().map(|(index, moment)| {
            let lane = counterexample.lane_of(moment, &lanes[..=store]);
            let verb = moment.what.split_whitespace().next().unwrap_or_default();
            let to = match (moment.fault || lane == store, verb) {
                (true, _) | (_, "abandons" | "stops") => None,
                (false, "runs") => Some(store + 1),
                (false, _) => Some(store),
            };
            let pair = counterexample.pair.and_then(|pair| match (pair.first == index, pair.second == index) {
                (true, _) => Some(1),
                (false, true) => Some(2),
                (false, false) => None,
            });
            let heals = ["restart", "heal", "resume"].contains(&verb);
            let tone = match (moment.fault, heals) {
                (true, true) => Tone::Heal,
                (true, false) => Tone::Fault,
                (false, _) => Tone::Plain,
            };
            let detail = format!("{} {}", moment.actor, moment.what);
            let text = if moment.actor == "time" { detail.clone() } else { moment.what.clone() };
            Row { at_ms: moment.at_ms, actor: moment.actor.clone(), lane, to, text, detail, tone, pair, until: None }
        });
        Timeline { rows: rows.collect(), lanes }.without_empty_lanes().cut()
    }

    /// The row of the first or second of the pair. Where one record alone is wrong, both are the same.
    pub fn pair_row(&self, which: u8) -> Option<usize> {
        let of = |which| self.rows.iter().position(|row| row.pair == Some(which));
        of(which).or_else(|| of(1))
    }

    /// The rows as the numbered steps of a story.
    pub fn moments(&self) -> Vec<Moment> {
        let moment = |row: &Row| Moment {
            at_ms: row.at_ms,
            actor: row.actor.clone(),
            what: row.text.clone(),
            fault: matches!(row.tone, Tone::Fault | Tone::Heal),
        };
        self.rows.iter().map(moment).collect()
    }

    fn lane(&self, name: &str) -> usize {
        self.lanes.iter().position(|lane| lane == name).unwrap_or(self.lanes.len() - 2)
    }

    fn row_of(&self, record: &Record) -> Row {
        let (store, receivers) = (self.lanes.len() - 2, self.lanes.len() - 1);
        let mut row = Row {
            at_ms: Some(record.at_ms),
            actor: record.who.clone(),
            lane: self.lane(&record.who),
            to: None,
            text: String::new(),
            detail: record.to_line(),
            tone: Tone::Plain,
            pair: None,
            until: None,
        };
        match &record.what {
            What::Call(call) => {
                row.to = Some(store);
                row.text = told_call(call);
            }
            What::Entered(entered) => {
                let attempt = entered.attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
                row.text = format!("enters {}{attempt}", entered.step);
            }
            What::Effect(effect) => {
                row.to = Some(receivers);
                row.text = told_effect(effect);
            }
            What::Left { step, gave, .. } => row.text = told_end(&step.to_string(), gave),
            What::Worker { up } => {
                row.tone = if *up { Tone::Heal } else { Tone::Fault };
                row.text = if *up { "is up" } else { "is down" }.to_owned();
            }
            What::Fault { event } => {
                row.actor = "fault".to_owned();
                if let Action::Fault { fault, on } = &event.action {
                    row.tone = if fault.heals() { Tone::Heal } else { Tone::Fault };
                    row.lane = fault.worker().map_or(store, |worker| self.lane(worker.as_str()));
                    let on = on.as_ref().map(|on| format!(" on {on}")).unwrap_or_default();
                    row.text = format!("{fault}{on}");
                } else {
                    // What the nemesis makes a worker do and is no fault: an orderly shutdown.
                    row.tone = Tone::Fault;
                    row.text = event.action.to_string();
                }
            }
            What::Healed => {
                row.tone = Tone::Note;
                row.text = "no faults from here on".to_owned();
            }
            What::Ended => {
                row.tone = Tone::Note;
                row.text = "end of the observation".to_owned();
            }
            What::Journal(journal) => {
                row.to = Some(store).filter(|store| *store != row.lane);
                row.text = journal.to_string();
            }
        }
        row
    }

    /// Leaves out lanes in which nothing happens.
    fn without_empty_lanes(mut self) -> Self {
        for lane in (0..self.lanes.len()).rev() {
            if self.rows.iter().any(|row| row.lane == lane || row.to == Some(lane)) {
                continue;
            }
            self.lanes.remove(lane);
            for row in &mut self.rows {
                row.lane -= usize::from(row.lane > lane);
                row.to = row.to.map(|to| to - usize::from(to > lane));
            }
        }
        self
    }
}

/// Whether a worker's process ended here.
fn died(record: &Record) -> bool {
    match &record.what {
        What::Worker { up } => !up,
        What::Fault { event } => matches!(&event.action, Action::Fault { fault: Fault::Crash(_), .. }),
        _ => false,
    }
}
