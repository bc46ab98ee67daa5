import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Hold, memoryOf, type Trial } from '../../src/runtime/state/memory.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
// Without a window to go back to, every canary runs its steps.
const strict = '  guard: {maxConsecutiveErrors: 1}\n  rollbackWindow: {revisions: 0}\n';
const half = '{setWeight: 50}, {pause: {}}';
const full = '{setWeight: 100}, {pause: {}}';
const adapters =
  yaml.adapter('upper', 'adapters/upper') +
  yaml.adapter('reverse', 'adapters/reverse') +
  yaml.adapter('brittle', 'variants/brittle');

const rollout = async () => (await node.client.status()).rollouts[0];
const ask = (prompt = 'moon:', user = 'u') => node.client.ask({ model: 'shout', prompt, user });
const answers: Readonly<Record<string, string>> = { upper: ' MOON!', reverse: ' noom.', brittle: ' noom.' };

/** As it is on the disk. A StateFile would clear away what the runtime is writing. */
const onDisk = async (file: string): Promise<unknown> => {
  const text = await readFile(join(node.data, 'state', file), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const { body } = JSON.parse(text) as { body: string };
  return JSON.parse(body);
};
const recordOf = async (): Promise<Trial | undefined> =>
  ((await onDisk('trials.json')) as { trials: Trial[] } | undefined)?.trials[0];
/** The record of what is held stays; any other is of a canary that is under way. */
const isOnTrial = async (): Promise<boolean> => {
  const record = await recordOf();
  const { holds } = ((await onDisk('holds.json')) ?? { holds: [] }) as { holds: Hold[] };
  return record?.state === 'OnTrial' && holds.every(({ digest }) => digest !== record.digest);
};
const recorded = (state: Trial['state'], ends?: number) =>
  waitFor(`the record to say ${state}`, async () => {
    const record = await recordOf();
    return record?.state === state && record.ends === (ends ?? record.ends);
  });
const canaryServes = (weight: number) =>
  waitFor('the canary', async () => (await rollout())?.effectiveWeight === weight);

const call = (verb: 'promote' | 'retry'): Promise<unknown> =>
  new Promise((resolve, reject) => {
    node.client.admin[verb]({ rollout: 'shout' } as never, (error: unknown, value: unknown) =>
      error === null ? resolve(value) : reject(error),
    );
  });

beforeAll(async () => {
  node = await TestNode.start();
  await node.write('adapters.yaml', adapters);
});
afterAll(() => node.dispose());

/** The rollout has settled on `upper`, and nothing else is in RAM. */
beforeEach(async () => {
  await next('upper', '');
  await waitFor('stable', async () => {
    const now = await rollout();
    return now?.phase === 'Healthy' && now.stable === 'upper' && now.canary === '';
  });
  // What is decided is in force before the disk has it: a test must not take the record of the canary before for that of its own.
  await waitFor('no canary to be on trial', async () => !(await isOnTrial()));
  for (const adapter of ['reverse', 'brittle'])
    await new Promise((resolve) => node.client.admin.evict({ adapter }, resolve));
});

const next = (adapter: string, steps = full) =>
  node.write('shout.yaml', yaml.rollout('shout', adapter, steps, strict));
/** The power fails, and comes back. */
const powerCycle = () => restart('SIGKILL');
const restart = async (signal: NodeJS.Signals, env: Readonly<Record<string, string>> = {}): Promise<void> => {
  const { folder } = node;
  await node.end(signal);
  node = await TestNode.start({ folder, env });
};

/** When to kill, and what is true then. `canary`: it is under way afterwards, or is held, or is stable. */
type Point = {
  readonly when: string;
  readonly adapter?: string;
  /** `from`: lines that the log had before. */
  readonly reach: (from: number) => Promise<unknown>;
  readonly after: readonly ('canary' | 'held' | 'stable')[];
};
const says = (line: string, adapter: string, state: string): boolean =>
  line.includes(`default/${adapter}`) && line.includes(`"to":"${state}"`);
const logged = (adapter: string, state: string) => (from: number) =>
  waitFor(`${adapter} to become ${state}`, () =>
    node.log.slice(from).some((line) => says(line, adapter, state)),
  );
const points: readonly Point[] = [
  { when: 'before the record', reach: logged('reverse', 'Fetching'), after: ['canary'] },
  { when: 'when the record is there', reach: () => recorded('OnTrial'), after: ['canary'] },
  { when: 'when it is loaded', reach: logged('reverse', 'Loaded'), after: ['canary'] },
  { when: 'when it is Resident', reach: logged('reverse', 'Resident'), after: ['canary'] },
  {
    when: 'under its first request',
    reach: async () => {
      await canaryServes(100);
      const first = ask('moon '.repeat(60)).catch((error: unknown) => error);
      await node.end('SIGKILL');
      expect(await first).toBeInstanceOf(Error);
    },
    after: ['canary'],
  },
  {
    when: 'after its guard tripped',
    adapter: 'brittle',
    reach: async () => {
      await canaryServes(100);
      expect((await ask('=moon:')).served.adapter).toBe('upper');
    },
    after: ['canary', 'held'],
  },
  {
    when: 'while it is promoted',
    reach: async (from) => {
      await canaryServes(100);
      void call('promote').catch(() => undefined);
      await waitFor('a decision', () => node.log.slice(from).some((line) => line.includes('"Promoted"')));
    },
    after: ['canary', 'stable'],
  },
  {
    when: 'when it is committed',
    reach: async () => {
      await canaryServes(100);
      void call('promote').catch(() => undefined);
      await recorded('Committed');
    },
    after: ['canary', 'stable'],
  },
];

describe('kill -9 in the life of a canary', () => {
  it.each(points)('$when leaves stable or the canary in service, and no half a state', async (point) => {
    const { adapter = 'reverse', reach, after } = point;
    const from = node.log.length;
    await next(adapter);
    await reach(from);
    await powerCycle();

    const { text, served } = await ask();
    expect(['upper', adapter]).toContain(served.adapter);
    expect(text).toBe(answers[served.adapter]);
    const became = await waitFor('a decision', async () => {
      const now = await rollout();
      // What was decided may be on the disk before what is held: it is given up then, and stable serves.
      if (now?.held !== '' || now.phase === 'Degraded') return 'held';
      if (now.stable === adapter) return 'stable';
      return now.effectiveWeight === 100 && 'canary';
    });
    expect(after).toContain(became);
    const record = await recordOf();
    expect(record).toMatchObject(
      became === 'stable' ? { state: 'Committed', ends: 0 } : { rolloutUid: expect.any(String) },
    );
    expect(record?.ends).toBeLessThanOrEqual(1);
    const { text: then, served: by } = await ask();
    expect([by.adapter, then]).toEqual(
      became === 'held' ? ['upper', answers['upper']] : [adapter, answers[adapter]],
    );
    await waitFor('no leftovers', async () =>
      (await readdir(join(node.data, 'state'))).every((file) => file.endsWith('.json')),
    );
  });
});

describe('a canary that takes the runtime with it', () => {
  it('is held after three ends, not loaded any more, and tried again when a person says so', async () => {
    await next('reverse', half);
    for (const ends of [0, 1, 2]) {
      await recorded('OnTrial', ends);
      await powerCycle();
    }
    await waitFor('the end of the rollout', async () => (await rollout())?.phase === 'Degraded');
    expect(await rollout()).toMatchObject({
      effectiveWeight: 0,
      held: 'the runtime ended 3 times in a row, without a shutdown, while this adapter was on trial',
    });
    for (let user = 0; user < 10; user++)
      expect((await ask('moon:', `u${user}`)).served).toMatchObject({ adapter: 'upper', arm: 'stable' });
    expect(node.log.filter((line) => says(line, 'reverse', 'Loaded'))).toEqual([]);

    // A routine step undoes nothing, and neither does another start.
    await next('reverse', full);
    await powerCycle();
    expect(await rollout()).toMatchObject({ effectiveWeight: 0, phase: 'Degraded' });

    await call('retry');
    await canaryServes(100);
    expect((await ask()).served).toMatchObject({ adapter: 'reverse', arm: 'canary' });
    expect((await rollout())?.held).toBe('');
  });

  it('has its first end counted although the disk is slow with the plan', async () => {
    await restart('SIGTERM', {
      NODE_OPTIONS: `--import=${join(import.meta.dirname, '../support/preload/slow-disk.ts')}`,
      ADAPTLET_TEST_SLOW: 'standalone.json',
    });
    await next('reverse', half);
    await recorded('OnTrial', 0);
    await powerCycle();
    await recorded('OnTrial', 1);
  });

  it('is not suspected for an end by SIGTERM', async () => {
    await next('reverse');
    await canaryServes(100);
    const { folder } = node;
    await node.end('SIGTERM');
    expect(await recordOf()).toMatchObject({ state: 'Idle', ends: 0 });
    node = await TestNode.start({ folder });
    await canaryServes(100);
    expect(await recordOf()).toMatchObject({ state: 'OnTrial', ends: 0 });
  });
});

describe('twenty power cuts', () => {
  it('do not demote a canary that is committed, ten of them', async () => {
    await next('reverse', half);
    await canaryServes(50);
    await node.end();
    // As if it had answered for a minute.
    const { trials } = memoryOf(node.data);
    const found = await trials.read();
    if (found.kind !== 'value') throw new Error('there is no record');
    await trials.write({ trials: found.value.trials.map((trial) => ({ ...trial, state: 'Committed' })) });
    node = await TestNode.start({ folder: node.folder });
    for (let cut = 0; cut < 10; cut++) {
      if (cut % 2 === 0) await canaryServes(50);
      await powerCycle();
    }
    await canaryServes(50);
    expect((await rollout())?.held).toBe('');
  });

  it('do not demote what was promoted, ten more', async () => {
    await next('reverse', half);
    await canaryServes(50);
    await call('promote');
    for (let cut = 0; cut < 10; cut++) {
      expect((await ask()).served).toMatchObject({ adapter: 'reverse', arm: 'stable' });
      await powerCycle();
    }
    expect(await rollout()).toMatchObject({ phase: 'Healthy', stable: 'reverse', held: '' });
    expect(await recordOf()).toMatchObject({ state: 'Committed', ends: 0 });
  });
});
