import { createHash } from 'node:crypto';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Structure } from '../engine.ts';
import type { Compiled, CompileThread } from './compile-thread.ts';
import { Grammar } from './grammar.ts';
import { Instance, type Tokenize } from './instance.ts';
import { Spares } from './spares.ts';
import type { TokenMask } from './token-mask.ts';

/** Memory of all grammars, those in use and those that are kept, where nobody said it. */
export const usualStructureBytes = 192 << 20;
/** Refusals and grammars that are remembered. */
const maxEntries = 256;
/** Milliseconds after which a refused request may find room. */
const retryAfterMs = 1000;

/** Whose request it is: nothing is shared between those that differ. */
export type Whose = { readonly namespace: string; readonly tenant: string };

type Entry = Whose & {
  readonly made: Promise<Grammar>;
  /** Once it was compiled. */
  grammar?: Grammar;
  /** It was compiled, or refused. */
  isDone: boolean;
};

export type StructuresParts = {
  readonly thread: Pick<CompileThread, 'compile' | 'close'>;
  readonly tokenize: Tokenize;
  /** Bytes of all grammars. */
  readonly maxBytes: number;
};

/**
 * Compiled structures, each kept for its tenant by what it says.
 *
 * Guarantees: equal structures of a tenant are compiled once at a time, and refused ones are remembered; of a full memory those
 * leave that no answer uses, of the namespace that has most, what was used longest ago first. Where what answers find out makes it too
 * full, the answers of the grammar that grew most fail, at their next token.
 */
export class Structures {
  readonly #parts: StructuresParts;
  /** The key that was used last comes last. */
  readonly #entries = new Map<string, Entry>();
  /** Grammars that answers use and that are not kept any more. */
  readonly #leaving = new Set<Grammar>();
  readonly #spares = new Spares();

  constructor(parts: StructuresParts) {
    this.#parts = parts;
  }

