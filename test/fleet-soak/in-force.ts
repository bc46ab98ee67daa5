import { setTimeout as sleep } from 'node:timers/promises';
import { assignmentOf } from '../../src/rollout/groups/assignment.ts';
import type { Followed } from '../hollow/runtime.ts';
import { systemNamespace } from '../support/fleet.ts';
import { thingsOf } from './clients.ts';
import type { Follower } from './follower.ts';
import type { History } from './histories.ts';
import { realNodes, type Stage } from './stage.ts';

const everyMs = 5000;
/** For which a status rests before all calm runtimes must have it in force. */
const boundMs = 8000;

/** A rollout as a runtime has it; `names` are digests of hollow runtimes, and names of Adapters of real ones. */
type Had = {
  readonly stable: string;
  readonly canary: string;
  readonly allowed: number;
  readonly effective: number;
};
/** What the status gives that runtime, by the group that it is in. */
const weightFor = (runtime: string, history: History | undefined): number =>
  history?.last === undefined
    ? 0
    : assignmentOf(history.last, history.uid, { key: runtime, labels: {} }).weight;

type Runtime = {
  readonly name: string;
  readonly namespace: string;
  readonly rollouts: ReadonlyMap<string, Had>;
};

/** Compares what runtimes have in force with what the statuses say. */
export class InForce {
  readonly counts = { compared: 0, plans: 0 };
  readonly #stage: Stage;
  readonly #follower: Follower;

  constructor(stage: Stage, follower: Follower) {
    this.#stage = stage;
    this.#follower = follower;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.#look();
    }
  }

  /** Runtimes that do not have what the statuses say, and what they have instead. */
  async different(): Promise<readonly string[]> {
    const { rollouts } = this.#stage;
    const keys = rollouts.map(({ key }) => key);
    return (await this.#runtimes()).flatMap((runtime) => this.#differences(runtime, keys, true));
  }

  async #look(): Promise<void> {
    const { story, calm, rollouts } = this.#stage;
    const before = story.now();
    const runtimes = await this.#runtimes();
    const now = story.now();
    // What changed while it was asked for is left for the next time.
    const resting = rollouts.filter((rollout) => {
      const at = this.#follower.history(rollout)?.standing?.at;
      return at !== undefined && before - at > boundMs;
    });
    const keys = resting.map(({ key }) => key);
    for (const runtime of runtimes) {
      this.counts.plans++;
      if (!calm.isCalm(thingsOf(runtime.name), before - boundMs, now)) continue;
      for (const wrong of this.#differences(runtime, keys, false)) story.violated('weight', wrong);
    }
  }

  #differences({ name, namespace, rollouts }: Runtime, keys: readonly string[], isStrict: boolean): string[] {
    const wrong: string[] = [];
    for (const rollout of this.#stage.rollouts) {
      const isSeen = namespace === '' || namespace === rollout.namespace;
      const history = this.#follower.history(rollout);
      const standing = history?.standing;
      if (!keys.includes(rollout.key) || !isSeen || standing === undefined) continue;
      this.counts.compared++;
      const had = rollouts.get(rollout.key);
      const isReal = name.startsWith('node-');
      const { stable = '', canary = '' } = isReal
        ? { stable: history?.last?.stable?.adapter, canary: history?.last?.canary?.adapter }
        : standing;
      const weight = weightFor(`${namespace === '' ? systemNamespace : namespace}/${name}`, history);
      // A canary that was given up may be left out of a plan: it has no weight either way.
      const isSame =
        had !== undefined &&
        had.stable === stable &&
        had.allowed === weight &&
        (weight === 0 || had.canary === canary) &&
        (!isStrict || had.effective === weight);
      if (!isSame)
        wrong.push(
          `${name} has ${JSON.stringify(had)} of ${rollout.key}, the status ${JSON.stringify({ stable, canary, weight, seen: standing.at })}`,
        );
    }
    return wrong;
  }

  /** The plans of all that tell the truth and are here. */
  async #runtimes(): Promise<readonly Runtime[]> {
    const { hollows, honest, story, fleet } = this.#stage;
    const followed = await hollows.followed();
    const found: Runtime[] = honest.map(({ name, namespace, serves }) => {
      const { rollouts, namespaces } =
        followed[name] ?? ({ rollouts: {}, namespaces: [] } satisfies Followed);
      const own = serves === 'Pod' ? namespace : '';
      const strange = namespaces.filter((each) => own !== '' && each !== own);
      if (strange.length > 0)
        story.violated('namespace', `the sidecar ${name} of ${own} has what is of ${strange.join(', ')}`);
      return { name, namespace: own, rollouts: new Map(Object.entries(rollouts)) };
    });
    for (let index = 0; index < realNodes; index++) {
      const life = this.#stage.living[index]?.life;
      if (life === undefined) continue;
      const status = await fleet.nodes[index]?.client.status().catch(() => undefined);
      if (status === undefined || this.#stage.living[index]?.life !== life) continue;
      const rollouts = new Map(
        status.rollouts.map(({ key, stable, canary, weight, effectiveWeight }) => {
          return [key, { stable, canary, allowed: weight, effective: effectiveWeight }] as const;
        }),
      );
      found.push({ name: `node-${index}`, namespace: '', rollouts });
    }
    return found;
  }
}
