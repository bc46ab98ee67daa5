import { readdirSync, readFileSync } from 'node:fs';
import koffi from 'koffi';

const libc = koffi.load(null);
const ptrace = libc.func('long ptrace(long request, int thread, intptr_t address, intptr_t data)');
const waitpid = libc.func('int waitpid(int thread, _Out_ int *status, int options)');

/** Of <sys/ptrace.h> and <sys/wait.h>. */
const seize = 0x4206;
const interrupt = 0x4207;
const [noHang, all] = [1, 0x40000000];

/**
 * Stops threads of a descendant of this process, on Linux, wherever they are: what they compute never returns, while the others
 * of that process go on. A signal stops all of its threads, so it is done as a debugger does it.
 */
export class StoppedThreads {
  readonly #threads: readonly number[];

  /** `name`: of the threads, as /proc has it. */
  constructor(pid: number, name: string) {
    this.#threads = readdirSync(`/proc/${pid}/task`)
      .filter((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim() === name)
      .map(Number);
    if (this.#threads.length === 0) throw new Error(`process ${pid} has no thread ${name}`);
    for (const thread of this.#threads) {
      for (const request of [seize, interrupt]) {
        if (ptrace(request, thread, 0, 0) !== 0) throw new Error(`thread ${thread} cannot be stopped`);
      }
    }
  }

  /** The process ends only once its stopped threads were looked after. */
  lookAfter(): void {
    for (const thread of this.#threads) waitpid(thread, [0], noHang | all);
  }
}
