//! Installing an engine into a folder of its own.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Adapter;

/// How long one step of an installation may take.
const STEP_MAX: Duration = Duration::from_secs(900);

/// Installs it, unless that was done before with the same steps. `tell` is told what is being done.
pub fn install(adapter: &Adapter, mut tell: impl FnMut(&str)) -> anyhow::Result<()> {
    if adapter.install.is_empty() {
        return Ok(());
    }
    let folder = adapter.installed();
    let mark = folder.join("installed");
    let steps: Vec<Vec<String>> = adapter.install.iter().map(|step| adapter.fill(step, &[])).collect();
    let done = format!("{steps:?}\n");
    let every_time = adapter.install.iter().flatten().any(|word| word == "{repository}" || word == "cargo");
    if !every_time && std::fs::read_to_string(&mark).is_ok_and(|before| before == done) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    for step in &steps {
        tell(&step.join(" "));
        run(adapter, step, &folder)?;
    }
    std::fs::write(mark, done)?;
    Ok(())
}

fn run(adapter: &Adapter, step: &[String], folder: &Path) -> anyhow::Result<()> {
    let place = adapter.line("install");
    let (program, arguments) = step.split_first().with_context(|| format!("{place}: an empty install step"))?;
    let log = folder.join("install.log");
    let out = std::fs::File::options().create(true).append(true).open(&log)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("{place}: {program:?} cannot be started"))?;
    let until = Instant::now() + STEP_MAX;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            bail!("{place}: {} took longer than {} s", step.join(" "), STEP_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        let mut text = String::new();
        std::fs::File::open(&log)?.read_to_string(&mut text)?;
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n");
        bail!("{place}: {} failed ({status}):\n{last}", step.join(" "));
    }
    Ok(())
}
