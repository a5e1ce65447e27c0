//! What happened, and whether every promise was kept.

use anyhow::Context as _;
use comfy_table::{Table, presets};
use hydra_engine::Client;
use hydra_engine::store::{SqliteStore, Value};

use super::order::Done;
use super::world::World;

/// Prints a line an order. Whether all promises were kept.
pub async fn print(client: &Client, sqlite: &SqliteStore, world: &World, orders: u32) -> anyhow::Result<bool> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["order", "claimed", "bank asked", "charged", "booked", "mails", "verdict"]);
    let mut all_kept = true;
    for number in 1..=orders {
        let id = super::id(number);
        let done: Done = client.result(&id).await.with_context(|| format!("{id} did not succeed"))?;
        let claims = client.history(&id).await?.leases.len();
        let (asked, charged) = world.charges(&format!("{}/{id}/", hydra_engine::DEFAULT_NAMESPACE))?;
        let sql = "select count(*) from bookings where order_id = $1";
        let booked = match sqlite.query(sql, &[id.as_str().into()]).await?.first().and_then(|row| row.first()) {
            Some(Value::Integer(booked)) => *booked,
            other => anyhow::bail!("counting bookings answered {other:?}"),
        };
        let mails = world.mails(&id)?;
        let kept = charged == 1 && booked == 1 && mails <= 1 && done.mailed == (mails == 1) && done.receipt > 0;
        all_kept &= kept;
        let verdict = if kept { "kept" } else { "BROKEN" };
        table.add_row([
            id,
            format!("{claims}x"),
            format!("{asked}x"),
            format!("{charged}x"),
            format!("{booked}x"),
            mails.to_string(),
            verdict.to_owned(),
        ]);
    }
    println!("\n{table}\n");
    match all_kept {
        true => println!("Every order is done: charged once, booked once, mailed at most once."),
        false => println!("A PROMISE WAS BROKEN. Keep the folder: it is the evidence."),
    }
    Ok(all_kept)
}
