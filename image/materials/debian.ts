import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ArchitectureName, architectureNames } from '../architecture.ts';
import { cachedFolder, cacheFolder, sha256 } from './cache.ts';

const run = promisify(execFile);

export type DebianPackage = {
  readonly name: string;
  readonly version: string;
  /** `all` where it is the same for all. */
  readonly architecture: string;
  readonly url: string;
  /** Of the package, hexadecimal. */
  readonly sha256: string;
  /** Its files, as they would lie below the root. */
  readonly files: string;
  /** Its control file. */
  readonly control: string;
};

export const release = 'trixie';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const archives = [
  `http://deb.debian.org/debian ${release}`,
  `http://deb.debian.org/debian ${release}-updates`,
  `http://deb.debian.org/debian-security ${release}-security`,
];

/** Lists of a Debian release of our own: this machine's release and its settings do not matter, and nobody has to be root. */
const aptOptions = (root: string, architecture: ArchitectureName): string[] =>
  [
    `Dir::State=${root}/state`,
    `Dir::State::status=${root}/status`,
    `Dir::Cache=${root}/cache`,
    // Written by nobody: builds may run beside each other.
    'Dir::Cache::pkgcache=',
    'Dir::Cache::srcpkgcache=',
    `Dir::Etc::sourcelist=${root}/sources.list`,
    'Dir::Etc::sourceparts=/dev/null',
    'Dir::Etc::preferencesparts=/dev/null',
    `APT::Architecture=${architecture}`,
    ...architectureNames.map((name) => `APT::Architectures::=${name}`),
    'APT::Sandbox::User=',
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
  ].flatMap((option) => ['-o', option]);

const advice =
  'an image needs apt-get and dpkg-deb, as on Debian and Ubuntu; with docker, use the Containerfile';

type Apt = { readonly root: string; readonly architecture: ArchitectureName };

const apt = async ({ root, architecture }: Apt, args: readonly string[], cwd = root): Promise<string> => {
  try {
    const { stdout } = await run('apt-get', [...aptOptions(root, architecture), '-qq', ...args], { cwd });
    return stdout;
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause);
    throw new Error(`apt-get ${args.join(' ')}: ${said} (${advice})`, { cause });
  }
};

/** Signed lists of packages, of the present day. */
const lists = async (now: Date): Promise<string> => {
  const folder = cacheFolder('debian');
  const today = `lists-${release}-${now.toISOString().slice(0, 10)}`;
  return cachedFolder(join(folder, today), async (draft) => {
    if (!existsSync(keyring)) {
      throw new Error(`${keyring} is missing: install debian-archive-keyring (${advice})`);
    }
    await mkdir(join(draft, 'state/lists/partial'), { recursive: true });
    await mkdir(join(draft, 'cache/archives/partial'), { recursive: true });
    await writeFile(join(draft, 'status'), '');
    const lines = archives.map((archive) => `deb [signed-by=${keyring}] ${archive} main\n`);
    await writeFile(join(draft, 'sources.list'), lines.join(''));
    await apt({ root: draft, architecture: 'amd64' }, ['update', '--error-on=any']);
    const old = (await readdir(folder)).filter((name) => /^lists-[\w-]+$/.test(name) && name < today);
    for (const name of old) await rm(join(folder, name), { recursive: true, force: true });
  });
};

const field = (control: string, name: string): string =>
  new RegExp(`^${name}: (.*)$`, 'm').exec(control)?.[1] ?? '';

/** `'URL' FILE BYTES SHA256:HEX`, as apt-get prints it. */
const uriLine = /^'([^']+)' (\S+) \d+ SHA256:([0-9a-f]{64})$/;

type Listed = { readonly qualified: string; readonly url: string; readonly digest: string };

/** What apt-get says of where packages are: 2 s of a core, once for the lists of a day. */
const addresses = async (from: Apt, names: readonly string[]): Promise<string> => {
  const wanted = names.map((name) => `${name}:${from.architecture}`);
  const key = sha256(wanted.join(' ')).slice(0, 16);
  const folder = await cachedFolder(join(from.root, 'addresses', key), async (draft) =>
    writeFile(join(draft, 'lines'), await apt(from, ['download', '--print-uris', ...wanted])),
  );
  return readFile(join(folder, 'lines'), 'utf8');
};

const fetchPackage = async (from: Apt, { qualified, url, digest }: Listed): Promise<DebianPackage> => {
  const folder = await cachedFolder(join(cacheFolder('debian'), digest), async (draft) => {
    await apt(from, ['download', qualified], draft);
    const [file = ''] = await readdir(draft);
    const archive = join(draft, file);
    const found = sha256(await readFile(archive));
    if (found !== digest) throw new Error(`${file} has the SHA-256 ${found}, Debian's list says ${digest}`);
    await run('dpkg-deb', ['-x', archive, join(draft, 'files')]);
    await run('dpkg-deb', ['-e', archive, join(draft, 'control')]);
    await rm(archive);
  });
  const control = await readFile(join(folder, 'control/control'), 'utf8');
  return {
    name: field(control, 'Package'),
    version: field(control, 'Version'),
    architecture: field(control, 'Architecture'),
    url,
    sha256: digest,
    files: join(folder, 'files'),
    control,
  };
};

/**
 * The newest version of each package, checked against Debian's signed lists and unpacked, not installed.
 * @throws no apt, no network and no lists, an unknown package, a wrong digest
 */
export const debianPackages = async (
  names: readonly string[],
  architecture: ArchitectureName,
  now = new Date(),
): Promise<readonly DebianPackage[]> => {
  const from = { root: await lists(now), architecture };
  const lines = (await addresses(from, names))
    .trim()
    .split('\n')
    .map((line) => uriLine.exec(line));
  const packages: DebianPackage[] = [];
  for (const name of names) {
    const [, url, , digest] = lines.find((line) => line?.[2]?.startsWith(`${name}_`)) ?? [];
    if (url === undefined || digest === undefined) throw new Error(`apt-get has no address of ${name}`);
    packages.push(await fetchPackage(from, { qualified: `${name}:${architecture}`, url, digest }));
  }
  return packages;
};
