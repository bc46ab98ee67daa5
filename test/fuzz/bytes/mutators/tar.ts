import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { byteMutators, maxInputBytes } from './bytes.ts';
import { boundaries, type Choices, type Mutator } from './choices.ts';

const block = 512;

const names = [
  '../x',
  '/etc/passwd',
  './x',
  'a/../../x',
  'a/./b',
  'a//b',
  'a/',
  '.',
  '..',
  '',
  'C:x',
  'a\\b',
  'a\nb',

  'adapter_config.json',
  'a',
  'a/b',
  'x'.repeat(99),
  `${'d/'.repeat(40)}x`,
  'ü'.repeat(49),
  '\u0000hidden',
];

/** Names that are longer than a header has room for: in an extension. */
const longNames = [...names, '€'.repeat(255), 'x'.repeat(256), '../'.repeat(200), `${'d/'.repeat(200)}x`];

const summed = (header: Buffer): void => {
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
};

const sizeOf = (header: Buffer): number => {
  const size = Number.parseInt(header.toString('latin1', 124, 136), 8);
  return Number.isSafeInteger(size) && size > 0 ? size : 0;
};

/** Offsets of the headers, as far as they can be followed. */
const headersOf = (tar: Buffer): readonly number[] => {
  const found: number[] = [];
  for (let at = 0; at + block <= tar.length && tar[at] !== 0 && found.length < 1000; ) {
    found.push(at);
    at += block + Math.ceil(sizeOf(tar.subarray(at, at + block)) / block) * block;
  }
  return found;
};

const entry = (name: string, type: string, content: Buffer): Buffer => {
  const header = Buffer.alloc(block);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write(content.length.toString(8).padStart(11, '0'), 124);
  header.write(`${type}ustar\x0000`, 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  summed(header);
  return Buffer.concat([header, content, Buffer.alloc((block - (content.length % block)) % block)]);
};

const record = (key: string, value: string): string => {
  const body = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(body);
  const length = bytes + String(bytes + String(bytes).length).length;
  return `${length}${body}`;
};

const extension = (choices: Choices): Buffer => {
  const kind = choices.below(4);
  if (kind === 0) return entry('././@LongLink', 'L', Buffer.from(`${choices.pick(longNames)}\0`));
  const value = choices.chance(0.5) ? choices.pick(longNames) : String(choices.pick(boundaries));
  const key = choices.pick(['path', 'size', 'linkpath', 'comment', '__proto__']);
  const text = record(key, value).repeat(choices.small(3));
  const broken = choices.chance(0.3) ? text.replace(/^\d+/, () => String(choices.pick(boundaries))) : text;
  return entry('pax', kind === 1 ? 'g' : 'x', Buffer.from(broken));
};

const fields: readonly ((header: Buffer, choices: Choices) => void)[] = [
  (header, choices) => header.fill(0, 0, 100).write(choices.pick(names), 0, 100),
  (header, choices) => header.fill(0, 345, 500).write(choices.pick(names), 345, 155),
  (header, choices) => header.write(choices.pick(boundaries).toString(8).slice(0, 12), 124, 12),
  (header, choices) =>
    header.write(choices.pick(['-1', '9', ' ', '0x1', '\x80', '1 ', '']).padEnd(12, '\0'), 124, 12, 'latin1'),
  (header, choices) =>
    header.write(
      choices.pick(['0', '\0', '1', '2', '3', '5', '6', '7', 'x', 'g', 'L', 'K', 'S']),
      156,
      1,
      'latin1',
    ),
  (header, choices) => header.write(choices.pick(names), 157, 100),
  (header, choices) => header.write(choices.pick(['ustar\0', 'ustar ', '      ', 'x']), 257, 6, 'latin1'),
];

/** Changes fields of headers and sums them again; puts in entries and extensions, also over each other. */
export const tar: Mutator = (bytes, choices, other) => {
  const buffer = Buffer.from(bytes);
  const headers = headersOf(buffer);
  if (headers.length === 0) return choices.pick(byteMutators)(bytes, choices, other);
  const at = choices.pick(headers);
  if (choices.chance(0.6)) {
    const header = buffer.subarray(at, at + block);
    for (let left = choices.small(3); left > 0; left--) choices.pick(fields)(header, choices);
    if (choices.chance(0.95)) summed(header);
    return buffer;
  }
  const added = choices.chance(0.5)
    ? extension(choices)
    : entry(choices.pick(names), choices.pick(['0', '5', '2', '\0']), Buffer.alloc(choices.small(2000), 'x'));
  return Buffer.concat([buffer.subarray(0, at), added, buffer.subarray(at)]);
};

const ways = {
  gzip: { pack: (bytes: Uint8Array) => gzipSync(bytes, { level: 1 }), unpack: gunzipSync },
  zstd: { pack: (bytes: Uint8Array) => zstdCompressSync(bytes), unpack: zstdDecompressSync },
} as const;

/** Changes what is packed, packed again. */
export const packed =
  (way: keyof typeof ways): Mutator =>
  (bytes, choices, other) => {
    const { pack, unpack } = ways[way];
    let content: Uint8Array;
    try {
      content = unpack(bytes, { maxOutputLength: 4 * maxInputBytes });
    } catch {
      return choices.pick(byteMutators)(bytes, choices, other);
    }
    const changed = tar(content, choices, () => content);
    const whole = pack(
      choices.chance(0.2) ? choices.pick(byteMutators)(changed, choices, () => content) : changed,
    );
    // Two in a row are one stream.
    return choices.chance(0.1) ? Buffer.concat([whole, pack(Buffer.alloc(choices.small(1_000_000)))]) : whole;
  };
