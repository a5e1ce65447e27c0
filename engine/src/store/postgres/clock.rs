//! The store's clock: the server's, or one that a test has given.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hydra_protocol::{Span, Time};

use super::connect::Connection;
use super::fault::Fault;
use crate::store::Clock;

/// Milliseconds, at the moment it is read: not the beginning of the transaction, which may have waited for locks since.
macro_rules! now_ms {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
pub(super) use now_ms;

const NOW: &str = concat!("SELECT ", now_ms!());

/// Reads the time.
pub struct StoreClock {
    given: Option<Arc<dyn Clock>>,
    /// What the server's clock showed when it was read last, and when that was by this machine's.
    seen: Mutex<(Time, Instant)>,
}

impl StoreClock {
    /// A clock that has not been read yet.
    pub fn new(given: Option<Arc<dyn Clock>>) -> Self {
        StoreClock { given, seen: Mutex::new((Time::default(), Instant::now())) }
    }

    /// The time for a transaction. Sent when it is first polled.
    pub async fn read(&self, connection: &mut Connection) -> Result<Time, Fault> {
        let prepared = self.prepare(connection).await?;
        prepared.read(connection).await
    }

    /// Prepares to read it beside other statements.
    pub async fn prepare(&self, connection: &mut Connection) -> Result<Reading<'_>, Fault> {
        let statement = match self.given {
            Some(_) => None,
            None => Some(connection.prepare(NOW).await?),
        };
        Ok(Reading { clock: self, statement })
    }

    /// About what the server's clock shows now, without asking it.
    pub fn now(&self) -> Time {
        if let Some(clock) = &self.given {
            return clock.now();
        }
        let (time, at) = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        time + Span::from_millis(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// One look at the clock.
pub struct Reading<'a> {
    clock: &'a StoreClock,
    statement: Option<tokio_postgres::Statement>,
}

impl Reading<'_> {
    /// The time, where it is not the server's.
    pub fn given(&self) -> Option<Time> {
        self.clock.given.as_ref().map(|clock| clock.now())
    }

    /// The time.
    pub async fn read(&self, connection: &Connection) -> Result<Time, Fault> {
        let (Some(statement), None) = (&self.statement, &self.clock.given) else {
            return Ok(self.clock.now());
        };
        let ms: i64 = connection.client.query_one(statement, &[]).await?.get(0);
        let time = Time::from_millis(u64::try_from(ms).unwrap_or(0));
        *self.clock.seen.lock().unwrap_or_else(PoisonError::into_inner) = (time, Instant::now());
        Ok(time)
    }
}
