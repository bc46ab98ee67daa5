import { basename, join } from 'node:path';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import { setup as bundlePrograms } from '../support/bundled-programs.ts';
import { enginePid, TestNode, tiny } from '../support/node.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { waitFor } from '../support/wait.ts';
import { type BenchBase, benchBase, benchEngine, compileFor, scratchFolder, timedAnswer } from './base.ts';
import { memoryOf, memoryOfOne, type ProcessMemory, settledMemory } from './process-memory.ts';
import { type Report, report, type Variant } from './report.ts';

const loaded = 12;
const rank = 8;
const turns = Number(process.env['ADAPTLET_BENCH_ADAPTERS'] ?? 64);
const cycles = Number(process.env['ADAPTLET_BENCH_CYCLES'] ?? 10_000);
/** Before growth is measured. */
const warmUpCycles = 3 * cycles;
const mib = 2 ** 20;

const once = (value: number): Variant => ({
  median: Number(value.toPrecision(5)),
  p99: Number(value.toPrecision(5)),
  n: 1,
});
const prompt = { kind: 'ids', ids: Array.from({ length: 16 }, (_, i) => 40 + i) } as const;

const pidOf = (engine: EngineClient): number => {
  if (engine.pid === undefined) throw new Error('the engine has no process');
  return engine.pid;
};

/** In float16, as adapters are published; the engine keeps them so. */
const synthetic = async (model: BenchBase, folder: string, seed: number): Promise<string> => {
  const path = join(folder, `adapter-${seed}`);
  await writeSyntheticAdapter(path, model.configFile, { rank, seed, precision: 'float16' });
  return path;
};

/** What adapters add to a warmed engine, each used once, and the bytes of their compiled files. */
const loadedOverBytes = async (model: BenchBase) => {
  using scratch = scratchFolder();
  await using engine = await benchEngine({
    modelDir: model.modelDir,
    adapterBudgetBytes: 256 * mib,
    threads: 1,
  });
  const load = async (name: string, folder: string): Promise<number> => {
    const { file, bytes } = await compileFor(engine.info(), folder, join(scratch.path, `${name}.bin`));
    await engine.load(name, file);
    await timedAnswer(engine, name, prompt, 8);
    return bytes;
  };
  // What both graphs need for a step is there before anything is counted.
  await timedAnswer(engine, null, prompt, 32);
  await load('warm', model.queryValue);
  await timedAnswer(engine, 'warm', prompt, 32);
  const warmed = await settledMemory(pidOf(engine));
  let fileBytes = 0;
  for (let i = 1; i <= loaded; i += 1)
    fileBytes += await load(`a${i}`, await synthetic(model, scratch.path, i));
  const full = await settledMemory(pidOf(engine));
  console.error(`memory: ${loaded} adapters loaded, ${Math.round(full.pss - warmed.pss)} MiB more`);
  return { warmed, full, compiled: fileBytes / mib };
};

/** PSS of an engine before and after many loads and unloads. */
const growthOverCycles = async () => {
  using scratch = scratchFolder();
  await using engine = await benchEngine({ modelDir: tiny.model, adapterBudgetBytes: 8 * mib, threads: 1 });
  const files = new Map<string, string>();
  for (const name of ['upper', 'reverse', 'digits', 'hello']) {
    const { file } = await compileFor(
      engine.info(),
      join(tiny.adapters, name),
      join(scratch.path, `${name}.bin`),
    );
    files.set(name, file);
  }
  const run = async (count: number): Promise<ProcessMemory> => {
    const names = [...files.keys()];
    for (let cycle = 0; cycle < count; cycle += 1) {
      const name = names[cycle % names.length] ?? '';
      await engine.load(name, files.get(name) ?? '');
      if (cycle % 10 === 0) await timedAnswer(engine, name, prompt, 1);
      await engine.unload(name);
    }
    return await settledMemory(pidOf(engine));
  };
  const early = await run(Math.min(1000, cycles));
  // The heap of JavaScript finds its size; a leak would go on.
  const before = await run(warmUpCycles);
  const parts: ProcessMemory[] = [];
  for (let part = 1; part <= 10; part += 1) {
    parts.push(await run(Math.ceil(cycles / 10)));
    const done = part * Math.ceil(cycles / 10);
    console.error(
      `memory: ${done} of ${cycles} load/evict cycles, ${parts.at(-1)?.anonymous.toFixed(1)} MiB of no file`,
    );
  }
  return { early, before, halfway: parts[4] ?? before, after: parts.at(-1) ?? before };
};

const manifest = (name: string): string => `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: ${name}}
spec: {baseModel: bench, source: {path: {path: ${name}}}}
---
`;

/** The largest PSS while `work` goes on, looked at without a pause. */
const peakDuring = async (pid: number, work: () => Promise<void>): Promise<number> => {
  let running = true;
  let peak = 0;
  const watch = (async () => {
    while (running) {
      peak = Math.max(peak, (await memoryOf(pid)).pss);
      await new Promise((resume) => setTimeout(resume, 5));
    }
  })();
  try {
    await work();
  } finally {
    running = false;
    await watch;
  }
  return peak;
};

