//! Bytes choose what clients ask for, which faults strike and where: so coverage guides the search for interleavings that
//! break something. The reference (and `HYDRA_SUBJECT=engine`, the engine itself) must keep every property; a mutant of
//! the museum must break one soon.

use arbitrary::{Result, Unstructured};
use hydra_schedule::{Direction, Name};
use hydra_simulation::campaign::Case;
use hydra_simulation::cluster::{Blow, Config, Place, Strike, When};
use hydra_simulation::history::Op;
use hydra_simulation::oracle;
use hydra_simulation::subjects::{self, Entry};
use hydra_simulation::workload::{Ends, Item, Program, Sleep, StartAgain, Step, StepKind, Workload};

use crate::{Judged, subject};

/// The most faults of one input.
const STRIKES_MAX: usize = 8;

/// Judges the subject in `HYDRA_SUBJECT`, or the reference.
pub fn judge(bytes: &[u8]) -> Judged {
    let name = subject::NAME.as_deref().unwrap_or("reference");
    let entry = subjects::find(name).ok_or_else(|| format!("HYDRA_SUBJECT: there is no subject {name}"))?;
    judge_subject(&entry, bytes)
}

/// Judges this subject.
pub fn judge_subject(entry: &Entry, bytes: &[u8]) -> Judged {
    // Bytes that run out choose nothing more.
    let Ok(case) = case(&mut Unstructured::new(bytes)) else { return Ok(()) };
    let schedule = case.schedule(entry.name);
    match schedule.to_string().parse().map(|schedule| Case::of_schedule(&schedule)) {
        Ok(Ok(back)) if back == case => {}
        other => return Err(format!("a schedule that does not read back: {schedule}\n{other:?}")),
    }
    let mut run = entry.make();
    run.run(case.run());
    if run.strange().is_none() {
        return Ok(());
    }
    let findings = oracle::findings(&run.history(&case.workload), &subjects::settings(&case.config));
    match findings.first() {
        None => Ok(()),
        Some(finding) => Err(format!("{} falls: {finding:?}\nin the schedule\n{schedule}", finding.property)),
    }
}

fn case(bytes: &mut Unstructured<'_>) -> Result<Case> {
    let config = Config { workers: bytes.int_in_range(1..=3)?, ..Config::default() };
    // What chance decides besides: how long messages take.
    let seed = bytes.arbitrary::<u8>()?.into();
    let programs = (0..bytes.int_in_range(1..=2)?).map(|index| program(bytes, index)).collect::<Result<_>>()?;
    let workload = Workload { programs };
    let mut strikes = Vec::new();
    while !bytes.is_empty() && strikes.len() < STRIKES_MAX {
        strikes.push(strike(bytes, &config, &workload)?);
    }
    Ok(Case { seed, config, workload, strikes })
}

fn program(bytes: &mut Unstructured<'_>, index: usize) -> Result<Program> {
    let mut program = Program::new(Name::execution(index), Vec::new());
    for number in 1..=bytes.int_in_range(1..=3)? {
        program.body.push(item(bytes, number)?);
    }
    let moment = |bytes: &mut Unstructured<'_>| bytes.int_in_range(0..=100_u64).map(|tenths| tenths * 100);
    if bytes.ratio(1, 8)? {
        program.cancel_at_ms = Some(moment(bytes)?);
    }
    if bytes.ratio(1, 8)? {
        program.starts_again.push(StartAgain { at_ms: moment(bytes)?, other_input: bytes.arbitrary()? });
    }
    Ok(program)
}

fn item(bytes: &mut Unstructured<'_>, number: u32) -> Result<Item> {
    let name = |suffix: &str| Name::new(&format!("{number}{suffix}")).map_err(|_| arbitrary::Error::IncorrectFormat);
    Ok(match bytes.int_in_range(0..=7_u8)? {
        0 => Item::Sleep(Sleep { id: name("")?, ms: bytes.arbitrary::<u16>()?.into() }),
        1 => Item::Parallel(vec![step(bytes, name("a")?)?, step(bytes, name("b")?)?]),
        _ => Item::Step(step(bytes, name("")?)?),
    })
}

