import { watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../time/clock.ts';
import type { ScannedFile } from './folder-state.ts';

const isManifest = (name: string): boolean => /\.ya?ml$/.test(name) && !name.startsWith('.');
/** Larger files are not read: a manifest is text that people write. */
const maxFileBytes = 1_048_576;

/** Reads every manifest file directly in the folder, sorted by name. Throws when the folder itself cannot be read. */
const scanFolder = async (folder: string): Promise<ScannedFile[]> => {
  const names = (await readdir(folder)).filter(isManifest).sort();
  return Promise.all(
    names.map(async (file): Promise<ScannedFile> => {
      try {
        const found = await stat(join(folder, file));
        // Reading a pipe would wait for its writer, for ever.
        if (!found.isFile()) return { file, reason: 'is not a file' };
        const { size } = found;
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

/** What a look at the folder found: its manifest files, or why it cannot be read. */
export type Scan = { readonly files: readonly ScannedFile[] } | { readonly unreadable: string };

export const scan = async (folder: string): Promise<Scan> => {
  try {
    return { files: await scanFolder(folder) };
  } catch (error) {
    return {
      unreadable: `the folder cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
};

export type FolderWatch = { close(): void };

/** Milliseconds from the kernel's word to the first look. */
const soonMs = 5;
/** Milliseconds in which nothing may change before a change is believed: files are written in several steps. */
const quietMs = 30;
/** A folder that is written to all the time is believed after a shorter silence, from this many milliseconds on. */
const restlessMs = 500;
const shortQuietMs = 5;

/**
 * Calls `onChange` after the folder changed, soon by the kernel's word and at the latest after `pollMs`: some file
 * systems and every mount that is swapped (a ConfigMap) give no word. One look at a time.
 *
 * Guarantees: nothing is told that changed while it was read; what goes on beside the manifest files delays nothing.
 */
export const watchFolder = (
  folder: string,
  onChange: (found: Scan) => void,
  clock: Clock,
  pollMs = 1000,
): FolderWatch => {
  let closed = false;
  let seen = '';
  let pending: { signature: string; readonly since: number } | undefined;
  /** The next look is the idle one, that the kernel's word brings forward. */
  let idle = false;
  /** The kernel's word came during a look. */
  let told = false;
  let cancel: (() => void) | undefined;

  const next = (ms: number): void => {
    cancel?.();
    if (!closed) cancel = clock.after(ms, () => void look());
  };
  /** How long to look on when the folder is not as it was. */
  const again = (signature: string): number => {
    const now = clock.monotonic();
    pending = { signature, since: pending?.since ?? now };
    return now - pending.since < restlessMs ? quietMs : shortQuietMs;
  };
  /** Looks once; the result is when to look again. */
  const lookOnce = async (): Promise<number> => {
    const signature = await signatureOf(folder);
    if (signature !== seen) {
      if (pending?.signature !== signature) return again(signature);
      const found = await scan(folder);
      const after = await signatureOf(folder);
      if (after !== signature) return again(after);
      seen = signature;
      if (!closed) onChange(found);
    }
    pending = undefined;
    return pollMs;
  };
  const look = async (): Promise<void> => {
    idle = false;
    told = false;
    const ms = await lookOnce();
    idle = pending === undefined;
    next(idle && told ? soonMs : ms);
  };
  const hear = (): void => {
    told = true;
    if (!idle) return;
    idle = false;
    next(soonMs);
  };

  let watcher: ReturnType<typeof watch> | undefined;
  try {
    watcher = watch(folder, { persistent: false }, hear);
    watcher.on('error', () => watcher?.close());
  } catch {
    // No notification here (folder missing, too many watches): polling alone finds the change.
    watcher = undefined;
  }
  void look();
  return {
    close() {
      closed = true;
      cancel?.();
      watcher?.close();
    },
  };
};
