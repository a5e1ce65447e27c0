//! How a store in a PostgreSQL server is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::store::Clock;

/// How a store in a PostgreSQL server is opened. [`PostgresOptions::at`] has the defaults.
///
/// The URL is `postgres://user:password@host:5432/database`, or `host=... user=...` as libpq takes it. Several hosts may
/// be named, as of a primary and its standbys: the store connects to the one that takes writes, and looks again after a
/// failover. A folder as host means the socket in it.
///
/// With `sslmode=require` in the URL the connection is encrypted, and the server's certificate must be valid for its
/// host's name: by the system's roots, or by those in [`PostgresOptions::tls_roots`]. Otherwise it is not encrypted.
///
/// **Behind a pooler** in transaction mode: every setting is made for its transaction only, locks last no longer than
/// one, and statements are prepared by the protocol and not by SQL, which PgBouncer passes on from version 1.21 (with
/// `max_prepared_statements` above zero); behind one that does not, the store is not opened. `LISTEN` does not work there:
/// turn [`PostgresOptions::listen`] off, and workers in other processes learn of new work when they poll.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the server is, and who asks.
    pub url: String,
    /// Connections that write commands; each execution's go through one of them, in order. What queues up while one
    /// commits is its next batch, so more of them make smaller batches, which cost the server more: 1.
    pub writers: usize,
    /// Connections lent to transactional bodies, at most; who comes then waits for one. 8.
    pub bodies_max: usize,
    /// Connections that read for clients and people. 2.
    pub readers: usize,
    /// Whether workers in other processes are woken by `LISTEN` and `NOTIFY`, on one more connection. Yes.
    pub listen: bool,
    /// How long to wait for a connection. 5 s.
    pub connect_timeout: Duration,
    /// How long the server may take for one statement of the engine's. 10 s.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a row that another transaction has locked. 5 s.
    pub lock_timeout: Duration,
    /// How long the server waits for the next statement of a transaction before it undoes it: what a worker that was
    /// paused or cut off holds is let go after this. 10 s.
    pub idle_in_transaction_timeout: Duration,
    /// How long the store waits for the server to answer a whole transaction, before it gives the connection up. 30 s.
    pub answer_timeout: Duration,
    /// Roots that the server's certificate must come from, in a PEM file; none: the system's.
    pub tls_roots: Option<PathBuf>,
    /// A role that the statements of transactional bodies run under; the URL's user must be a member of it. One that
    /// has no rights on schema `hydra` cannot touch the engine's tables, whatever a body does. None: the URL's user,
    /// and the text of each statement is looked at instead, which keeps out mistakes and not malice.
    pub body_role: Option<String>,
    /// A clock instead of the server's, for tests.
    pub clock: Option<Arc<dyn Clock>>,
}

impl PostgresOptions {
    /// The defaults, for this server.
    pub fn at(url: impl Into<String>) -> Self {
        PostgresOptions {
            url: url.into(),
            writers: 1,
            bodies_max: 8,
            readers: 2,
            listen: true,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            tls_roots: None,
            body_role: None,
            clock: None,
        }
    }
}
