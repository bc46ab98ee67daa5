import { join } from 'node:path';
import { smollm } from '../support/models.ts';
import { tiny } from '../support/node.ts';
import { scratchFolder } from './base.ts';
import { policies } from './cache/policies.ts';
import { simulate } from './cache/simulate.ts';
import { type Trace, traces, zipfShares } from './cache/trace.ts';
import { type ManyBase, ManyNode, nameOf } from './many-node.ts';
import { type Report, report, type Variant, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const adapters = 1_000;
const room = 64;
const policy = process.env['ADAPTLET_BENCH_POLICY'] ?? 'hit-density';
/** Counted requests of the hit ratio, after a quarter as many that warm up. */
const counted = roundsOf(20_000);
const warmUp = Math.ceil(counted / 4);
const seed = 23;
/** Requests whose time to first token is measured. */
const timed = Math.min(1_500, counted);
/** Different contents of the adapters whose loads are timed: 15 MB of disk each. */
const artifacts = 100;

const tinyBase: ManyBase = {
  label: 'tiny fp32',
  modelDir: tiny.model,
  artifact: join(tiny.adapters, 'hello'),
  prompt: 'moon:',
};

const timedBase = (): ManyBase => {
  const real = smollm();
  if (real === undefined) {
    console.error('many: SmolLM2 was not found (ADAPTLET_MODELS): timing the tiny model');
    return tinyBase;
  }
  return {
    label: 'SmolLM2-135M int4',
    modelDir: real.modelDir,
    artifact: join(real.adapters, 'json-extract-v1'),
    prompt: '<|im_start|>user\nPlease ship 4 chairs to Maria in Lisbon.<|im_end|>\n<|im_start|>assistant\n',
  };
};

const traceOf = (length: number): Trace => {
  const make = traces['zipf10'];
  if (make === undefined) throw new Error('the trace zipf10 is gone');
  return make({ adapters, room, length }, seed);
};

const once = (value: number): Variant => ({ median: value, p99: value, n: 1 });

/** The requests of a trace, one after the other, by a real node: the share that found their adapter in RAM. */
const realHitRatio = async (trace: Trace): Promise<number> => {
  using scratch = scratchFolder();
  const options = { base: tinyBase, folder: scratch.path, adapters, artifacts: 8, room, policy };
  const { node } = await ManyNode.start(options);
  console.error(`many: ${adapters} small adapters are on the disk`);
  try {
    let before = 0;
    for (const [i, { key }] of trace.requests.entries()) {
      if (i === warmUp) before = await node.loads();
      await node.ask(key);
      if (i % 5_000 === 4_999) console.error(`many: ${i + 1} of ${trace.requests.length} requests`);
    }
    return 1 - ((await node.loads()) - before) / (trace.requests.length - warmUp);
  } finally {
    await node.dispose();
  }
};

/** Times to first token of the same trace on a real model, by whether the adapter was in RAM. */
const times = async (base: ManyBase) => {
  using scratch = scratchFolder();
  const { node, adapterBytes } = await ManyNode.start({
    base,
    folder: scratch.path,
    adapters,
    artifacts,
    room,
    policy,
  });
  try {
    // The first load of a content runs its probe; later ones rely on the stored verdict.
    for (let i = 0; i < artifacts; i += 1) await node.ask(nameOf(i));
    console.error(`many: the ${artifacts} contents have passed their probes`);
    const hits: number[] = [];
    const misses: number[] = [];
    let pagesLeft = 0;
    let loads = await node.loads();
    for (const [i, { key }] of traceOf(timed).requests.entries()) {
      // What is not in RAM is not in the page cache either, as on a node with little memory.
      pagesLeft += await node.makeCold(key);
      const { firstMs } = await node.ask(key);
      const after = await node.loads();
      (after > loads ? misses : hits).push(firstMs);
      loads = after;
      if (i % 500 === 499) console.error(`many: ${i + 1} of ${timed} timed requests`);
    }
    return { hits, misses, pagesLeft, adapterBytes };
  } finally {
    await node.dispose();
  }
};

/**
 * 1,000 adapters, asked for by Zipf(1.0), with RAM for 64. `hit_over_top64`: the share of requests that found their
 * adapter in RAM, over what the 64 most popular would answer if they stayed for ever. `miss_extra`: time to first token
 * of each miss, less the median of the hits.
 */
export const many = async (): Promise<Report> => {
  const trace = traceOf(warmUp + counted);
  const simulated = Object.fromEntries(
    Object.entries(policies).map(([name, make]) => [name, simulate(trace, make, warmUp).hitRatio]),
  );
  const top = zipfShares(adapters, 1)
    .slice(0, room)
    .reduce((sum, share) => sum + share, 0);
  const hitRatio = await realHitRatio(trace);
  console.error(`many: hit ratio ${hitRatio}, simulated ${simulated['hit_density']}`);
  const base = timedBase();
  const { hits, misses, pagesLeft, adapterBytes } = await times(base);
  const hit = variant(hits);
  return report('many', 'ms', {
    results: {
      hit,
      miss: variant(misses),
      miss_extra: variant(misses.map((ms) => ms - hit.median)),
      hit_ratio: once(hitRatio),
      ...Object.fromEntries(
        Object.entries(simulated).map(([name, ratio]) => [`hit_ratio_${name}_simulated`, once(ratio)]),
      ),
    },
    ratios: { hit_over_top64: hitRatio / top, timed_hit_ratio: hits.length / (hits.length + misses.length) },
    setup: {
      policy,
      adapters,
      room_for: room,
      top64_share: Number(top.toPrecision(4)),
      hit_ratio_model: tinyBase.label,
      hit_ratio_requests: counted,
      not_counted: warmUp,
      timed_model: base.label,
      timed_requests: timed,
      timed_contents: artifacts,
      adapter_ram_bytes: adapterBytes,
      pages_left_in_cache: pagesLeft,
      threads: 1,
    },
  });
};
