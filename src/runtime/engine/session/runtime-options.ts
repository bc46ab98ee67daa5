import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { compiledFormat } from '../../compiled/compiled-file.ts';
import { linearFusions } from '../onnx/linear-fusions.ts';
import { ort } from '../ort/library.ts';
import type { Operator } from '../ort/operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import type { OnnxSessionOptions } from '../ort/session.ts';

/** Version of ONNX Runtime, part of every key of what was made with it. */
export const onnxRuntimeVersion = ort.version;

/** What `EngineInfo.engineVersion` says: version of the compiled format, then of ONNX Runtime. */
export const engineVersion = `${compiledFormat}+ort-${onnxRuntimeVersion}`;

export type RunOptions = {
  readonly threads: number;
  /** Idle threads of a step wait busily for its next operator. Default: false. */
  readonly spin?: boolean | undefined;
  /** Default: the CPU. */
  readonly provider?: string | undefined;
  /** For graphs that have it. */
  readonly operator?: Operator | undefined;
};

/** Options of every session. With one thread nobody waits, so nothing spins. */
export const sessionOptions = (
  { threads, spin = false, provider = cpuProvider, operator }: RunOptions,
  optimise: OnnxSessionOptions['optimise'],
): OnnxSessionOptions => ({
  threads,
  optimise,
  spin: spin && threads > 1,
  provider,
  operator,
  config: { 'optimization.disable_specified_optimizers': linearFusions },
});

/** Instruction sets of the processor, where the system tells them. */
const cpuFlags = (): string => {
  try {
    return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  } catch {
    // Not Linux: model and architecture have to do.
    return '';
  }
};

const digestOf = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

let machine: string | undefined;

/**
 * Short key of this kind of machine, of the build of the library and of how graphs are optimised: what was optimised and
 * proved holds for all of them only.
 */
export const machineKey = (): string =>
  (machine ??= digestOf(
    [
      platform(),
      arch(),
      cpus()[0]?.model ?? '',
      cpuFlags(),
      linearFusions,
      digestOf(readFileSync(ort.path)),
    ].join('\n'),
  ).slice(0, 12));
