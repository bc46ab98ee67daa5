import { execFile } from 'node:child_process';
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache.ts';

const run = promisify(execFile);

const version = '1.24.1';
const sha256 = '3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8';
const library = `onnxruntime/capi/libonnxruntime.so.${version}`;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const hasPython = (): Promise<boolean> =>
  run('python3', ['--version']).then(
    () => true,
    () => false,
  );

/**
 * Path of an ONNX Runtime with OpenVINO, whose libraries lie beside it: out of a wheel of PyPI, which is downloaded once
 * (84 MB) into the user's cache. Undefined where there is no such wheel, or no python3 to fetch it; never undefined in CI.
 * Throws with pip's words when it cannot be downloaded.
 */
export const openVinoLibrary = async (): Promise<string | undefined> => {
  if (platform() !== 'linux' || arch() !== 'x64') return undefined;
  const folder = join(cacheFolder('wheels'), `onnxruntime-openvino-${version}`);
  if (await exists(folder)) return join(folder, library);
  if (!(await hasPython())) {
    if (process.env['CI'] === 'true') throw new Error('python3 is missing, which brings OpenVINO');
    return undefined;
  }
  // Made beside its place and moved there whole: a test that is killed leaves nothing half done to be found.
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    const wanted = join(draft, 'requirements.txt');
    await writeFile(wanted, `onnxruntime-openvino==${version} --hash=sha256:${sha256}\n`);
    const wheel = ['--no-deps', '--only-binary=:all:', '--python-version=3.11', '--abi=cp311'];
    const place = ['--platform=manylinux_2_28_x86_64', '--require-hashes', '--dest', draft, '-r', wanted];
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check'];
    await run('python3', [...pip, ...wheel, ...place], { maxBuffer: 16 << 20 });
    const file = join(draft, `onnxruntime_openvino-${version}-cp311-cp311-manylinux_2_28_x86_64.whl`);
    await run('python3', ['-m', 'zipfile', '-e', file, draft]);
    await rm(file);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster.
    if (!(await exists(folder))) throw error;
  }
  return join(folder, library);
};
