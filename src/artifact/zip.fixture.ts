import { crc32, deflateRawSync } from 'node:zlib';

export type ZipFixtureEntry = {
  readonly name: string;
  readonly content?: string | Buffer;
  readonly isStored?: boolean;
  /** File mode of Unix, as 0o120777 of a link. Absent: made on DOS. */
  readonly mode?: number;
  /** What the headers say, in place of what is so. */
  readonly size?: number;
  readonly sum?: number;
  readonly method?: number;
  readonly flags?: number;
};

const utf8 = 0x800;

/** A zip archive, as zip and Python's zipfile write it, or with headers that lie. */
export const zipOf = (entries: readonly ZipFixtureEntry[]): Buffer => {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content = '', isStored = false, mode, ...lies } of entries) {
    const bytes = Buffer.from(content);
    const packed = isStored ? bytes : deflateRawSync(bytes);
    const title = Buffer.from(name);
    const { flags = utf8, method = isStored ? 0 : 8, sum = crc32(bytes), size = bytes.length } = lies;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(sum, 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(size, 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, title, packed]);
    const made = Buffer.alloc(2);
    made.writeUInt16LE(mode === undefined ? 20 : (3 << 8) | 20);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(((mode ?? 0) << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02', 'latin1'), made, common, rest, title);
    parts.push(local);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(index.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, index, end]);
};
