import { z } from 'zod';
import { parseQuantity } from '../../api/quantity.ts';

/** A size in bytes, written as Kubernetes writes quantities. */
const bytes = z.string().transform((text, context): number => {
  try {
    return parseQuantity(text);
  } catch (error) {
    context.addIssue(error instanceof Error ? error.message : String(error));
    return z.NEVER;
  }
});

const count = (min: number, max: number) => z.coerce.number().pipe(z.int().min(min).max(max));

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

const labels = list.transform((pairs, context) => {
  const entries = pairs.map((pair) => pair.split('=', 2));
  if (entries.some((e) => e.length !== 2 || e[0] === ''))
    context.addIssue('must be key=value pairs separated by commas');
  return Object.fromEntries(entries.map(([key, value]) => [key, value ?? ''])) as Record<string, string>;
});

/**
 * Every setting of `adaptlet serve`. A setting `someName` is the flag `--some-name` and the environment variable
 * `ADAPTLET_SOME_NAME`; the flag wins. docs/reference/configuration.md is generated from this.
 */
export const settingsSchema = z.object({
  model: z
    .string()
    .min(1)
    .describe('Folder of the base model: model.onnx with its data, config.json, tokenizer.json.'),
  modelName: z
    .string()
    .min(1)
    .optional()
    .describe('Name that the base model is announced under. Default: the name of the folder.'),
  manifests: z
    .string()
    .optional()
    .describe('Folder of manifests to follow. Without it the runtime serves its last plan from disk.'),
  dataDir: z
    .string()
    .min(1)
    .describe('Folder that the runtime owns: adapters, compiled files, state. One process at a time.'),
  namespace: z.string().default('default').describe('Namespace of manifests and requests that name none.'),
  importRoots: list
    .prefault('')
    .describe(
      'Folders that `source.path` may point into, separated by commas. Default: the manifest folder.',
    ),
  registryConfig: z.string().optional().describe('A docker config.json with credentials of OCI registries.'),
  insecureRegistries: list
    .prefault('')
    .describe('Registry hosts that are reached over plain HTTP, separated by commas. Loopback always is.'),
  labels: labels
    .prefault('')
    .describe('Labels of this runtime for selectors, as key=value pairs separated by commas.'),
  grpcListen: z
    .string()
    .default('127.0.0.1:9000')
    .describe('Address of gRPC: Open Inference Protocol, Generate, health, reflection.'),
  httpListen: z
    .string()
    .default('127.0.0.1:8080')
    .describe('Address of HTTP: OpenAI API, /metrics, /livez, /readyz.'),
  adminListen: z
    .string()
    .optional()
    .describe('Address of the Admin service. Default: a unix socket in the data folder.'),
  adapterMemory: bytes.prefault('256Mi').describe('RAM budget of adapters.'),
  oneAdapter: z
    .enum(['true', 'false'])
    .prefault('false')
    .transform((text) => text === 'true')
    .describe(
      'RAM holds the base and one active adapter: stable steps down to disk while its canary serves.',
    ),
  adapterDisk: bytes.prefault('2Gi').describe('Disk budget of adapters.'),
  threads: count(1, 256).prefault(1).describe('Threads of one inference step.'),
  maxConcurrent: count(1, 256).prefault(8).describe('Requests that are generated at the same time.'),
  maxQueue: count(0, 10_000)
    .prefault(128)
    .describe('Requests that may wait; one more is refused with QUEUE_FULL.'),
  maxRank: count(1, 4096).prefault(256).describe('Largest LoRA rank that is accepted.'),
  requestTimeout: count(1, 3_600_000)
    .prefault(60_000)
    .describe('Milliseconds that a request may take when its client gives no deadline.'),
  stallTimeout: count(1_000, 600_000)
    .prefault(30_000)
    .describe('Milliseconds without a sign of life after which the engine process is killed.'),
  otlpEndpoint: z
    .url()
    .optional()
    .describe('OTLP/HTTP endpoint of a trace collector. Without it no traces are made.'),
  logLevel: z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .describe('Least level that is logged, as JSON lines on stderr.'),
});

export type Settings = z.output<typeof settingsSchema> & { readonly modelName: string };
export type SettingName = keyof Settings;
