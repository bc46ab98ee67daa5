/** An architecture as OCI calls it, and as everybody else does. */
export type Architecture = {
  readonly name: ArchitectureName;
  /** In names of npm packages, and of Node's `process.arch`. */
  readonly npm: 'x64' | 'arm64';
  /** Folder of Debian's shared libraries below /usr/lib. */
  readonly triplet: string;
  /** Where programs expect the dynamic loader, and where it is. */
  readonly loader: { readonly link: string; readonly target: string };
};

export type ArchitectureName = 'amd64' | 'arm64';

export const architectures: Readonly<Record<ArchitectureName, Architecture>> = {
  amd64: {
    name: 'amd64',
    npm: 'x64',
    triplet: 'x86_64-linux-gnu',
    loader: {
      link: 'usr/lib64/ld-linux-x86-64.so.2',
      target: '../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
    },
  },
  arm64: {
    name: 'arm64',
    npm: 'arm64',
    triplet: 'aarch64-linux-gnu',
    loader: { link: 'usr/lib/ld-linux-aarch64.so.1', target: 'aarch64-linux-gnu/ld-linux-aarch64.so.1' },
  },
};

export const architectureNames = Object.keys(architectures) as ArchitectureName[];

/** The one of this machine; undefined where no image is made for it. */
export const ownArchitecture = (npmName: string = process.arch): Architecture | undefined =>
  Object.values(architectures).find(({ npm }) => npm === npmName);
