import { randomUUID } from 'node:crypto';
import { parseManifests } from '../../api/parse.ts';
import type { Clock } from '../../time/clock.ts';
import type { StandaloneController } from './controller.ts';
import { type Merged, mergeScan, type ParsedFile, type ScannedFile } from './folder-state.ts';
import { type Scan, scan, watchFolder } from './folder-watch.ts';

type Known = ReadonlyMap<string, { readonly text: string; readonly parsed: ParsedFile }>;

/** Reads the folder once, then follows it until it is disposed of. */
export const followFolder = async (
  folder: string,
  parts: { readonly controller: StandaloneController; readonly clock: Clock; readonly namespace: string },
): Promise<Disposable> => {
  const { controller, clock, namespace } = parts;
  /** What each file said: one edit must not cost the parse of the whole folder. */
  let known: Known = new Map();
  const parse = (text: string, file: string): ParsedFile => {
    const before = known.get(file);
    if (before?.text === text) return before.parsed;
    const { documents, problems } = parseManifests(text, file, { defaultNamespace: namespace });
    return { documents: documents.map(({ line, manifest }) => ({ line, manifest })), problems };
  };
  const merge = (files: readonly ScannedFile[]): Merged => {
    const next = new Map<string, { text: string; parsed: ParsedFile }>();
    const remember = (text: string, file: string): ParsedFile => {
      const parsed = parse(text, file);
      next.set(file, { text, parsed });
      return parsed;
    };
    const identity = { newUid: randomUUID, now: new Date(clock.now()).toISOString() };
    const merged = mergeScan(controller.files, files, remember, identity, (m) => controller.inUse(m));
    known = next;
    return merged;
  };
  const take = (found: Scan): void => {
    try {
      controller.folderChanged('unreadable' in found ? found : merge(found.files), folder);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      controller.folderChanged({ unreadable: `the manifests cannot be used: ${reason}` }, folder);
    }
  };
  take(await scan(folder));
  const watch = watchFolder(folder, take, clock);
  return { [Symbol.dispose]: () => watch.close() };
};
