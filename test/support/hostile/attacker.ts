import { once } from 'node:events';
import { type AttackName, attacks, type Target } from './attacks.ts';

/** A process that attacks until it is sent anything, or its parent is gone; then it says how its tries ended. */
const [name, target] = process.argv.slice(2) as [AttackName, string];

if (process.send === undefined) throw new Error('this file is forked');
const send = process.send.bind(process);
const stop = new AbortController();
const ends: Record<string, number> = {};
const running = attacks[name](JSON.parse(target) as Target, stop.signal, (end) => {
  ends[end] = (ends[end] ?? 0) + 1;
});
send('started');
const look = setInterval(() => send({ ends }), 100);
await Promise.race([once(process, 'message'), once(process, 'disconnect')]);
stop.abort();
await running;
clearInterval(look);
if (process.connected) send({ ends, over: true }, () => process.disconnect());
