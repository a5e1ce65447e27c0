// The two backends of openworkflow: how each is connected, and how the client looks at its tables.

/** PostgreSQL, by URL. Without a word it waits for half a minute for a connection. */
export async function openPostgres(modules, url) {
  const { BackendPostgres } = await import(`${modules}/openworkflow/dist/postgres.js`);
  return BackendPostgres.connect(`${url}?connect_timeout=${process.env.CONNECT_TIMEOUT_S}`);
}

export async function lookPostgres(modules, url) {
  const { default: postgres } = await import(`${modules}/postgres/src/index.js`);
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return {
    // By input: the oldest version keeps no idempotency key.
    find: async (execution) => {
      const rows = await sql`
        select id, status, output, error from openworkflow.workflow_runs
        where input->'program'->>'id' = ${execution} order by created_at limit 1`;
      return rows[0];
    },
    completions: async (run) => {
      const rows = await sql`
        select count(*)::int as n from openworkflow.step_attempts
        where workflow_run_id = ${run} and status in ('completed', 'succeeded') group by step_name`;
      return rows.map(({ n }) => n);
    },
    content: async (run) => {
      const [{ content }] = await sql`
        select concat(r.finished_at, ', ', count(a), ' step attempts, the last written ', max(a.updated_at)) as content
        from openworkflow.workflow_runs r left join openworkflow.step_attempts a on a.workflow_run_id = r.id
        where r.id = ${run} group by r.id, r.finished_at`;
      return content;
    },
  };
}

/** SQLite, by path. */
export async function openSqlite(modules, path, runMigrations) {
  const { BackendSqlite } = await import(`${modules}/openworkflow/dist/sqlite.js`);
  return BackendSqlite.connect(path, { runMigrations });
}

export async function lookSqlite(path) {
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const find = db.prepare(`
    select id, status, output, error from workflow_runs
    where json_extract(input, '$.program.id') = ? order by created_at limit 1`);
  const count = db.prepare(`
    select count(*) as n from step_attempts
    where workflow_run_id = ? and status in ('completed', 'succeeded') group by step_name`);
  const look = db.prepare(`
    select r.finished_at || ', ' || count(a.id) || ' step attempts, the last written ' || max(a.updated_at) as content
    from workflow_runs r left join step_attempts a on a.workflow_run_id = r.id where r.id = ? group by r.id`);
  return {
    find: async (execution) => {
      const run = find.get(execution);
      return run && { ...run, output: run.output && JSON.parse(run.output) };
    },
    completions: async (run) => count.all(run).map(({ n }) => n),
    content: async (run) => look.get(run).content ?? undefined,
  };
}
