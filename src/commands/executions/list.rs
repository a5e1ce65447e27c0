//! Listing executions.

use comfy_table::{Table, presets};
use hydra_engine::Client;
use hydra_engine::protocol::decode::{failure_name, raw_execution};
use hydra_engine::protocol::{Ending, Status};
use hydra_engine::store::{ExecutionKey, ExecutionView, ListFilter};

use super::show::time;

/// Which ones.
#[derive(clap::Args, Default)]
pub struct List {
    /// Only of this workflow.
    #[arg(long)]
    workflow: Option<String>,
    /// Only in this status.
    #[arg(long, value_parser = ["ready", "leased", "succeeded", "failed", "cancelled"])]
    status: Option<String>,
    /// Only with ids that begin so.
    #[arg(long)]
    prefix: Option<String>,
    /// Only those before this number (the first column): the next page.
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl List {
    pub async fn run(self, client: &Client) -> anyhow::Result<()> {
        let limit = if self.limit == 0 { 50 } else { self.limit as usize };
        let filter = ListFilter {
            namespace: None,
            workflow: self.workflow,
            status: self.status,
            id_prefix: self.prefix,
            before: self.before.map(ExecutionKey),
            limit,
        };
        let found = client.list(filter).await?;
        if found.is_empty() {
            println!("No executions match.");
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["number", "id", "workflow", "status", "steps", "epoch", "started", "ended or due"]);
        for view in &found {
            table.add_row([
                view.key.0.to_string(),
                view.id.id.clone(),
                view.workflow.clone(),
                status(view),
                view.row.settled.to_string(),
                view.row.epoch.0.to_string(),
                time(view.started_at),
                view.ended_at.or(view.row.due_at()).map(time).unwrap_or_default(),
            ]);
        }
        println!("{table}");
        if let Some(last) = found.last().filter(|_| found.len() == limit) {
            println!("There may be more: --before {}", last.key.0);
        }
        Ok(())
    }
}

/// The status, and why.
pub fn status(view: &ExecutionView) -> String {
    let name = raw_execution(&view.row).status;
    match view.row.status {
        Status::Ended(Ending::Failed(failure)) => format!("{name}: {}", failure_name(failure)),
        Status::Leased { .. } => format!("{name} by {}", view.worker.as_deref().unwrap_or("?")),
        Status::Ready { .. } | Status::Ended(_) => name.to_owned(),
    }
}
