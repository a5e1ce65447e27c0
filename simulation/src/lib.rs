//! A deterministic simulator of workflow engines under faults, and the judge of what it saw.
