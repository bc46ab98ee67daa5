import { createReadStream } from 'node:fs';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const overlap = 4096;
/** Characters. What is left of less in base64 of base64 is found anywhere. */
const shortest = 12;

/** What is in the base64 of every text that has `text` in it, by where in a group of three bytes it begins. */
const inBase64 = (text: string): string[] =>
  [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift, 0x20), Buffer.from(text)]).toString('base64');
    // Without the groups that are also made of what stands before and after.
    return encoded.slice(shift === 0 ? 0 : 4, encoded.length - 4);
  });

/** A secret as it may be written: as it is, in base64, and in base64 once more, as a docker config in a Secret is. */
const formsOf = (secret: string): Buffer[] => {
  if (secret.length < shortest)
    throw new RangeError(`a secret of ${secret.length} characters is in any text`);
  const once = inBase64(secret);
  return [secret, ...once, ...once.flatMap(inBase64)].map((text) => Buffer.from(text));
};

/** Names of the secrets that are in a text, as they are or in base64. */
export const leaksIn = (content: Buffer | string, secrets: ReadonlyMap<string, string>): string[] => {
  const bytes = Buffer.from(content);
  return [...secrets].flatMap(([name, secret]) =>
    formsOf(secret).some((form) => bytes.includes(form)) ? [name] : [],
  );
};

/** The same of a file of any size. */
export const leaksInFile = async (path: string, secrets: ReadonlyMap<string, string>): Promise<string[]> => {
  const found = new Set<string>();
  let before = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 22 })) {
    const piece = Buffer.concat([before, chunk as Buffer]);
    for (const name of leaksIn(piece, secrets)) found.add(name);
    before = Buffer.from(piece.subarray(-overlap));
  }
  return [...found];
};

/** `file: name of the secret` for each file below a folder. */
export const leaksBelow = async (
  folder: string,
  secrets: ReadonlyMap<string, string>,
): Promise<{ readonly leaks: string[]; readonly files: number }> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const leaks: string[] = [];
  for (const file of files)
    for (const name of await leaksInFile(file, secrets)) leaks.push(`${file}: ${name}`);
  return { leaks, files: files.length };
};

/** Whether one of these texts is in what a process may write to. Linux; who asks must be allowed to trace it. */
export const isInMemory = async (pid: number, texts: readonly string[]): Promise<boolean> => {
  const maps = await readFile(`/proc/${pid}/smaps`, 'utf8');
  const regions = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw.*\n(?:[A-Z].*\n)*?Rss: +(\d+) kB/gm);
  await using memory = await open(`/proc/${pid}/mem`);
  for (const [, from = '', to = '', resident] of regions) {
    const size = Number.parseInt(to, 16) - Number.parseInt(from, 16);
    if (resident === '0' || size > 1 << 28) continue;
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await memory.read(bytes, 0, size, Number.parseInt(from, 16));
    if (texts.some((text) => bytes.subarray(0, bytesRead).includes(text))) return true;
  }
  return false;
};
