import { Worker } from 'node:worker_threads';

/**
 * Runs a script in a thread of its own while this one stands still, until the script calls `done()`: what it sent is there at once when the servers of
 * this thread look.
 */
export const whileWeStandStill = async (script: string, data: object): Promise<void> => {
  const over = new Int32Array(new SharedArrayBuffer(4));
  const done = 'const done = () => { Atomics.store(data.over, 0, 1); Atomics.notify(data.over, 0); };';
  const worker = new Worker(`const data = require('node:worker_threads').workerData; ${done} ${script}`, {
    eval: true,
    workerData: { ...data, over },
  });
  // Longer than any machine takes: the test fails by what it expects, and does not hang.
  Atomics.wait(over, 0, 0, 30_000);
  await worker.terminate();
};
