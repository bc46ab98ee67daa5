import { PackageURL } from 'packageurl-js';
import type { MadeOf, Module } from '../../native/modules.ts';
import type { Architecture } from '../architecture.ts';
import type { BundledPackage } from '../bundle/bundled-packages.ts';
import { type DebianPackage, release } from '../materials/debian.ts';
import type { NpmPackage } from '../materials/npm.ts';
import type { NativeOperator } from '../native-operator.ts';

/** What an image of one architecture is made of. */
export type Materials = {
  readonly architecture: Architecture;
  /** Of Adaptlet. */
  readonly version: string;
  /** Commit of git, with `-dirty` where files were changed; undefined outside a repository. */
  readonly revision: string | undefined;
  readonly node: NpmPackage;
  readonly koffi: NpmPackage;
  readonly operator: NativeOperator;
  readonly webAssembly: readonly { readonly module: Module; readonly madeOf: MadeOf }[];
  readonly debian: readonly DebianPackage[];
  readonly bundled: readonly BundledPackage[];
};

export const npmUrl = (fullName: string, version: string): string => {
  const [name = '', scope] = fullName.split('/').toReversed();
  return new PackageURL('npm', scope, name, version, undefined, undefined).toString();
};

export const debianUrl = ({ name, version, architecture }: DebianPackage): string => {
  const qualifiers = { arch: architecture, distro: release };
  return new PackageURL('deb', 'debian', name, version, qualifiers, undefined).toString();
};

export const crateUrl = (name: string, version: string): string =>
  new PackageURL('cargo', undefined, name, version, undefined, undefined).toString();

export const zigUrl = ({ zig }: NativeOperator): string =>
  new PackageURL('pypi', undefined, 'ziglang', zig.version, undefined, undefined).toString();

/** `sha512-BASE64` as hexadecimal digits. */
export const sha512Of = (integrity: string): string => {
  const [algorithm, content = ''] = integrity.split('-', 2);
  if (algorithm !== 'sha512') throw new Error(`${integrity} is no SHA-512`);
  return Buffer.from(content, 'base64').toString('hex');
};
