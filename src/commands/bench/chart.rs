//! Figures as pictures, in SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::case::Measured;

const SIZE: (u32, u32) = (760, 420);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 160), RGBColor(200, 90, 0), RGBColor(60, 130, 60), RGBColor(120, 120, 120)];

/// Steps a second of the engine and of the raw writer, over the first dimension that has several values.
pub fn engine(file: &Path, all: &[Measured]) -> anyhow::Result<()> {
    type Dimension = (&'static str, fn(&Measured) -> f64);
    let dimensions: [Dimension; 5] = [
        ("concurrent executions", |one| one.case.concurrency as f64),
        ("bytes of input", |one| one.case.payload_bytes as f64),
        ("steps of an execution", |one| f64::from(one.case.steps)),
        ("rows of ended executions", |one| one.case.history_rows.max(1) as f64),
        ("worker processes", |one| one.case.processes as f64),
    ];
    let varies = |value: &fn(&Measured) -> f64| all.windows(2).any(|pair| value(&pair[0]) != value(&pair[1]));
    let (label, at) = dimensions.into_iter().find(|(_, value)| varies(value)).unwrap_or(dimensions[0]);
    let store = all.first().map_or("", |one| one.case.store.word());
    let engine = all.iter().map(|one| (at(one), one.steps_per_s)).collect();
    let raw: Vec<_> = all.iter().filter_map(|one| Some((at(one), one.raw_steps_per_s?))).collect();
    let mut lines = vec![("engine".to_owned(), engine)];
    if !raw.is_empty() {
        lines.push(("raw limit".to_owned(), raw));
    }
    draw_lines(file, &format!("Durable steps a second on {store}"), label, &lines)
}

fn draw_lines(file: &Path, title: &str, x: &str, lines: &[(String, Vec<(f64, f64)>)]) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let range = |value: fn(&(f64, f64)) -> f64| {
        let (low, high) = points().map(value).fold((f64::MAX, 1.0_f64), |(low, high), at| (low.min(at), high.max(at)));
        low.min(high) * 0.8..high * 1.25
    };
    let (xs, ys) = (range(|at| at.0), range(|at| at.1));
    let area = area(file)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(78)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())
        .map_err(plain)?;
    let number = |value: &f64| format!("{value:.0}");
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc("steps a second")
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .light_line_style(WHITE)
        .draw()
        .map_err(plain)?;
    for ((name, points), colour) in lines.iter().zip(COLOURS) {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(4);
        let drawn = chart.draw_series(line).map_err(plain)?;
        drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let position = SeriesLabelPosition::LowerRight;
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()
        .map_err(plain)?;
    area.present().map_err(plain)
}

/// A bar for each name, on a logarithmic scale.
pub fn bars(file: &Path, title: &str, x: &str, bars: &[(String, f64)]) -> anyhow::Result<()> {
    let rows = i32::try_from(bars.len())?;
    if rows == 0 {
        return Ok(());
    }
    let most = bars.iter().map(|(_, value)| *value).fold(10.0, f64::max);
    let area = area(file)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(220)
        .build_cartesian_2d((10.0..most * 2.0).log_scale(), (0..rows - 1).into_segmented())
        .map_err(plain)?;
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => usize::try_from(*at)
            .ok()
            .and_then(|at| bars.get(bars.len() - 1 - at))
            .map_or("", |(name, _)| name)
            .to_owned(),
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc(x)
        .y_labels(bars.len())
        .y_label_formatter(&name)
        .x_label_formatter(&|value: &f64| format!("{value:.0}"))
        .light_line_style(WHITE)
        .draw()
        .map_err(plain)?;
    let rectangles = bars.iter().rev().zip(0..).map(|((name, value), at)| {
        let colour = if name.starts_with("hydra") { COLOURS[0] } else { COLOURS[3] };
        let corners = [(10.0, SegmentValue::Exact(at)), (value.max(10.0), SegmentValue::Exact(at + 1))];
        let mut bar = Rectangle::new(corners, colour.filled());
        bar.set_margin(5, 5, 0, 0);
        bar
    });
    chart.draw_series(rectangles).map_err(plain)?;
    area.present().map_err(plain)
}

fn area(file: &Path) -> anyhow::Result<DrawingArea<SVGBackend<'_>, Shift>> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(plain)?;
    Ok(area)
}

fn plain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the picture cannot be drawn: {error}")
}
