import { expect, it } from 'vitest';
import { shortPlan } from './start-check.ts';

const mib = 2 ** 20;
const plan = (limit: number, kv: number, adapters: number, { structures = 0, classifiers = 0 } = {}) =>
  shortPlan(
    {
      limitBytes: limit * mib,
      baseBytes: 600 * mib,
      kvBytes: kv * mib,
      adapterBytes: adapters * mib,
      structureBytes: structures * mib,
      classifierBytes: classifiers * mib,
      marginBytes: 50 * mib,
    },
    { level: 'the memory limit of the pod', base: 'the base model and the processes' },
  );

it('a limit that holds all says nothing', () => {
  expect(plan(1000, 250, 100)).toBeUndefined();
});

it('one that does not says by how much, and what to set', () => {
  expect(plan(1000, 512, 100)).toBe(
    'the memory limit of the pod is 1000 MiB, which is less than what this runtime may come to take (the base model and the processes 600 MiB, --kv-memory 512 MiB, --adapter-memory 100 MiB and 50 MiB that stay free); set --kv-memory 250Mi, or give this runtime 1262Mi. Until then budgets shrink when memory is short',
  );
  expect(plan(1000, 100, 400)).toContain('set --adapter-memory and --kv-memory to 350Mi together, or give');
  expect(plan(1000, 100, 100, { classifiers: 512 })).toContain(
    '--adapter-memory 100 MiB, --classifier-memory 512 MiB and 50 MiB',
  );
  expect(plan(1000, 100, 100, { classifiers: 512 })).toContain(
    'set --classifier-memory to less, with an encoder that fits it, or leave --classifier-model out, or give this runtime 1362Mi',
  );
  expect(plan(1312, 200, 100, { classifiers: 512 })).toContain(
    'set --kv-memory 50Mi, or give this runtime 1462Mi',
  );
  expect(plan(640, 100, 400)).toContain('no budget is small enough, or give this runtime 1150Mi');
});

it('structures are a part of it, where there are any', () => {
  expect(plan(1000, 250, 100, { structures: 1 })).toContain(
    '--adapter-memory 100 MiB, --structure-memory 1 MiB and 50 MiB',
  );
  expect(plan(1000, 250, 100, { structures: 50 })).toContain(
    'set --kv-memory 200Mi, or give this runtime 1050Mi',
  );
  expect(plan(1000, 100, 200, { structures: 192 })).toContain(
    'set --adapter-memory, --structure-memory and --kv-memory to 350Mi',
  );
});