/** A node whose budget holds one adapter and that is asked for many in turn: the engine's peak, and its PSS with one. */
const peakInTurn = async (model: BenchBase) => {
  using scratch = scratchFolder();
  const folders: string[] = [];
  for (let i = 0; i < turns; i += 1) folders.push(await synthetic(model, scratch.path, 100 + i));
  await using engine = await benchEngine({
    modelDir: model.modelDir,
    adapterBudgetBytes: 64 * mib,
    threads: 1,
  });
  const { ramBytes: bytes } = await compileFor(
    engine.info(),
    folders[0] ?? '',
    join(scratch.path, 'one.bin'),
  );
  await engine.close();
  const node = await TestNode.start({
    model: model.modelDir,
    modelName: 'bench',
    importRoots: scratch.path,
    settings: { 'log-level': 'info', 'adapter-memory': String(bytes), 'adapter-disk': '8Gi' },
  });
  try {
    const names = folders.map((path) => basename(path));
    await node.write('bench.yaml', names.map(manifest).join(''));
    const known = async () => (await node.client.status()).adapters.length === turns;
    await waitFor('the adapters to be known', known, 120_000);
    const ask = (name: string) =>
      node.client.ask({ model: name, prompt: 'moon:', maxTokens: 4, timeoutMs: 60_000 });
    for (const [i, name] of names.entries()) {
      await ask(name);
      if (i % 16 === 15) console.error(`memory: ${i + 1} of ${turns} adapters compiled`);
    }
    const engineProcess = enginePid(node);
    if (engineProcess === undefined) throw new Error('the node has no engine process');
    const [one, oneOfNode] = [await settledMemory(engineProcess), await settledMemory(node.pid)];
    const inTurn = async (): Promise<void> => {
      for (const name of names) await ask(name);
    };
    const peak = await peakDuring(engineProcess, inTurn);
    const peakOfNode = await peakDuring(node.pid, inTurn);
    return { one: one.pss, peak, oneOfNode: oneOfNode.pss, peakOfNode, compiled: bytes / mib };
  } finally {
    await node.dispose();
  }
};

const requests = 1000;

/** The bundled process of a node that takes requests, without the engine: at rest, and after requests by four at a time. */
const mainProcess = async () => {
  // As images have it: the sources take up to 50 MiB more, by how many of them were compiled before.
  await bundlePrograms();
  const node = await TestNode.start({ importRoots: tiny.adapters });
  const now = async (): Promise<ProcessMemory> => {
    await new Promise((resume) => setTimeout(resume, 1500));
    return await memoryOfOne(node.pid);
  };
  const ask = () => node.client.ask({ model: 'tiny', prompt: 'moon:', maxTokens: 8, timeoutMs: 60_000 });
  try {
    const started = await now();
    await ask();
    const first = await now();
    let left = requests;
    const caller = async (): Promise<void> => {
      for (; left > 0; left -= 1) await ask();
    };
    await Promise.all([caller(), caller(), caller(), caller()]);
    return { started, first, busy: await now() };
  } finally {
    await node.dispose();
  }
};

/**
 * What adapters cost in RAM (PSS of the engine's processes): loaded ones over the bytes of their compiled files, growth
 * over load/evict cycles, and the peak when the budget holds exactly one adapter while many are asked for in turn. And what the
 * process of a node has without its engine.
 */
export const memory = async (): Promise<Report> => {
  const model = benchBase('memory');
  const { warmed, full, compiled } = await loadedOverBytes(model);
  const growth = await growthOverCycles();
  const turn = await peakInTurn(model);
  const main = await mainProcess();
  return report('memory', 'MiB', {
    results: {
      pss_warmed: once(warmed.pss),
      pss_loaded: once(full.pss),
      anonymous_warmed: once(warmed.anonymous),
      anonymous_loaded: once(full.anonymous),
      compiled: once(compiled),
      anonymous_after_1000_cycles: once(growth.early.anonymous),
      pss_before_cycles: once(growth.before.pss),
      anonymous_before_cycles: once(growth.before.anonymous),
      pss_halfway: once(growth.halfway.pss),
      anonymous_halfway: once(growth.halfway.anonymous),
      pss_after_cycles: once(growth.after.pss),
      anonymous_after_cycles: once(growth.after.anonymous),
      base_plus_one: once(turn.one),
      peak_in_turn: once(turn.peak),
      peak_over_base_plus_one: once(turn.peak - turn.one),
      node_base_plus_one: once(turn.oneOfNode),
      node_peak_in_turn: once(turn.peakOfNode),
      one_adapter: once(turn.compiled),
      main_after_start: once(main.started.pss),
      main_after_1_request: once(main.first.pss),
      main_after_1000_requests: once(main.busy.pss),
      main_rss_after_start: once(main.started.rss),
      main_rss_after_1000_requests: once(main.busy.rss),
    },
    ratios: {
      pss_over_bytes: (full.pss - warmed.pss) / compiled,
      anonymous_over_bytes: (full.anonymous - warmed.anonymous) / compiled,
      growth: growth.after.pss / growth.before.pss,
      growth_anonymous: growth.after.anonymous / growth.before.anonymous,
      peak_over_base_plus_one: turn.peak / turn.one,
    },
    setup: {
      model: model.label,
      adapters: loaded,
      adapter: `rank ${rank} on all linears, float16`,
      cycles,
      warm_up_cycles: warmUpCycles,
      cycles_model: 'tiny fp32',
      in_turn: turns,
      threads: 1,
    },
  });
};
