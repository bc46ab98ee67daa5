/** What people run the plug-in on, by the names of Go, which kubectl and krew use. */
export type Platform = {
  readonly os: 'linux' | 'darwin' | 'windows';
  readonly arch: 'amd64' | 'arm64';
  /**
   * `executable`: Node is inside. `script`: Node has to be there. macOS ends an executable with a broken signature, and a new
   * one can only be made with a certificate of Apple.
   */
  readonly form: 'executable' | 'script';
};

export const platforms: readonly Platform[] = [
  { os: 'linux', arch: 'amd64', form: 'executable' },
  { os: 'linux', arch: 'arm64', form: 'executable' },
  { os: 'darwin', arch: 'amd64', form: 'script' },
  { os: 'darwin', arch: 'arm64', form: 'script' },
  { os: 'windows', arch: 'amd64', form: 'executable' },
];

/** `linux-amd64`. */
export const nameOf = ({ os, arch }: Platform): string => `${os}-${arch}`;

/** What the program is called there. */
export const programOf = ({ os }: Platform): string =>
  os === 'windows' ? 'kubectl-adaptlet.exe' : 'kubectl-adaptlet';

const ownOs = { linux: 'linux', darwin: 'darwin', win32: 'windows' } as const;
const ownArch = { x64: 'amd64', arm64: 'arm64' } as const;

/** Whether this process runs on the platform. */
export const isOwn = ({ os, arch }: Platform): boolean =>
  ownOs[process.platform as keyof typeof ownOs] === os &&
  ownArch[process.arch as keyof typeof ownArch] === arch;
