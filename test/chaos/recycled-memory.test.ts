import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf } from '../../src/errors/code-of.fixture.ts';
import { ask, request, startTiny, type TestEngine } from '../conformance/support/engine.ts';
import { golden, greedyOf, tinyAdapters } from '../conformance/support/tiny.ts';
import { chaosSeed, seeded } from '../support/random.ts';
import { soakSeconds } from './long-form.ts';

const seconds = soakSeconds(20);
const seed = chaosSeed();
const streams = 6;
/** Adapters that fit at the same time: fewer than streams, so memory is reused all the time. */
const places = 3;

describe(`adapter memory that is reused under traffic (ADAPTLET_CHAOS_SEED=${seed})`, () => {
  let tiny: TestEngine;
  beforeAll(async () => {
    tiny = await startTiny({ adapterBudgetBytes: 0, maxConcurrent: streams, maxQueue: 1000 });
    // The arena has room for rounding: all of it is taken, and then only so much given back.
    const ballast: string[] = [];
    const fill = async (): Promise<string> => {
      for (;;) {
        const name = `ballast-${ballast.length}`;
        const code = await codeOf(() => tiny.engine.load(name, tiny.files['hello'] ?? ''));
        if (code !== 'none') return code;
        ballast.push(name);
      }
    };
    expect(await fill()).toBe('ADAPTER_MEMORY_FULL');
    for (const name of ballast.slice(0, places)) await tiny.engine.unload(name);
  });
  afterAll(() => tiny.engine.close());

  /** Every answer of a stream must be the one that PEFT gives, with the right adapter, or none. */
  const checkAnswer = async (adapter: string, engineName: string | null): Promise<void> => {
    const { pick } = random;
    const index = pick([...golden.prompts.keys()]);
    const { text = '' } = golden.prompts[index] ?? {};
    const { ids } = await ask(tiny.engine, request(engineName, text));
    expect(ids, `${adapter} on ${text}`).toEqual(greedyOf(adapter)[index]?.ids);
    answers += 1;
  };

  const random = seeded(seed);
  let answers = 0;
  let refusals = 0;
  let loads = 0;

  /** Loads an adapter under a name of its own, asks it, and unloads it while answers are still on their way. */
  const round = async (stream: number, turn: number): Promise<void> => {
    const adapter = random.pick(tinyAdapters);
    const name = `${adapter}-${stream}-${turn}`;
    const code = await codeOf(() => tiny.engine.load(name, tiny.files[adapter] ?? ''));
    if (code !== 'none') {
      expect(code).toBe('ADAPTER_MEMORY_FULL');
      refusals += 1;
      await checkAnswer('base', null);
      return;
    }
    loads += 1;
    const asked = Array.from({ length: 1 + Math.floor(random.next() * 3) }, () => checkAnswer(adapter, name));
    const [first] = asked;
    if (random.next() < 0.5) await first;
    // Those that were admitted keep the adapter until their last token.
    await Promise.all([...asked, tiny.engine.unload(name)]);
  };

  it(
    'never makes an answer from memory of another adapter',
    async () => {
      const until = performance.now() + seconds * 1000;
      const hammer = async (stream: number): Promise<void> => {
        for (let turn = 0; performance.now() < until; turn += 1) await round(stream, turn);
      };
      await Promise.all(Array.from({ length: streams }, (_, stream) => hammer(stream)));
      console.log(`${answers} answers, ${loads} loads, ${refusals} for lack of room in ${seconds} s`);
      expect(loads).toBeGreaterThan(50);
      expect(refusals).toBeGreaterThan(0);
      expect(tiny.log.filter(({ level }) => level === 'error')).toEqual([]);
    },
    (seconds + 120) * 1000,
  );
});
