import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { type AttackName, attacks, type Target } from './attacks.ts';

/** A thread that attacks until it is sent anything; then it says how its tries ended. */
const { name, target } = workerData as { readonly name: AttackName; readonly target: Target };

if (parentPort === null) throw new Error('this file is a worker thread');
const stop = new AbortController();
const ends: Record<string, number> = {};
const running = attacks[name](target, stop.signal, (end) => {
  ends[end] = (ends[end] ?? 0) + 1;
});
parentPort.postMessage('started');
const look = setInterval(() => parentPort?.postMessage({ ends }), 100);
await once(parentPort, 'message');
stop.abort();
await running;
clearInterval(look);
parentPort.postMessage({ ends, over: true });
parentPort.close();
