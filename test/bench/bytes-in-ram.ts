import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

export type SizedAdapter = {
  readonly modelDir: string;
  readonly importRoots: string;
  /** Of the PEFT folder, below the import roots. */
  readonly path: string;
  /** Where the node lives meanwhile. */
  readonly folder: string;
  readonly prompt: string;
};

/** What an adapter takes of the RAM budget, as a node says that has just it. */
export const bytesInRam = async ({
  modelDir,
  importRoots,
  path,
  folder,
  prompt,
}: SizedAdapter): Promise<number> => {
  const settings = { 'log-level': 'error' };
  const node = await TestNode.start({ model: modelDir, folder, importRoots, settings });
  try {
    await node.write('one.yaml', yaml.adapter('one', path));
    await waitFor('the adapter to be known', async () => (await node.client.status()).adapters.length === 1);
    await node.client.ask({ model: 'one', prompt, maxTokens: 1 });
    return Number((await node.client.status()).adapters[0]?.residentBytes ?? 0);
  } finally {
    await node.dispose();
  }
};
