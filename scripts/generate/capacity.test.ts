import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { bytesPerMonth, capacities, type Inputs, limits, shardsFor, withinMemory } from './capacity.ts';

const inputs: Inputs = {
  cpuBase: 0.1,
  cpuPerRuntime: 0.0005,
  rssBase: 124,
  rssPerRuntime: 0.9,
  reconnectBase: 2,
  reconnectPerRuntime: 0.008,
  idleBytesPerHour: 14_000,
  bytesPerStep: 500,
  messagesPerStep: 3,
  writesBase: 5,
  writesPerRuntime: 0.03,
  objectBytes: 2_000,
};

describe('the arithmetic of scale', () => {
  it('says for each limit how many runtimes one operator takes', () => {
    expect(capacities(inputs, 1)).toEqual({
      cpu: 1000,
      memory: 1000,
      reconnect: 1000,
      writes: Infinity,
      streams: 5000,
    });
    expect(capacities(inputs, 0.5)).toMatchObject({ cpu: 2000 });
  });

  it('leaves room for the counts of canaries', () => {
    // 900 MiB of 0.9 each, and 900 of 0.9 + 100 x 6,000 bytes each.
    expect(withinMemory(inputs, 0)).toBe(1000);
    expect(withinMemory(inputs, 100)).toBe(611);
  });

  it('counts writes of steps, of a flap, and of runtimes up to their budget', () => {
    const many = { ...inputs, writesBase: 9, flapWrites: 1 };
    // 9 a second leave 1, which is less than the budget.
    expect(capacities(many, 1).writes).toBe(33);
    expect(capacities(many, 2).writes).toBe(0);
    // 7 a second leave 3, which is more than runtimes have however many there are.
    expect(capacities({ ...inputs, writesBase: 7 }, 1).writes).toBe(Infinity);
    // 1 + 8 / 60 leave room for all of it.
    expect(capacities(many, 1 / 60).writes).toBe(Infinity);
    expect(shardsFor(100_000, many, 1)).toBe(3031);
  });

  it('has the limit of memory that the chart sets', () => {
    const file = join(import.meta.dirname, '../../charts/adaptlet/values.yaml');
    // The defaults of the chart.
    const { operator } = parse(readFileSync(file, 'utf8')) as {
      readonly operator: { readonly resources: { readonly limits: { readonly memory: string } } };
    };
    expect(operator.resources.limits.memory).toBe(`${limits.mib / 1024}Gi`);
  });

  it('takes as many operators as the nearest limit asks for', () => {
    expect(shardsFor(100_000, inputs, 1)).toBe(100);
    expect(shardsFor(100_001, inputs, 0.01)).toBe(101);
    expect(shardsFor(100_000, { ...inputs, rssPerRuntime: 0, reconnectPerRuntime: 0 }, 0.001)).toBe(20);
  });

  it('sums the bytes of a month', () => {
    expect(bytesPerMonth(inputs, 0)).toEqual({ payload: 730 * 14_000, headers: 730 * 28_080 });
    expect(bytesPerMonth(inputs, 60)).toEqual({
      payload: 730 * (14_000 + 30_000),
      headers: 730 * (28_080 + 60 * 6 * 52),
    });
  });
});
