import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../tools/cache.ts';
import { type GoProgram, keyOf } from '../tools/go-build.ts';

/** What hyperkube is: one static binary that is the program by whose name it is called. */
const kubernetesPrograms = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
] as const;

export type ProgramName = (typeof kubernetesPrograms)[number] | 'helm' | 'coredns';

export type BinaryName = 'hyperkube' | 'helm' | 'coredns';
export const binaryNames: readonly BinaryName[] = ['hyperkube', 'helm', 'coredns'];
export const binaryOf = (program: ProgramName): BinaryName =>
  program === 'helm' || program === 'coredns' ? program : 'hyperkube';

export const sourceOf = (binary: BinaryName): string => join(import.meta.dirname, binary);

/** The version that the folder's go.mod pins. */
const pinned = (binary: BinaryName, module: string): string => {
  const text = readFileSync(join(sourceOf(binary), 'go.mod'), 'utf8');
  const version = text
    .split('\n')
    .find((line) => line.trim().startsWith(`${module} v`))
    ?.trim()
    .split(' ')[1];
  if (version === undefined) throw new Error(`${sourceOf(binary)}/go.mod does not pin ${module}`);
  return version;
};

/** What `--version` prints and what the server says to clients. */
const kubernetesVersionFlags = (): string => {
  const version = pinned('hyperkube', 'k8s.io/kubernetes');
  const values = {
    gitVersion: version,
    gitMajor: '1',
    gitMinor: version.split('.')[1] ?? '',
    gitTreeState: 'clean',
    gitCommit: '0'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
  };
  return ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
    .flatMap((module) => Object.entries(values).map(([name, value]) => `-X ${module}.${name}=${value}`))
    .join(' ');
};

const goPrograms: { readonly [Name in BinaryName]: () => Omit<GoProgram, 'source'> } = {
  hyperkube: () => ({
    name: 'hyperkube (Kubernetes and etcd)',
    package: '.',
    ldflags: kubernetesVersionFlags(),
    expected: 'about 10 minutes on 2 cores, 2.4 GiB of memory, 5 GB of Go caches',
  }),
  helm: () => ({
    name: 'helm',
    package: 'helm.sh/helm/v3/cmd/helm',
    ldflags: `-X helm.sh/helm/v3/internal/version.version=${pinned('helm', 'helm.sh/helm/v3')}`,
    expected: 'about 1 minute after hyperkube, 3 without its caches',
  }),
  coredns: () => ({ name: 'coredns', package: '.', expected: 'about 1 minute after hyperkube' }),
};

export const goProgram = (binary: BinaryName): GoProgram => ({
  source: sourceOf(binary),
  ...goPrograms[binary](),
});

/** The folder of the user's cache that holds a binary of these sources and the links to its programs. */
export const binaryFolder = (binary: BinaryName): string =>
  join(cacheFolder('cluster'), `${binary}-${keyOf(sourceOf(binary))}`);

export const cached = (program: ProgramName | 'hyperkube'): string | undefined => {
  const path = join(binaryFolder(program === 'hyperkube' ? program : binaryOf(program)), program);
  return existsSync(path) ? path : undefined;
};

/** Gives hyperkube the names of its programs. */
export const linkPrograms = (binary: BinaryName): void => {
  if (binary !== 'hyperkube') return;
  const folder = binaryFolder(binary);
  mkdirSync(folder, { recursive: true });
  const present = new Set(readdirSync(folder));
  for (const program of kubernetesPrograms) {
    if (present.has(program)) continue;
    try {
      symlinkSync(binary, join(folder, program));
    } catch (error) {
      // Another test process made it just now.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
};
