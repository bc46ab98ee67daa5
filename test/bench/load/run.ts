import { spawn } from 'node:child_process';
import { z } from 'zod';

/** What one run of a load generator found. Times in milliseconds. */
export type Load = {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly answers: number;
  /** Answers that are none. */
  readonly failed: number;
};

export type LoadTarget = {
  /** `http://host:port` or `https://…`; of gRPC `host:port`. */
  readonly address: string;
  readonly model: string;
  /** Sent as Bearer. */
  readonly key?: string | undefined;
  /** PEM file of the authority of the certificate; absent: no TLS. */
  readonly ca?: string | undefined;
};

export type LoadOptions = { readonly program: string; readonly clients: number; readonly seconds: number };

const run = (
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${file} ended with ${code}: ${err.slice(-2000)}`));
    });
  });

const prompt = { model: '', prompt: 'moon:', max_tokens: 1, temperature: 0 };

const autocannonSchema = z.object({
  latency: z.object({ p50: z.number(), p99: z.number() }),
  requests: z.object({ average: z.number(), total: z.number() }),
  errors: z.number(),
  timeouts: z.number(),
  non2xx: z.number(),
});

/** One token each by `POST /v1/completions`, a connection for each client. Times in whole milliseconds, as autocannon has them. */
export const httpLoad = async (
  { address, model, key, ca }: LoadTarget,
  { program, clients, seconds }: LoadOptions,
): Promise<Load> => {
  const headers = [
    'content-type: application/json',
    ...(key === undefined ? [] : [`authorization: Bearer ${key}`]),
  ];
  const args = [
    program,
    '--json',
    '--no-progress',
    '--connections',
    String(clients),
    '--duration',
    String(seconds),
    '--method',
    'POST',
    ...headers.flatMap((header) => ['--headers', header]),
    '--body',
    JSON.stringify({ ...prompt, model }),
    `${address}/v1/completions`,
  ];
  const text = await run(process.execPath, args, ca === undefined ? {} : { NODE_EXTRA_CA_CERTS: ca });
  const { latency, requests, errors, timeouts, non2xx } = autocannonSchema.parse(JSON.parse(text));
  return {
    perSecond: requests.average,
    medianMs: latency.p50,
    p99Ms: latency.p99,
    answers: requests.total,
    failed: errors + timeouts + non2xx,
  };
};

const ghzSchema = z.object({
  count: z.number(),
  rps: z.number(),
  latencyDistribution: z.array(z.object({ percentage: z.number(), latency: z.number() })).nullish(),
  statusCodeDistribution: z.record(z.string(), z.number()).nullish(),
});

/** One token each by `Inference/Generate`, a connection for each client. */
export const grpcLoad = async (
  { address, model, key, ca }: LoadTarget,
  { program, clients, seconds }: LoadOptions,
): Promise<Load> => {
  const args = [
    ...(ca === undefined ? ['--insecure'] : ['--cacert', ca]),
    '--call',
    'adaptlet.inference.v1.Inference.Generate',
    '--format',
    'json',
    '--data',
    JSON.stringify({ model, text: 'moon:', max_tokens: 1 }),
    ...(key === undefined ? [] : ['--metadata', JSON.stringify({ authorization: `Bearer ${key}` })]),
    '--concurrency',
    String(clients),
    '--connections',
    String(clients),
    // What is under way at the end is waited for and counted, and not cut.
    '--duration',
    `${seconds}s`,
    '--duration-stop',
    'wait',
    address,
  ];
  const found = ghzSchema.parse(JSON.parse(await run(program, args)));
  const { count, rps, latencyDistribution, statusCodeDistribution } = found;
  const at = (percentage: number): number => {
    const nanoseconds = latencyDistribution?.find((one) => one.percentage === percentage)?.latency;
    return nanoseconds === undefined ? Number.NaN : nanoseconds / 1e6;
  };
  return {
    perSecond: rps,
    medianMs: at(50),
    p99Ms: at(99),
    answers: count,
    failed: count - (statusCodeDistribution?.['OK'] ?? 0),
  };
};
