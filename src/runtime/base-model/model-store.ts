import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Within } from '../../artifact/disk-budget.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import type { ArtifactLimits } from '../../artifact/manifest.ts';
import { ContentStore } from '../../artifact/store.ts';

/** A model of many gigabytes is one of few files. */
export const modelLimits: ArtifactLimits = {
  // The budget says that a model is too large for this node.
  maxBytes: Number.MAX_SAFE_INTEGER,
  maxLayers: 1024,
  maxFiles: 4096,
};

export type ModelStore = {
  readonly store: ContentStore;
  /** Bytes that its disk has for this process. */
  readonly freeBytes: () => Promise<number>;
};

/**
 * The content store of base models, `models/` below the data folder; the stack closes it.
 * @throws AdaptletError STORE_LOCKED
 */
export const openModelStore = async (
  {
    dataDir,
    budgetBytes,
    within,
  }: { readonly dataDir: string; readonly budgetBytes: number; readonly within: Within },
  stack: AsyncDisposableStack,
): Promise<ModelStore> => {
  const root = join(dataDir, 'models');
  await mkdir(root, { recursive: true });
  const disk = stack.use(startDiskThread());
  const store = stack.use(
    await ContentStore.open({
      root,
      budgetBytes,
      within,
      disk,
      limits: modelLimits,
      keepsUnfinished: true,
    }),
  );
  return {
    store,
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(root);
      return bavail * bsize;
    },
  };
};
