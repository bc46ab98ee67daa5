import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';

/** An entry of an archive. Its content has to be read, or passed over, before the next entry. */
export type TarEntry = {
  readonly name: string;
  /** `other`: links, devices, and what is not known. */
  readonly kind: 'file' | 'folder' | 'other';
  /** The flag of the format. */
  readonly type: string;
  readonly size: number;
  readonly content: AsyncIterable<Uint8Array>;
};

const block = 512;
const maxExtensionBytes = 64 * 1024;

const invalid = (what: string): AdaptletError => new AdaptletError('ARTIFACT_ARCHIVE_INVALID', what);

/** Cuts a stream of chunks into pieces of the lengths asked for. */
const pieces = (source: AsyncIterable<Uint8Array>) => {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  /** Up to `most` bytes, as they come; empty at the end. */
  const some = async (maxBytes: number): Promise<Uint8Array> => {
    while (rest.length === 0) {
      const next = await iterator.next();
      if (next.done === true) return rest;
      rest = next.value;
    }
    const piece = rest.subarray(0, maxBytes);
    rest = rest.subarray(piece.length);
    return piece;
  };
  /** Exactly `length` bytes, or undefined at the end of the stream. */
  const exactly = async (length: number): Promise<Buffer | undefined> => {
    const parts: Uint8Array[] = [];
    let have = 0;
    while (have < length) {
      const piece = await some(length - have);
      if (piece.length === 0) {
        if (have === 0) return undefined;
        throw invalid('the archive ends within an entry');
      }
      parts.push(piece);
      have += piece.length;
    }
    return Buffer.concat(parts);
  };
  /** No more of the stream is read: what is behind it is closed. */
  const close = async (): Promise<void> => {
    await iterator.return?.();
  };
  return { some, exactly, [Symbol.asyncDispose]: close };
};

type Pieces = ReturnType<typeof pieces>;

const text = (header: Buffer, from: number, length: number): string => {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
};

const octal = (header: Buffer, from: number, length: number): number => {
  const digits = text(header, from, length).trim();
  if (!/^[0-7]{1,12}$/.test(digits)) throw invalid(`the archive has the number ${quoteUntrusted(digits)}`);
  return Number.parseInt(digits, 8);
};

const checkSum = (header: Buffer): void => {
  let sum = 8 * 0x20;
  for (const [at, byte] of header.entries()) if (at < 148 || at >= 156) sum += byte;
  if (sum !== octal(header, 148, 8)) throw invalid('an entry of the archive has a wrong checksum');
};

/** Records of a pax header: `<length> <key>=<value>\n`, exactly so. Only path and size matter here. */
const paxRecords = (bytes: Buffer): ReadonlyMap<string, string> => {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = bytes.toString('latin1', at, Math.max(at, space));
    const end = /^[1-9]\d{0,5}$/.test(digits) ? at + Number(digits) : 0;
    const [key = '', ...value] = bytes.toString('utf8', space + 1, Math.max(space + 1, end - 1)).split('=');
    if (end > bytes.length || bytes[end - 1] !== 0x0a || key === '' || value.length === 0)
      throw invalid('the archive has a pax header that cannot be read');
    records.set(key, value.join('='));
    at = end;
  }
  return records;
};

const readExtension = async (input: Pieces, size: number): Promise<Buffer> => {
  if (size > maxExtensionBytes) throw invalid(`the archive has an extended header of ${size} bytes`);
  const bytes = await input.exactly(Math.ceil(size / block) * block);
  if (bytes === undefined && size > 0) throw invalid('the archive ends within an extended header');
  return (bytes ?? Buffer.alloc(0)).subarray(0, size);
};

const skip = async (input: Pieces, length: number): Promise<void> => {
  for (let left = length; left > 0; ) {
    const piece = await input.some(left);
    if (piece.length === 0) throw invalid('the archive ends within an entry');
    left -= piece.length;
  }
};

const sizeOf = (header: Buffer, pax: ReadonlyMap<string, string>): number => {
  const said = pax.get('size');
  if (said === undefined) return octal(header, 124, 12);
  if (!/^\d{1,15}$/.test(said)) throw invalid(`the archive has an entry of the size ${quoteUntrusted(said)}`);
  return Number(said);
};

const nameOf = (header: Buffer): string => {
  const prefix = text(header, 345, 155);
  const isUstar = text(header, 257, 6).startsWith('ustar');
  return isUstar && prefix !== '' ? `${prefix}/${text(header, 0, 100)}` : text(header, 0, 100);
};

const kindOf = (type: string): TarEntry['kind'] =>
  type === '0' || type === '\0' ? 'file' : type === '5' ? 'folder' : 'other';

/** Links, devices and pipes have no content, whatever size their header says. */
const isHeaderOnly = (type: string): boolean => /^[12346]$/.test(type);

/** What two extensions say of the same entry. Readers differ on which of two names counts. */
const both = (
  one: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> => {
  const twice = ['path', 'size'].find((key) => one.has(key) && other.has(key));
  if (twice !== undefined) throw invalid(`the archive says the ${twice} of an entry twice`);
  return new Map([...one, ...other]);
};

/** What is said of all entries that follow is for people, or would be read in two ways. */
const refuseForAll = (records: ReadonlyMap<string, string>): void => {
  const key = ['path', 'size'].find((each) => records.has(each));
  if (key !== undefined) throw invalid(`the archive says one ${key} of all its entries`);
};

/**
 * Entries of a tar stream (POSIX ustar with pax and GNU long names). The stream is closed when the last entry was read, or
 * something was wrong.
 * @throws AdaptletError ARTIFACT_ARCHIVE_INVALID
 */
export const tarEntries = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  await using input = pieces(source);
  let pax: ReadonlyMap<string, string> = new Map();
  for (;;) {
    const header = await input.exactly(block);
    if (header === undefined || header.every((byte) => byte === 0)) return;
    if (header.length < block) throw invalid('the archive ends within a header');
    checkSum(header);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = isHeaderOnly(type)
      ? 0
      : sizeOf(header, type === 'x' || type === 'L' || type === 'g' ? new Map() : pax);
    if (type === 'x') pax = both(pax, paxRecords(await readExtension(input, size)));
    else if (type === 'L')
      pax = both(pax, new Map([['path', text(await readExtension(input, size), 0, size)]]));
    else if (type === 'g') refuseForAll(paxRecords(await readExtension(input, size)));
    else {
      const name = pax.get('path') ?? nameOf(header);
      pax = new Map();
      let left = size;
      const content = async function* (): AsyncGenerator<Uint8Array> {
        while (left > 0) {
          const piece = await input.some(left);
          if (piece.length === 0) throw invalid('the archive ends within an entry');
          left -= piece.length;
          yield piece;
        }
      };
      yield { name, kind: kindOf(type), type, size, content: content() };
      await skip(input, left + ((block - (size % block)) % block));
    }
  }
};
