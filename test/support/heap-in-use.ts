import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const preload = join(import.meta.dirname, 'preload/heap-in-use.ts');
const [lookMs, patienceMs] = [50, 5000];
/** Bit of SIGUSR2 in the masks of /proc. */
const asked = 1n << 11n;

/** Whether it takes the signal: it would end by it before the preload is there, and without it. */
const listens = async (pid: number): Promise<boolean> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const caught = /^SigCgt:\s+([0-9a-f]+)$/m.exec(status)?.[1];
  return caught !== undefined && (BigInt(`0x${caught}`) & asked) !== 0n;
};

/** In MiB, after a collection. */
export type Heap = {
  readonly inUse: number;
  /** With the room that V8 keeps; what is resident beyond that is code, and memory that others than V8 ask for. */
  readonly kept: number;
};

/** What processes have in use after a collection. Linux. */
export class HeapsInUse implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(): Promise<HeapsInUse> {
    return new HeapsInUse(await mkdtemp(join(tmpdir(), 'adaptlet-heaps-')));
  }

  /** The environment of a process that is going to be asked; `from`: what else is in it. */
  env(from: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
    return {
      ...from,
      NODE_OPTIONS: `${from['NODE_OPTIONS'] ?? ''} --import=${preload}`.trim(),
      ADAPTLET_TEST_HEAP: `${this.#folder}/`,
    };
  }

  /** Undefined where it was not started so, and where it says nothing within 5 s. */
  async of(pid: number): Promise<Heap | undefined> {
    const file = join(this.#folder, `${pid}`);
    await rm(file, { force: true });
    if (!(await listens(pid))) return undefined;
    process.kill(pid, 'SIGUSR2');
    for (let waited = 0; waited < patienceMs; waited += lookMs) {
      const text = await readFile(file, 'utf8').catch(() => '');
      if (text !== '') {
        const { inUse, kept } = JSON.parse(text) as Heap;
        return { inUse: inUse / 2 ** 20, kept: kept / 2 ** 20 };
      }
      await sleep(lookMs);
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
