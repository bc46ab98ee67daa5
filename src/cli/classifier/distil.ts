import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { packFolder } from '../../artifact/pack.ts';
import { refuseExisting, writeFolder } from '../../runtime/adapter/new-folder.ts';
import { classifierFiles } from '../../runtime/classifiers/artifact-file.ts';
import { distil } from '../../runtime/classifiers/distil.ts';
import { readWordPieceFile } from '../../runtime/classifiers/word-piece-file.ts';
import type { EngineClient } from '../../runtime/engine/client/client.ts';
import { openModelFolder } from '../../runtime/engine/model/folder.ts';
import { startEncoder } from '../encoder-process.ts';
import { readExamples } from '../route/examples-file.ts';

type Options = {
  readonly model: string;
  readonly modelFile?: string;
  readonly output: string;
  readonly dimensions: number;
  readonly maxTokens: number;
  readonly examples?: string;
  readonly pooling?: 'mean' | 'cls' | 'pooler';
};

const wholeNumber =
  (most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number from 1 to ${most}.`);
  };

const never = new AbortController().signal;

const embedderOf =
  (engine: EngineClient, { before, after }: { readonly before: number; readonly after: number }) =>
  async (ids: readonly number[]): Promise<readonly Float32Array[]> => {
    const texts = ids.map((id) => ({ kind: 'ids', ids: [before, id, after] }) as const);
    const request = { requestId: `tokens-${ids[0]}`, engineName: null, texts, output: 'embedding' } as const;
    const result = await engine.encode(request, never);
    if (result.kind !== 'embedding') throw new Error('the encoder classifies and does not embed');
    return result.rows;
  };

const run = async (options: Options): Promise<void> => {
  const folder = resolve(options.output);
  await refuseExisting(folder);
  const examples = options.examples === undefined ? undefined : await readExamples(options.examples);
  const model = openModelFolder(resolve(options.model), options.modelFile);
  const tokens = readWordPieceFile(model);
  const { dimensions, maxTokens } = options;
  await using encoder = await startEncoder({
    modelDir: options.model,
    modelFile: options.modelFile,
    adapterBudgetBytes: 0,
    threads: availableParallelism(),
    maxConcurrent: 1,
    maxQueue: 1,
    maxBatch: 64,
    // How long the vector of a token is says how much it means.
    normalize: false,
    ...(options.pooling === undefined ? {} : { pooling: options.pooling }),
  });
  const parts = await distil({
    ...tokens,
    dimensions,
    maxTokens,
    embed: embedderOf(encoder.engine, tokens),
    ...(examples === undefined ? {} : { examples }),
    onProgress: (done, all) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${all} tokens`);
    },
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  await writeFolder(folder, classifierFiles(parts, encoder.engine.info().baseDigest));
  await using disk = startDiskThread();
  const { digest, bytes } = await packFolder(folder, { disk, limits: defaultLimits, signal: never });
  process.stdout.write(`${folder}: ${(bytes / 1e6).toFixed(1)} MB\ndigest: ${digest}\n`);
};

/** `adaptlet classifier distil`. */
export const distilCommand = (): Command =>
  new Command('distil')
    .description('make a static table of an encoder, for classifiers of the kind examples')
    .requiredOption('--model <folder>', 'folder of the encoder, as for adaptlet serve')
    .option('--model-file <file>', 'its ONNX file, where there are several')
    .requiredOption('-o, --output <folder>', 'folder to write; must not exist')
    .addOption(
      new Option('--dimensions <n>', 'numbers of an embedding').argParser(wholeNumber(4096)).default(128),
    )
    .option(
      '--examples <file>',
      'JSON lines {"text": …, "label": …}: adds a head of these labels; without it routes give examples',
    )
    .addOption(
      new Option('--max-tokens <n>', 'tokens of an example that are looked at')
        .argParser(wholeNumber(512))
        .default(64),
    )
    .addOption(
      new Option('--pooling <kind>', 'of an encoder whose files do not say it').choices([
        'mean',
        'cls',
        'pooler',
      ]),
    )
    .addHelpText(
      'after',
      '\nThe encoder is needed for this alone: nodes have the table. The same encoder, options and machine give the same digest.\n\nExample:\n  adaptlet classifier distil --model minilm/onnx-int8 -o intent --examples intent.jsonl',
    )
    .action(run);
