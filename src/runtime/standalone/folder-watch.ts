import { watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../time/clock.ts';
import type { ScannedFile } from './folder-state.ts';

const isManifest = (name: string): boolean => /\.ya?ml$/.test(name) && !name.startsWith('.');
/** Larger files are not read: a manifest is text that people write. */
const maxFileBytes = 1_048_576;

/** Reads every manifest file directly in the folder, sorted by name. Throws when the folder itself cannot be read. */
export const scanFolder = async (folder: string): Promise<ScannedFile[]> => {
  const names = (await readdir(folder)).filter(isManifest).sort();
  return Promise.all(
    names.map(async (file): Promise<ScannedFile> => {
      try {
        const { size } = await stat(join(folder, file));
        if (size > maxFileBytes) return { file, reason: `is larger than ${maxFileBytes} bytes` };
        return { file, text: await readFile(join(folder, file), 'utf8') };
      } catch (error) {
        return { file, reason: `cannot be read: ${error instanceof Error ? error.message : String(error)}` };
      }
    }),
  );
};

/** Name, size and time of each manifest file: a cheap sign that a scan is worth it. */
const signatureOf = async (folder: string): Promise<string> => {
  try {
    const names = (await readdir(folder)).filter(isManifest).sort();
    const stats = await Promise.all(
      names.map((n) => stat(join(folder, n), { bigint: true }).catch(() => undefined)),
    );
    return names.map((n, i) => `${n} ${stats[i]?.ino} ${stats[i]?.size} ${stats[i]?.mtimeNs}`).join('\n');
  } catch {
    // Unreadable is a state of its own: the scan that follows reports why.
    return 'unreadable';
  }
};

export type FolderWatch = { close(): void };

/**
 * Calls `onChange` after the folder changed, soon by the kernel's word and at the latest after `pollMs`: some file
 * systems and every mount that is swapped (a ConfigMap) give no word. One call at a time.
 */
export const watchFolder = (
  folder: string,
  onChange: () => Promise<void>,
  clock: Clock,
  pollMs = 1000,
): FolderWatch => {
  const polls = { closed: false, busy: false, again: false, seen: '', cancel: (): void => undefined };

  const schedule = (ms: number): void => {
    polls.cancel();
    if (!polls.closed) polls.cancel = clock.after(ms, () => void look());
  };
  const look = async (): Promise<void> => {
    if (polls.busy) {
      polls.again = true;
      return;
    }
    polls.busy = true;
    try {
      const signature = await signatureOf(folder);
      if (signature !== polls.seen) {
        polls.seen = signature;
        await onChange();
      }
    } finally {
      polls.busy = false;
      schedule(polls.again ? 0 : pollMs);
      polls.again = false;
    }
  };

  let watcher: ReturnType<typeof watch> | undefined;
  try {
    // Editors write in several steps; a short wait sees the last of them.
    watcher = watch(folder, { persistent: false }, () => schedule(30));
    watcher.on('error', () => watcher?.close());
  } catch {
    // No notification here (folder missing, too many watches): polling alone finds the change.
    watcher = undefined;
  }
  void look();
  return {
    close() {
      polls.closed = true;
      polls.cancel();
      watcher?.close();
    },
  };
};
