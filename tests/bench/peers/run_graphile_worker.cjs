// Graphile Worker: `run_graphile_worker fill N` adds N jobs, `run_graphile_worker work` is one worker process.
//
// Tuned: several jobs in flight on a pool that holds them. With BATCHED=1 as its page on performance has it: it locks
// jobs far ahead and completes those that are done together, so that a worker that is killed leaves more of them locked
// (for four hours) or done and not completed.

const { Logger, makeWorkerUtils, run } = require("graphile-worker");

const JOBS_IN_FLIGHT = 10;
const BATCHED = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => {});
const ADD = `
  SELECT graphile_worker.add_jobs(array(
    SELECT row('touch', json_build_object('number', n), NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
    FROM generate_series(1, $1::int) n))`;
const TOUCH = { name: "touch", text: "UPDATE bench_item SET touched = touched + 1 WHERE id = $1" };

async function fill(jobs) {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  await utils.withPgClient((client) => client.query(ADD, [jobs]));
  await utils.release();
}

async function touch({ number }, helpers) {
  await helpers.withPgClient((client) => client.query({ ...TOUCH, values: [number] }));
}

async function work() {
  const worker = {
    connectionString,
    concurrentJobs: JOBS_IN_FLIGHT,
    maxPoolSize: JOBS_IN_FLIGHT + 1,
    pollInterval: 500,
    logger,
    ...(process.env.BATCHED ? BATCHED : {}),
  };
  const runner = await run({ preset: { worker }, taskList: { touch } });
  await runner.promise;
}

(process.argv[2] === "fill" ? fill(Number(process.argv[3])) : work()).catch((error) => {
  console.error(error);
  process.exit(1);
});
