-- The checks of a table as one function, which a session compiles once. Written out they are the same law, and the server
-- reads them from its catalog anew for each statement that writes: that took more of its time than the rows themselves.
-- A part that is unknown breaks no law, as in a check: a conjunction is false only where one of its parts is.
CREATE FUNCTION hydra.is_lawful_execution(
    namespace text, id text, workflow text, status text, due_at bigint, epoch bigint, settled bigint, replays bigint,
    replays_max bigint, deadline bigint, failure text, ended_at bigint
) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN namespace <> ''
        AND id <> ''
        AND workflow <> ''
        AND status IN ('ready', 'leased', 'succeeded', 'failed', 'cancelled')
        AND due_at >= 0
        AND epoch BETWEEN 0 AND 4294967295
        AND settled BETWEEN 0 AND 4294967295
        AND replays BETWEEN 0 AND epoch AND replays <= replays_max
        AND replays_max BETWEEN 1 AND 4294967295
        AND deadline >= 0
        AND (status IN ('ready', 'leased')) = (due_at IS NOT NULL)
        AND (status IN ('ready', 'leased')) = (ended_at IS NULL)
        AND (status = 'failed') = (failure IS NOT NULL)
        AND failure IN ('workflow', 'panicked', 'nondeterministic', 'undecodable', 'unencodable', 'deadline_exceeded',
                        'replays_exhausted')
        AND (status NOT IN ('leased', 'succeeded') OR epoch > 0)
        AND (settled = 0 OR epoch > 0)
        AND (due_at IS NULL OR deadline IS NULL OR due_at <= deadline)
        AND (failure IS NULL OR failure <> 'deadline_exceeded' OR deadline IS NOT NULL);
END $$;

CREATE FUNCTION hydra.is_lawful_step(
    step bigint, kind text, epoch bigint, attempt bigint, attempts_max bigint, state text, due_at bigint, ord bigint,
    cause text, settled_at bigint, output bytea
) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN step BETWEEN 0 AND 4294967295
        AND kind IN ('transactional', 'keyed', 'at_most_once', 'timer')
        AND epoch BETWEEN 1 AND 4294967295
        AND attempt BETWEEN 0 AND attempts_max
        AND attempts_max BETWEEN 0 AND 4294967295
        AND state IN ('running', 'waiting', 'sleeping', 'abandoned', 'succeeded', 'failed', 'unencodable', 'in_doubt',
                      'fired')
        AND due_at >= 0
        AND ord BETWEEN 1 AND 4294967295
        AND cause IN ('final', 'exhausted', 'crashed')
        AND (state IN ('running', 'waiting', 'sleeping', 'abandoned')) = (ord IS NULL)
        AND (ord IS NULL) = (settled_at IS NULL)
        AND (state IN ('waiting', 'sleeping') OR (state = 'abandoned' AND kind = 'timer')) = (due_at IS NOT NULL)
        AND (state = 'failed') = (cause IS NOT NULL)
        AND (state = 'succeeded') = (output IS NOT NULL)
        AND (kind = 'timer') = (attempt = 0) AND (kind = 'timer') = (attempts_max = 0)
        AND (state <> 'waiting' OR attempt < attempts_max)
        AND (kind <> 'timer' OR state IN ('sleeping', 'abandoned', 'fired'))
        AND (kind = 'timer' OR state NOT IN ('sleeping', 'fired'))
        AND (state <> 'in_doubt' OR kind = 'at_most_once')
        AND (state <> 'unencodable' OR kind <> 'transactional');
END $$;

-- Only once the new ones have found every row to be lawful do the old ones go: all of it or nothing.
SET LOCAL statement_timeout = '10min';
ALTER TABLE hydra.executions ADD CONSTRAINT executions_lawful CHECK (hydra.is_lawful_execution(
    namespace, id, workflow, status, due_at, epoch, settled, replays, replays_max, deadline, failure, ended_at));
ALTER TABLE hydra.steps ADD CONSTRAINT steps_lawful CHECK (hydra.is_lawful_step(
    step, kind, epoch, attempt, attempts_max, state, due_at, ord, cause, settled_at, output));
DO $$
DECLARE old record;
BEGIN
    FOR old IN
        SELECT conrelid::regclass AS of, conname FROM pg_constraint
        WHERE contype = 'c' AND conrelid IN ('hydra.executions'::regclass, 'hydra.steps'::regclass)
            AND conname NOT IN ('executions_lawful', 'steps_lawful')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old.of, old.conname);
    END LOOP;
END $$;
