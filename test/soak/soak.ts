import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import { type Seeded, seeded } from '../support/random.ts';
import { waitFor } from '../support/wait.ts';
import { Disturbance, type DisturbanceOptions, exponential, type Pause } from './disturbance.ts';
import { engineSubject } from './engine-subject.ts';
import { epsilonOf, type SoakModel } from './models.ts';
import { Reference } from './reference.ts';
import { Report } from './report.ts';
import { Requests } from './requests.ts';
import { type Resident, Residents } from './residents.ts';
import { type Adapters, loadAll, proveDifferent, startFor } from './stage.ts';
import { Traffic } from './traffic.ts';

export type SoakOptions = Omit<DisturbanceOptions, 'evenRate'> & {
  readonly model: SoakModel;
  readonly seed: number;
  /** A fault to be found: the engine under test gets the second adapter's weights for the first. */
  readonly mixedUp?: readonly [adapter: string, weightsOf: string];
};

/** Share of all adapters that are in memory at the same time, and of the bytes that they have there. */
const placesShare = 0.7;
const memoryShare = 0.6;
/** Requests of even traffic between two changes of the adapters in memory. */
const changeEvery = 6;
const shareOfBase = 0.12;

/** Each part has its own choices, so that one more of one does not change all the others. */
export const choices = (seed: number, part: number): Seeded => seeded(seed * 16 + part);

const filesUnderTest = ({ files }: Adapters, { mixedUp }: SoakOptions): ReadonlyMap<string, string> => {
  if (mixedUp === undefined) return files;
  const [adapter, weightsOf] = mixedUp;
  return new Map([...files, [adapter, files.get(weightsOf) ?? '']]);
};

/** One of those in memory, the first of them in `hot` of all cases; undefined: the base model. */
const choose = (all: readonly Resident[], hot: number, random: Seeded): Resident | undefined => {
  const [first] = all;
  if (first === undefined || random.next() < shareOfBase) return undefined;
  return random.next() < hot ? first : random.pick(all);
};

const killed = (engine: EngineClient) => async (): Promise<void> => {
  const pid = await waitFor('a process to kill', () => engine.pid);
  process.kill(pid, 'SIGKILL');
  await waitFor('the engine after a kill', () => engine.state === 'ready' && engine.pid !== pid, 60_000);
};

const changes =
  (engine: EngineClient, residents: Residents, everyMs: number, random: Seeded) =>
  async (pause: Pause): Promise<void> => {
    while (await pause(residents.full ? exponential(random, everyMs) : 1))
      if (engine.state === 'ready') await residents.change();
    await residents.settled();
  };

/** What is under test is disturbed in every way; gives how often its process ended. */
const disturb = async (
  engine: EngineClient,
  { reference, adapters, report }: { reference: Reference; adapters: Adapters; report: Report },
  options: SoakOptions,
): Promise<number> => {
  const { model, seed } = options;
  const { evenRate } = model;
  const { contextLength } = engine.info();
  const random = choices(seed, 3);
  const requests = new Requests(model, engine.info(), choices(seed, 1));
  const residents = new Residents({
    engine,
    files: filesUnderTest(adapters, options),
    places: Math.ceil(adapters.files.size * placesShare),
    probes: adapters.probes,
    ...(model.crowded ? { roomBytes: roomBytes(adapters) } : {}),
    random: choices(seed, 2),
    report,
  });
  const finished = requests.finished.bind(requests);
  const subject = engineSubject(engine);
  const traffic = new Traffic({ subject, reference, report, contextLength, finished });
  let deaths = 0;
  engine.onState((state) => {
    if (state !== 'down') return;
    deaths += 1;
    residents.lost();
  });
  const send = (hot: number): Promise<void> => {
    const plan = requests.next();
    const same = residents.all.find(({ adapter }) => adapter === plan.same);
    const resident = plan.same === null ? undefined : (same ?? choose(residents.all, hot, random));
    const left = resident === undefined ? () => {} : residents.use(resident);
    return traffic.send(plan, resident, left);
  };
  const parts = {
    reference,
    report,
    random,
    send,
    isReady: () => engine.state === 'ready',
    kill: killed(engine),
    others: [changes(engine, residents, (1000 * changeEvery) / evenRate, choices(seed, 4))],
  };
  await new Disturbance(parts, { ...options, evenRate }).run();
  return deaths;
};

const roomBytes = ({ ramBytes }: Adapters): number => Math.floor(ramBytes * memoryShare);

/**
 * Sends random requests for many adapters to an engine process while adapters come and go, clients leave and the process
 * is killed, and compares what comes with what a quiet engine gives.
 * @throws the set-up failed; everything else is in the report
 */
export const soak = async (options: SoakOptions): Promise<Report> => {
  const { model, seed } = options;
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-soak-'));
  const quiet = await startFor(model, folder, { adapterBudgetBytes: model.memoryBytes });
  try {
    const report = new Report(model.name, seed, epsilonOf(model, quiet.info()));
    const adapters = await loadAll(model, quiet, folder);
    const reference = new Reference(quiet);
    report.different = await proveDifferent(model, reference, {
      names: [...adapters.files.keys()],
      random: choices(seed, 0),
      vocabSize: quiet.info().vocabSize,
    });
    const engine = await startFor(model, folder, {
      adapterBudgetBytes: model.crowded ? 0 : roomBytes(adapters),
      kvBudgetBytes: model.kvBudgetBytes,
      // Long prompts are filled in many parts, between the steps of others.
      maxDecodeStallMs: 2,
    });
    try {
      const deaths = await disturb(engine, { reference, adapters, report }, options);
      if (deaths !== report.counts.kills) report.fail(endedByItself(deaths, report, engine));
      return report;
    } finally {
      await engine.close();
    }
  } finally {
    await quiet.close();
    await rm(folder, { recursive: true, force: true });
  }
};

const endedByItself = (deaths: number, { counts }: Report, engine: EngineClient) =>
  ({
    kind: 'the engine ended by itself',
    what: `the engine process ended ${deaths} times and was killed ${counts.kills} times`,
    details: { failure: String(engine.failure) },
  }) as const;
