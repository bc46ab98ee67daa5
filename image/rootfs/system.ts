import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../architecture.ts';
import type { DebianPackage } from '../materials/debian.ts';
import { copied, type Entry, folder, link, program, text } from './entry.ts';

/** The user and group of every process, as the chart sets them. */
export const user = 65_532;

/** What Node, ONNX Runtime and koffi are linked against, by package. */
const libraries = {
  libc6: ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1', 'libresolv.so.2'],
  'libgcc-s1': ['libgcc_s.so.1'],
  'libstdc++6': ['libstdc++.so.6'],
} as const;

/** `gcc-14-base` has the licences of the two libraries of GCC. */
export const debianPackageNames = [...Object.keys(libraries), 'gcc-14-base', 'base-files', 'ca-certificates'];

/** A library, and the file that it leads to when it is a link. */
const library = (files: string, triplet: string, name: string): readonly Entry[] => {
  const path = `usr/lib/${triplet}/${name}`;
  const from = join(files, path);
  if (!lstatSync(from).isSymbolicLink()) return [program(path, from)];
  const target = readlinkSync(from);
  return [link(path, target), ...library(files, triplet, target)];
};

/** What scanners of vulnerabilities look for in images without a package manager. */
const record = ({ name, control }: DebianPackage): Entry => text(`var/lib/dpkg/status.d/${name}`, control);

const licence = ({ name, files }: DebianPackage): readonly Entry[] => {
  const path = `usr/share/doc/${name}`;
  const from = join(files, path);
  if (lstatSync(from).isSymbolicLink()) return [link(path, readlinkSync(from))];
  return [copied(`${path}/copyright`, join(from, 'copyright'))];
};

/** The certificates of public authorities in one file, as update-ca-certificates writes it. */
const certificates = (files: string): Entry => {
  const from = join(files, 'usr/share/ca-certificates/mozilla');
  const all = readdirSync(from)
    .toSorted()
    .map((name) => readFileSync(join(from, name), 'utf8').trimEnd());
  return text('etc/ssl/certs/ca-certificates.crt', `${all.join('\n')}\n`);
};

const accounts = [
  text(
    'etc/passwd',
    `root:x:0:0:root:/root:/sbin/nologin\nadaptlet:x:${user}:${user}:adaptlet:/tmp:/sbin/nologin\n`,
  ),
  text('etc/group', `root:x:0:\nadaptlet:x:${user}:\n`),
  text('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
];

/**
 * Debian without a shell, a package manager or any program: the shared libraries, certificates, and who is who.
 * @throws a package lacks one of the files
 */
export const systemLayer = (
  { triplet, loader }: Architecture,
  packages: readonly DebianPackage[],
): readonly Entry[] => {
  const filesOf = (name: string): string => {
    const found = packages.find((one) => one.name === name);
    if (found === undefined) throw new Error(`the image needs the Debian package ${name}`);
    return found.files;
  };
  return [
    link('bin', 'usr/bin'),
    link('lib', 'usr/lib'),
    ...(loader.link.startsWith('usr/lib64/') ? [link('lib64', 'usr/lib64')] : []),
    link(loader.link, loader.target),
    ...library(filesOf('libc6'), triplet, loader.target.split('/').at(-1) ?? ''),
    ...Object.entries(libraries).flatMap(([name, names]) =>
      names.flatMap((one) => library(filesOf(name), triplet, one)),
    ),
    copied('usr/lib/os-release', join(filesOf('base-files'), 'usr/lib/os-release')),
    link('etc/os-release', '../usr/lib/os-release'),
    certificates(filesOf('ca-certificates')),
    ...accounts,
    ...['dev', 'proc', 'sys', 'run'].map((path) => folder(path)),
    folder('tmp', 0o1777),
    ...packages.flatMap((one) => [record(one), ...licence(one)]),
  ];
};
