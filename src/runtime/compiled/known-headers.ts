import type { CompiledHeader } from './compiled-file.ts';

/** Most headers that are kept: some tens of kilobytes each. */
const most = 64;

/** Headers that were read and checked before, by path; one whose bytes are the same is not parsed again. */
export class KnownHeaders {
  readonly #byPath = new Map<string, { readonly bytes: Buffer; readonly header: CompiledHeader }>();

  get(path: string, bytes: Buffer): CompiledHeader | undefined {
    const known = this.#byPath.get(path);
    return known?.bytes.equals(bytes) === true ? known.header : undefined;
  }

  set(path: string, bytes: Buffer, header: CompiledHeader): void {
    this.#byPath.delete(path);
    this.#byPath.set(path, { bytes, header });
    const [oldest] = this.#byPath.keys();
    if (oldest !== undefined && this.#byPath.size > most) this.#byPath.delete(oldest);
  }
}
