import type { CheckSettings, ModelCheck } from './check-model.ts';

const inMebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)}Mi`;

/**
 * The flags of `serve` for a model that was checked: what names it, and the budgets that are less than what was asked for.
 * None for one that is refused.
 * @param model as `--model` takes it
 */
export const serveFlags = (
  model: string,
  { graph, memory, refusals }: ModelCheck,
  settings: Pick<CheckSettings, 'maxConcurrent'>,
): readonly string[] => {
  if (refusals.length > 0) return [];
  const { wanted } = memory ?? {};
  return [
    `--model ${model}`,
    ...(graph?.reason === 'named' ? [`--model-file ${graph.file}`] : []),
    ...(memory !== undefined && wanted !== undefined && wanted.kvBytes > memory.kvBytes
      ? [`--kv-memory ${inMebibytes(wanted.kvBytes)}`]
      : []),
    ...(wanted !== undefined && wanted.requests > settings.maxConcurrent
      ? [`--max-concurrent ${wanted.requests}`]
      : []),
  ];
};