fn step(bytes: &mut Unstructured<'_>, id: Name) -> Result<Step> {
    let kinds = [StepKind::Keyed, StepKind::Transactional, StepKind::AtMostOnce];
    let mut step = Step::new(id, *bytes.choose(&kinds)?);
    step.ends = match bytes.int_in_range(0..=9_u8)? {
        0..=4 => Ends::Succeeds,
        5 | 6 => Ends::Fails { times: bytes.int_in_range(1..=3)? },
        7 => Ends::FailsForEver,
        8 => Ends::FailsFinally,
        _ => Ends::Unencodable,
    };
    // From at once to three leases.
    step.lasts_ms = match bytes.int_in_range(0..=3_u8)? {
        0 => 0,
        1 | 2 => bytes.int_in_range(0..=1_000)?,
        _ => bytes.int_in_range(0..=30_000)?,
    };
    step.caught = bytes.arbitrary()?;
    Ok(step)
}

fn strike(bytes: &mut Unstructured<'_>, config: &Config, workload: &Workload) -> Result<Strike> {
    let worker = bytes.int_in_range(0..=config.workers as u8 - 1)?;
    let all = u32::MAX >> (32 - config.workers);
    let steps: usize = workload.programs.iter().flat_map(|it| &it.body).map(|item| item.steps().len().max(1)).sum();
    let some = |bytes: &mut Unstructured<'_>, count: usize| bytes.int_in_range(0..=count as u32 - 1);
    // All of them are all bits, as `partition all` reads.
    let workers = match bytes.arbitrary::<u32>()? & all | 1 << worker {
        struck if struck == all => u32::MAX,
        struck => struck,
    };
    let (at, on) = (When::At(at_ms(bytes, config)?), place(bytes, worker)?);
    Ok(match bytes.int_in_range(0..=20_u8)? {
        0..=2 => Strike { when: on, blow: Blow::Crash(worker) },
        3 | 4 => Strike { when: at, blow: Blow::Restart(worker) },
        5 => Strike { when: on, blow: Blow::DisconnectBefore(worker) },
        6 => Strike { when: on, blow: Blow::ReplyLost(worker) },
        7 => Strike { when: on, blow: Blow::ReplyLate(worker) },
        8 => Strike { when: on, blow: Blow::Duplicate(worker) },
        9 => {
            let direction = *bytes.choose(&[Direction::Both, Direction::In, Direction::Out])?;
            Strike { when: at, blow: Blow::Partition { workers, direction } }
        }
        10 => Strike { when: at, blow: Blow::Heal { workers } },
        11 | 12 => {
            let for_ms = bytes.int_in_range(1..=3 * config.lease_ms)?;
            Strike { when: on, blow: Blow::Pause { worker, for_ms } }
        }
        13 => Strike { when: at, blow: Blow::Clock { worker, by_ms: bytes.int_in_range(-20_000..=20_000)? } },
        14 => Strike { when: at, blow: Blow::Drift { worker, ppm: bytes.int_in_range(-200_000..=200_000)? } },
        15 => Strike { when: at, blow: Blow::SlowStore { by_ms: bytes.int_in_range(0..=2 * config.timeout_ms)? } },
        16 => Strike { when: at, blow: Blow::StoreRestart },
        17 => Strike { when: at, blow: Blow::Encode { step: some(bytes, steps)? } },
        18 => Strike { when: at, blow: Blow::Decode { step: some(bytes, steps)? } },
        19 => Strike { when: at, blow: Blow::Stop(worker) },
        _ => {
            let op = *bytes.choose(&[Op::Retry, Op::Status])?;
            let execution = some(bytes, workload.programs.len())?;
            Strike { when: at, blow: Blow::Client { op, execution, other_input: false } }
        }
    })
}

/// A time, and each order of magnitude as often as any other.
fn at_ms(bytes: &mut Unstructured<'_>, config: &Config) -> Result<u64> {
    let magnitude = bytes.int_in_range(4..=15_u32)?;
    Ok(bytes.int_in_range(0..=(1 << magnitude) - 1)?.min(config.faults_for_ms - 1))
}

/// One of the first places that a worker's process passes.
fn place(bytes: &mut Unstructured<'_>, worker: u8) -> Result<When> {
    Ok(When::On { worker, place: *bytes.choose(&Place::ALL)?, nth: bytes.int_in_range(1..=16)? })
}
