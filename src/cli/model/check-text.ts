import type { ModelCheck } from '../../runtime/base-model/check-model.ts';
import type { MemoryNeed } from '../../runtime/base-model/memory-need.ts';
import type { Refusal } from '../../runtime/base-model/refusal.ts';
import type { Trial } from '../../runtime/base-model/trial-load.ts';
import { sizeText } from '../registry/progress.ts';

/** What `adaptlet model check` found. */
export type CheckReport = ModelCheck & {
  readonly model: string;
  /** Of its OCI manifest; absent of a folder. */
  readonly digest?: string;
  /** Of `serve`, to have it as it was checked. */
  readonly flags: readonly string[];
  /** With `--run`. */
  readonly run?: Trial;
};

const tasks = {
  generate: 'generates text',
  embed: 'embeds and classifies texts',
  infer: 'runs plain tensors',
};

const line = (label: string, value: string | undefined): string[] =>
  value === undefined ? [] : [`${label.padEnd(20)}${value}`];

const count = (value: number): string => value.toLocaleString('en');

const reasons = {
  named: 'named by --model-file',
  only: 'the only ONNX file',
  'model.onnx': 'what is taken where none is named',
};

const graphText = ({ graph }: CheckReport): string | undefined => {
  if (graph === undefined) return undefined;
  const others = graph.others.length === 0 ? '' : `; not taken: ${graph.others.join(', ')}`;
  return `${graph.file}, ${reasons[graph.reason]}${others}`;
};

const wantedText = (
  { requests, tokens, kvBytes }: NonNullable<MemoryNeed['wanted']>,
  memory: MemoryNeed,
): string => {
  const who = requests === 1 ? 'a request' : `${count(requests)} requests`;
  const over = kvBytes > memory.kvBytes ? ', more than it holds' : '';
  return `${who} of ${count(tokens)} tokens: ${sizeText(kvBytes)}${over}`;
};

const memoryLines = (memory: MemoryNeed): string[] => {
  const { kvBytesPerToken, kvTokens, adapterRank16Bytes, wanted, firstStartBytes } = memory;
  return [
    ...line('weights in RAM', `about ${sizeText(memory.weightsBytes)}, packed for this processor`),
    ...line(
      'keys and values',
      kvBytesPerToken === undefined
        ? undefined
        : `${count(kvBytesPerToken)} bytes a token; ${sizeText(memory.kvBytes)} (--kv-memory) hold a request of ${count(kvTokens ?? 0)} tokens`,
    ),
    ...line('', wanted === undefined ? undefined : wantedText(wanted, memory)),
    ...line(
      'adapters',
      adapterRank16Bytes === undefined
        ? undefined
        : `${sizeText(adapterRank16Bytes)} each at rank 16 on all linears in float16 (in float32, or without the native operator, twice that); --adapter-memory ${sizeText(memory.adapterBytes)} holds ${Math.floor(memory.adapterBytes / adapterRank16Bytes)}`,
    ),
    ...line(
      'structures',
      memory.structureBytes === 0 ? undefined : `${sizeText(memory.structureBytes)} (--structure-memory)`,
    ),
    ...line(
      'classifiers',
      memory.classifierBytes === 0 ? undefined : `${sizeText(memory.classifierBytes)} (--classifier-memory)`,
    ),
    ...line(
      'first start',
      firstStartBytes === undefined
        ? undefined
        : `about ${sizeText(firstStartBytes)}, before the others are used: a process of its own packs the weights twice, to compare`,
    ),
    ...line(
      'RAM',
      `about ${sizeText(memory.totalBytes)} at most, when all of it is used or at the first start, and some 250 MiB of the programs`,
    ),
  ];
};

const runLines = (run: Trial | undefined): string[] => {
  if (run === undefined) return [];
  if (run.kind === 'Refused') return line('loaded here', `no: ${run.refusal.code}`);
  const { ms, executionProvider, keptBytes, residentBytes, linears } = run;
  const ram = residentBytes === undefined ? '' : `, ${sizeText(residentBytes)} of RAM without requests`;
  return [
    ...line(
      'loaded here',
      `in ${(ms / 1000).toFixed(1)} s on ${executionProvider}, ${sizeText(keptBytes)} kept on the disk${ram}`,
    ),
    ...linears.flatMap((text) => line('linears', text)),
  ];
};

/** Whether `serve` would take it, as far as was looked. */
export const isServed = ({ refusals, run }: CheckReport): boolean =>
  refusals.length === 0 && run?.kind !== 'Refused';

/** The report as a person reads it. */
export const checkText = (report: CheckReport): string => {
  const { lora, refusals, run } = report;
  const isKnown = ({ message }: Refusal): boolean => refusals.some((known) => known.message === message);
  const all = run?.kind === 'Refused' && !isKnown(run.refusal) ? [...refusals, run.refusal] : refusals;
  const architecture =
    report.architecture === undefined
      ? undefined
      : `${report.architecture}${report.family === undefined ? ' (not supported)' : ''}`;
  return [
    ...line('model', report.model),
    ...line('digest', report.digest),
    ...line('graph', graphText(report)),
    ...line('task', report.task === undefined ? undefined : tasks[report.task]),
    ...line('architecture', architecture),
    ...line(
      'weights',
      report.modelBytes === undefined
        ? undefined
        : `${sizeText(report.modelBytes)}, ${report.precision}, ${count(report.parameters ?? 0)} parameters`,
    ),
    ...line(
      'context',
      report.contextLength === undefined
        ? undefined
        : `${count(report.contextLength)} tokens, vocabulary of ${count(report.vocabSize ?? 0)}`,
    ),
    ...line(
      'LoRA',
      lora === undefined ? undefined : `${lora.sites} linears, target_modules ${lora.modules.join(', ')}`,
    ),
    ...line('provider', report.executionProvider),
    ...(report.memory === undefined ? [] : memoryLines(report.memory)),
    ...runLines(run),
    ...report.warnings.map((warning) => `warning: ${warning}`),
    ...all.map(({ code, message, advice }) => `refused: ${code}: ${message}. ${advice}`),
    ...(isServed(report) ? [`It would be served: ${report.flags.join(' ')}`] : ['It would be refused.']),
    '',
  ].join('\n');
};
