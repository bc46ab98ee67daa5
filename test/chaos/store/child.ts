import { mkdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { artifacts, names } from './artifacts.ts';
import { day, type Promised } from './day.ts';
import { type Fault, FaultyDisk } from './faulty-disk.ts';
import { keyOf, never, SmallNode } from './node.ts';

/** A node of its own that is killed at one place: `child.ts FOLDER POINT FAULT`. Says what it promised, a line each time. */
const [, , folder = '', point = '', fault = ''] = process.argv;
const graveyard = join(folder, 'graveyard');
mkdirSync(graveyard);
const disk = new FaultyDisk(graveyard);
disk.die = () => process.kill(process.pid, 'SIGKILL');
disk.armed = { point, fault: fault as Fault };
disk.linkless = new RegExp(`${artifacts.copied.digest.slice(7)}/files/`);
const data = join(folder, 'data');
const node = await SmallNode.open(data, disk);
const promised: Promised = new Map();
node.apply(names);
using _ram = await node.residency.acquire(keyOf('ram'), { signal: never });
for (const [, step] of day) {
  await step(node, promised, data);
  writeSync(1, `${JSON.stringify([...promised])}\n`);
}
