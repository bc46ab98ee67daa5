import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { DiskBudget } from '../../artifact/disk-budget.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import type { EngineState } from '../engine/engine.ts';
import { NodeDisk } from './node-disk.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = folderOfTest();
});

const diskOf = (disk: number | undefined, [adapterDisk, modelDisk]: readonly [number, number]): NodeDisk =>
  new NodeDisk({ disk, adapterDisk, modelDisk, dataDir }, silentLog);

it('adapters and base models share a whole: what one has, the other has not', () => {
  const disk = diskOf(100, [80, 80]);
  const adapters = new DiskBudget(80, disk.adapters);
  const models = new DiskBudget(80, disk.models);
  adapters.count(70);
  expect([adapters.free, models.free, disk.whole.used]).toEqual([10, 30, 70]);
  {
    using room = models.reserve(30, 'a model');
    expect([adapters.free, models.free]).toEqual([0, 0]);
    expect(() => adapters.reserve(1, 'an adapter')).toThrow(/0 of the budget of 80 are free/);
    room.spend(20);
  }
  expect([models.used, adapters.free, disk.whole.free]).toEqual([20, 10, 10]);
});

it('what gives back more than it needs has no room promised by that', () => {
  const budget = new DiskBudget(100);
  budget.count(60);
  using room = budget.reserve(0, 'what is smaller than what was there of it');
  room.spend(-50);
  expect([budget.used, budget.free]).toEqual([10, 90]);
});

it('without a setting the whole is both parts together', () => {
  expect(diskOf(undefined, [80, 30]).whole.limit).toBe(110);
});

it('the marks of adapters come down where the rest of the node takes of their part', () => {
  const disk = diskOf(100, [80, 80]);
  const adapters = new DiskBudget(80, disk.adapters);
  adapters.count(50);
  expect(disk.marks(adapters)).toEqual({ usedBytes: 50, highBytes: 72, lowBytes: 64 });
  disk.whole.count(60);
  expect(disk.marks(adapters)).toEqual({ usedBytes: 50, highBytes: 36, lowBytes: 32 });
});

it('a base model that finds too little asks adapters for what is missing', async () => {
  const disk = diskOf(100, [80, 80]);
  const models = new DiskBudget(80, disk.models);
  const adapters = new DiskBudget(80, disk.adapters);
  adapters.count(70);
  disk.onShort(async (bytes) => adapters.count(-bytes));
  await models.makeRoom(50);
  expect(models.free).toBe(50);
});

it('a base model that finds too little takes the place of left-overs of adapters first', async () => {
  const disk = diskOf(100, [80, 80]);
  const models = new DiskBudget(80, disk.models);
  const adapters = new DiskBudget(80, disk.adapters);
  adapters.count(70);
  disk.onLeftovers(async () => adapters.count(-15));
  const freed: number[] = [];
  disk.onShort(async (bytes) => void freed.push(bytes));
  await models.makeRoom(50);
  expect(freed).toEqual([5]);
});

it('what is prepared is counted each time that its engine is ready, as one that is started again may prepare anew', async () => {
  const disk = diskOf(100, [50, 50]);
  const listeners: ((state: EngineState) => void)[] = [];
  disk.countWhenReady({
    onState: (listener) => {
      listeners.push(listener);
      return () => undefined;
    },
  });
  const become = (state: EngineState): void => listeners.forEach((listener) => listener(state));
  await mkdir(join(dataDir, 'base'));
  for (const bytes of [30, 20]) {
    await writeFile(join(dataDir, 'base/constants.bin'), 'x'.repeat(bytes));
    for (const state of ['down', 'starting', 'ready'] as const) become(state);
    await expect.poll(() => disk.whole.used).toBe(bytes);
  }
});

it('what is prepared of a base model and of the encoder of classifiers counts, and what is gone of it does not', async () => {
  const disk = diskOf(100, [50, 50]);
  await disk.countPrepared();
  expect(disk.whole.used).toBe(0);
  await mkdir(join(dataDir, 'base/prepared/one'), { recursive: true });
  await writeFile(join(dataDir, 'base/prepared/one/constants.bin'), 'x'.repeat(30));
  await mkdir(join(dataDir, 'classifier-base'));
  await writeFile(join(dataDir, 'classifier-base/weights.bin'), 'x'.repeat(5));
  await disk.countPrepared();
  expect(disk.whole.used).toBe(35);
  disk.whole.count(50);
  expect(
    [join(dataDir, 'base'), join(dataDir, 'classifier-base')].map((each) => disk.preparedRoom(each)),
  ).toEqual([45, 20]);
  disk.whole.count(30);
  expect(disk.preparedRoom(join(dataDir, 'base'))).toBe(15);
  disk.whole.count(-80);
  await rm(join(dataDir, 'base/prepared/one'), { recursive: true });
  await rm(join(dataDir, 'classifier-base'), { recursive: true });
  await disk.countPrepared();
  expect(disk.whole.used).toBe(0);
});
