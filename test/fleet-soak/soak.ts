import { availableParallelism, cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../support/wait.ts';
import { Clients } from './clients.ts';
import { coreSeconds } from './core-seconds.ts';
import { Driver } from './driver.ts';
import { Faults } from './faults.ts';
import { Follower } from './follower.ts';
import { Growth } from './growth.ts';
import { InForce } from './in-force.ts';
import { Noisy } from './noisy.ts';
import type { Report } from './report.ts';
import { realNodes, replicas, type Stage, startStage } from './stage.ts';
import { promises, Story } from './story.ts';

export type SoakOptions = {
  readonly seed: number;
  readonly minutes: number;
  /** Runtimes without an engine. */
  readonly hollows: number;
  readonly commit: string;
  readonly say: (text: string) => void;
};

/** The last version of each rollout has to be stable within this, and in force everywhere within the next, in milliseconds. */
const [finishMs, newestMs] = [120_000, 30_000] as const;
const minuteMs = 60_000;
/** A timer that is so late says that the machine stood still: nothing can be in time then. */
const stall = { everyMs: 500, lateMs: 2500 } as const;

type Parts = {
  readonly stage: Stage;
  readonly follower: Follower;
  readonly drivers: readonly Driver[];
  readonly faults: Faults;
  readonly clients: Clients;
  readonly noisy: Noisy;
  readonly inForce: InForce;
  readonly growth: Growth;
};

const watchMachine = async ({ story, calm }: Stage, signal: AbortSignal): Promise<number> => {
  let stalls = 0;
  for (let before = story.now(); !signal.aborted; before = story.now()) {
    await sleep(stall.everyMs, undefined, { signal }).catch(() => undefined);
    const late = story.now() - before - stall.everyMs;
    if (late < stall.lateMs) continue;
    stalls++;
    story.tell(`the machine stood still for ${Math.round(late)} ms`);
    calm.disturb('machine', before)();
  }
  return stalls;
};

/** One last version everywhere, now that nothing is broken any more. Gives the seconds that it took to be in force. */
const finish = async ({ stage, follower, drivers, inForce }: Parts): Promise<number | undefined> => {
  const { story, rollouts } = stage;
  story.tell('everything is left alone: the last versions');
  const names = await Promise.all(drivers.map((driver) => driver.finish()));
  const isStable = (): boolean =>
    rollouts.every((rollout, i) => follower.history(rollout)?.last?.stable?.adapter === names[i]);
  try {
    await waitFor('the last versions to be stable', isStable, finishMs);
  } catch {
    const statuses = rollouts.map((rollout, i) => [names[i], follower.history(rollout)?.last]);
    story.violated('newest', `not all last versions became stable: ${JSON.stringify(statuses)}`);
    return undefined;
  }
  const began = story.now();
  let different: readonly string[] = [];
  while (story.now() - began < newestMs) {
    different = await inForce.different();
    if (different.length === 0) return (story.now() - began) / 1000;
    await sleep(200);
  }
  story.violated('newest', different.join('\n  '));
  return undefined;
};

const line = ({ stage, follower, faults, clients, noisy, inForce }: Parts): string => {
  const { story } = stage;
  const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
  const [answers, wrong] = [
    clients.outcomes['answered'] ?? 0,
    [...story.counts.values()].reduce((a, b) => a + b, 0),
  ];
  return (
    `${Math.round(story.now() / minuteMs)} min: ${sum(faults.counts)} faults, ${answers} answers, ` +
    `${follower.counts.revisions} decisions, ${follower.counts.promoted} promoted, ${follower.counts.aborted} aborted, ` +
    `${inForce.counts.compared} compared, ${sum(noisy.counts)} noises, ${wrong} violations`
  );
};

/** An hour, or less, of a fleet in which everything breaks that may break. */
export const soak = async ({ seed, minutes, hollows, commit, say }: SoakOptions): Promise<Report> => {
  const story = new Story(seed, say);
  const startedAt = new Date().toISOString();
  await using stage = await startStage(story, { hollows, say });
  const follower = new Follower(stage);
  const parts: Parts = {
    stage,
    follower,
    drivers: stage.rollouts.map((rollout, i) => new Driver(stage, follower, rollout, seed * 100 + i)),
    faults: new Faults(stage),
    clients: new Clients(stage, follower),
    noisy: new Noisy(stage),
    inForce: new InForce(stage, follower),
    growth: new Growth(stage),
  };
  const { drivers, faults, clients, noisy, inForce, growth } = parts;
  const [moving, all] = [new AbortController(), new AbortController()];
  const following = follower.run(all.signal);
  for (const driver of drivers) await driver.begin();
  const isServed = () =>
    stage.rollouts.every((rollout) => follower.history(rollout)?.last?.stable !== undefined);
  await waitFor('every rollout to have a stable adapter', isServed, finishMs);
  const [began, cpuBefore] = [story.now(), await coreSeconds()];
  const untilMs = began + minutes * minuteMs;
  const ticking = setInterval(() => say(line(parts)), minuteMs);
  const machine = watchMachine(stage, all.signal);
  const throughout = Promise.all([
    clients.run(seed * 1000, all.signal),
    inForce.run(all.signal),
    growth.run(all.signal),
  ]);
  const moved = Promise.all([
    noisy.run(seed * 1000 + 500, moving.signal),
    ...drivers.map((driver) => driver.run(moving.signal)),
  ]);
  let newest: number | undefined;
  try {
    const broken = faults.run(seed, untilMs, moving.signal);
    // Whatever of it ends with an error ends the soak: it is a defect of the soak.
    await Promise.race([broken, throughout, moved, following]);
    await broken;
    moving.abort();
    await moved;
    newest = await finish(parts);
  } finally {
    moving.abort();
    all.abort();
    clearInterval(ticking);
  }
  await Promise.all([throughout, following]);
  const { lies } = await stage.hollows.census();
  const { fits, grown } = growth.fits(began);
  for (const { what, measure, gained, limit } of grown)
    story.violated(
      'growth',
      `${measure} of ${what} grew by ${gained.toFixed(1)}, ${limit?.toFixed(1)} are allowed`,
    );
  const seconds = (story.now() - began) / 1000;
  const driven: Record<string, number> = {};
  for (const { counts } of drivers)
    for (const [what, count] of Object.entries(counts)) driven[what] = (driven[what] ?? 0) + count;
  return {
    seed,
    minutes,
    startedAt,
    commit,
    machine: { cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), node: process.version },
    fleet: { operators: replicas, realNodes, hollows, rollouts: stage.rollouts.length },
    seconds,
    cores: ((await coreSeconds()) - cpuBefore) / seconds,
    stalls: await machine,
    faults: faults.counts,
    lies,
    requests: clients.outcomes,
    arms: clients.arms,
    judged: clients.judged,
    rollouts: follower.counts,
    byHand: driven,
    noisy: noisy.counts,
    inForce: inForce.counts,
    ...(newest === undefined ? {} : { newestAfterSeconds: newest }),
    violated: Object.fromEntries(
      Object.keys(promises).map((key) => [key, story.counts.get(key as keyof typeof promises) ?? 0]),
    ) as Report['violated'],
    violations: story.violations,
    growth: fits,
  };
};
