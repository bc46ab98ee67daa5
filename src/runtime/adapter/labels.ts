import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import type { CompiledHead } from '../compiled/compiled-file.ts';

/** Names of the classes, and what makes probabilities of their logits. */
export type Labels = Pick<CompiledHead, 'labels' | 'activation'>;

const maxFileBytes = 1024 * 1024;
const labelsSchema = z.object({ labels: z.array(z.string()) });
const configSchema = z.object({
  id2label: z.record(z.string(), z.string()).nullish(),
  problem_type: z.enum(['single_label_classification', 'multi_label_classification', 'regression']).nullish(),
});

const invalid = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('ADAPTER_LABELS_INVALID', what, { cause });

const readJson = async <T>(folder: string, name: string, schema: z.ZodType<T>): Promise<T | undefined> => {
  const path = join(folder, name);
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw invalid(`${name} has ${size} bytes, the limit is ${maxFileBytes}`);
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (error instanceof AdaptletError) throw error;
    throw invalid(`${name} is not what it should be`, error);
  }
};

const byNumber = (
  id2label: Readonly<Record<string, string>> | null | undefined,
): readonly string[] | undefined => {
  if (id2label === null || id2label === undefined) return undefined;
  const count = Object.keys(id2label).length;
  return Array.from({ length: count }, (_, id) => {
    const label = id2label[String(id)];
    if (label === undefined)
      throw invalid(`config.json: id2label has ${count} labels and none of the number ${id}`);
    return label;
  });
};

/** As transformers' text classification does it. */
const activationOf = (problem: string | null | undefined, count: number): Labels['activation'] => {
  if (problem === 'regression') return 'none';
  return problem === 'multi_label_classification' || count === 1 ? 'sigmoid' : 'softmax';
};

/**
 * The labels of a classifier: of `labels.json` (`{"labels": [...]}`), else of `id2label` in `config.json`, both in the
 * adapter's folder; else LABEL_0, LABEL_1 and so on, as transformers calls them.
 * @throws ADAPTER_LABELS_INVALID
 */
export const readLabels = async (folder: string, count: number): Promise<Labels> => {
  const own = await readJson(folder, 'labels.json', labelsSchema);
  const config = await readJson(folder, 'config.json', configSchema);
  const labels =
    own?.labels ?? byNumber(config?.id2label) ?? Array.from({ length: count }, (_, id) => `LABEL_${id}`);
  if (labels.length !== count) {
    throw invalid(`${folder} names ${labels.length} labels; the head has ${count}`);
  }
  if (new Set(labels).size !== count) throw invalid(`${folder} has a label twice`);
  return { labels, activation: activationOf(config?.problem_type, count) };
};
