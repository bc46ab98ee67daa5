import { expect, it } from 'vitest';
import { scalesKey } from './kv-scales.ts';

it('scales of keys and values are those of a graph, of texts and of a build of the native operator', () => {
  const samples = { learned: [[1]], unseen: [[2]] };
  const keys = [
    scalesKey(Buffer.from('graph'), samples, 'build'),
    scalesKey(Buffer.from('graph'), samples, 'another build'),
    scalesKey(Buffer.from('another graph'), samples, 'build'),
    scalesKey(Buffer.from('graph'), { ...samples, unseen: [[3]] }, 'build'),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(scalesKey(Buffer.from('graph'), samples, 'build')).toBe(keys[0]);
});
