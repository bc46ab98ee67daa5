import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ArchitectureName, architectureNames, architectures } from '../../../image/architecture.ts';
import { type MadeImage, makeImage } from '../../../image/made-image.ts';
import { operatorPath } from '../../../native/build-operator.ts';
import { modules, pathOf } from '../../../native/modules.ts';
import packageJson from '../../../package.json' with { type: 'json' };

type Found = {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly owner: string;
  readonly time: number;
  /** Machine of an ELF file. */
  readonly machine: number | undefined;
  /** Of a script. */
  readonly firstLine: string | undefined;
};

/** Of ELF: EM_X86_64, EM_AARCH64. */
const machines: Readonly<Record<ArchitectureName, number>> = { amd64: 62, arm64: 183 };
const elf = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

const filesOf = async (layer: string): Promise<Found[]> => {
  const found: Found[] = [];
  const reader = extract();
  reader.on('entry', ({ name, type, mode, uid, gid, mtime }, stream, next) => {
    let machine: number | undefined;
    let firstLine: string | undefined;
    stream.once('data', (chunk) => {
      if (!Buffer.isBuffer(chunk)) return;
      if (chunk.subarray(0, 4).equals(elf)) machine = chunk.readUInt16LE(18);
      if (chunk.subarray(0, 2).toString() === '#!')
        firstLine = chunk.subarray(0, 80).toString().split('\n')[0];
    });
    stream.once('end', () => {
      found.push({
        name,
        type: type ?? '',
        mode,
        owner: `${uid}:${gid}`,
        time: Number(mtime),
        machine,
        firstLine,
      });
      next();
    });
    stream.resume();
  });
  await pipeline(createReadStream(layer), createGunzip(), reader);
  return found;
};

describe.each(architectureNames)('the files of the image for %s', (architecture) => {
  let image: MadeImage;
  let files: Found[];
  const named = (pattern: RegExp): string[] =>
    files.filter(({ name }) => pattern.test(name)).map(({ name }) => name);
  beforeAll(async () => {
    image = await makeImage(architecture);
    files = (await Promise.all(image.layers.map(({ file }) => filesOf(file)))).flat();
  });

  it('are programs of Node and adaptlet alone: no shell, no package manager', () => {
    expect(named(/^usr\/(bin|sbin)\//).toSorted()).toEqual(['usr/bin/adaptlet', 'usr/bin/node']);
    const program = files.find(({ name }) => name === 'usr/lib/adaptlet/main.mjs');
    expect(program?.firstLine).toBe('#!/usr/bin/node --v8-pool-size=0');
    expect(named(/(^|\/)(sh|bash|dash|busybox|npm|npx|corepack|apt|dpkg)$/)).toEqual(['var/lib/dpkg']);
  });

  it('have of the packages only those that look for files beside themselves, and none of development', () => {
    const packages = named(/node_modules\/(@[^/]+\/)?[^/]+$/).filter((name) => !/\/@[^/]+$/.test(name));
    const koffi = architecture === 'amd64' ? 'koffi-linux-x64' : 'koffi-linux-arm64';
    expect(packages.map((name) => name.replace('usr/lib/adaptlet/node_modules/', '')).toSorted()).toEqual([
      '@grpc/reflection',
      `@koromix/${koffi}`,
      'koffi',
      'onnxruntime-node',
      'piscina',
    ]);
    const development = Object.keys(packageJson.devDependencies);
    const contained = new Set(
      (JSON.parse(image.sbom) as { components: { group?: string; name: string }[] }).components.map(
        ({ group, name }) => (group === undefined ? name : `${group}/${name}`),
      ),
    );
    expect(contained).toContain('@grpc/grpc-js');
    // Node is one for another reason.
    expect(development.filter((name) => contained.has(name)).toSorted()).toEqual(['node']);
  });

  it('are native for this architecture alone, with one ONNX Runtime, one koffi and one operator', () => {
    const native = files.filter(({ machine }) => machine !== undefined);
    expect(new Set(native.map(({ machine }) => machine))).toEqual(new Set([machines[architecture]]));
    expect(named(/libonnxruntime|\.node$|\.dll$|\.dylib$|musl/)).toHaveLength(2);
    expect(named(/lora.*\.so/)).toEqual([
      `usr/lib/adaptlet/${operatorPath(architectures[architecture].npm)}`,
    ]);
    expect(named(/\.wasm$/).toSorted()).toEqual(
      modules.map((module) => `usr/lib/adaptlet/${pathOf(module)}`).toSorted(),
    );
  });

  it('belong to root, are of no time, and are nothing that gives rights or that others may write', () => {
    expect(new Set(files.map(({ owner }) => owner))).toEqual(new Set(['0:0']));
    expect(new Set(files.map(({ time }) => time))).toEqual(new Set([0]));
    expect(new Set(files.map(({ type }) => type))).toEqual(new Set(['file', 'directory', 'symlink']));
    const writable = files.filter(({ type, mode }) => type !== 'symlink' && (mode & 0o6022) !== 0);
    expect(writable.map(({ name }) => name)).toEqual(['tmp']);
  });

  it('include certificates, the names of users, and a licence of all that is in there', () => {
    for (const name of [
      'etc/ssl/certs/ca-certificates.crt',
      'etc/passwd',
      'etc/os-release',
      'usr/share/doc/adaptlet/LICENSE',
      'usr/share/doc/adaptlet/third-party-licenses.txt',
      'usr/share/doc/node/LICENSE',
      'usr/share/doc/libc6/copyright',
      'usr/share/doc/gcc-14-base/copyright',
    ])
      expect(named(/./)).toContain(name);
  });
});