  /** Bytes of all grammars, and of instances that wait for one. */
  get bytes(): number {
    return [...this.#grammars()].reduce((sum, { bytes }) => sum + bytes, this.#spares.bytes);
  }

  /**
   * What an answer may be, from its first token on. `forces`: see {@link Grammar.begin}.
   * @throws STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX, STRUCTURE_NOT_AVAILABLE, QUEUE_FULL
   */
  async begin(structure: Structure, whose: Whose, forces: boolean): Promise<TokenMask> {
    if (this.#parts.maxBytes === 0)
      throw new AdaptletError('STRUCTURE_NOT_AVAILABLE', '--structure-memory of this node is 0', {
        advice: 'Ask without a structure, or give the node --structure-memory.',
      });
    const key = keyOf(structure, whose);
    const entry = this.#entries.get(key) ?? this.#compile(key, structure, whose);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#forgetOld();
    try {
      const grammar = await entry.made;
      if (grammar.isGood) return grammar.begin(forces);
    } catch (error) {
      if (!isLasting(error)) this.#forget(key, entry);
      throw error;
    }
    this.#forget(key, entry);
    return await this.begin(structure, whose, forces);
  }

  async close(): Promise<void> {
    await this.#parts.thread.close();
  }

  /** Memory is short: what no answer uses is compiled again when somebody asks for it. */
  forgetUnused(): void {
    for (const [key, entry] of this.#idle()) this.#forget(key, entry);
    this.#spares.clear();
  }

  #compile(key: string, structure: Structure, { namespace, tenant }: Whose): Entry {
    const entry: Entry = {
      namespace,
      tenant,
      isDone: false,
      made: this.#parts.thread
        .compile(structure, { namespace, tenant })
        .then((compiled) => {
          const grammar = new Grammar(this.#instanceOf(compiled), {
            grew: () => this.#fit(),
            unused: () => {
              if (this.#leaving.delete(grammar)) this.#reuse(grammar);
              else if (!grammar.isGood) this.#forget(key, entry);
            },
          });
          entry.grammar = grammar;
          return grammar;
        })
        .finally(() => {
          entry.isDone = true;
        }),
    };
    return entry;
  }

  /** @throws QUEUE_FULL where answers use all of the memory, STRUCTURE_TOO_COMPLEX for more than that */
  #instanceOf({ module, memory }: Compiled): Instance {
    const { maxBytes: most, tokenize } = this.#parts;
    const bytes = memory.length;
    if (bytes > most)
      throw new AdaptletError(
        'STRUCTURE_TOO_COMPLEX',
        `it takes ${bytes >> 20} MiB of the ${most >> 20} MiB of --structure-memory`,
        { advice: 'Raise --structure-memory of the node, or ask for a simpler one.' },
      );
    for (;;) {
      const room = most - this.bytes;
      const spare = this.#spares.become(memory, room);
      if (spare !== undefined) return spare;
      if (bytes <= room) return new Instance(module, tokenize, memory);
      if (this.#spares.drop() || this.#leave()) continue;
      throw new AdaptletError('QUEUE_FULL', 'the structures of running answers fill the memory for them', {
        retryAfterMs,
      });
    }
  }

  *#grammars(): Generator<Grammar> {
    for (const { grammar } of this.#entries.values()) if (grammar !== undefined) yield grammar;
    for (const grammar of this.#leaving) {
      if (grammar.isUsed) yield grammar;
      else this.#leaving.delete(grammar);
    }
  }

  /** The least wanted one that no answer uses leaves. False where there is none. */
  #leave(): boolean {
    const [key, entry] = this.#leastWanted() ?? [];
    if (key === undefined || entry === undefined) return false;
    this.#forget(key, entry);
    return true;
  }

  /** A grammar grew: others make way for it, and of those in use the one that grew most ends, which may be told to come again for what others hold. */
  #fit(): void {
    const { maxBytes: most } = this.#parts;
    while (this.bytes > most && (this.#spares.drop() || this.#leave()));
    const used = [...this.#grammars()].toSorted((a, b) => b.grownBytes - a.grownBytes);
    let bytes = used.reduce((sum, grammar) => sum + (grammar.isStopped ? 0 : grammar.bytes), 0);
    for (const grammar of used) {
      if (bytes <= most) return;
      if (grammar.isStopped) continue;
      grammar.stop();
      bytes -= grammar.bytes;
    }
  }

  #idle(): readonly (readonly [key: string, entry: Entry])[] {
    return [...this.#entries].filter(([, { grammar }]) => grammar !== undefined && !grammar.isUsed);
  }

  /** Of the namespace that has most, what was used longest ago and no answer uses. */
  #leastWanted(): readonly [key: string, entry: Entry] | undefined {
    const idle = this.#idle();
    const bytesOf = new Map<string, number>();
    for (const [, { namespace, grammar }] of idle)
      bytesOf.set(namespace, (bytesOf.get(namespace) ?? 0) + (grammar?.bytes ?? 0));
    const most = Math.max(...bytesOf.values());
    return idle.find(([, { namespace }]) => bytesOf.get(namespace) === most);
  }

  /** What is still compiled stays: its memory would count for nobody. The thread bounds how many that are. */
  #forgetOld(): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= maxEntries) return;
      if (entry.isDone) this.#forget(key, entry);
    }
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    if (entry.grammar?.isUsed === true) this.#leaving.add(entry.grammar);
    else this.#reuse(entry.grammar);
  }

  #reuse(grammar: Grammar | undefined): void {
    const instance = grammar?.giveUp();
    if (instance !== undefined) this.#spares.add(instance);
  }
}

/** What is refused today is refused tomorrow; what had no room may have some. */
const isLasting = (error: unknown): boolean =>
  error instanceof AdaptletError &&
  error.retryAfterMs === undefined &&
  (error.code === 'STRUCTURE_UNSUPPORTED' || error.code === 'STRUCTURE_TOO_COMPLEX');

const keyOf = ({ kind, source }: Structure, { namespace, tenant }: Whose): string =>
  createHash('sha256')
    .update(JSON.stringify([namespace, tenant, kind, source]))
    .digest('base64');
