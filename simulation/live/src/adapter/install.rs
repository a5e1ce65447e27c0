//! Installing an engine into a folder of its own.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Adapter;

/// How long one step of an installation may take.
const STEP_MAX: Duration = Duration::from_secs(900);
/// How often it is looked whether a step is over, or another audit's installation.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Installs it, unless that was done before with the same steps. `tell` is told what is being done; `stop` breaks it off,
/// and the next time begins it again.
pub fn install(adapter: &Adapter, stop: &AtomicBool, mut tell: impl FnMut(&str)) -> anyhow::Result<()> {
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
    let _alone = alone(&folder, stop, &mut tell)?;
    // Whoever was waited for has done it.
    if !every_time && std::fs::read_to_string(&mark).is_ok_and(|before| before == done) {
        return Ok(());
    }
    for step in &steps {
        tell(&step.join(" "));
        run(adapter, step, &folder, stop)?;
    }
    std::fs::write(mark, done)?;
    Ok(())
}

/// Two audits of one version begin: only one installs it. The lock ends with its holder.
fn alone(folder: &Path, stop: &AtomicBool, mut tell: impl FnMut(&str)) -> anyhow::Result<File> {
    let lock = File::options().create(true).append(true).open(folder.join("lock"))?;
    let mut told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if stop.load(Ordering::Relaxed) => bail!("stopped before it was installed"),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    tell("waiting for another audit that installs it");
                }
                told = true;
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

/// Without what a cargo that started this program says of its package: build scripts elsewhere would take it for a change,
/// and a build that another cargo starts would be made anew each time, and then again without.
fn unhinted(mut command: Command) -> Command {
    let of_a_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_a_package) {
            command.env_remove(name);
        }
    }
    command
}

fn run(adapter: &Adapter, step: &[String], folder: &Path, stop: &AtomicBool) -> anyhow::Result<()> {
    let place = adapter.line("install");
    let (program, arguments) = step.split_first().with_context(|| format!("{place}: an empty install step"))?;
    let log = folder.join("install.log");
    let out = File::options().create(true).append(true).open(&log)?;
    let mut child = unhinted(Command::new(program))
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
        let stopped = stop.load(Ordering::Relaxed);
        if stopped || Instant::now() >= until {
            // What it has started itself carries the audit's mark, and ends with it.
            child.kill()?;
            child.wait()?;
            if stopped {
                bail!("stopped while it was installed; the next time installs it from the beginning");
            }
            bail!("{place}: {} took longer than {} s", step.join(" "), STEP_MAX.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if !status.success() {
        let mut text = String::new();
        File::open(&log)?.read_to_string(&mut text)?;
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n");
        bail!("{place}: {} failed ({status}):\n{last}", step.join(" "));
    }
    Ok(())
}
