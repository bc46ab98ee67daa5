import type { CallError } from '../support/client.ts';
import { type Seeded, seeded } from '../support/random.ts';
import { type Answer, lostArm, wrongDigest, wrongText } from './answers.ts';
import type { Follower } from './follower.ts';
import { foreignName, type SoakRollout } from './names.ts';
import { rest } from './random-times.ts';
import { realNodes, type Stage } from './stage.ts';

/** Users of a lane, who come again and again. */
const users = 6;
/** Between two requests of a lane, from and to, in milliseconds. */
const pauses = [900, 2300] as const;
const foreignPauses = [3000, 9000] as const;
/** Until a change of a status is in force where all is calm, and until the soak sees it, in milliseconds. */
const [lagMs, sightMs] = [8000, 5000] as const;
/** Answers are judged when all that they depend on was seen. */
const judgeAfterMs = 20_000;
const patienceMs = 60_000;

/** What a real node depends on for its plan. */
export const thingsOf = (name: string): readonly string[] => [name, 'operators', 'api server', 'machine'];

type Lane = { readonly rollout: SoakRollout; readonly node: number };
type Waiting = { readonly lane: Lane; readonly answer: Answer; readonly former: Answer | undefined };

/** Asks the real nodes for everything, all the time, and judges what they answer. */
export class Clients {
  readonly outcomes: Record<string, number> = {};
  readonly arms: Record<string, number> = {};
  /** Of all answers that were judged, those whose time allowed but one or two digests; the others were judged loosely. */
  readonly judged = { whole: 0, withGaps: 0, arms: 0 };
  readonly #stage: Stage;
  readonly #follower: Follower;
  readonly #waiting: Waiting[] = [];
  /** By lane and user. */
  readonly #former = new Map<string, Answer>();

  constructor(stage: Stage, follower: Follower) {
    this.#stage = stage;
    this.#follower = follower;
  }

  async run(seed: number, signal: AbortSignal): Promise<void> {
    const { rollouts, tenants } = this.#stage;
    const nodes = Array.from({ length: realNodes }, (_, node) => node);
    const lanes = nodes.flatMap((node) => rollouts.map((rollout) => ({ rollout, node })));
    await Promise.all([
      ...lanes.map((lane, i) => this.#ask(lane, seeded(seed + i), signal)),
      ...nodes.map((node) =>
        this.#askForForeign(node, node % tenants.length, seeded(seed - 1 - node), signal),
      ),
      this.#judgeAll(signal),
    ]);
    for (const waiting of this.#waiting.splice(0)) this.#judge(waiting);
  }

  async #ask(lane: Lane, random: Seeded, signal: AbortSignal): Promise<void> {
    const { story, living } = this.#stage;
    const { rollout, node: index } = lane;
    for (let i = 0; !signal.aborted; i++) {
      await rest(random, pauses, signal);
      const now = living[index];
      if (now === undefined || this.#follower.history(rollout)?.last?.stable === undefined) continue;
      const { node, life } = now;
      const user = `u${index}-${i % users}`;
      const startedAt = story.now();
      try {
        const asked = { namespace: rollout.namespace, model: rollout.model, prompt: 'moon:', user };
        const { text, served } = await node.client.ask({ ...asked, timeoutMs: patienceMs });
        const { arm, digest } = served;
        const answer = { node: index, life, user, startedAt, endedAt: story.now(), arm, digest, text };
        this.#count('answered');
        this.arms[arm] = (this.arms[arm] ?? 0) + 1;
        const key = `${rollout.key} ${index} ${user}`;
        const former = this.#former.get(key);
        this.#former.set(key, answer);
        this.#waiting.push({ lane, answer, former });
      } catch (error) {
        if (living[index]?.life !== life) this.#count('lost with the node');
        else {
          this.#count('failed');
          const { code, message } = error as CallError;
          story.violated(
            'request',
            `${rollout.key} on node-${index}, begun at ${startedAt}: ${code} ${message}`,
          );
        }
      }
    }
  }

  /** Asks as one tenant for what only the other one has. */
  async #askForForeign(index: number, tenant: number, random: Seeded, signal: AbortSignal): Promise<void> {
    const { story, living, tenants } = this.#stage;
    const namespace = tenants[tenant] ?? '';
    const model = foreignName(tenants, tenant);
    while (!signal.aborted) {
      await rest(random, foreignPauses, signal);
      const now = living[index];
      if (now === undefined) continue;
      try {
        const { text, served } = await now.node.client.ask({ namespace, model, prompt: 'moon:' });
        story.violated('namespace', `${namespace} asked for ${model} and got ${text} of ${served.digest}`);
      } catch (error) {
        const { code, message } = error as CallError;
        if (living[index]?.life !== now.life) continue;
        this.#count(`of others: ${code}`);
        if (code !== 'MODEL_NOT_FOUND')
          story.violated('namespace', `${namespace} asked for ${model}: ${code} ${message}`);
      }
    }
  }

  async #judgeAll(signal: AbortSignal): Promise<void> {
    const random = seeded(0);
    while (!signal.aborted) {
      await rest(random, [500, 1000], signal);
      const now = this.#stage.story.now();
      const ready = this.#waiting.findIndex(({ answer }) => now - answer.endedAt < judgeAfterMs);
      for (const waiting of this.#waiting.splice(0, ready === -1 ? this.#waiting.length : ready))
        this.#judge(waiting);
    }
  }

  #judge({ lane, answer, former }: Waiting): void {
    const { story, calm, pool } = this.#stage;
    const { rollout, node } = lane;
    const history = this.#follower.history(rollout);
    if (history === undefined) return;
    const things = thingsOf(`node-${node}`);
    const knownFrom = (startedAt: number) => {
      const [from, to] = [calm.lastCalm(things, startedAt) - lagMs, answer.endedAt + sightMs] as const;
      return { standings: history.between(from, to), isWhole: history.isWhole(from, to) };
    };
    const own = new Set((pool.contents.get(rollout) ?? []).map(({ digest }) => digest));
    const known = { ...knownFrom(answer.startedAt), own, texts: pool.texts };
    this.judged[known.isWhole ? 'whole' : 'withGaps']++;
    const about = `${rollout.key} on node-${node} at ${(answer.startedAt / 1000).toFixed(1)} s`;
    const digest = wrongDigest(answer, known);
    if (digest !== undefined) story.violated('digest', `${about}: ${digest}`);
    const text = wrongText(answer, known);
    if (text !== undefined) story.violated('text', `${about}: ${text}`);
    if (former === undefined || former.life !== answer.life || former.arm !== 'canary') return;
    this.judged.arms++;
    const arm = lostArm(former, answer, knownFrom(former.startedAt));
    if (arm !== undefined) story.violated('arm', `${about}: ${arm}`);
  }

  #count(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }
}
