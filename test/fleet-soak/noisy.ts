import type { CallError } from '../support/client.ts';
import { seeded } from '../support/random.ts';
import type { SoakRollout } from './names.ts';
import { Objects } from './objects.ts';
import { choose, rest } from './random-times.ts';
import { realNodes, type Stage } from './stage.ts';

/** Adapters and rollouts that the noisy tenant has at most. */
const [mostAdapters, mostRollouts] = [24, 6] as const;
/** Between two things that it does, and between two bursts of requests, from and to, in milliseconds. */
const times = { objects: [600, 2500], bursts: [2000, 6000] } as const;
const burst = 5;

/** What it may ask for, and what others have. */
const ownNames = ['noise-0', 'noise-1', 'noise-2', 'junk-3', 'junk-4', 'nobody'];
const foreignNames = ['talk', 'say'];

type Act = readonly [what: string, run: () => Promise<void>];

/** A tenant who creates and deletes all the time, much of it nonsense, and asks a lot. Only others are protected from it. */
export class Noisy {
  readonly counts: Record<string, number> = {};
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async run(seed: number, signal: AbortSignal): Promise<void> {
    await Promise.all([this.#write(seed, signal), this.#request(seed + 1, signal)]);
  }

  #rollout(index: number): SoakRollout {
    const { noisy } = this.#stage;
    const model = `noise-${index}`;
    const steps = [{ setWeight: 10 + index }, { pause: { duration: '1s' } }];
    return {
      key: `${noisy}/${model}` as SoakRollout['key'],
      namespace: noisy,
      model,
      steps,
      isRemote: false,
    };
  }

  async #write(seed: number, signal: AbortSignal): Promise<void> {
    const random = seeded(seed);
    const { api, noisy, pool, story } = this.#stage;
    const objects = new Objects(api, 0);
    const contents = [...pool.contents.values()].flat();
    while (!signal.aborted) {
      await rest(random, times.objects, signal);
      const name = `junk-${Math.floor(random.next() * mostAdapters)}`;
      const rollout = this.#rollout(Math.floor(random.next() * mostRollouts));
      const content = random.pick(contents);
      const nowhere = { ...content, source: { path: { path: `not/there-${name}` } } };
      const acts: readonly (readonly [number, Act])[] = [
        [4, ['create an Adapter', () => objects.createAdapter(noisy, name, content)]],
        [2, ['create an Adapter of nothing', () => objects.createAdapter(noisy, name, nowhere)]],
        [4, ['delete an Adapter', () => objects.deleteAdapter(noisy, name)]],
        [3, ['create a rollout', () => objects.createRollout(rollout, name)]],
        [2, ['delete a rollout', () => objects.deleteRollout(noisy, rollout.model)]],
        [2, ['point a rollout', () => objects.point(rollout, name)]],
      ];
      const [what, act] = choose(random, acts);
      this.counts[what] = (this.counts[what] ?? 0) + 1;
      // What it points may not be there.
      await act().catch((error: unknown) => story.tell(`the noisy tenant: ${String(error).slice(0, 100)}`));
    }
  }

  async #request(seed: number, signal: AbortSignal): Promise<void> {
    const random = seeded(seed);
    const { living, noisy, pool, story } = this.#stage;
    while (!signal.aborted) {
      await rest(random, times.bursts, signal);
      const now = living[Math.floor(random.next() * realNodes)];
      if (now === undefined) continue;
      const model = random.pick([...ownNames, ...foreignNames]);
      const asks = Array.from({ length: burst }, async () => {
        try {
          const { served } = await now.node.client.ask({ namespace: noisy, model, prompt: 'moon:' });
          this.#answered(served.arm === '' ? 'of an Adapter' : `of ${served.arm}`);
          if (foreignNames.includes(model) || !pool.texts.has(served.digest))
            story.violated('namespace', `${noisy} asked for ${model} and got ${served.digest}`);
        } catch (error) {
          this.#answered((error as CallError).code);
        }
      });
      await Promise.all(asks);
    }
  }

  #answered(how: string): void {
    const what = `answers ${how}`;
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
