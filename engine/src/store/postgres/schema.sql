-- What changes with every command is kept small, and apart from what does not. Pages are left room, so that a row is
-- changed in its own page, and no index with it.
CREATE TABLE hydra.executions (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace   text COLLATE "C" NOT NULL CHECK (namespace <> ''),
    id          text COLLATE "C" NOT NULL CHECK (id <> ''),
    workflow    text COLLATE "C" NOT NULL CHECK (workflow <> ''),
    status      text COLLATE "C" NOT NULL CHECK (status IN ('ready', 'leased', 'succeeded', 'failed', 'cancelled')),
    due_at      bigint CHECK (due_at >= 0),
    epoch       bigint NOT NULL CHECK (epoch BETWEEN 0 AND 4294967295),
    settled     bigint NOT NULL CHECK (settled BETWEEN 0 AND 4294967295),
    replays     bigint NOT NULL CHECK (replays BETWEEN 0 AND epoch AND replays <= replays_max),
    replays_max bigint NOT NULL CHECK (replays_max BETWEEN 1 AND 4294967295),
    deadline    bigint CHECK (deadline >= 0),
    failure     text COLLATE "C",
    worker      text,
    started_at  bigint NOT NULL,
    ended_at    bigint,
    UNIQUE (namespace, id),
    CHECK ((status IN ('ready', 'leased')) = (due_at IS NOT NULL)),
    CHECK ((status IN ('ready', 'leased')) = (ended_at IS NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK (failure IN ('workflow', 'panicked', 'nondeterministic', 'undecodable', 'unencodable', 'deadline_exceeded',
                       'replays_exhausted')),
    CHECK (status NOT IN ('leased', 'succeeded') OR epoch > 0),
    CHECK (settled = 0 OR epoch > 0),
    CHECK (due_at IS NULL OR deadline IS NULL OR due_at <= deadline),
    CHECK (failure IS NULL OR failure <> 'deadline_exceeded' OR deadline IS NOT NULL)
) WITH (fillfactor = 70);
-- One due time serves new work, backoffs, sleeps and the ends of leases. By workflow, so that a backlog of one that no
-- worker here knows costs nothing; without the finished, so that they cost nothing either.
CREATE INDEX executions_due ON hydra.executions (namespace, workflow, due_at, seq) WHERE due_at IS NOT NULL;
CREATE INDEX executions_deadline ON hydra.executions (namespace, deadline, seq)
    WHERE due_at IS NOT NULL AND deadline IS NOT NULL;

CREATE TABLE hydra.payloads (
    execution   bigint PRIMARY KEY REFERENCES hydra.executions (seq) ON DELETE CASCADE,
    input       bytea NOT NULL,
    output      bytea,
    error       text
);

CREATE TABLE hydra.steps (
    execution   bigint NOT NULL REFERENCES hydra.executions (seq) ON DELETE CASCADE,
    step        bigint NOT NULL CHECK (step BETWEEN 0 AND 4294967295),
    name        text NOT NULL,
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('transactional', 'keyed', 'at_most_once', 'timer')),
    epoch       bigint NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
    attempt     bigint NOT NULL CHECK (attempt BETWEEN 0 AND attempts_max),
    attempts_max bigint NOT NULL CHECK (attempts_max BETWEEN 0 AND 4294967295),
    state       text COLLATE "C" NOT NULL CHECK (state IN ('running', 'waiting', 'sleeping', 'abandoned', 'succeeded',
                                                           'failed', 'unencodable', 'in_doubt', 'fired')),
    due_at      bigint CHECK (due_at >= 0),
    ord         bigint CHECK (ord BETWEEN 1 AND 4294967295),
    cause       text COLLATE "C" CHECK (cause IN ('final', 'exhausted', 'crashed')),
    begun_at    bigint NOT NULL,
    settled_at  bigint,
    error       text,
    input       bytea,
    output      bytea,
    PRIMARY KEY (execution, step),
    CHECK ((state IN ('running', 'waiting', 'sleeping', 'abandoned')) = (ord IS NULL)),
    CHECK ((ord IS NULL) = (settled_at IS NULL)),
    CHECK ((state IN ('waiting', 'sleeping') OR (state = 'abandoned' AND kind = 'timer')) = (due_at IS NOT NULL)),
    CHECK ((state = 'failed') = (cause IS NOT NULL)),
    CHECK ((state = 'succeeded') = (output IS NOT NULL)),
    CHECK ((kind = 'timer') = (attempt = 0) AND (kind = 'timer') = (attempts_max = 0)),
    CHECK (state <> 'waiting' OR attempt < attempts_max),
    CHECK (kind <> 'timer' OR state IN ('sleeping', 'abandoned', 'fired')),
    CHECK (kind = 'timer' OR state NOT IN ('sleeping', 'fired')),
    CHECK (state <> 'in_doubt' OR kind = 'at_most_once'),
    CHECK (state <> 'unencodable' OR kind <> 'transactional')
);
-- No two steps settle as the same.
CREATE UNIQUE INDEX steps_order ON hydra.steps (execution, ord) WHERE ord IS NOT NULL;

-- Who held which execution, and when. For people: a lease is known by its epoch.
CREATE TABLE hydra.leases (
    execution   bigint NOT NULL REFERENCES hydra.executions (seq) ON DELETE CASCADE,
    epoch       bigint NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
    worker      text NOT NULL,
    claimed_at  bigint NOT NULL,
    ended_at    bigint,
    PRIMARY KEY (execution, epoch)
);
