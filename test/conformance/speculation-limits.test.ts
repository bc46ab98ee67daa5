import { afterAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { aboutFixture, fixtureFolder } from '../support/fixture-models.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { endless, TestHost } from './support/host.ts';
import { expectSame, nearTie, plain, TimedSteps, textOf } from './support/speculation.ts';
import { tinyModel } from './support/tiny.ts';

const cache = folderOfTests();
const steps = new TimedSteps();
const { clock } = steps;
afterAll(() => steps.restore());

const open = (options: Parameters<typeof TestHost.tiny>[1] = {}): Promise<TestHost> =>
  TestHost.tiny(tinyModel('fp32'), { speculation: true, clock, ...options }, cache);

describe('drafts', () => {
  it('stay within the memory for keys and values, also beside one that stands still', async () => {
    // Five times 64 tokens: two are of what stands still, which makes way when the other one needs a fourth.
    const kvBudgetBytes = 5 * 8 * 4096;
    const host = await open({ kvBudgetBytes, maxConcurrent: 2 });
    let most = 0;
    const stands = endless('upper', 'moon: fish: '.repeat(3), 80);
    const standing = new Promise((resolve) => host.host.generate(50_000, stands, () => undefined, resolve));
    const inputs = [1, 2, 3, 4, 5].map((seed) =>
      endless(null, textOf(seededRandom(seed)).slice(0, 60), 190 - seed, { scope: 's' }),
    );
    const answers: (readonly number[])[] = [];
    for (const input of inputs) {
      const asked = host.start(input);
      const watch = setInterval(() => {
        most = Math.max(most, host.host.now().kvUsedBytes);
      }, 1);
      answers.push((await asked.answer).ids);
      clearInterval(watch);
    }
    expect(most).toBeLessThanOrEqual(kvBudgetBytes);
    expect(host.host.now().preemptions).toBeGreaterThan(0);
    expect(host.host.now().speculation.acceptedTokens).toBeGreaterThan(50);
    host.host.cancel(50_000);
    await standing;
    expect(answers).toEqual(await host.alone(inputs.map(plain)));
    await host.close();
  });

  it('have taken the memory that they are written to, before they are', async () => {
    const host = await open();
    const input = endless('upper', 'moon: fish: '.repeat(3), 150, { scope: 's' });
    const short: number[] = [];
    steps.onStep = (tokens) => {
      const needed = Math.ceil(tokens / 64) * 8 * 4096;
      if (host.host.now().kvUsedBytes < needed) short.push(tokens);
    };
    for (let time = 0; time < 3; time += 1) await host.ask(input);
    steps.onStep = () => undefined;
    expect(short).toEqual([]);
    expect(host.host.now().speculation.acceptedTokens).toBeGreaterThan(100);
    await host.close();
  });

  it('are none where the node has none', async () => {
    const host = await open({ speculation: false });
    await host.ask(endless('upper', 'moon: fish: '.repeat(6), 40));
    expect(host.host.now().speculation).toEqual({ drafts: 0, draftTokens: 0, acceptedTokens: 0 });
    await host.close();
  });

  it('are none where a graph appends keys and values', async () => {
    const host = await TestHost.open(fixtureFolder('optimum-llama'), { speculation: true, clock });
    const input = endless(null, '', 12, {
      prompt: { kind: 'ids', ids: Array.from({ length: 20 }, (_, at) => 3 + (at % 4)) },
    });
    expect((await host.ask(input)).ids).toEqual((await host.ask(plain(input))).ids);
    expect(host.host.now().speculation.drafts).toBe(0);
    await host.close();
  });

  it('end where a sequence changes its table of positions', async () => {
    const name = 'builder-phi3-longrope';
    const { switch: border = 0 } = aboutFixture(name);
    const host = await TestHost.open(fixtureFolder(name), { speculation: true, clock });
    let accepted = 0;
    for (let length = border - 32; length < border; length += 1) {
      const ids = Array.from({ length }, (_, at) => 3 + (at % 4));
      const input = endless(null, '', 40, { logprobs: 4, prompt: { kind: 'ids', ids } });
      const expected = await host.ask(plain(input));
      expectSame(await host.ask(input), expected, nearTie.fp32, `${length} tokens`);
      accepted = host.host.now().speculation.acceptedTokens;
    }
    expect(accepted).toBeGreaterThan(50);
    await host.close();
  });
});
