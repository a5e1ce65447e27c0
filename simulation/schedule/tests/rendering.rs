//! How a counterexample reads: as text, as lanes, as Mermaid and as Markdown.

use hydra_schedule::{Counterexample, Property, Schedule};

fn charged_twice() -> Counterexample {
    let schedule: Schedule = "\
hydra schedule 1
subject audited
workers 2

client starts W1
A claims W1
at 1200 A begins W1/2 attempt 1
A runs W1/2
fault crash A
time passes W1
B claims W1
at 9400 B runs W1/2
"
    .parse()
    .unwrap();
    Counterexample::new(Property::EffectOnceKeyed, schedule, "The receiver saw W1/2 twice, under two keys.")
        .with_pair(3, 7)
        .with_last_chance(6, "the new owner should have reused the key of attempt 1.")
        .with_replay("hydra replay charged-twice.schedule")
}

#[test]
fn as_text() {
    assert_eq!(
        charged_twice().to_string(),
        "\
audited: the customer is charged twice [effect-once-keyed]
  promised: The customer is charged once.

  1. client starts W1
  2. A claims W1
  3.     1,200 ms  A begins W1/2 attempt 1
> 4. A runs W1/2
  5. FAULT: crash A
  6. time passes until W1 is due
  7. B claims W1
> 8.     9,400 ms  B runs W1/2

The receiver saw W1/2 twice, under two keys.
The last moment it could still have gone right was 7: the new owner should have reused the key of attempt 1.
Replay: hydra replay charged-twice.schedule
"
    );
}

#[test]
fn as_lanes() {
    assert_eq!(
        charged_twice().to_lanes(),
        "
         | client    | A                     | B           | store
         | starts W1 |                       |             |
         |           | claims W1             |             |
1,200 ms |           | begins W1/2 attempt 1 |             |
         |           | > runs W1/2           |             |
         |           | x crash A             |             |
         |           |                       |             | time passes until W1 is
         |           |                       |             | due
         |           |                       | claims W1   |
9,400 ms |           |                       | > runs W1/2 |
"
        .trim_start_matches('\n')
    );
}

#[test]
fn as_mermaid() {
    assert_eq!(
        charged_twice().to_mermaid(),
        "\
sequenceDiagram
    participant L0 as client
    participant L1 as A
    participant L2 as B
    participant L3 as store
    L0->>L3: starts W1
    L1->>L3: claims W1
    L1->>L3: 1,200 ms begins W1/2 attempt 1
    Note over L1: ! runs W1/2
    Note over L1: FAULT: crash A
    Note over L3: time passes until W1 is due
    L2->>L3: claims W1
    Note over L2: ! 9,400 ms runs W1/2
"
    );
}

#[test]
fn markdown_holds_the_story_the_diagram_and_the_schedule() {
    let markdown = charged_twice().to_markdown(3);
    assert!(markdown.starts_with("### audited: the customer is charged twice\n"), "{markdown}");
    assert!(markdown.contains("8. **9,400 ms: B runs W1/2**"), "{markdown}");
    assert!(markdown.contains("```mermaid\nsequenceDiagram\n"));
    let schedule = markdown.split("```text\n").nth(1).unwrap().trim_end_matches("```\n");
    assert_eq!(schedule.parse::<Schedule>().unwrap(), charged_twice().schedule);
}

#[test]
fn it_survives_json() {
    let counterexample = charged_twice();
    let json = serde_json::to_string_pretty(&counterexample).unwrap();
    assert_eq!(serde_json::from_str::<Counterexample>(&json).unwrap(), counterexample);
}
