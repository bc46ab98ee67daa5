import { expect, it } from 'vitest';
import { adapterColumns, rolloutColumns, stepOf } from './columns.ts';
import type { Digest } from './names.ts';

it('counts steps from 1, and stays at the last one', () => {
  expect([0, 1, 5, 6].map((index) => stepOf({ index, total: 6 }))).toEqual(['1/6', '2/6', '6/6', '6/6']);
});

it('says how many of the desired runtimes are ready, and nothing where nothing is known', () => {
  const status = { step: { index: 1, total: 6 }, runtimes: { ready: 9, desired: 10 } };
  expect(rolloutColumns(status)).toEqual({ step: '2/6', ready: '9/10' });
  expect(rolloutColumns({})).toEqual({});
});

it('shortens a digest to 12 digits', () => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}` as Digest;
  const runtimes = { resident: 1, desired: 3 };
  expect(adapterColumns({ digest, runtimes })).toEqual({ digest: '0123456789ab', resident: '1/3' });
  expect(adapterColumns({ digest: undefined, runtimes })).toEqual({ resident: '1/3' });
});
