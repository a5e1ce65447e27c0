//! Reading a whole schedule: the header, then the events.

use std::str::FromStr;

use super::parse::{ScheduleError, Words};
use super::{Event, Schedule, VERSION, one_line};

const HEADER: &str = "subject, seed, workers, program or set, each before the first event";

impl FromStr for Event {
    type Err = ScheduleError;
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Words::new(1, text).event()
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));

        let (number, first) = lines.next().unwrap_or((1, ""));
        version(Words::new(number, first))?;

        let mut schedule = Schedule::default();
        for (number, line) in lines {
            header_or_event(&mut schedule, Words::new(number, line), line)?;
        }
        Ok(schedule)
    }
}

fn version(mut words: Words<'_>) -> Result<(), ScheduleError> {
    let allowed = format!("the first line \"hydra schedule {VERSION}\"");
    for wanted in ["hydra", "schedule"] {
        match words.word(&allowed)? {
            word if word == wanted => {}
            word => return words.error(format!("{word:?}"), allowed),
        }
    }
    match words.word(&allowed)? {
        word if word == VERSION.to_string() => words.end(),
        word => words.error(format!("version {word}"), format!("version {VERSION}")),
    }
}

fn header_or_event(schedule: &mut Schedule, mut words: Words<'_>, line: &str) -> Result<(), ScheduleError> {
    let (key, value) = match line.split_once(char::is_whitespace) {
        Some((key, value)) => (key, value.trim()),
        None => (line, ""),
    };
    if !matches!(key, "subject" | "seed" | "workers" | "program" | "set") {
        schedule.events.push(words.event()?);
        return Ok(());
    }
    if !schedule.events.is_empty() {
        return words.error(format!("the header line {line:?} after an event"), HEADER);
    }
    words.exactly(key)?;
    let twice = match key {
        "subject" => schedule.subject.replace(words.name("a subject")?).is_some(),
        "seed" => schedule.seed.replace(words.parsed("a number")?).is_some(),
        "workers" => schedule.workers.replace(words.parsed("how many workers")?).is_some(),
        "program" => {
            schedule.programs.push(one_line(value));
            return Ok(());
        }
        _ => {
            let name = words.name("a setting")?;
            let value = value.split_once(char::is_whitespace).map_or("", |(_, value)| value.trim());
            if schedule.settings.insert(name, one_line(value)).is_some() {
                return words.error(format!("{line:?} a second time"), HEADER);
            }
            return Ok(());
        }
    };
    if twice {
        return words.error(format!("{key:?} a second time"), HEADER);
    }
    words.end()
}
