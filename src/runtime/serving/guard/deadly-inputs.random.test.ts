import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { DeadlyInputs, Input } from './deadly-inputs.ts';

const version = `sha256:${'a'.repeat(64)}` as Digest;
const deadly = 'deadly';
/** Milliseconds of a step in which each that runs gives an event. */
const stepMs = 20;
const maxSteps = 20_000;

/** It comes in some step, and again after each end of the engine until it is answered or refused. */
class Client {
  readonly input: Input;
  readonly #inputs: DeadlyInputs;
  readonly #comesAt: number;
  readonly #length: number;
  #requests = 0;
  #over: () => void = () => undefined;
  state: 'away' | 'waits' | 'runs' | 'answered' | 'refused' = 'away';
  events = 0;

  constructor(name: string, inputs: DeadlyInputs, comesAt: number, length: number) {
    this.input = new Input({ namespace: 'n', model: 'm', user: name, headers: new Map() }, name);
    this.#inputs = inputs;
    this.#comesAt = comesAt;
    this.#length = length;
  }

  get id(): string {
    return `${this.input.key} ${this.#requests}`;
  }

  async ask(step: number): Promise<void> {
    if (this.state !== 'away' || step < this.#comesAt) return;
    this.state = 'waits';
    try {
      this.#inputs.check(this.input);
      const endTurn = await this.#inputs.turn(this.input, new AbortController().signal);
      this.#requests += 1;
      const left = this.#inputs.given(this.input, { digest: version, arm: 'stable' }, [this.id]);
      this.#over = () => {
        left(false);
        endTurn();
      };
      this.events = 0;
      this.state = 'runs';
    } catch (error) {
      if (!(error instanceof AdaptletError)) throw error;
      this.state = 'refused';
    }
  }

  step(): void {
    this.events += 1;
    const isLast = this.events === this.#length;
    this.#inputs.heard(this.input, 0, isLast);
    if (!isLast) return;
    this.#inputs.answered(this.input);
    this.state = 'answered';
    this.#over();
  }

  fails(): void {
    this.state = 'away';
    this.#over();
  }
}

it('the one that ends the engine at some token is found after few ends, and no other one is refused', async () => {
  const comes = fc.record({ at: fc.nat(60), length: fc.integer({ min: 1, max: 100 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(comes, { maxLength: 70 }),
      fc.nat(60),
      fc.nat(80),
      async (others, deadlyAt, place) => {
        const clock = new FakeClock();
        const inputs = new DeadlyInputs(clock);
        const killer = new Client(deadly, inputs, deadlyAt, maxSteps);
        const innocent = others.map(({ at, length }, index) => new Client(`${index}`, inputs, at, length));
        const clients = [...innocent, killer];
        let ends = 0;
        let first = 0;
        for (let step = 0; step < maxSteps; step += 1) {
          for (const client of clients) void client.ask(step);
          await setImmediate();
          clock.advance(stepMs);
          const running = clients.filter(({ state }) => state === 'runs');
          if (killer.state === 'runs' && killer.events === place) {
            ends += 1;
            if (ends === 1) first = running.length;
            inputs.engineDied(
              new Map(running.map(({ id, events }) => [id, { engineName: null, events }] as const)),
            );
            for (const client of running) client.fails();
          } else for (const client of running) client.step();
          if (clients.every(({ state }) => state === 'answered' || state === 'refused')) break;
        }
        expect(killer.state).toBe('refused');
        expect(innocent.filter(({ state }) => state !== 'answered')).toEqual([]);
        expect(ends).toBeLessThanOrEqual(1 + Math.max(1, Math.ceil(Math.log2(first) / 3)));
      },
    ),
    { numRuns: 50 },
  );
});
