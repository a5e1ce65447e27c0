//! Showing one execution.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::bail;
use comfy_table::{ContentArrangement, Table, presets};
use hydra_engine::Client;
use hydra_engine::protocol::Time;
use hydra_engine::protocol::decode::raw_step;
use hydra_engine::store::StepView;

use super::list::status;

/// Longest value shown in a table, in characters.
const SHOWN_MAX: usize = 200;

pub async fn show(client: &Client, id: &str) -> anyhow::Result<()> {
    let Some(view) = client.get(id).await? else {
        bail!("no execution {id:?} in this namespace; `list` shows those that are there");
    };
    let history = client.history(id).await?;
    println!("{}  ({})", view.id, view.workflow);
    println!("  status   {}", status(&view));
    println!("  started  {}", time(view.started_at));
    if let Some(ended_at) = view.ended_at {
        println!("  ended    {}", time(ended_at));
    }
    if let Some(due_at) = view.row.due_at() {
        println!("  due      {}", time(due_at));
    }
    if let Some(deadline) = view.row.deadline {
        println!("  deadline {}", time(deadline));
    }
    println!("  input    {}", text(Some(&view.input)));
    if view.output.is_some() {
        println!("  output   {}", text(view.output.as_deref()));
    }
    if let Some(error) = &view.error {
        println!("  error    {error}");
    }

    let mut steps = table([
        "step",
        "name",
        "kind",
        "state",
        "attempts",
        "settled as",
        "begun",
        "settled",
        "input",
        "output or error",
    ]);
    for step in &history.steps {
        steps.add_row(row(step));
    }
    println!("\n{steps}\n");

    let mut leases = table(["epoch", "worker", "claimed", "given back"]);
    for lease in &history.leases {
        let ended = lease.ended_at.map_or_else(|| "-".to_owned(), time);
        leases.add_row([lease.epoch.0.to_string(), lease.worker.clone(), time(lease.claimed_at), ended]);
    }
    println!("{leases}");
    Ok(())
}

fn row(view: &StepView) -> [String; 10] {
    let (step, raw) = (&view.step, raw_step(&view.step.row));
    let state = match raw.cause {
        Some(cause) => format!("{} ({cause})", raw.state),
        None => raw.state.to_owned(),
    };
    let outcome = match &step.error {
        Some(error) => error.clone(),
        None => text(step.value.as_deref()),
    };
    [
        step.no.0.to_string(),
        step.name.to_string(),
        raw.kind.to_owned(),
        state,
        if raw.attempts_max == 0 { String::new() } else { format!("{} of {}", raw.attempt, raw.attempts_max) },
        raw.order.map(|order| format!("no. {order}")).unwrap_or_default(),
        time(view.begun_at),
        view.settled_at.map(time).unwrap_or_default(),
        text(view.input.as_deref()),
        outcome,
    ]
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

/// A payload for a person.
fn text(bytes: Option<&[u8]>) -> String {
    let text = String::from_utf8_lossy(bytes.unwrap_or_default());
    match text.char_indices().nth(SHOWN_MAX) {
        Some((cut, _)) => format!("{} ... ({} bytes)", &text[..cut], text.len()),
        None => text.into_owned(),
    }
}

/// A time for a person, in UTC.
pub fn time(time: Time) -> String {
    if time == Time::MAX {
        return "never".to_owned();
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time.as_millis())).to_string()
}
