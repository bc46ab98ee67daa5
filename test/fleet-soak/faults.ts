import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Seeded, seeded } from '../support/random.ts';
import { choose, rest } from './random-times.ts';
import { realNodes, replicas, type Stage } from './stage.ts';

/** Something that breaks and is mended again. No two at a time are on one thing. */
type Fault = {
  readonly name: string;
  readonly on: string;
  readonly weight: number;
  /** It ends a process whose memory is judged. */
  readonly isEnd?: boolean;
  readonly run: (random: Seeded) => Promise<void>;
};

/** Between two faults, from and to, in milliseconds. */
const pauses = [1500, 6000] as const;
const atOnce = 3;
/** After so much time without a break all is left alone, until all are back and some statuses rested. */
const breather = { everyMs: 240_000, ms: 50_000 } as const;
const [minuteMs, yearMs] = [60_000, 365 * 86_400_000] as const;
const bytesPerSecond = 3000;
const restartTries = 3;
const clockOf1970 = join(import.meta.dirname, '../support/preload/clock-of-1970.ts');

/** Breaks what a fleet is made of, at random. */
export class Faults {
  readonly counts: Record<string, number> = {};
  readonly #stage: Stage;
  readonly #faults: readonly Fault[];
  #births = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    const indices = (count: number) => Array.from({ length: count }, (_, i) => i);
    this.#faults = [
      ...this.#ofLinks(),
      ...this.#ofServer(),
      ...this.#ofRegistry(),
      ...indices(realNodes).flatMap((index) => this.#ofNode(index)),
      ...indices(replicas).flatMap((index) => this.#ofOperator(index)),
    ];
  }

  /**
   * Until `untilMs` of the story, and until a thing of each kind was broken; resolves when everything is mended. Each kind has its
   * turn before chance alone decides.
   */
  async run(seed: number, untilMs: number, signal: AbortSignal): Promise<void> {
    const { story } = this.#stage;
    const random = seeded(seed);
    const busy = new Map<string, Promise<void>>();
    const kinds = new Set(this.#faults.map(({ on }) => kindOf(on)));
    const broken = new Set<string>();
    const failures: unknown[] = [];
    const began = story.now();
    let breathed = began;
    while (!signal.aborted && (story.now() < untilMs || broken.size < kinds.size)) {
      await rest(random, pauses, signal);
      // Memory is judged over the last two thirds.
      const isJudged = story.now() - began > (untilMs - began) / 3;
      if (story.now() - breathed > breather.everyMs) {
        await Promise.all(busy.values());
        story.tell('everything is left alone for a while');
        await sleep(breather.ms, undefined, { signal }).catch(() => undefined);
        breathed = story.now();
      }
      if (busy.size >= atOnce) await Promise.race(busy.values());
      const free = this.#faults.filter(({ on, isEnd }) => !busy.has(on) && !(isJudged && isEnd === true));
      const first = free.filter(({ on }) => !broken.has(kindOf(on)));
      const fault = choose(
        random,
        (first.length > 0 ? first : free).map((each) => [each.weight, each] as const),
      );
      broken.add(kindOf(fault.on));
      const done = this.#run(fault, random, failures).finally(() => busy.delete(fault.on));
      busy.set(fault.on, done);
      if (failures.length > 0) break;
    }
    await Promise.all(busy.values());
    // What cannot be broken or mended is a defect of the soak, or of how a process starts.
    if (failures.length > 0) throw failures[0];
  }

  async #run({ name, on, run }: Fault, random: Seeded, failures: unknown[]): Promise<void> {
    const { story } = this.#stage;
    story.tell(`${name} (${on})`);
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    try {
      await run(random);
      story.tell(`${on} is back`);
    } catch (error) {
      failures.push(new Error(`${name} (${on})`, { cause: error }));
    }
  }

  /** Breaks a thing for a while, and notes that it was. */
  async #during(things: readonly string[], act: () => Promise<void>): Promise<void> {
    const ends = things.map((thing) => this.#stage.calm.disturb(thing));
    try {
      await act();
    } finally {
      for (const end of ends) end();
    }
  }

