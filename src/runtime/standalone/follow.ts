import { randomUUID } from 'node:crypto';
import { parseManifests } from '../../api/parse.ts';
import type { Clock } from '../../time/clock.ts';
import type { StandaloneController } from './controller.ts';
import { mergeScan } from './folder-state.ts';
import { scanFolder, watchFolder } from './folder-watch.ts';

/** Reads the folder once, then follows it until it is disposed of. */
export const followFolder = async (
  folder: string,
  parts: { readonly controller: StandaloneController; readonly clock: Clock; readonly namespace: string },
): Promise<Disposable> => {
  const { controller, clock, namespace } = parts;
  const scan = async (): Promise<void> => {
    try {
      const merged = mergeScan(
        controller.files,
        await scanFolder(folder),
        (text, file) => parseManifests(text, file, { defaultNamespace: namespace }),
        { newUid: randomUUID, now: new Date(clock.now()).toISOString() },
        (m) => controller.inUse(m),
      );
      controller.folderChanged(merged, folder);
    } catch (error) {
      const reason = `the folder cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      controller.folderChanged({ unreadable: reason }, folder);
    }
  };
  await scan();
  const watch = watchFolder(folder, scan, clock);
  return { [Symbol.dispose]: () => watch.close() };
};
