//! Bytes of the journal of commands: numbers in seven bits a byte, a tag a variant, fields in order. The core knows
//! nothing of it.

use hydra_protocol::{
    Backoff, Cause, Command, Ending, Epoch, Execution, Failure, Kind, Outcome, Rejection, Release, Reply, Settlement,
    Span, Status, Step, StepNo, StepState, Time, Verdict, Wake,
};

use crate::store::{ExecutionId, ExecutionKey};

/// What has an encoding. What was put can be got; whatever else there is in the bytes is none.
pub trait Code: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes it off the front.
    fn get(from: &mut &[u8]) -> Option<Self>;
}

/// A digest of a name or of a payload: enough to tell two apart that were mixed up, and no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// FNV-1a, in 64 bits: its definition never changes, and a journal outlives a version of the engine.
    pub fn of(bytes: &[u8]) -> Self {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Digest(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
    }
}

impl Code for Digest {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Digest(u64::from_le_bytes(*bytes)))
    }
}

impl Code for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = from.split_first()?;
            *from = rest;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl Code for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        u64::get(from)?.try_into().ok()
    }
}

impl Code for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        match tag(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Code for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend(self.as_bytes());
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        let len = usize::try_from(u64::get(from)?).ok()?;
        let (bytes, rest) = from.split_at_checked(len)?;
        *from = rest;
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        if bool::get(from)? { T::get(from).map(Some) } else { Some(None) }
    }
}

impl<T: Code> Code for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        // No room is made for as many as the bytes claim: they may lie.
        (0..u64::get(from)?).map(|_| T::get(from)).collect()
    }
}

impl Code for Result<Reply, Rejection> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(reply) => reply.put(out),
            Err(rejection) => rejection.put(out),
        }
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(if bool::get(from)? { Ok(Reply::get(from)?) } else { Err(Rejection::get(from)?) })
    }
}

impl Code for Time {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_millis().put(out);
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        u64::get(from).map(Time::from_millis)
    }
}

impl Code for Span {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_millis().put(out);
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        u64::get(from).map(Span::from_millis)
    }
}

impl Code for ExecutionKey {
    fn put(&self, out: &mut Vec<u8>) {
        (self.0 as u64).put(out);
    }
    fn get(from: &mut &[u8]) -> Option<Self> {
        u64::get(from).map(|key| ExecutionKey(key as i64))
    }
}

/// The tag of a variant.
pub fn tag(from: &mut &[u8]) -> Option<u8> {
    let (tag, rest) = from.split_first()?;
    *from = rest;
    Some(*tag)
}

/// A struct, field by field.
macro_rules! fields {
    ($type:ident { $($field:tt),* }) => {
        impl Code for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn get(from: &mut &[u8]) -> Option<Self> {
                Some($type { $($field: Code::get(from)?),* })
            }
        }
    };
}
pub(super) use fields;

/// An enum: a tag a variant, which never changes once released; then its fields. A variant or a field that is left out
/// here does not compile.
macro_rules! variants {
    ($type:ident { $($tag:literal = $variant:ident { $($field:tt : $name:ident),* })* }) => {
        impl Code for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($type::$variant { $($field: $name),* } => {
                        out.push($tag);
                        $($name.put(out);)*
                    })*
                }
            }
            fn get(from: &mut &[u8]) -> Option<Self> {
                Some(match tag(from)? {
                    $($tag => $type::$variant { $($field: Code::get(from)?),* },)*
                    _ => return None,
                })
            }
        }
    };
}

fields!(Epoch { 0 });
fields!(StepNo { 0 });
fields!(ExecutionId { namespace, id });
fields!(Backoff { initial, cap, factor_percent, jitter_percent });
fields!(Execution { status, epoch, settled, replays, replays_max, deadline });
fields!(Step { kind, epoch, attempt, attempts_max, state });

variants!(Kind { 0 = Transactional {} 1 = Keyed {} 2 = AtMostOnce {} 3 = Timer {} });
variants!(Cause { 0 = Final {} 1 = Exhausted {} 2 = Crashed {} });
variants!(Outcome { 0 = Succeeded {} 1 = Failed { 0: cause } 2 = Unencodable {} 3 = InDoubt {} 4 = Fired {} });
variants!(Failure {
    0 = Workflow {}
    1 = Panicked {}
    2 = Nondeterministic {}
    3 = Undecodable {}
    4 = Unencodable {}
    5 = DeadlineExceeded {}
    6 = ReplaysExhausted {}
});
variants!(Ending { 0 = Succeeded {} 1 = Failed { 0: failure } 2 = Cancelled {} });
variants!(Status { 0 = Ready { due_at: due_at } 1 = Leased { due_at: due_at } 2 = Ended { 0: ending } });
variants!(StepState {
    0 = Running {}
    1 = Waiting { due_at: due_at }
    2 = Sleeping { due_at: due_at }
    3 = Settled { order: order, outcome: outcome }
    4 = Abandoned { due_at: due_at }
});
variants!(Settlement {
    0 = Succeeded {}
    1 = Failed { retryable: retryable, backoff: backoff, salt: salt }
    2 = Unencodable {}
    3 = InDoubt {}
});
variants!(Wake { 0 = After { 0: span } 1 = At { 0: time } });
variants!(Release { 0 = Parked { wake: wake } 1 = Shutdown {} });
variants!(Verdict { 0 = Succeeded {} 1 = Failed {} });
variants!(Command {
    0 = Start { due_at: due_at, deadline: deadline, replays_max: replays_max }
    1 = Claim { lease: lease, knows: knows }
    2 = Heartbeat { epoch: epoch, lease: lease }
    3 = Begin { epoch: epoch, kind: kind, attempt: attempt, attempts_max: attempts_max }
    4 = Settle { epoch: epoch, attempt: attempt, settlement: settlement }
    5 = Sleep { epoch: epoch, wake: wake }
    6 = Fire { epoch: epoch }
    7 = Release { epoch: epoch, release: release }
    8 = Finish { epoch: epoch, ending: ending }
    9 = Cancel {}
    10 = Retry { attempts: attempts }
    11 = Resolve { verdict: verdict }
});
variants!(Reply {
    0 = Started {}
    1 = AlreadyStarted {}
    2 = Claimed { epoch: epoch, lease: lease }
    3 = Renewed { lease: lease }
    4 = Run { attempt: attempt }
    5 = Settled { order: order, outcome: outcome }
    6 = Waiting { due_at: due_at }
    7 = Sleeping { due_at: due_at }
    8 = Released { due_at: due_at }
    9 = Ended { 0: ending }
    10 = Reopened {}
    11 = Resolved { 0: outcome }
});
variants!(Rejection {
    0 = UnknownExecution {}
    1 = Conflict {}
    2 = Ended { 0: ending }
    3 = NotDue { due_at: due_at, now: now }
    4 = UnknownWorkflow {}
    5 = EpochExhausted {}
    6 = NotLeased { latest: latest }
    7 = StaleEpoch { held: held, latest: latest }
    8 = LeaseExpired { due_at: due_at, now: now }
    9 = UnknownStep {}
    10 = KindMismatch { row: row, asked: asked }
    11 = AttemptMismatch { row: row, asked: asked }
    12 = StepSettled { 0: outcome }
    13 = NotRunning {}
    14 = NotFailed {}
    15 = Unresolved { 0: outcome }
    16 = NotInDoubt {}
    17 = Superseded { order: order, last: last }
    18 = IllegalSettlement { 0: kind }
    19 = IllegalEnding { 0: ending }
    20 = AttemptsExhausted {}
});