  #ofLinks(): Fault[] {
    const { hollows, honest, fleet } = this.#stage;
    const some = (random: Seeded) =>
      [...new Set(Array.from({ length: 5 }, () => random.pick(honest).name))].slice(0, 1 + random.next() * 5);
    return [
      {
        name: 'links of hollow runtimes cut',
        on: 'links',
        weight: 40,
        run: (random) => {
          const names = some(random);
          return this.#during(names, async () => {
            await hollows.cut(names);
            await sleep(random.between(100, 6000));
            await hollows.restore(names);
          });
        },
      },
      {
        name: 'links of all hollow runtimes silent',
        on: 'links',
        weight: 3,
        run: (random) =>
          this.#during(['operators'], async () => {
            fleet.door.set('hollows', 'silent');
            await sleep(random.between(500, 5000));
            fleet.door.set('hollows', 'open');
          }),
      },
      {
        // Nothing may come of it, so that nothing counts as disturbed.
        name: 'clocks of hollow runtimes set wrong',
        on: 'clocks',
        weight: 10,
        run: async (random) => {
          const size = random.pick([minuteMs * 3, minuteMs * 600, yearMs * 5]);
          await hollows.skew(some(random), Math.round(random.between(-size, size)));
        },
      },
    ];
  }

  #ofNode(index: number): Fault[] {
    const { fleet, living } = this.#stage;
    const name = `node-${index}`;
    const shut = (mode: 'cut' | 'silent', range: readonly [number, number]) => (random: Seeded) =>
      this.#during([name], async () => {
        fleet.door.set(name, mode);
        await sleep(random.between(...range));
        fleet.door.set(name, 'open');
      });
    const freeze = (random: Seeded) =>
      this.#during([name], async () => {
        const pid = fleet.nodes[index]?.pid ?? 0;
        process.kill(pid, 'SIGSTOP');
        await sleep(random.between(200, 2500));
        process.kill(pid, 'SIGCONT');
      });
    const kill = (env: Readonly<Record<string, string>>) => (random: Seeded) =>
      this.#during([name], async () => {
        living[index] = undefined;
        await fleet.nodes[index]?.end('SIGKILL');
        await sleep(random.between(0, 1500));
        await again(() => fleet.restartNode(index, env));
        const node = fleet.nodes[index];
        if (node !== undefined) living[index] = { node, life: ++this.#births };
      });
    return [
      { name: 'link of a real node cut', on: `door of ${name}`, weight: 4, run: shut('cut', [100, 6000]) },
      {
        name: 'link of a real node silent',
        on: `door of ${name}`,
        weight: 3,
        run: shut('silent', [500, 6000]),
      },
      { name: 'real node stopped for a while', on: name, weight: 1, run: freeze },
      { name: 'real node killed', on: name, weight: 1, isEnd: index === 0, run: kill({}) },
      {
        // It has no clock until it is killed again.
        name: 'real node killed, and its clock in 1970',
        on: name,
        weight: 1,
        isEnd: index === 0,
        run: kill({ NODE_OPTIONS: `--import=${clockOf1970}` }),
      },
    ];
  }

  #ofOperator(index: number): Fault[] {
    const { fleet } = this.#stage;
    const on = `operator-${index}`;
    const freeze = (random: Seeded) =>
      this.#during(['operators'], async () => {
        fleet.operators[index]?.signal('SIGSTOP');
        await sleep(random.between(500, 9000));
        fleet.operators[index]?.signal('SIGCONT');
      });
    const kill = (random: Seeded) =>
      this.#during(['operators'], async () => {
        await fleet.operators[index]?.end('SIGKILL');
        await sleep(random.between(0, 3000));
        await again(() => fleet.restartOperator(index));
      });
    return [
      { name: 'operator stopped for a while', on, weight: 1.5, run: freeze },
      { name: 'operator killed', on, weight: 1.5, isEnd: index === 0, run: kill },
    ];
  }

  #ofServer(): Fault[] {
    const { cluster } = this.#stage.fleet;
    const on = 'api server';
    const fault = (name: string, weight: number, act: (random: Seeded) => Promise<void>): Fault => {
      return { name, on, weight, run: (random) => this.#during([on], () => act(random)) };
    };
    return [
      fault('API server killed', 1.5, async (random) => {
        await cluster.stopApiServer('SIGKILL');
        await sleep(random.between(0, 3000));
        await cluster.startApiServer();
      }),
      fault('API server stopped for a while', 1.5, async (random) => {
        cluster.pauseApiServer();
        await sleep(random.between(500, 5000));
        cluster.resumeApiServer();
      }),
      fault('API server and etcd killed', 1, async (random) => {
        await cluster.stopApiServer('SIGKILL');
        await cluster.restartEtcd();
        await sleep(random.between(0, 2000));
        await cluster.startApiServer();
      }),
      fault('etcd killed', 1, () => cluster.restartEtcd()),
      fault('history forgotten', 1, async () => {
        await cluster.compactEtcd();
        await cluster.restartApiServer();
      }),
    ];
  }

  #ofRegistry(): Fault[] {
    const { proxy } = this.#stage.pool;
    if (proxy === undefined) return [];
    const fault = (name: string, begin: () => void, end: () => void): Fault => ({
      name,
      on: 'registry',
      weight: 4,
      run: async (random) => {
        begin();
        await sleep(random.between(1000, 20_000));
        end();
      },
    });
    return [
      fault('registry away', proxy.refuse, proxy.accept),
      fault('registry silent', proxy.freeze, proxy.thaw),
      fault(
        'registry slow',
        () => proxy.slowDown(bytesPerSecond),
        () => proxy.slowDown(undefined),
      ),
    ];
  }
}

/** Of which kind a thing is: nodes, for instance, and not which of them. */
const kindOf = (thing: string): string => thing.replace(/-\d+$/, '');

/** A busy machine may let a start fail; one that fails again and again is a defect. */
const again = async (start: () => Promise<unknown>): Promise<void> => {
  for (let left = restartTries; ; left--) {
    try {
      await start();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(2000);
    }
  }
};
