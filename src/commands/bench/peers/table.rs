//! The table of peers.

use comfy_table::{CellAlignment, Table, presets};

use super::figures::Row;

pub fn list(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(", ")
}

pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["engine", "steps/s", "from - to", "hydra is", "p50 ms", "p99 ms", "CPU s", "MiB", "durable by"]);
    for column in table.column_iter_mut().skip(1).take(7) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        let Some(steps) = row.median(|one| one.steps_per_s) else {
            let why = row.failed.first().map_or("no turn", String::as_str);
            table.add_row([row.name.as_str(), "-", "-", "-", "-", "-", "-", "-", why]);
            continue;
        };
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let (least, most) = row.spread(|one| one.steps_per_s).unwrap_or_default();
        table.add_row([
            row.name.clone(),
            format!("{steps:.0}"),
            format!("{least:.0} - {most:.0}"),
            ratio(rows, row),
            number(row.median(|one| one.p50_ms), 1),
            number(row.median(|one| one.p99_ms), 1),
            number(row.median(|one| one.cpu_s_per_1000_steps), 3),
            number(row.median(|one| one.peak_mib), 0),
            row.durability.to_owned(),
        ]);
    }
    table
}

/// How many times as fast this engine is, embedded, on the same kind of store: round by round, from the least to the
/// most. Beside an engine with a store of its own: on PostgreSQL.
fn ratio(rows: &[Row], row: &Row) -> String {
    let store = if row.store == "own" { "postgres" } else { row.store };
    let ours = rows.iter().find(|ours| ours.name.starts_with("hydra embedded") && ours.store == store);
    let Some(ours) = ours.filter(|ours| ours.name != row.name) else { return "-".to_owned() };
    let mut ratios: Vec<f64> =
        ours.rounds.iter().zip(&row.rounds).map(|(ours, theirs)| ours.steps_per_s / theirs.steps_per_s).collect();
    ratios.sort_by(f64::total_cmp);
    match (ratios.first(), ratios.last()) {
        (Some(least), Some(most)) => format!("x {least:.1} - {most:.1}"),
        _ => "-".to_owned(),
    }
}

pub fn explain(rows: &[Row]) {
    println!(
        "Steps/s: from the moment when all workers are let go to the last end; the median of the rounds, the least and"
    );
    println!(
        "the most. Latency: one execution at a time, from asking to start it to seeing its end, the clients looking"
    );
    println!(
        "again and again. CPU: seconds for 1,000 steps, of the workers and the server of the store. MiB: the most that"
    );
    println!(
        "these have held. \"hydra is\": how many times as fast, embedded in one process, on the same kind of store."
    );
    for row in rows.iter().filter(|row| !row.failed.is_empty() && !row.rounds.is_empty()) {
        println!("{}: {} turns came to nothing: {}", row.name, row.failed.len(), row.failed[0]);
    }
}
