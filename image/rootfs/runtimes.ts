import { join } from 'node:path';
import { operatorPath } from '../../native/build-operator.ts';
import { fileOf, licenceFile, pathOf, modules as webAssembly } from '../../native/modules.ts';
import type { Architecture } from '../architecture.ts';
import type { NpmPackage } from '../materials/npm.ts';
import { copied, type Entry, program } from './entry.ts';

const modules = join(import.meta.dirname, '../../node_modules');
/** Folder of the application; packages that are not bundled lie in its node_modules. */
export const applicationFolder = 'usr/lib/adaptlet';

/** Node, without npm, headers and pages. */
export const nodeLayer = ({ folder }: NpmPackage): readonly Entry[] => [
  program('usr/bin/node', join(folder, 'bin/node')),
  copied('usr/share/doc/node/LICENSE', join(folder, 'LICENSE')),
];

const ofPackage = (name: string, folder: string, files: readonly string[]): readonly Entry[] =>
  files.map((file) => copied(`${applicationFolder}/node_modules/${name}/${file}`, join(folder, file)));

/**
 * ONNX Runtime, koffi and the native operator for one architecture, and the modules of WebAssembly, which are for all. Of onnxruntime-node that is the library alone: its binding is not used.
 * `dist/index.js` is what the package is found by.
 */
export const nativeLayer = ({ npm }: Architecture, koffi: NpmPackage, operator: string): readonly Entry[] => [
  ...ofPackage('onnxruntime-node', join(modules, 'onnxruntime-node'), [
    'package.json',
    'dist/index.js',
    `bin/napi-v6/linux/${npm}/libonnxruntime.so.1`,
  ]),
  ...ofPackage('koffi', join(modules, 'koffi'), [
    'package.json',
    'index.js',
    'src/koffi/index.js',
    'src/koffi/src/static.js',
    'LICENSE.txt',
  ]),
  ...ofPackage(koffi.name, koffi.folder, ['package.json', 'index.js', `linux_${npm}/koffi.node`]),
  copied(`${applicationFolder}/${operatorPath(npm)}`, operator),
  ...webAssembly.map((module) => copied(`${applicationFolder}/${pathOf(module)}`, fileOf(module))),
  copied('usr/share/doc/llguidance/LICENSE', licenceFile),
];
