import { open } from 'node:fs/promises';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';

/** A regular file for an archive, or a folder, which has no path of its own. */
export type TarInput =
  | { readonly kind: 'file'; readonly name: string; readonly path: string; readonly size: number }
  | { readonly kind: 'folder'; readonly name: string };

const block = 512;
const maxNameBytes = 100;
/** What the format has room for. */
const maxSize = 8 ** 11 - 1;
const chunkBytes = 1 << 20;

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;

/** A header of POSIX ustar in which nothing depends on when, where or by whom it was made. */
const headerOf = (input: TarInput): Buffer => {
  const size = input.kind === 'file' ? input.size : 0;
  if (Buffer.byteLength(input.name) > maxNameBytes || size > maxSize) {
    throw new AdaptletError(
      'ARTIFACT_FILE_REFUSED',
      `${quoteUntrusted(input.name)} has a name of more than ${maxNameBytes} bytes, or more than 8 GiB: it fits into no plain archive`,
    );
  }
  const header = Buffer.alloc(block);
  header.write(input.name, 0, 'utf8');
  header.write(octal(input.kind === 'file' ? 0o644 : 0o755, 7), 100);
  for (const at of [108, 116]) header.write(octal(0, 7), at);
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136);
  header.write(' '.repeat(8), 148);
  header.write(input.kind === 'file' ? '0' : '5', 156);
  header.write('ustar\u000000', 257);
  for (const at of [329, 337]) header.write(octal(0, 7), at);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
};

const contentOf = async function* (path: string, size: number): AsyncGenerator<Uint8Array> {
  await using file = await open(path, 'r');
  for (let at = 0; at < size; ) {
    const chunk = Buffer.alloc(Math.min(chunkBytes, size - at));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0)
      throw new AdaptletError('ARTIFACT_CHANGED', `${path} became shorter while it was read`);
    at += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
};

/**
 * A tar archive, in the order given. The same names and bytes make the same archive.
 * @throws AdaptletError ARTIFACT_FILE_REFUSED, ARTIFACT_CHANGED
 */
export const writeTar = async (target: string, inputs: readonly TarInput[]): Promise<void> => {
  await using file = await open(target, 'wx', 0o600);
  for (const input of inputs) {
    await file.writeFile(headerOf(input));
    if (input.kind === 'folder') continue;
    for await (const chunk of contentOf(input.path, input.size)) await file.writeFile(chunk);
    await file.writeFile(Buffer.alloc((block - (input.size % block)) % block));
  }
  await file.writeFile(Buffer.alloc(2 * block));
};
