//! A process that dies with its keeper.
//!
//! What must be set between fork and exec would need unsafe code here. Instead the auditor starts itself again, sets it
//! as an ordinary process, and then becomes the foreign program.

use std::convert::Infallible;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::Program;

/// Set for a start of this program that is to become another one: `PARENT USER GROUP`, `-` for ours.
const VARIABLE: &str = "HYDRA_LAUNCH";

/// `LD_PRELOAD` of the other program: this one is not to be mistaken for it.
pub(super) const PRELOAD_LATER: &str = "HYDRA_PRELOAD";

/// The command that starts `program` in a process group of its own.
pub(super) fn command(program: &Program) -> Command {
    let me = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new(me);
    command.args(&program.command).current_dir(&program.folder).process_group(0);
    command.envs(program.env.iter().map(|(name, value)| (name, value)));
    let user = program.user.map_or("- -".to_owned(), |(user, group)| format!("{user} {group}"));
    command.env(VARIABLE, format!("{} {user}", std::process::id()));
    command
}

/// Becomes the foreign program, if this process was started for that. Call it first of all in `main`.
pub fn become_it_if_told() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let why = match become_it(&told) {
        Err(why) => why,
        Ok(never) => match never {},
    };
    eprintln!("{why}");
    std::process::exit(127);
}

fn become_it(told: &str) -> Result<Infallible, String> {
    let mut words = told.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    let (parent, user, group) = (number(), number(), number());
    if let (Some(user), Some(group)) = (user, group) {
        let group = Gid::from_raw(group);
        setgroups(&[group])
            .and_then(|()| setgid(group))
            .and_then(|()| setuid(Uid::from_raw(user)))
            .map_err(|error| format!("cannot become user {user}: {error}"))?;
    }
    // After the change of user, which would clear it.
    set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("cannot be tied to its parent: {error}"))?;
    if parent != Some(parent_id()) {
        return Err("its parent died before it could be tied to it".to_owned());
    }
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or("no program to become")?;
    let mut program_itself = Command::new(&program);
    if let Some(libraries) = std::env::var_os(PRELOAD_LATER) {
        program_itself.env_remove(PRELOAD_LATER).env("LD_PRELOAD", libraries);
    }
    let error = program_itself.args(arguments).env_remove(VARIABLE).exec();
    Err(format!("{} cannot be started: {error}", program.to_string_lossy()))
}
