import { type AttackName, attacks, slowRoute, type Target } from '../support/hostile/attacks.ts';
import { runAttack } from '../support/hostile/run-attack.ts';
import { enginePid, TestNode, tiny, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';
import { residentOf } from './process-memory.ts';
import { ofLoop, ofProcess } from './processor-time.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const rounds = roundsOf(3);
/** These attacks only: ADAPTLET_BENCH_PARTS=cancelled,structures. */
const parts = process.env['ADAPTLET_BENCH_PARTS']?.split(',') ?? Object.keys(attacks);
/** How long an attack goes on, and how long nobody attacks before it. */
const windowMs = 10_000;
const memoryEveryMs = 250;
/**
 * How long an attack goes on before it is measured, as at first clients that leave are few and those that stay are load; and for how long
 * nothing is measured behind it.
 */
const settleMs = 3000;
const protocols = ['http', 'grpc'] as const;
type Protocol = (typeof protocols)[number];

type Ask = () => Promise<void>;
type Window = {
  readonly times: Readonly<Record<Protocol, readonly number[]>>;
  readonly failures: number;
  /** The most MiB of the node and its engine. */
  readonly mostMib: number;
};

/** One request after another on each port, for as long as the window is. Refusals are counted, and are no times. */
const measure = async (node: TestNode, asks: Readonly<Record<Protocol, Ask>>): Promise<Window> => {
  const until = performance.now() + windowMs;
  const isOpen = (): boolean => performance.now() < until;
  let [failures, mostMib] = [0, 0];
  const client = async (ask: Ask): Promise<readonly number[]> => {
    const times: number[] = [];
    while (isOpen()) {
      const started = performance.now();
      try {
        await ask();
        times.push(performance.now() - started);
      } catch {
        failures += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return times;
  };
  const watch = async (): Promise<void> => {
    while (isOpen()) {
      mostMib = Math.max(mostMib, await residentOf(node.pid));
      await new Promise((resolve) => setTimeout(resolve, memoryEveryMs));
    }
  };
  const [http, grpc] = await Promise.all([client(asks.http), client(asks.grpc), watch()]);
  return { times: { http, grpc }, failures, mostMib };
};

/** The client that behaves is another tenant than those that attack: its requests have their own turn. */
const own = { 'x-adaptlet-tenant': 'behaves' };

const asksOf = (node: TestNode): Readonly<Record<Protocol, Ask>> => ({
  async http() {
    const response = await fetch(`${node.http}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...own },
      body: JSON.stringify({ model: 'upper', prompt: 'moon:', max_tokens: 4, temperature: 0 }),
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`status ${response.status}`);
  },
  async grpc() {
    await node.client.ask({ model: 'upper', prompt: 'moon:', maxTokens: 4, headers: own });
  },
});

/** Cores that the node's event loop, its engine and the attackers were busy on, of those that do something meanwhile. */
const busyCores = async <T>(
  pids: { readonly node: number; readonly engine: number; readonly attackers: number },
  meanwhile: () => Promise<T>,
): Promise<{ readonly result: T; readonly cores: Readonly<Record<string, number>> }> => {
  const look = async () => ({
    loop: await ofLoop(pids.node),
    node: await ofProcess(pids.node),
    engine: await ofProcess(pids.engine),
    attackers: await ofProcess(pids.attackers),
  });
  const [started, before] = [performance.now(), await look()];
  const result = await meanwhile();
  const [ms, after] = [performance.now() - started, await look()];
  const names = ['loop', 'node', 'engine', 'attackers'] as const;
  return {
    result,
    cores: Object.fromEntries(names.map((name) => [name, (after[name] - before[name]) / ms])),
  };
};

/**
 * Short requests of a client that behaves, a tenant of its own, on both ports, alone and beside each attack in turn, and the memory of the node
 * beside it. Attackers have a process that gets the processor time that nobody else wants: they are other machines in truth. So what the client
 * loses is what the node does for them, which they keep as busy as it can be.
 */
export const hostile = async (): Promise<Report> => {
  const node = await TestNode.start({ settings: { 'log-level': 'warn', 'import-roots': tiny.adapters } });
  const target: Target = { http: node.http, grpc: node.grpc, model: 'upper' };
  const samples = new Map<string, number[]>();
  const ratios = new Map<string, number[]>();
  const addTo = (to: Map<string, number[]>, key: string, values: readonly number[]): void => {
    to.set(key, [...(to.get(key) ?? []), ...values]);
  };
  const tries: Record<string, number> = {};
  try {
    await node.write('upper.yaml', yaml.adapter('upper', 'upper') + slowRoute);
    const asks = asksOf(node);
    await waitFor('upper', async () => {
      await asks.http();
      return true;
    });
    await measure(node, asks);
    for (let round = 1; round <= rounds; round += 1) {
      for (const name of parts as AttackName[]) {
        const alone = await measure(node, asks);
        const attack = await runAttack(name, target, { isIdle: true });
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        const pids = { node: node.pid, engine: enginePid(node) ?? -1, attackers: attack.pid };
        const { result: beside, cores } = await busyCores(pids, () => measure(node, asks));
        await attack.stop();
        // What it left behind is not there when nobody attacks.
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        tries[`tries_${name}`] =
          (tries[`tries_${name}`] ?? 0) + Object.values(attack.ends).reduce((sum, n) => sum + n, 0);
        for (const protocol of protocols) {
          addTo(samples, `alone_${protocol}`, alone.times[protocol]);
          addTo(samples, `${name}_${protocol}`, beside.times[protocol]);
        }
        addTo(ratios, `mib_${name}`, [beside.mostMib - alone.mostMib]);
        addTo(ratios, `refused_${name}`, [beside.failures]);
        for (const [who, busy] of Object.entries(cores)) addTo(ratios, `cores_${name}_${who}`, [busy]);
        console.error(`hostile: ${name}, round ${round} of ${rounds}`);
      }
    }
  } finally {
    await node.dispose();
  }
  const p99 = (key: string): number => quantile(samples.get(key) ?? [], 0.99);
  // Of all windows of one kind: a window of 10 s has too few slow requests for a p99 of its own.
  for (const name of parts)
    for (const protocol of protocols)
      ratios.set(`p99_${name}_${protocol}`, [p99(`${name}_${protocol}`) / p99(`alone_${protocol}`)]);
  return report('hostile', 'ms', {
    results: Object.fromEntries([...samples].map(([key, values]) => [key, variant(values)])),
    ratios: Object.fromEntries([...ratios].map(([key, values]) => [key, quantile(values, 0.5)])),
    setup: { model: 'tiny fp32', rounds, window_ms: windowMs, settle_ms: settleMs, ...tries },
  });
};
