import { z } from 'zod';
import { nameSchema, namespaceSchema } from '../../api/names.ts';
import { metricsSettings } from '../../settings/metrics.ts';
import {
  bytes,
  coreFiles,
  count,
  duration,
  labels,
  list,
  logLevel,
  orAuto,
  otlpEndpoint,
} from '../../settings/values.ts';
import { evictionPolicyNames } from '../residency/eviction-policies.ts';
import type { Automatic, Choice, Chosen } from './choose.ts';
import { frontSettings } from './front-settings.ts';
import { isInRegistry } from './model-source.ts';
import { sourceSettings } from './source-settings.ts';

/** float16 is what people ask for that know GPUs. */
const kvPrecision = z.enum(['auto', 'float32', 'int8'], {
  error: ({ input }) =>
    input === 'float16'
      ? 'ONNX Runtime would convert all keys and values at every step on the CPU; take int8, which is smaller and faster, or float32'
      : undefined,
});

/**
 * Every setting of `adaptlet serve`. A setting `someName` is the flag `--some-name` and the environment variable
 * `ADAPTLET_SOME_NAME`; the flag wins. docs/reference/configuration.md is generated from this.
 */
export const settingsSchema = z.object({
  model: z
    .string()
    .min(1)
    .describe(
      'The base model: a folder with its ONNX file, config.json or genai_config.json, tokenizer.json, tokenizer_config.json; or oci://registry/repository@sha256:… (or :tag, which is resolved once for a data folder) for one that is fetched from a registry.',
    ),
  modelFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Its ONNX file, such as onnx/model_q4.onnx: relative to the folder, or in the artifact. Default: model.onnx, in the folder or in onnx/ below it, or the only one.',
    ),
  modelName: z
    .string()
    .min(1)
    .optional()
    .describe('Name that the base model is announced under. Default: the name of the folder or repository.'),
  classifierModel: z
    .string()
    .min(1)
    .refine((value) => !isInRegistry(value), 'must be a folder: encoders are not fetched from registries')
    .optional()
    .describe(
      'Folder of an encoder (as for `model`) that the onnx classifiers of routes run, in a process of its own with one thread. Default: none, and those classifiers are uncertain.',
    ),
  classifierMemory: bytes
    .prefault('512Mi')
    .describe(
      'RAM budget of that process: the encoder, and heads of all namespaces, which have a quarter of it, at most 128Mi. It counts besides `adapterMemory` and `kvMemory`. An encoder that takes more is not used (CLASSIFIER_MEMORY).',
    ),
  manifests: z
    .string()
    .optional()
    .describe(
      'Folder of manifests to follow. Without it and without an operator the runtime serves its last plan from disk.',
    ),
  operator: z
    .string()
    .regex(/^(\[[0-9a-fA-F:]+\]|[^:/\s]+):\d{1,5}$/, { error: 'must be host:port' })
    .optional()
    .describe('Address of the operator to follow, host:port, in place of a folder of manifests.'),
  operatorCa: z
    .string()
    .optional()
    .describe(
      'PEM file with the certificates, one or more, that vouch for the operator. Read anew for each connection.',
    ),
  operatorToken: z
    .string()
    .optional()
    .describe(
      "File with the token that the operator knows this runtime by: a pod's projected ServiceAccount token. Read anew for each connection.",
    ),
  enrolTokenFile: z
    .string()
    .optional()
    .describe(
      'File with the line that "kubectl adaptlet enrol" printed, for a device outside of the cluster, in place of operator-ca and operator-token. Used once; then the device has a certificate in its data folder, and the file may be gone. With --operator the device dials that in place of the address in the line.',
    ),
  runtimeNamespace: namespaceSchema
    .default('default')
    .describe('Namespace of the AdapterRuntime that stands for this runtime at the operator.'),
  runtimeName: nameSchema
    .optional()
    .describe(
      'Name of that AdapterRuntime: of the Node that it serves, or of the Pod. Default: the name of this machine.',
    ),
  runtimeKind: z
    .enum(['node', 'pod'])
    .default('node')
    .describe('What this runtime serves: its node (as a DaemonSet does) or its pod (as a sidecar does).'),
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
  ...sourceSettings,
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
    .describe('Address of HTTP: OpenAI API, /livez, /readyz, and /metrics by `httpMetrics`.'),
  drainDelay: duration
    .prefault('0s')
    .describe(
      'How long it goes on answering after SIGTERM while /readyz already says no, so that load balancers stop sending first.',
    ),
  healthListen: z
    .string()
    .optional()
    .describe(
      'Address of one more listener, for /metrics, /livez and /readyz alone, without TLS: for probes, which need no credential, and for Prometheus, see metrics-access.',
    ),
  ...metricsSettings,
  tls: z
    .enum(['auto', 'operator'])
    .default('auto')
    .describe(
      'Where the certificate of both request ports comes from. auto: the files of tls-cert and tls-key; without them there is no TLS. operator: the operator gives one, by its own authority, to a runtime of a Node; it is renewed by itself and kept beside the state, and until the first one comes nobody gets a connection.',
    ),
  tlsCert: z
    .string()
    .min(1)
    .optional()
    .describe(
      'PEM file with the certificate of both request ports and what leads to its authority. With it gRPC and HTTP are TLS, 1.2 or newer. A new file is taken within 10 seconds, for new connections.',
    ),
  tlsKey: z.string().min(1).optional().describe('PEM file with the private key of that certificate.'),
  clientCa: z
    .string()
    .min(1)
    .optional()
    .describe(
      'PEM file with the authorities of clients. A client may then show a certificate, whose common name an AdapterPolicy knows; it may as well send a key or a token.',
    ),
  anonymous: z
    .enum(['auto', 'allow', 'deny'])
    .default('auto')
    .describe(
      'Whether requests need a credential for the names of a namespace that no AdapterPolicy holds for. auto: unless the port is on a loopback address; allow: no; deny: yes.',
    ),
  ...frontSettings,
  httpMetrics: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe(
      'Whether the port of HTTP requests has /metrics, which names adapters of all namespaces. auto: on a loopback address. Gateways such as that of llm-d read them there: on.',
    ),
  adminListen: z
    .string()
    .optional()
    .describe('Address of the Admin service. Default: a unix socket in the data folder.'),
  dashboardListen: z
    .string()
    .optional()
    .describe(
      'Address of a page that shows this node to people, on loopback: whoever is on the machine sees it. Without it none is served.',
    ),
  adapterMemory: orAuto(bytes)
    .prefault('auto')
    .describe(
      'RAM budget of adapters: as they are stored with the native operator, as float32 without. `adaptlet status` says when adapters that were in use at the same time did not fit. auto: a sixth of the memory limit of the container, or a twelfth of what the machine has available; from 64Mi to 2Gi.',
    ),
  oneAdapter: z
    .enum(['true', 'false'])
    .prefault('false')
    .transform((text) => text === 'true')
    .describe(
      'RAM holds the base and one active adapter: stable steps down to disk while its canary serves.',
    ),
  evictionPolicy: z
    .enum(evictionPolicyNames)
    .prefault('hit-density')
    .describe(
      'Which adapter leaves RAM first, among unused ones of the same priority that no rollout holds and nobody pinned, and which one of those that are there for requests alone leaves the disk. hit-density: the one that saves the least reloading per byte, by how often and how recently it was used; lru: the least recently used.',
    ),
  prefetch: z
    .enum(['on', 'ram', 'off'])
    .prefault('on')
    .describe(
      'Whether adapters are brought nearer before they are asked for, where nothing has to leave for it and nobody waits: after a request what the same route may be asked for next, such as the adapter of the same user, from registries to the disk; into free RAM what was used before. ram: nothing is downloaded for it; off: not at all.',
    ),
  prefetchDownloads: bytes
    .prefault('256Mi')
    .describe('Bytes that may be downloaded in an hour for what nobody asked for yet.'),
  disk: bytes
    .optional()
    .describe(
      'Disk budget of the whole node: adapters, their compiled files, base models from a registry, and what is prepared of a base model. Default: adapterDisk and modelDisk together.',
    ),
  adapterDisk: bytes
    .prefault('2Gi')
    .describe(
      'Disk budget of adapters and their compiled files. Above 90 percent of it, adapters that are there for requests alone and are worth their place least leave the disk, down to 80 percent.',
    ),
  deltaLookup: duration
    .prefault('3s')
    .describe(
      'How long a fetch from a registry may look for a delta from a version that this node has (`adaptlet delta`). It is looked for only where the namespace has one of the same repository. 0s: never; all comes whole.',
    ),
  modelDisk: bytes
    .prefault('32Gi')
    .describe(
      'Disk budget of base models from a registry: the one that serves, and beside it the next one while it comes.',
    ),
  scrubRate: bytes
    .refine((rate) => rate > 0, 'must be more than 0')
    .prefault('8Mi')
    .describe(
      'Bytes per second at which stored adapters are read in the background, once a day, to find what rotted on the disk; that is set aside and fetched again.',
    ),
  threads: orAuto(count(1, 256))
    .prefault('auto')
    .describe(
      'Threads of one inference step. auto: as many as there are physical cores, or as the processor limit of the container allows; of three or more, one is left to everything else; at most 8.',
    ),
  spin: z
    .enum(['true', 'false'])
    .prefault('true')
    .transform((text) => text === 'true')
    .describe(
      'With 2 threads or more: threads spin for 20 microseconds between the operators of a step. With cores of their own a step takes about 0.65 times as long; on shared cores 1.3 to 2 times, so set it to false there.',
    ),
  executionProviders: list
    .prefault('')
    .describe(
      'Execution providers in order of preference, by the names of ONNX Runtime, separated by commas; options may follow: OpenVINOExecutionProvider?device_type=GPU. Default: those for `deviceResources`, then the CPU.',
    ),
  onnxRuntimeLibrary: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Path of a libonnxruntime, 1.22 or newer, that was built for a device. Default: the one of the npm package.',
    ),
  deviceResources: list
    .prefault('')
    .describe(
      'Devices that this pod has: extended resources of device plugins, such as nvidia.com/gpu, and DeviceClasses of its claims, such as gpu.nvidia.com.',
    ),
  requireProvider: z
    .enum(['true', 'false'])
    .prefault('false')
    .transform((text) => text === 'true')
    .describe('Refuses to start when none of the execution providers works, in place of the CPU.'),
  maxConcurrent: count(1, 256)
    .prefault(8)
    .describe(
      'Requests that are generated at the same time: rows that decode together, whatever their adapters.',
    ),
  kvMemory: orAuto(bytes)
    .prefault('auto')
    .describe(
      'Memory for keys and values, copies included. A request starts when its prompt and some tokens fit, and waits again when those that run grow beyond the memory; `adaptlet status` says when requests waited for that. The rest keeps what prompts and answers began with. auto: what the limit of the container leaves beside the base model and the other budgets, or half of what the machine leaves; as much as all requests can use, and 512Mi at least where there is so much.',
    ),
  structureMemory: bytes
    .prefault('192Mi')
    .describe(
      'Memory for compiled structures of answers (JSON schemas, patterns, grammars), of a base model that generates: those in use, and those that are kept for their tenants. One takes 16 MiB or more with a vocabulary of 49,152 tokens, and in proportion with others. 0: no structures.',
    ),
  prefixCache: z
    .enum(['true', 'false'])
    .prefault('true')
    .transform((text) => text === 'true')
    .describe(
      'What a prompt begins with is computed once for all requests of a tenant with the same adapter, while kvMemory has room: an earlier turn of a conversation, a system prompt. false: each request computes all of it.',
    ),
  speculation: z
    .enum(['auto', 'off'])
    .prefault('auto')
    .describe(
      'A request that decodes by itself may get several tokens in a step: guesses of what comes next, from its prompt, its answer and earlier answers of the tenant, are checked in one run, and those that the model gives as well are its answer. auto: where that was faster of late; off: each step gives one token.',
    ),
  kvPrecision: kvPrecision
    .prefault('auto')
    .describe(
      'How keys and values are stored. float32: as the model computes them. int8: a quarter of the memory, of which answers become a little different; only where the model passes a comparison at its first start. auto: float32, unless with `kvMemory` auto the machine would have no room for a request of 2,048 tokens then; the start and `adaptlet status` say what it is.',
    ),
  loraOperator: z
    .string()
    .min(1)
    .prefault('auto')
    .describe(
      'The native operators: one adds adapters, so that requests for different adapters share a step and weights stay as they are stored; one computes attention, so that a token has the same bits whatever runs beside it; one computes linears in int4 and int8, on processors with AVX-512 VNNI, and with AVX2, AVX-VNNI or NEON’s dot products where that was measured to be faster at the first start. auto: the library that was built (`make native`; images have it). off: none; adapters come in the portable way: float32 in memory, one adapter a step. Or the path of the library. Where it cannot be used, the start and `adaptlet status` say so.',
    ),
  maxDecodeStall: count(1, 60_000)
    .prefault(100)
    .describe('Milliseconds that others may wait for their next token while a prompt is computed.'),
  maxQueue: count(0, 10_000)
    .prefault(128)
    .describe('Requests that may wait; one more is refused with QUEUE_FULL.'),
  maxBatch: count(1, 1024)
    .prefault(16)
    .describe(
      'Encoders and graphs of plain tensors: texts or rows of several requests that are run together. 1: each request by itself.',
    ),
  maxBatchDelay: count(0, 60_000)
    .prefault(0)
    .describe('Milliseconds that a text or row waits for others before a batch that is not full is run.'),
  pooling: z
    .enum(['mean', 'cls', 'pooler'])
    .optional()
    .describe('How an encoder makes one vector of a text, where its files do not say it. Default: mean.'),
  normalize: z
    .enum(['true', 'false'])
    .prefault('true')
    .transform((text) => text === 'true')
    .describe('Embeddings have the length 1, where the files of the encoder do not say it.'),
  maxRank: count(1, 4096).prefault(256).describe('Largest LoRA rank that is accepted.'),
  firstTokenTimeout: count(0, 86_400_000)
    .prefault(600_000)
    .describe(
      'Milliseconds until the first token of an answer, or until an answer that comes at once: to load the adapter, wait for a place and compute the prompt. 0: no limit. A deadline of the client takes its place.',
    ),
  tokenTimeout: count(0, 86_400_000)
    .prefault(120_000)
    .describe(
      'Milliseconds from one token of an answer to the next; a request that makes way for others waits meanwhile. 0: no limit.',
    ),
  requestTimeout: count(0, 86_400_000)
    .prefault(0)
    .describe(
      'Milliseconds that a whole answer may take, however well it goes on. 0: no limit. A deadline of the client takes its place.',
    ),
  stallTimeout: count(1_000, 600_000)
    .prefault(30_000)
    .describe(
      'Milliseconds without a sign of life after which the engine process is killed. A step that runs is killed when it took longer than this and 20 times its expected time, or longer than 20 times this and 3 times its expected time. The expected time is by the slowest of the last steps like it. Each part of opening the base model may take 20 times this, and ten minutes at least.',
    ),
  otlpEndpoint,
  coreFiles,
  logLevel,
});

export type Settings = Omit<z.output<typeof settingsSchema>, keyof Automatic> &
  Chosen & {
    readonly modelName: string;
    readonly runtimeName: string;
    /** What was left to the machine. */
    readonly choices: readonly Choice[];
  };
