/** Archives as tar, oras and Python's tarfile write them, made here. */
const block = 512;

const header = (name: string, size: number, type: string, magic = 'ustar\x0000'): Buffer => {
  const bytes = Buffer.alloc(block);
  bytes.write(name, 0, 100);
  bytes.write('0000644\x000000000\x000000000\x00', 100, 'latin1');
  bytes.write(`${size.toString(8).padStart(11, '0')} 14717400000 `, 124, 'latin1');
  bytes.write('        ', 148, 'latin1');
  bytes.write(type, 156, 'latin1');
  bytes.write(magic, 257, 'latin1');
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
};

const entry = (name: string, content: Buffer | string, type = '0', magic?: string): Buffer => {
  const bytes = Buffer.from(content);
  return Buffer.concat([
    header(name, bytes.length, type, magic),
    bytes,
    Buffer.alloc((block - (bytes.length % block)) % block),
  ]);
};

const end = Buffer.alloc(2 * block);
const config = entry('adapter_config.json', '{"peft_type":"LORA"}');
const weights = entry('adapter_model.safetensors', Buffer.alloc(1000, 1));

const examples = (): readonly Buffer[] => [
  Buffer.concat([config, weights, end]),
  Buffer.concat([entry('adapter/', '', '5'), entry('adapter/adapter_config.json', '{}'), end]),
  Buffer.concat([entry('pax', '35 path=folder/adapter_config.json\n', 'x'), entry('short', '{}'), end]),
  Buffer.concat([
    entry('././@LongLink', `${'long/'.repeat(6)}name\0`, 'L', 'ustar  \0'),
    entry('x', 'y'),
    end,
  ]),
  Buffer.concat([entry('global', '18 comment=commit\n', 'g'), config, end]),
  Buffer.concat([entry('link', '', '2'), end]),
];

const mebibyte = 1024 * 1024;

/** What is small packed and large unpacked: content, headers, folders, and zeros after the end. */
const bombs = (): readonly Buffer[] => [
  Buffer.concat([entry('zeros', Buffer.alloc(4 * mebibyte)), end]),
  Buffer.concat([...Array.from({ length: 1000 }, () => header('d/', 0, '5')), end]),
  Buffer.concat([config, end, Buffer.alloc(4 * mebibyte)]),
];

export const tarFile = { entry, examples, withBombs: () => [...examples(), ...bombs()] } as const;
