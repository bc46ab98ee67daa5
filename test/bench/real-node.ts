import { smollm } from '../support/models.ts';
import { TestNode, tiny } from '../support/node.ts';

/** A node for a bench: on SmolLM2 where it is found, else on the tiny model, and it says which. */
export const benchNode = async (
  manifests: (adapters: string) => string,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ node: TestNode; model: string; adapters: readonly [string, string]; prompt: string }> => {
  const real = smollm();
  const adapters =
    real === undefined ? (['upper', 'reverse'] as const) : (['json-extract-v1', 'json-extract-v2'] as const);
  if (real === undefined) console.error('SmolLM2 was not found (ADAPTLET_MODELS): measuring the tiny model');
  const node = await TestNode.start({
    modelName: 'bench',
    ...(real === undefined ? {} : { model: real.modelDir, importRoots: real.adapters }),
    settings: {
      'log-level': 'info',
      ...(real === undefined ? { 'import-roots': tiny.adapters } : {}),
      ...settings,
    },
  });
  await node.write('bench.yaml', adapters.map((a) => manifests(a)).join('---\n'));
  const prompt =
    real === undefined
      ? 'moon:'
      : '<|im_start|>user\nPlease ship 4 chairs to Maria in Lisbon.<|im_end|>\n<|im_start|>assistant\n';
  return { node, model: real === undefined ? 'tiny fp32' : 'SmolLM2-135M int4', adapters, prompt };
};
