import { readFileSync } from 'node:fs';
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { Command, InvalidArgumentError } from 'commander';
import {
  type GenerateRequest,
  type GenerateResponse,
  InferenceClient,
} from '../gen/adaptlet/inference/v1/inference.ts';

type Options = {
  readonly server: string;
  readonly model: string;
  readonly namespace: string;
  readonly user: string;
  readonly session: string;
  readonly header: readonly string[];
  readonly ca?: string;
  readonly chat?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly seed?: bigint;
  readonly timeout: number;
  readonly output: string;
};

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('must be a number');
  return value;
};

const integer = (text: string): bigint => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a whole number');
  return BigInt(text);
};

const requestOf = (prompt: string, o: Options): GenerateRequest => ({
  namespace: o.namespace,
  model: o.model,
  prompt:
    o.chat === true
      ? { $case: 'chat', value: { messages: [{ role: 'user', content: prompt }] } }
      : { $case: 'text', value: prompt },
  maxTokens: o.maxTokens,
  sampling: { temperature: o.temperature, topP: undefined, topK: undefined, seed: o.seed, logitBias: {} },
  stop: [],
  stopTokenIds: [],
  badWords: [],
  structure: undefined,
  user: o.user,
  session: o.session,
});

const metadataOf = (headers: readonly string[]): Metadata => {
  const metadata = new Metadata();
  for (const header of headers) {
    const at = header.indexOf('=');
    if (at < 1) throw new Error(`--header ${header}: must be name=value`);
    metadata.set(header.slice(0, at), header.slice(at + 1));
  }
  const key = process.env['ADAPTLET_KEY'];
  if (key !== undefined && key !== '') metadata.set('authorization', `Bearer ${key}`);
  return metadata;
};

const servedLine = (r: GenerateResponse): string => {
  const s = r.served;
  if (s === undefined) return '';
  const what = s.adapter === '' ? 'base model' : s.adapter;
  const parts = [`${what} ${s.digest.replace('sha256:', '').slice(0, 12)}`];
  if (s.rollout !== '') parts.push(`rollout ${s.rollout} (${s.arm})`);
  if (s.rule !== '') parts.push(`rule ${s.rule}`);
  return parts.join(', ');
};

const generate = async (prompt: string, o: Options): Promise<void> => {
  const channel =
    o.ca === undefined ? credentials.createInsecure() : credentials.createSsl(readFileSync(o.ca));
  const client = new InferenceClient(o.server, channel);
  try {
    const stream = client.generate(requestOf(prompt, o), metadataOf(o.header), {
      deadline: Date.now() + o.timeout,
    });
    for await (const response of stream as AsyncIterable<GenerateResponse>) {
      if (o.output === 'json') {
        process.stdout.write(
          `${JSON.stringify(response, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}\n`,
        );
        continue;
      }
      if (response.event?.$case === 'tokens') process.stdout.write(response.event.value.text);
      if (response.event?.$case === 'done') process.stderr.write(`\n[${servedLine(response)}]\n`);
    }
  } catch (error) {
    const code = (error as ServiceError).metadata?.get('x-adaptlet-error')[0];
    const details = (error as ServiceError).details ?? String(error);
    throw new Error(`${o.server}: ${code === undefined ? '' : `${code.toString()}: `}${details}`, {
      cause: error,
    });
  } finally {
    client.close();
  }
};

/** `adaptlet generate`. */
export const generateCommand = (): Command =>
  new Command('generate')
    .description(
      'ask a running node; the answer goes to stdout as it comes, what served it to stderr. A key comes from ADAPTLET_KEY',
    )
    .argument('<prompt>', 'the prompt')
    .requiredOption('-m, --model <name>', 'a route, rollout, adapter or the base model')
    .option(
      '-s, --server <address>',
      'gRPC address of the node',
      process.env['ADAPTLET_GRPC_LISTEN'] ?? '127.0.0.1:9000',
    )
    .option('--ca <file>', 'ask with TLS; the PEM file has the authorities that vouch for the node')
    .option('-n, --namespace <name>', 'namespace of the name', '')
    .option('-u, --user <id>', 'id of the end user; keeps them on one side of a rollout', '')
    .option('--session <id>', 'id of the conversation', '')
    .option(
      '-H, --header <name=value>',
      'metadata for routes to match; may be repeated',
      (h: string, all: string[]) => [...all, h],
      [],
    )
    .option('--chat', "put the prompt through the base model's chat template")
    .option('--max-tokens <n>', 'tokens that the answer may have', number)
    .option('--temperature <t>', '0 is greedy', number)
    .option('--seed <n>', 'same seed, same answer', integer)
    .option('--timeout <ms>', 'deadline of the request', number, 60_000)
    .option('-o, --output <form>', 'text or json (one line a message)', 'text')
    .action(generate);
